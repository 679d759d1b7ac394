import datetime
from pathlib import Path

import pytest
from contract_samples import (
    FLAGSHIP,
    KNOWN,
    Accepts,
    Channels,
    FollowedBy,
    MaxParams,
    MinAccuracy,
    NoPadding,
    NoUnusedParams,
    Requires,
    problems,
    read,
)

from archcheck.contract import Contract, InputSpec, TrainingSpec, Waiver, load
from archcheck.foundation.errors import ArchcheckError, ContractError
from archcheck.foundation.source_place import Where


@pytest.fixture
def rules_of(tmp_path):
    def rules_of(text: str) -> list:
        contract = read(tmp_path, f'[subjects.it]\nmodel = "m:N"\n[subjects.it.rules]\n{text}')
        return [stated.rule for stated in contract.subject("it").rules]

    return rules_of


def test_a_whole_contract_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    contract = read(tmp_path, FLAGSHIP, "pyproject.toml")
    (entry,) = contract.subjects

    assert (contract.file, contract.root) == ("pyproject.toml", tmp_path)
    assert (entry.name, entry.model, entry.timeout) == ("mnist", "model.py:Net", 30.0)
    assert entry.input == (InputSpec(shape=(1, 1, 28, 28)),)
    assert entry.args == {"width": 16, "sizes": [3, 3]}
    assert entry.where == Where(file="pyproject.toml", line=4)
    assert entry.training == TrainingSpec(
        train="pkg.train:run",
        evaluate="pkg.evaluate:test",
        checkpoint="checkpoint.safetensors",
        record="record.json",
        epochs=15,
    )
    assert [(stated.instance, stated.where.line, stated.rule) for stated in entry.rules] == [
        ("max-params", 16, MaxParams(limit=19_999, because="the assignment: under 20k")),
        ("requires", 17, Requires(kinds=("dropout", "batch_norm"))),
        ("followed-by-1", 18, FollowedBy(layer="conv", by="batch_norm")),
        ("followed-by-2", 18, FollowedBy(layer="Conv2d", by="relu", exempt=(1, "last"))),
        ("min-accuracy", 19, MinAccuracy(limit=0.994, within_epochs=20)),
        ("no-unused-params", 20, NoUnusedParams()),
    ]
    assert entry.waivers == (
        Waiver(
            rule="followed-by-2",
            layer="features.**",
            reason="documented",
            until=datetime.date(2030, 1, 31),
            where=Where(file="pyproject.toml", line=21),
        ),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max-params = 5", [MaxParams(limit=5)]),
        ("max-params = [5, 6]", [MaxParams(limit=5), MaxParams(limit=6)]),
        ("max-params.limit = 5", [MaxParams(limit=5)]),
        ("min-accuracy = 1", [MinAccuracy(limit=1.0)]),
        ('requires = "conv"', [Requires(kinds=("conv",))]),
        ('requires = ["conv", "features.*", "Linear"]', [Requires(kinds=("conv", "features.*", "Linear"))]),
        ('requires = ["conv", { kinds = "norm" }]', [Requires(kinds=("conv",)), Requires(kinds=("norm",))]),
        ('requires = [["conv"], ["norm"]]', [Requires(kinds=("conv",)), Requires(kinds=("norm",))]),
        ("channels = [1, 10, 16]", [Channels(progression=(1, 10, 16))]),
        ("accepts = [[1, 28], [1, 32]]", [Accepts(sizes=((1, 28), (1, 32)))]),
        ("no-padding = true", [NoPadding()]),
        ('no-padding = "first"', [NoPadding(exempt="first")]),
        ('no-padding = ["first"]', [NoPadding(exempt=("first",))]),
        ("no-padding = false", []),
        ('no-unused-params = { on = "any word", allow-empty = true }',
         [NoUnusedParams(on="any word", allow_empty=True)]),
        ('[[subjects.it.rules.max-params]]\nlimit = 5\n[[subjects.it.rules.max-params]]\nlimit = 6',
         [MaxParams(limit=5), MaxParams(limit=6)]),
    ],
)  # fmt: skip
def test_a_rule_is_stated_in_many_ways(rules_of, text, expected):
    assert rules_of(text) == expected


def test_the_line_of_an_instance_is_that_of_its_item(tmp_path):
    text = """\
    [subjects.it]
    model = "m:N"
    rules.max-params = [
      5,
      # a comment ]
      { limit = 6 },
    ]
    """
    rules = read(tmp_path, text).subject("it").rules
    assert [(stated.instance, stated.where.line) for stated in rules] == [("max-params-1", 4), ("max-params-2", 6)]


def test_shared_rules_hold_for_every_subject_unless_it_says_otherwise(tmp_path):
    text = """\
    [rules]
    max-params = 100
    no-unused-params = true
    [subjects.plain]
    model = "m:A"
    [subjects.own]
    model = "m:B"
    rules = { max-params = [1, 2], no-unused-params = false }
    """
    contract = read(tmp_path, text)
    stated = {entry.name: [(it.instance, it.where.line) for it in entry.rules] for entry in contract.subjects}
    assert stated == {
        "plain": [("max-params", 2), ("no-unused-params", 3)],
        "own": [("max-params-1", 8), ("max-params-2", 8)],
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[4, 10]", (InputSpec(shape=(4, 10)),)),
        ("7", None),
        ('"pkg.mod:example"', "pkg.mod:example"),
        ('"tools/example.py:example"', "tools/example.py:example"),
        ('{ shape = [2, 5], dtype = "int64", low = 0, high = 9 }',
         (InputSpec(shape=(2, 5), dtype="int64", low=0.0, high=9.0),)),
        ("[{ shape = [1, 3] }, { shape = [1] }]", (InputSpec(shape=(1, 3)), InputSpec(shape=(1,)))),
        ("{ image = [1, 3], labels = { shape = [1], dtype = 'int64', high = 9 } }",
         {"image": InputSpec(shape=(1, 3)), "labels": InputSpec(shape=(1,), dtype="int64", high=9.0)}),
        ("{ batch = [[1, 3], { shape = [1] }], batch_idx = 0, final = true }",
         {"batch": (InputSpec(shape=(1, 3)), InputSpec(shape=(1,))), "batch_idx": 0, "final": True}),
        ("{ tape = [1, 3], low = [1, 3], x = [2] }",
         {"tape": InputSpec(shape=(1, 3)), "low": InputSpec(shape=(1, 3)), "x": InputSpec(shape=(2,))}),
        ("[[1, 3], [1]]", (InputSpec(shape=(1, 3)), InputSpec(shape=(1,)))),
    ],
)  # fmt: skip
def test_forms_of_an_input(tmp_path, text, expected):
    document = f'[subjects.it]\nmodel = "m:N"\ninput = {text}'
    if expected is None:
        assert problems(tmp_path, document)
    else:
        assert read(tmp_path, document).subject("it").input == expected


def test_a_method_and_the_input_of_training(tmp_path):
    text = '[subjects.it]\nmodel = "m:N"\ncall = "training_step"\ntraining-input = { x = [1, 3] }'
    entry = read(tmp_path, text).subject("it")
    assert entry.call == "training_step"
    assert entry.training_input == {"x": InputSpec(shape=(1, 3))}


def test_a_file_of_any_name_may_hold_subjects_without_the_prefix(tmp_path):
    assert read(tmp_path, '[subjects.it]\nmodel = "m:N"', "nets.toml").subject("it").model == "m:N"
    assert read(tmp_path, '[tool.archcheck.subjects.it]\nmodel = "m:N"', "nets.toml").subject("it").model == "m:N"


def test_an_unknown_subject_is_named_with_the_nearest(tmp_path):
    contract = Contract(file="archcheck.toml", root=tmp_path, subjects=read(tmp_path, FLAGSHIP, "p.toml").subjects)
    with pytest.raises(ArchcheckError, match=r'^"mnits" is not a subject of archcheck.toml; did you mean "mnist"\?$'):
        contract.subject("mnits")
    with pytest.raises(ArchcheckError, match=r'it has "mnist"$'):
        contract.subject("cifar")


def test_the_file_is_shown_from_where_people_are(tmp_path, monkeypatch):
    below = tmp_path / "pkg" / "sub"
    below.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    read(tmp_path, FLAGSHIP, "pyproject.toml")

    shown = {}
    for folder in (tmp_path, below, elsewhere, tmp_path.parent):
        monkeypatch.chdir(folder)
        shown[folder] = load(tmp_path / "pyproject.toml", KNOWN).file
    monkeypatch.chdir(elsewhere)
    read(below, FLAGSHIP, "pyproject.toml")

    assert shown[tmp_path] == "pyproject.toml"
    assert shown[below] == "../../pyproject.toml"
    assert shown[tmp_path.parent] == f"{tmp_path.name}/pyproject.toml"
    assert load(below / "pyproject.toml", KNOWN).file == (below / "pyproject.toml").as_posix()
    assert load(Path("../pyproject.toml"), KNOWN).root == tmp_path


def test_the_built_in_rules_are_known_without_being_passed(tmp_path):
    path = tmp_path / "archcheck.toml"
    path.write_text('[subjects.it]\nmodel = "m:N"\nrules.max-params = 5\n')
    (stated,) = load(path).subject("it").rules
    assert (type(stated.rule).__module__.split(".")[:2], stated.instance) == (["archcheck", "rules"], "max-params")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = """\
    [subjects.it]
    modle = "m:N"
    [subjects.it.rules]
    max-parms = 5
    requires = [
      "conv",
      "batchnorm",
    ]
    [rules]
    max-params = "5"
    """
    with pytest.raises(ContractError) as caught:
        read(tmp_path, text)
    assert str(caught.value).splitlines() == [
        'archcheck.toml:2: "modle" is not a key of subject "it"; did you mean "model"?',
        'archcheck.toml:4: "max-parms" is not a rule; did you mean "max-params"?',
        'archcheck.toml:7: "batchnorm" is not a kind; did you mean "batch_norm"?',
        'archcheck.toml:10: "max-params" must be an integer, found "5"',
    ]


@pytest.mark.parametrize("rule", ["max-params", "max-params-2"])
def test_a_waiver_of_a_bound_takes_its_units(tmp_path, rule):
    (tmp_path / "archcheck.toml").write_text(
        '[subjects.it]\nmodel = "m:N"\nrules.max-params = [1, 2]\n'
        f'waivers = [{{ rule = "{rule}", reason = "x", up-to = "21k" }}]\n'
    )
    (waiver,) = load(tmp_path / "archcheck.toml").subject("it").waivers
    assert waiver.up_to == 21_000


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ("max-params = 1", '"up-to" must be an integer or text such as "20k" or "1.33M", found "21x"'),
        ("no-padding = true", '"up-to" must be a number, found "21x"'),
        ("zzz = 1", '"zzz" is not a rule; `archcheck rules` lists them'),
    ],
)
def test_a_waiver_whose_figure_is_none(tmp_path, rules, says):
    (tmp_path / "archcheck.toml").write_text(
        f'[subjects.it]\nmodel = "m:N"\nrules.{rules}\n'
        f'waivers = [{{ rule = "{rules.split()[0]}", reason = "x", up-to = "21x" }}]\n'
    )
    with pytest.raises(ContractError) as caught:
        load(tmp_path / "archcheck.toml")
    assert says in str(caught.value)


def test_subjects_that_state_the_same_share_its_reading_and_keep_their_lines(tmp_path):
    """Ten thousand subjects of a course state the same rules."""
    section = '[subjects.{}]\nmodel = "m:N"\nrules.max-params = 7\nrules.channels = [1, 2]\n'
    first, second = read(tmp_path, section.format("a") + section.format("b")).subjects
    assert [one.rule is other.rule for one, other in zip(first.rules, second.rules, strict=True)] == [True, True]
    assert [stated.where.line for stated in (*first.rules, *second.rules)] == [3, 4, 7, 8]


def test_equal_values_of_different_kinds_are_not_mistaken_for_each_other(tmp_path):
    """In Python 1, 1.0 and `true` are equal. A limit of 1 and one of true are not: the second is a mistake."""
    section = '[subjects.{}]\nmodel = "m:N"\nrules.max-params = {{ limit = {} }}\n'
    found = problems(tmp_path, "".join(section.format(*each) for each in {"a": "1", "b": "true", "c": "1.0"}.items()))
    assert [each.partition(":")[0] for each in found] == ["6", "9"]


def test_each_subject_is_told_of_the_same_mistake(tmp_path):
    section = '[subjects.{}]\nmodel = "m:N"\nrules.max-params = -1\ninput = [0, 1]\n'
    found = problems(tmp_path, "".join(map(section.format, "abc")))
    assert [int(each.partition(":")[0]) for each in found] == [3, 4, 7, 8, 11, 12]
