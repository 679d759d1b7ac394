"""Classes whose compiled code is read."""

import functools
import sys


def named(function):
    """Wrap a function under its name."""

    @functools.wraps(function)
    def wrapper(*given):
        return function(*given)

    return wrapper


def unnamed(function):
    def wrapper(*given):
        return function(*given)

    return wrapper


def decorated(cls):
    return cls


class Plain:
    def __init__(this):
        this.first, this.second = 1, 2
        this.third: int = 3
        other = this
        other.not_its = 4
        this.add_module(
            "added", str(("not this", 5))
        )  # fmt: skip
        for number in range(2):
            this.register_module(f"part{number}", None)
        this.third = 6

        def later():
            this.fourth = 7

    class Inner:
        def __init__(self):
            self.inner = 1


class Wrapped:
    @named
    def __init__(self):
        self.first = 1

    @unnamed
    def reset(self):
        self.second = 2

    @property
    def value(self):
        return self.third

    @value.setter
    def value(self, new):
        self.third = new

    @classmethod
    def make(cls):
        cls.shared = 1

    @staticmethod
    def nothing():
        return 1


if sys:

    @decorated
    @decorated
    class Twice:
        def one(self):
            """Return 1."""
            return 1

else:

    class Twice:
        def two(self):
            """Return 2."""
            return 2


class Empty:
    pass
