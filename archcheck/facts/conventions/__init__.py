"""The numbers that other counters print, rebuilt from the record of calls, and why they differ from the true ones.

One module a tool. Each yields entries by layer and operator, by formulas that were read in the tool's source, at the
version that the module names; `comparison` sets them beside the executed graph. Nothing here imports torch or a tool.
"""
