"""Turn a target into a model and an example input, whatever else the subject's files do."""
