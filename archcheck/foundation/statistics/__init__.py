"""Distributions, confidence intervals and sequential decisions, from formulas with their sources.

It imports only the standard library.
"""
