"""Broken projects for the fix texts of the rules, group by group."""

from tests.rules.fix_cases import additions, behaviour, budgets, costs, documents, evidence, operations

GROUPS = (additions, behaviour, budgets, costs, documents, evidence, operations)
CASES = [case for group in GROUPS for case in group.CASES]
UNTRIED: dict[str, str] = {}
"""Fix texts that no test can follow, and why."""
