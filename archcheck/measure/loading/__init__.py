"""From a target to an instance and an example input, whatever the subject's files do besides."""
