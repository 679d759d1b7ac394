"""Follows through windows the first and the last input position that each position of a map sees along one axis.

Windows slide over maps with borders: a tap off the map sees nothing, and adds nothing to the field.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

_FAR = 1 << 40
"""First position of a span that sees nothing; its last position is the negative of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """What the positions of a map see: their `first` and `last` input positions, of `whole` in total.

    Two spans are equal if they are the same object.
    """

    first: torch.Tensor
    last: torch.Tensor
    whole: int

    @staticmethod
    def of_input(extent: int) -> Span:
        """Return the span of the input, in which each position sees itself."""
        positions = torch.arange(extent, device="cpu")
        return Span(positions, positions, extent)

    @property
    def widest(self) -> int:
        """The most input positions from the first to the last that one position sees."""
        return max(0, int((self.last - self.first + 1).max())) if len(self.first) else 0

    def through(self, taps: Iterable[torch.Tensor], out: int) -> Span:
        """Return the span of `out` positions; each of `taps` is the position of this map that each of them reads."""
        first = torch.full((out,), _FAR, device="cpu")
        last = -first
        for tap in taps if len(self.first) else ():
            on_map = (tap >= 0) & (tap < len(self.first))
            read = tap.clamp(0, len(self.first) - 1)
            first = torch.where(on_map, torch.minimum(first, self.first[read]), first)
            last = torch.where(on_map, torch.maximum(last, self.last[read]), last)
        return Span(first, last, self.whole)

    def rescaled(self, factor: float) -> Span:
        """Return the span of `factor` times as many positions: several for one, or one for several."""
        out, several = round(len(self.first) * factor), round(1 / factor) if factor < 1 else 1
        places = torch.arange(out, device="cpu")
        places = places * several if factor < 1 else places // round(factor)
        return self.through((places + place for place in range(several)), out)

    def interpolated(self, out: int, reach: int) -> Span:
        """Return the span of `out` positions that are interpolated between `reach` + 1 neighbours."""
        low = torch.arange(out, device="cpu") * len(self.first) // max(1, out) - reach // 2
        return self.through((low + place for place in range(reach + 1)), out)

    def padded(self, before: int, after: int) -> Span:
        """Return the span with added positions that see nothing; negative numbers crop the map."""
        positions = torch.arange(-before, len(self.first) + after, device="cpu")
        return self.through([positions], len(positions))


@dataclass(frozen=True, slots=True)
class Window:
    """A kernel along one axis; `padding` is added before the map, or cropped if transposed."""

    kernel: int
    stride: int
    dilation: int
    padding: int
    transposed: bool

    @property
    def is_point(self) -> bool:
        """Whether it reads every position separately."""
        return self.kernel == self.stride == 1 and not self.padding

    @property
    def reach(self) -> int:
        """The distance of the outermost taps, in positions of the map that is read."""
        across = (self.kernel - 1) * self.dilation
        return math.ceil((across + 1) / self.stride) - 1 if self.transposed else across

    def reach_on(self, extent: int, out: int) -> int:
        """Return the largest distance of the taps that lie on a map of `extent`, over `out` positions."""
        return _reach_on(self, extent, out)

    def taps(self, out: int) -> Iterator[torch.Tensor]:
        """Yield for each tap the position of the map that each of `out` positions reads, -1 for none."""
        places = torch.arange(out, device="cpu")
        for tap in range(self.kernel):
            if not self.transposed:
                yield places * self.stride - self.padding + tap * self.dilation
                continue
            found = places + self.padding - tap * self.dilation
            yield torch.where(found % self.stride == 0, found // self.stride, -1)


@lru_cache(maxsize=1024)
def _reach_on(window: Window, extent: int, out: int) -> int:
    return max(0, Span.of_input(extent).through(window.taps(out), out).widest - 1)


def through(window: Window, before: Span | None, extent: int | None, out: int) -> Span | None:
    """Return the span after a window; `None` if `before` is not that of the map."""
    if before is None or extent is None or len(before.first) != extent:
        return None
    return before.through(window.taps(out), out)


def joined(spans: Sequence[Span | None]) -> Span | None:
    """Return the span of positions that read several maps of the same extent; `None` if one is unknown."""
    known = [span for span in spans if span is not None]
    if len(known) < len(spans) or len({(len(span.first), span.whole) for span in known}) != 1:
        return None
    first = torch.stack([span.first for span in known]).amin(0)
    last = torch.stack([span.last for span in known]).amax(0)
    return Span(first, last, known[0].whole)
