"""Place buffers in one arena before anything runs, as runtimes of small devices do: greedy by size, best fit.

The largest buffer is placed first. Each buffer takes the smallest gap that is free over its whole lifetime, and of
equal gaps the lowest. This is "greedy by size for offset calculation" of Pisarchyk and Lee, "Efficient Memory
Management for Deep Neural Net Inference" (2020). The `GreedyMemoryPlanner` of TensorFlow Lite Micro works in the same
order and takes the lowest gap that is large enough.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """Memory of `bytes` that is in use from step `first` to step `last`, both included.

    `maker` is the index of the operation whose result it holds.
    """

    bytes: int
    first: int
    last: int
    maker: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """The offset of each buffer. `peak` is the first step at which the most bytes are in use, `alive` how many.

    No plan can take less than `alive`. All sizes are rounded up to the alignment.
    """

    buffers: tuple[Buffer, ...]
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    peak: int
    alive: int

    @property
    def arena(self) -> int:
        """Return the bytes from the start of the arena to its highest end."""
        return max(map(sum, zip(self.offsets, self.sizes, strict=True)), default=0)

    def at_peak(self) -> list[tuple[Buffer, int]]:
        """Return the buffers that are alive at the peak with their aligned sizes, the largest first."""
        alive = [
            (buffer, size)
            for buffer, size in zip(self.buffers, self.sizes, strict=True)
            if buffer.first <= self.peak <= buffer.last
        ]
        return sorted(alive, key=lambda each: -each[1])


def plan_memory(buffers: Sequence[Buffer], alignment: int = 1) -> MemoryPlan:
    """Return a plan in which no two buffers that are alive at the same step overlap.

    >>> plan_memory([Buffer(bytes=10, first=0, last=1), Buffer(bytes=4, first=1, last=2)], 8).arena
    24
    """
    sizes = tuple(-(-buffer.bytes // alignment) * alignment for buffer in buffers)
    peak, alive = _peak(buffers, sizes)
    return MemoryPlan(buffers=tuple(buffers), offsets=_placed(buffers, sizes), sizes=sizes, peak=peak, alive=alive)


def _placed(buffers: Sequence[Buffer], sizes: Sequence[int]) -> tuple[int, ...]:
    offsets = [0] * len(buffers)
    taken: dict[int, list[int]] = {}  # at each step, the buffers that are placed already
    order = sorted(range(len(buffers)), key=lambda number: (-sizes[number], buffers[number].first, number))
    for number in order:
        steps = range(buffers[number].first, buffers[number].last + 1)
        rivals = {rival for step in steps for rival in taken.get(step, ())}
        occupied: list[tuple[int, int]] = []
        for rival in rivals:
            insort(occupied, (offsets[rival], offsets[rival] + sizes[rival]))
        offsets[number] = _best_fit(occupied, sizes[number])
        for step in steps:
            taken.setdefault(step, []).append(number)
    return tuple(offsets)


def _best_fit(occupied: Sequence[tuple[int, int]], size: int) -> int:
    """Return where the smallest gap begins that is large enough, or the end of what is occupied."""
    end, best, smallest = 0, -1, 0
    for first, last in occupied:
        gap = first - end
        if gap >= size and (best < 0 or gap < smallest):
            best, smallest = end, gap
        end = max(end, last)
    return end if best < 0 else best


def _peak(buffers: Sequence[Buffer], sizes: Sequence[int]) -> tuple[int, int]:
    """Return the first step at which the most bytes are alive, and how many."""
    if not buffers:
        return 0, 0
    changes = [0] * (max(buffer.last for buffer in buffers) + 2)
    for buffer, size in zip(buffers, sizes, strict=True):
        changes[buffer.first] += size
        changes[buffer.last + 1] -= size
    alive = list(accumulate(changes))
    most = max(alive)
    return alive.index(most), most
