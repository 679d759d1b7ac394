"""Forward passes under the trace: what is executed, by which layer, on which line."""
