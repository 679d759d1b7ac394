"""Whether a model is what it seems to be: another look at it, and at what measuring relies on."""
