"""Every mistake that a contract can hold, with its line and the exact words."""

import os

import pytest
from contract_samples import KNOWN, problems

from archcheck.contract import load
from archcheck.foundation.errors import ArchcheckError, ContractError

INPUT = (
    "must be a shape such as [1, 1, 28, 28], a list of tables, a table by name such as { image = [1, 3, 32, 32] }, "
    'or a function such as "pkg.mod:example", found'
)

RULES = {
    "max-parms = 5": '"max-parms" is not a rule; did you mean "max-params"?',
    "zzz = 5": '"zzz" is not a rule; `archcheck rules` lists them',
    "max-params = { limt = 5 }": '"limt" is not a key of "max-params"; did you mean "limit"?',
    "max-params = { limit = 5, zzz = 1 }": '"zzz" is not a key of "max-params"; '
    'it has "limit", "because", "on", "allow-empty", "points" and "title"',
    "min-accuracy = { limit = 1, within_epochs = 2 }": '"within_epochs" is not a key of "min-accuracy"; '
    'did you mean "within-epochs"?',
    'max-params = { because = "x" }': '"max-params" needs "limit"',
    "max-params = true": '"max-params" needs "limit"',
    'followed-by = "conv"': '"followed-by" needs "by"',
    'max-params = "5"': '"max-params" must be an integer, found "5"',
    "max-params = 5.0": '"max-params" must be an integer, found 5.0',
    "max-params = [5, false]": '"max-params" must be an integer, found false',
    "max-params = { limit = true }": '"limit" must be an integer, found true',
    "max-params = 2030-01-31": '"max-params" must be an integer, found 2030-01-31',
    "max-params = []": '"max-params" states nothing; write false to switch the rule off',
    "min-accuracy = nan": '"min-accuracy" must be a number, found nan',
    "channels = [1, true]": '"channels" must be a list of integers, found true in it',
    "max-params = { limit = 5, because = 1 }": '"because" must be a string, found 1',
    "max-params = { limit = 5, points = 1e308 }": '"max-params": `points` must be at most 1,000,000,000, found 1e+308',
    "max-params = { limit = 5, points = 0 }": '"max-params": `points` must be positive, found 0',
    "max-params = { limit = 5, points = 'two' }": '"points" must be a number, found "two"',
    "max-params = { limit = 5, points = true }": '"points" must be a number, found true',
    "max-params = { limit = 5, points = inf }": '"points" must be a number, found inf',
    "max-params = -5": '"max-params": the limit must be positive, found -5',
    "no-padding = 'all'": '"no-padding": `exempt` leaves nothing to look at: all',
    "no-unused-params = 5": '"no-unused-params" takes no value; write true to state it',
    'requires = "batchnorm"': '"batchnorm" is not a kind; did you mean "batch_norm"?',
    'requires = ["conv", "fc"]': '"fc" is not a kind; did you mean "linear"?',
    'requires = "xyzxyz"': '"xyzxyz" is not a kind; '
    'write a kind ("conv"), a layer type ("Conv2d"), a path ("features.**") or an operator ("aten::cumsum")',
    'requires = ""': '"" is not a kind; '
    'write a kind ("conv"), a layer type ("Conv2d"), a path ("features.**") or an operator ("aten::cumsum")',
    'followed-by = { layer = "conv", by = "bn" }': '"bn" is not a kind; did you mean "batch_norm"?',
    'followed-by = { layer = "conv", by = "relu", position = "near" }': '"position" must be "direct" or '
    '"before-weights", found "near"',
    'followed-by = { layer = "conv", by = "relu", exempt = [1.5] }': '"exempt" must be a list of integers or '
    "strings, found 1.5 in it",
}

WHOLE = '"my::scan" must be a whole number or a formula such as "x.numel * 16"'
FORMULA = "write whole numbers, `x.numel` and `x.shape[i]` of an argument or of `out`, + - * // and brackets"
SUBJECT = {
    "inptu = [1]": '"inptu" is not a key of subject "it"; did you mean "input"?',
    "where = 1": '"where" is not a key of subject "it"; '
    'it has "model", "input", "training-input", "call", "args", "training", "rules", "waivers", "timeout", '
    '"import-timeout", "weights", "meta", "costs" and "snapshot"',
    'timeout = "long"': '"timeout" must be a number, found "long"',
    "timeout = 0": '"timeout" must be positive, found 0',
    "args = 5": '"args" must be a table, found 5',
    "args = { since = 2030-01-31 }": '"since" must not be a date or time; write it as a string, "2030-01-31"',
    "rules = true": '"rules" must be a table, found true',
    "costs = 5": '"costs" must be a table, found 5',
    "costs = { scan = 1 }": '"costs": "scan" names no operator; write its namespace and name, such as "mylib::scan"',
    "costs = { 'aten::mm' = 1 }": '"costs": "aten::mm" is an operator of torch; '
    "costs are stated for operators of one's own",
    "costs = { 'my::scan' = -1 }": '"my::scan" must be at least 0 and below 2**63, found -1',
    "costs = { 'my::scan' = 1.5 }": f"{WHOLE}, found 1.5",
    "costs = { 'my::scan' = true }": f"{WHOLE}, found true",
    "costs = { 'my::scan' = [1] }": f"{WHOLE}, found a list",
    "costs = { 'my::scan' = 'x.numel *' }": f'"my::scan" is not a formula: "x.numel *"; {FORMULA}',
    "costs = { 'my::scan' = '' }": f'"my::scan" is not a formula: ""; {FORMULA}',
    "costs = { 'my::scan' = 'x.numel / 2' }": f'"my::scan" holds "x.numel / 2"; {FORMULA}',
    "costs = { 'my::scan' = 'len(x)' }": f'"my::scan" holds "len(x)"; {FORMULA}',
    "costs = { 'my::scan' = 'x.shape[i]' }": f'"my::scan" holds "x.shape[i]"; {FORMULA}',
    "input = []": f'"input" {INPUT} an empty list',
    "input = 28": f'"input" {INPUT} 28',
    "input = [1, [2]]": f'"input" {INPUT} a list',
    'input = "1,1,28,28"': f'"input" {INPUT} "1,1,28,28"',
    "input = [1, 0, 28]": '"input" must hold positive sizes, found 0',
    "input = [1, 1.5]": '"input" must be a list of integers, found 1.5 in it',
    "input = { shape = [1], dtype = 'torch.float32' }": '"dtype" names no dtype: "torch.float32"; '
    'did you mean "float32"?',
    "input = [{ dtype = 'int64' }]": 'an input needs "shape"',
    "input = { shap = [1], dtype = 'int64' }": '"shap" is not a key of an input; did you mean "shape"?',
    "input = { dtype = 'int64', low = 1 }": 'an input needs "shape"',
    "input = { image = [1, 0], labels = 3 }": '"image" must hold positive sizes, found 0',
    "input = { image = [1, 3], labels = { shape = [1], high = 'x' } }": '"high" must be a number, found "x"',
    "input = { image = [1, 3], mode = 'mean' }": '"mode" must be a shape, a table or a number, found "mean"; '
    "a function gives texts",
    "input = { image = [] }": f'"image" {INPUT} an empty list',
    "training-input = 28": f'"training-input" {INPUT} 28',
    "call = 'model.encode'": '"call" must name a method of the model, such as "training_step", found "model.encode"',
    "call = ''": '"call" must name a method of the model, such as "training_step", found ""',
    "call = true": '"call" must be a string, found true',
    "input = { shape = [1], lo = 1 }": '"lo" is not a key of an input; did you mean "low"?',
    "input = { shape = [1], low = 1, high = 1 }": 'an input: "low" must be below "high", found 1 and 1',
    "training = 'run'": '"training" must be a table, found "run"',
    "training = { trian = 'm:f' }": '"trian" is not a key of "training"; did you mean "train"?',
    "training = { train = 'm' }": '"train" must name a function, such as "pkg.mod:function", found "m"',
    "training = { epochs = 0 }": '"epochs" must be positive, found 0',
    "training = { record = 1 }": '"record" must be a string, found 1',
    "waivers = { rule = 'max-params', reason = 'x' }": '"waivers" must be a list of tables, found a table; '
    "open each with [[...]]",
    "waivers = ['max-params']": '"waivers" must be a table, found "max-params"',
    "waivers = [{ rule = 'max-params' }]": 'a waiver needs "reason"',
    "waivers = [{ reason = 'x' }]": 'a waiver needs "rule"',
    "waivers = [{ rule = 'max-params', reason = ' ' }]": '"reason" must not be empty',
    "waivers = [{ rule = 'max-params', reason = 'x', layr = 'a' }]": '"layr" is not a key of a waiver; '
    'did you mean "layer"?',
    "waivers = [{ rule = 'max-params', reason = 'x', until = '2030-01-31' }]": '"until" must be a date such as '
    '2030-12-31, without quotes, found "2030-01-31"',
    "waivers = [{ rule = 'max-params', reason = 'x', until = 2030-01-31T00:00:00 }]": '"until" must be a date '
    "such as 2030-12-31, without quotes, found 2030-01-31T00:00:00",
    "waivers = [{ rule = 'max-params', reason = 'x', up-to = 0 }]": '"up-to" must be positive, found 0',
    "waivers = [{ rule = 'max-params', reason = 'x', up-to = 'many' }]": '"up-to" must be a number, found "many"',
    "waivers = [{ rule = 'max-params', reason = 'x', up_to = 5 }]": '"up_to" is not a key of a waiver; '
    'did you mean "up-to"?',
    "waivers = [{ rule = 'max-param', reason = 'x' }]": '"max-param" is not a rule of subject "it"; '
    'did you mean "max-params"?',
    "waivers = [{ rule = 'channels', reason = 'x' }]": '"channels" is not a rule of subject "it"; it has "max-params"',
}


@pytest.mark.parametrize("text", RULES)
def test_a_mistake_in_a_rule(tmp_path, text):
    head = '# a comment\n[subjects.it]\nmodel = """\nm:N"""\n[subjects.it.rules]\n'
    assert problems(tmp_path, head + text) == [f"6: {RULES[text]}"]


@pytest.mark.parametrize("text", SUBJECT)
def test_a_mistake_in_a_subject(tmp_path, text):
    head = '[rules]\nmax-params = 5\n[subjects.it]\nmodel = "m:N"\n'
    assert problems(tmp_path, head + text) == [f"5: {SUBJECT[text]}"]


def test_a_mistake_in_a_table_of_its_own_has_the_line_of_the_key(tmp_path):
    text = """\
    [[subjects.it.input]]
    shape = [1]
    [[subjects.it.input]]
    shape = [
      1,
      "x",
    ]
    dtype = "flaot32"
    [subjects.it.rules.max-params]
    because = "no limit"
    [subjects.it.args]
    first = 1
    then = [{ day = 2030-01-31 }]
    """
    assert problems(tmp_path, text) == [
        '1: subject "it" needs "model"',
        '6: "shape" must be a list of integers, found "x" in it',
        '8: "dtype" names no dtype: "flaot32"; did you mean "float32"?',
        '9: "max-params" needs "limit"',
        '13: "day" must not be a date or time; write it as a string, "2030-01-31"',
    ]


def test_a_waiver_of_a_rule_that_is_misspelt_or_wrong_is_no_second_mistake(tmp_path):
    text = """\
    [subjects.it]
    model = "m:N"
    rules = { max-parms = 5, requires = [3], no-padding = false }
    waivers = [
      { rule = "max-params", reason = "x" },
      { rule = "requires", reason = "x" },
      { rule = "no-padding", reason = "x" },
    ]
    """
    assert problems(tmp_path, text) == [
        '3: "max-parms" is not a rule; did you mean "max-params"?',
        '3: "requires" must be a list of strings, found 3 in it',
        '7: "no-padding" is not a rule of subject "it"; it has "max-params" and "requires"',
    ]


def test_a_mistake_in_the_shared_rules_is_told_once(tmp_path):
    text = '[rules]\nmax-params = "5"\n[subjects.a]\nmodel = "m:A"\n[subjects.b]\nmodel = "m:B"\n'
    assert problems(tmp_path, text) == ['2: "max-params" must be an integer, found "5"']


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("subject = 1\n[subjects.a]\nmodel='m:N'", "archcheck.toml",
         '1: "subject" is not a key of a contract; did you mean "subjects"?'),
        ("subjects = 1", "archcheck.toml", '1: "subjects" must be a table, found 1'),
        ("[subjects]\na = 1", "archcheck.toml", '2: "a" must be a table, found 1'),
        ("", "archcheck.toml", "1: no subject is named; add [subjects.NAME] with a model"),
        ('\n[tool.archcheck.subjects.a]\nmodel = "m:N"', "archcheck.toml",
         "2: in archcheck.toml the keys have no prefix; leave out `tool.archcheck.`, as in [subjects.NAME]"),
        ('[subjects.a]\nmodel = "m:N"\n[tool.archcheck.rules]', "archcheck.toml",
         "3: in archcheck.toml the keys have no prefix; leave out `tool.archcheck.`, as in [subjects.NAME]"),
        ("\n[tool.archcheck.rules]", "pyproject.toml",
         "2: no subject is named; add [tool.archcheck.subjects.NAME] with a model"),
        ("\ntool.archcheck = 1", "pyproject.toml", '2: "archcheck" must be a table, found 1'),
        ("[project]", "pyproject.toml",
         "1: there is no [tool.archcheck] in this file; add [tool.archcheck.subjects.NAME] with a model"),
        ("[project]\n[subjects.a]", "pyproject.toml",
         "2: there is no [tool.archcheck] in this file; add [tool.archcheck.subjects.NAME] with a model"),
        ("tool = 1", "other.toml",
         "1: there is no [tool.archcheck] in this file; add [tool.archcheck.subjects.NAME] with a model"),
        ('[subjects.a]\nmodel = "m:N\n', "archcheck.toml", "2: not valid TOML: illegal character '\\n' (column 13)"),
        ('[subjects.a]\nmodel = "m:N', "archcheck.toml", "2: not valid TOML: unterminated string at the end"),
        ("a = 1\na = 2\n", "archcheck.toml", "2: not valid TOML: cannot overwrite a value (column 6)"),
        ("a = [\n1,\n", "archcheck.toml", "2: not valid TOML: invalid value at the end of the file"),
        (f"a = 1\nb = {'9' * 5000}", "archcheck.toml", "2: not valid TOML: Exceeds the limit"),
        (f"a = {'[' * 5000}", "archcheck.toml", "1: lists or tables are nested too deeply to be read"),
        ("plugins = 1\n[subjects.a]\nmodel='m:N'", "archcheck.toml", '1: "plugins" must be a list of strings, found 1'),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file(tmp_path, text, name, expected):
    (found,) = problems(tmp_path, text, name)
    assert found.startswith(expected)


def test_the_line_of_a_syntax_error_counts_windows_line_ends_once(tmp_path):
    path = tmp_path / "archcheck.toml"
    path.write_bytes(b"a = 1\r\n\r\nb = ?\r\n")
    with pytest.raises(ContractError) as caught:
        load(path, KNOWN)
    assert caught.value.problems[0].line == 3


def test_a_file_that_is_not_utf_8(tmp_path):
    path = tmp_path / "archcheck.toml"
    path.write_bytes(b'[subjects.it]\nmodel = "m\xe4:N"\n')
    with pytest.raises(ContractError, match=r":2: byte 0xe4 is not UTF-8; save the file as UTF-8$"):
        load(path, KNOWN)


def test_a_byte_order_mark_does_no_harm(tmp_path):
    path = tmp_path / "archcheck.toml"
    path.write_bytes(b'\xef\xbb\xbf[subjects.it]\nmodel = "m:N"\n')
    assert load(path, KNOWN).subject("it").where.line == 1


def test_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArchcheckError, match=r"^archcheck.toml does not exist; name a contract file, such as"):
        load(tmp_path / "archcheck.toml", KNOWN)
    with pytest.raises(ArchcheckError, match=r"^\. is a folder; name the contract file in it"):
        load(tmp_path, KNOWN)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "archcheck.toml"
    path.write_text("")
    path.chmod(0)
    with pytest.raises(ArchcheckError, match="cannot be read: Permission denied; check"):
        load(path, KNOWN)
