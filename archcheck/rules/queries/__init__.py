"""Queries that several rules make on facts: neighbours, effects, bounds, dropouts, the wording of outcomes.

It imports `facts`, `foundation`, and `rules.base` and `rules.findings`.
"""
