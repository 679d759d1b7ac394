"""Follows the first and the last input position that each position of a map sees along one axis, through windows.

Windows slide over maps with borders: a tap off the map sees nothing, and adds nothing to the field.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

_FAR = 1 << 40
"""First position of what sees nothing; its last is as far below zero."""


@dataclass(frozen=True, slots=True)
class Span:
    """What the positions of a map see: `first` and `last` input positions, of `whole` that there are."""

    first: torch.Tensor
    last: torch.Tensor
    whole: int

    @staticmethod
    def of_input(extent: int) -> Span:
        """Return what the positions of the input see, themselves."""
        positions = torch.arange(extent, device="cpu")
        return Span(positions, positions, extent)

    @property
    def widest(self) -> int:
        """How many input positions lie between the first and the last that one position sees, at most."""
        return max(0, int((self.last - self.first + 1).max())) if len(self.first) else 0

    def through(self, taps: Iterable[torch.Tensor], out: int) -> Span:
        """Return what `out` positions see that read `taps`, each a position of this map for every one of them."""
        first = torch.full((out,), _FAR, device="cpu")
        last = -first
        for tap in taps if len(self.first) else ():
            on_map = (tap >= 0) & (tap < len(self.first))
            read = tap.clamp(0, len(self.first) - 1)
            first = torch.where(on_map, torch.minimum(first, self.first[read]), first)
            last = torch.where(on_map, torch.maximum(last, self.last[read]), last)
        return Span(first, last, self.whole)

    def rescaled(self, factor: float) -> Span:
        """Return what positions see that became `factor` times as many: of each some, or several of one."""
        out, several = round(len(self.first) * factor), round(1 / factor) if factor < 1 else 1
        places = torch.arange(out, device="cpu")
        places = places * several if factor < 1 else places // round(factor)
        return self.through((places + place for place in range(several)), out)

    def interpolated(self, out: int, reach: int) -> Span:
        """Return what `out` positions see that are interpolated between `reach` + 1 neighbours."""
        low = torch.arange(out, device="cpu") * len(self.first) // max(1, out) - reach // 2
        return self.through((low + place for place in range(reach + 1)), out)

    def padded(self, before: int, after: int) -> Span:
        """Return what positions see with others beside them that see nothing; below zero, the map is cropped."""
        positions = torch.arange(-before, len(self.first) + after, device="cpu")
        return self.through([positions], len(positions))


@dataclass(frozen=True, slots=True)
class Window:
    """A kernel along one axis; `padding` is what lies before the map, or what a transposed one crops."""

    kernel: int
    stride: int
    dilation: int
    padding: int
    transposed: bool

    @property
    def is_point(self) -> bool:
        """Whether it reads every position by itself."""
        return self.kernel == self.stride == 1 and not self.padding

    @property
    def reach(self) -> int:
        """How far apart the outermost taps are, in positions of the map that is read."""
        across = (self.kernel - 1) * self.dilation
        return math.ceil((across + 1) / self.stride) - 1 if self.transposed else across

    def reach_on(self, extent: int, out: int) -> int:
        """Return how far apart the taps on a map of `extent` are at most, over `out` positions."""
        return max(0, Span.of_input(extent).through(self.taps(out), out).widest - 1)

    def taps(self, out: int) -> Iterator[torch.Tensor]:
        """Yield the position of the map that each of `out` positions reads, tap by tap; -1 for none."""
        places = torch.arange(out, device="cpu")
        for tap in range(self.kernel):
            if not self.transposed:
                yield places * self.stride - self.padding + tap * self.dilation
                continue
            found = places + self.padding - tap * self.dilation
            yield torch.where(found % self.stride == 0, found // self.stride, -1)


def through(window: Window, before: Span | None, extent: int | None, out: int) -> Span | None:
    """Return what the positions behind a window see; `None` where the map is not the one that is known."""
    if before is None or extent is None or len(before.first) != extent:
        return None
    return before.through(window.taps(out), out)


def joined(spans: Sequence[Span | None]) -> Span | None:
    """Return what positions see that read those of several maps of the same extent; `None` where one is not known."""
    known = [span for span in spans if span is not None]
    if len(known) < len(spans) or len({(len(span.first), span.whole) for span in known}) != 1:
        return None
    first = torch.stack([span.first for span in known]).amin(0)
    last = torch.stack([span.last for span in known]).amax(0)
    return Span(first, last, known[0].whole)
