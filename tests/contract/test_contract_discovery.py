import sys

import pytest
from contract_samples import KNOWN, problems

from archcheck.contract import discover, load

SECTION = '[tool.archcheck.subjects.it]\nmodel = "m:N"\n'


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    (tmp_path / "repo" / "pkg" / "sub").mkdir(parents=True)
    return tmp_path / "repo"


def test_the_nearest_file_wins(repository):
    (repository / "pyproject.toml").write_text(SECTION)
    (repository / "pkg" / "pyproject.toml").write_text(SECTION)
    assert discover(repository / "pkg" / "sub") == repository / "pkg" / "pyproject.toml"
    assert discover(repository) == repository / "pyproject.toml"


def test_a_file_of_its_own_wins_over_a_nearer_shared_one(repository):
    (repository / "archcheck.toml").write_text("")
    (repository / "pkg" / "pyproject.toml").write_text(SECTION)
    assert discover(repository / "pkg") == repository / "archcheck.toml"


def test_a_shared_file_without_a_contract_is_passed_by(repository):
    (repository / "pyproject.toml").write_text(SECTION)
    (repository / "pkg" / "pyproject.toml").write_text('[project]\nname = "archcheck-user"\n')
    (repository / "pkg" / "archcheck.toml").mkdir()
    assert discover(repository / "pkg") == repository / "pyproject.toml"


def test_a_broken_file_that_may_hold_a_contract_is_not_passed_by(repository):
    (repository / "pyproject.toml").write_text(SECTION)
    (repository / "pkg" / "pyproject.toml").write_text(SECTION + "broken")
    assert discover(repository / "pkg") == repository / "pkg" / "pyproject.toml"
    (repository / "pkg" / "pyproject.toml").write_text("broken")
    assert discover(repository / "pkg") == repository / "pyproject.toml"


def test_the_search_ends_at_the_repository(repository):
    (repository.parent / "archcheck.toml").write_text("")
    assert discover(repository / "pkg") is None
    assert discover(repository.parent) == repository.parent / "archcheck.toml"


def test_it_starts_here_or_beside_a_file(repository, monkeypatch):
    (repository / "pkg" / "archcheck.toml").write_text("")
    (repository / "pkg" / "model.py").write_text("")
    monkeypatch.chdir(repository / "pkg" / "sub")
    assert discover() == repository / "pkg" / "archcheck.toml"
    assert discover(repository / "pkg" / "model.py") == repository / "pkg" / "archcheck.toml"


PLUGIN = """\
from dataclasses import dataclass
from archcheck.rules.base import Rule

@dataclass(frozen=True, slots=True, kw_only=True)
class {name}(Rule):
    limit: int

    def check(self, facts):
        raise NotImplementedError
"""


@pytest.fixture
def plugin(tmp_path):
    before = set(sys.modules)

    def plugin(module: str, content: str) -> None:
        (tmp_path / f"{module}.py").write_text(content)

    yield plugin
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_plugin_beside_the_contract_brings_rules(tmp_path, plugin):
    plugin("house_rules_of_ours", PLUGIN.format(name="MaxWidth"))
    path = tmp_path / "archcheck.toml"
    path.write_text('plugins = ["house_rules_of_ours"]\n[subjects.it]\nmodel = "m:N"\nrules.max-width = 5\n')
    search_path = list(sys.path)
    (stated,) = load(path, KNOWN).subject("it").rules
    assert (stated.instance, stated.rule.limit) == ("max-width", 5)
    assert sys.path == search_path


def test_mistakes_of_plugins(tmp_path, plugin):
    plugin("clashing_rules", PLUGIN.format(name="MaxParams"))
    plugin("rules_that_exit", "raise SystemExit('no')")
    plugin("rules_without_rules", "from archcheck.rules.base import Rule")
    plugin("rules_with_a_typo", "def broken(:\n    pass\n")
    plugin("undecorated_rules", "from archcheck.rules.base import Rule\nclass MaxDepth(Rule):\n    limit: int\n")
    plugin("idle_rules", "from archcheck.rules.base import Rule\nclass _Ours(Rule): pass\nclass MaxDepth(Rule): pass\n")
    plugin("odd_rules", PLUGIN.format(name="MaxOdd").replace("limit: int", "limit: complex"))
    plugin("dangling_rules", PLUGIN.format(name="MaxOdd").replace("limit: int", "limit: 'Nothing'"))
    for name in ("more/own.py", "own.py", "my-own.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(PLUGIN.format(name="MaxOwn"))
    text = """\
    plugins = [
      "no_such_module_here",
      "rules_that_exit",
      "rules_without_rules",
      "clashing_rules",
      "",
      "rules_with_a_typo",
      "undecorated_rules",
      "idle_rules",
      "odd_rules",
      "dangling_rules",
      "./more/own.py",
      "more/../own.py",
      "my-own.py",
    ]
    [subjects.it]
    model = "m:N"
    """
    assert problems(tmp_path, text) == [
        '2: plugin "no_such_module_here" cannot be imported: '
        "ModuleNotFoundError: No module named 'no_such_module_here'",
        '3: plugin "rules_that_exit" cannot be imported: SystemExit: no',
        '4: plugin "rules_without_rules" holds no rule; derive a class from archcheck.rules.base.Rule',
        '5: plugin "clashing_rules" has a rule "max-params", which contract_samples has already; rename it',
        '6: plugin "" cannot be imported: ValueError: Empty module name',
        '7: plugin "rules_with_a_typo" cannot be imported: SyntaxError: invalid syntax (rules_with_a_typo.py, line 1)',
        '8: plugin "undecorated_rules" has a rule "max-depth" that cannot be stated: it is not a dataclass; '
        "write @dataclass(frozen=True, slots=True, kw_only=True) above it",
        '9: plugin "idle_rules" has a rule "max-depth" that cannot be stated: it defines no `check`',
        '10: plugin "odd_rules" has a rule "max-odd" that cannot be stated: its fields cannot be read: '
        "TypeError: `limit`: a parameter cannot be a <class 'complex'>",
        '11: plugin "dangling_rules" has a rule "max-odd" that cannot be stated: its fields cannot be read: '
        "NameError: name 'Nothing' is not defined",
        '12: plugin "./more/own.py" is a file; write the module that it is: "more.own"',
        '13: plugin "more/../own.py" is a file; write the module that it is: "own"',
        '14: plugin "my-own.py" is a file; move it into the folder of the contract, under a name of letters, digits '
        "and `_`, and write that",
    ]
