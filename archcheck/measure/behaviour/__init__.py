"""Probes: how a model behaves on real numbers, and which inputs it takes."""
