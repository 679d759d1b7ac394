"""Contracts: rules for subjects, read from TOML with every mistake at once.

`discover` finds the file, `load` reads it, `known_rules` are the rules it may state; everything else here is how.
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
