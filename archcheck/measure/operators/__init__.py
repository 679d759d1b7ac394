"""What a dispatched operation is called, what it gives, and what it costs."""
