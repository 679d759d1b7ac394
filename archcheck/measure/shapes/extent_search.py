"""Chooses which extents to try: searches a box of sizes for a point that fails, and for the smallest such point.

Nothing here knows what a point means. The search is deterministic, and limited by a number of tries instead of seconds,
so that a verdict does not depend on the load of a machine.
"""

from __future__ import annotations

import importlib
import itertools
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Point = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Box:
    """All points between two corners, both included."""

    low: Point
    high: Point

    @property
    def count(self) -> int:
        """How many points there are."""
        return math.prod(high - low + 1 for low, high in zip(self.low, self.high, strict=True))

    def points(self) -> Iterator[Point]:
        """Yield every point, in the order of the first extent, then the second, and so on."""
        return itertools.product(*(range(low, high + 1) for low, high in zip(self.low, self.high, strict=True)))

    def corners(self) -> Iterator[Point]:
        """Yield every corner: all lower bounds first, all upper bounds next."""
        yield self.low
        yield self.high
        yield from itertools.product(*zip(self.low, self.high, strict=True))


class Tries:
    """Counts and remembers what was tried. Beyond `limit` points nothing fails, and `spent` is set."""

    def __init__(self, fails: Callable[[Point], bool], limit: int) -> None:
        self.known: dict[Point, bool] = {}
        self.limit = limit
        self.spent = False
        self._fails = fails

    def __call__(self, point: Point) -> bool:
        """Whether `point` fails."""
        known = self.known.get(point)
        if known is not None:
            return known
        if len(self.known) >= self.limit:
            self.spent = True
            return False
        self.known[point] = found = self._fails(point)
        return found

    @property
    def left(self) -> int:
        """How many more points may be tried."""
        return self.limit - len(self.known)


def search(box: Box, fails: Tries) -> Point | None:
    """Return a point of `box` that fails, `None` if none was found.

    A box with no more points than may be tried is tried completely. In any other, the search tries every corner; the
    lines along each axis from the lower and the upper bounds, completely if half of the tries suffice; what hypothesis
    generates; and random points.
    """
    if box.count <= fails.left:
        return next(filter(fails, box.points()), None)
    found = next(filter(fails, box.corners()), None) or next(filter(fails, _lines(box, fails.left // 2)), None)
    return found or _guess(box, fails, fails.left) or next(filter(fails, _random_points(box, fails)), None)


def smallest(box: Box, fails: Tries, start: Point) -> Point:
    """Return a failing point at or below `start`, which fails. Making any one extent of the result smaller ends that.

    This holds for all smaller values of the extent if there are enough tries, otherwise for the next smaller one.
    """
    below = Box(box.low, start)
    if below.count <= fails.left:
        return next(filter(fails, below.points()), start)
    point = _descend(box, fails, start)
    guess = _guess(Box(box.low, point), fails, fails.left // 2)
    return point if guess is None else _descend(box, fails, guess)


def _lines(box: Box, share: int) -> Iterator[Point]:
    """Yield the points along each axis.

    If `share` points do not suffice for all, half of those are adjacent, so that no regular gap is missed, and the
    others are spread over the line.
    """
    each = max(2, share // (2 * len(box.low)))
    for origin, axis in itertools.product((box.low, box.high), range(len(box.low))):
        for value in _spread(box.low[axis], box.high[axis], each):
            yield _moved(origin, axis, value)


def _spread(low: int, high: int, count: int) -> Iterator[int]:
    if high - low < count:
        yield from range(low, high + 1)
        return
    dense = count // 2
    yield from range(low, low + dense)
    yield from (low + dense + (high - low - dense) * step // (count - dense) for step in range(count - dense))


def _random_points(box: Box, fails: Tries) -> Iterator[Point]:
    """Yield random points of the box until no more may be tried."""
    numbers = random.Random(0)
    while fails.left:
        yield tuple(numbers.randint(low, high) for low, high in zip(box.low, box.high, strict=True))


def _descend(box: Box, fails: Tries, point: Point) -> Point:
    """Make one extent after another as small as possible, until none can become smaller."""
    before: Point | None = None
    while point != before:
        before = point
        for axis in range(len(point)):
            point = _lowest(box.low[axis], axis, point, fails)
    return point


def _lowest(low: int, axis: int, point: Point, fails: Tries) -> Point:
    high = point[axis]
    if high - low <= fails.left // (2 * len(point)):
        values = (_moved(point, axis, value) for value in range(low, high))
        return next(filter(fails, values), point)
    if low < high and fails(_moved(point, axis, low)):
        return _moved(point, axis, low)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fails(_moved(point, axis, middle)) else (middle, high)
    return _moved(point, axis, high)


def _moved(point: Point, axis: int, value: int) -> Point:
    return (*point[:axis], value, *point[axis + 1 :])


def _guess(box: Box, fails: Tries, count: int) -> Point | None:
    """Return the smallest failing point that hypothesis finds in `count` tries, and more of shrinking."""
    if count < 1:
        return None
    from hypothesis import HealthCheck, Phase, Verbosity, find, settings
    from hypothesis import strategies as st
    from hypothesis.errors import FailedHealthCheck, NoSuchExample

    quiet = settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=count,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        print_blob=False,
    )
    extents = st.tuples(*(st.integers(low, high) for low, high in zip(box.low, box.high, strict=True)))
    try:
        with _without_constants():
            return find(extents, fails, settings=quiet)
    except (NoSuchExample, FailedHealthCheck):  # the latter inside a hypothesis test, which allows no other inside
        return None


@contextmanager
def _without_constants() -> Iterator[None]:
    """Keep hypothesis from trying numbers from the source code of imported modules.

    The result would depend on them, and hypothesis would cache them in a folder `.hypothesis`.
    """
    names = ("_get_local_constants", "CONSTANTS_CACHE", "GLOBAL_CONSTANTS")
    providers: Any = _constants_module()
    if not all(hasattr(providers, name) for name in names):  # a release that does not do so
        yield
        return
    before = {name: getattr(providers, name) for name in names}
    empty = type(before["GLOBAL_CONSTANTS"])()
    providers._get_local_constants = lambda: empty
    providers.CONSTANTS_CACHE = {}
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(providers, name, value)


def _constants_module() -> Any:
    """Return the module in which hypothesis collects numbers from source code, `None` before 6.125."""
    try:
        return importlib.import_module("hypothesis.internal.conjecture.providers")
    except ImportError:
        return None
