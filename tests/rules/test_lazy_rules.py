"""The builtin rules are known by name, and each is imported when somebody asks for it."""

import subprocess
import sys

import pytest

import archcheck.rules as rules
from archcheck.rules import BUILTIN, BuiltinRules, find
from archcheck.rules.base import Rule, rule_name

CODE = """
import sys
from pathlib import Path
from archcheck.contract import load
(entry,) = load(Path(sys.argv[1])).subjects
print(*sorted(name for name in sys.modules if name.startswith("archcheck.rules.")))
"""
CONTRACT = '[subjects.net]\nmodel = "net.py:Net"\nrules.max-calls = 3\nrules.no-padding = true\n'


def test_a_contract_imports_the_rules_that_it_states(tmp_path):
    file = tmp_path / "archcheck.toml"
    file.write_text(CONTRACT)
    done = subprocess.run([sys.executable, "-c", CODE, file], capture_output=True, text=True, check=True)
    imported = done.stdout.split()
    assert {"archcheck.rules.calls", "archcheck.rules.structure"} <= set(imported)
    assert not {"archcheck.rules.accepts", "archcheck.rules.accuracy", "archcheck.rules.arena"} & set(imported)


def test_names_are_those_of_the_classes():
    known = BuiltinRules()
    assert tuple(known.values()) == BUILTIN
    assert list(known) == [rule_name(rule) for rule in BUILTIN]
    assert all(issubclass(rule, Rule) for rule in BUILTIN)
    assert {rule.__name__ for rule in BUILTIN} <= set(dir(rules))
    assert len(known) == len(set(BUILTIN))


def test_what_is_no_rule_is_none():
    assert find("max-params") is rules.MaxParams
    assert find("max-parms") is None
    assert "MaxParams" not in BuiltinRules()
    with pytest.raises(KeyError):
        BuiltinRules()["MaxParams"]
    with pytest.raises(AttributeError, match="MaxParms"):
        rules.MaxParms  # noqa: B018
