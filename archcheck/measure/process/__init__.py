"""The worker process, which imports torch, and the limits within which a subject runs there."""
