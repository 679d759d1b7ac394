"""The worker process that measures and trains, its sandbox and cache, and the training records.

It imports `contract`, `facts` and `foundation`. It starts `measure` as a process and does not import it.
"""
