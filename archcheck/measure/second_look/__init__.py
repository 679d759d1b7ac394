"""Checks by a second measurement whether a model is what it seems to be, and whether it tampered with measuring."""
