"""Another counter's figures beside our own, and why they differ where they do."""
