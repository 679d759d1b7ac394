"""What runs outside this process: the worker that measures and trains, its sandbox, its cache, the training records.

It imports `contract`, `facts` and `foundation`, and starts `measure` as a process without importing it.
"""
