"""What several rules ask of facts: neighbours, effects, bounds, dropouts, the wording of outcomes. No rule is here.

It imports `facts`, `foundation`, and `rules.base` and `rules.findings`.
"""
