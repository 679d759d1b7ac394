"""The worker: a process of its own that imports torch, and the bounds in which a subject runs there."""
