"""Read contracts: rules for subjects in TOML, with every mistake at once.

`discover` finds the file, `load` reads it, and `known_rules` returns the rules that it may state. The other modules are
the parts of `load`.
"""

from archcheck.contract.entries import InputSpec, Stated, SubjectEntry, TrainingSpec, Waiver
from archcheck.contract.files import Contract, discover, known_rules, load

__all__ = [
    "Contract",
    "InputSpec",
    "Stated",
    "SubjectEntry",
    "TrainingSpec",
    "Waiver",
    "discover",
    "known_rules",
    "load",
]
