"""The kind, the result and the cost of a dispatched operation."""
