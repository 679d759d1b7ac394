"""Broken projects for the fix texts of the rules, group by group."""

from tests.rules.fix_cases import budgets

CASES = [*budgets.CASES]
UNTRIED: dict[str, str] = {}
"""Fix texts that no test can follow, and why."""
