"""What can go wrong for a user of the trainer; every message is one line and ends in the next step."""


class MnistError(Exception):
    """Base of the errors that the commands report in one line, with exit code 2."""


class UsageError(MnistError):
    """An argument that no run can be made of."""


class DataError(MnistError):
    """A data file that is missing, unreadable or not the one that was published."""


class RunError(MnistError):
    """A run folder or a checkpoint that cannot be used for what was asked."""
