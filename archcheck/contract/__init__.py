"""Read contracts: rules for subjects in TOML, with every mistake at once.

`discover` finds the file, `load` reads it, and `known_rules` returns the rules that it may state. The other modules are
the parts of `load`.
"""

from archcheck.contract.files import Contract, discover, known_rules, load
from archcheck.contract.specifications import InputSpec, Stated, SubjectEntry, TrainingSpec, Waiver

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
