"""Tensors without values, and the shapes that operations give for them without asking torch."""
