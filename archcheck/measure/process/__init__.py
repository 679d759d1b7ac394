"""The worker process, which imports torch, and the limits for a subject in it."""
