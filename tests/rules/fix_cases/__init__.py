"""Broken projects for the fix texts of the rules, group by group."""

from tests.rules.fix_cases import additions, behaviour, budgets, operations

CASES = [*additions.CASES, *behaviour.CASES, *budgets.CASES, *operations.CASES]
UNTRIED: dict[str, str] = {}
"""Fix texts that no test can follow, and why."""
