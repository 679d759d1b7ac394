"""Sees which samples reach a model while it is trained and evaluated, without changing either.

Two hooks on the model itself see every call of it, also through a wrapper (`nn.DataParallel`, `torch.compile`) and
through copies such as moving averages. A pass is one of training when a gradient comes back through its output,
whatever mode the model is in; all others are passes of evaluation. The first tensor that the model is given is the
batch, its first axis the samples.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from archcheck.measure.evidence.samples import Key, exact, first_tensor, keys_of
from archcheck.measure.shapes.containers import tensors_in


class Enough(BaseException):
    """Ends a run that takes longer than it may; no `Exception`, which a trainer may catch."""


@dataclass(slots=True, eq=False)
class Pass:
    """The samples of one forward pass, and whether a gradient came back through it."""

    exact: list[bytes]
    keys: list[Key]
    trained: bool = False


@dataclass(slots=True)
class Seen:
    """The passes of a stretch of time."""

    passes: list[Pass] = field(default_factory=list)

    def samples(self, *, trained: bool) -> list[bytes]:
        """Return the digests, bit for bit, of the samples of all passes of one kind."""
        return [one for each in self.passes if each.trained is trained for one in each.exact]

    def keys(self, *, trained: bool | None = None) -> list[Key]:
        """Return the keys of the samples of all passes of one kind, or of both."""
        return [key for each in self.passes if trained in (None, each.trained) for key in each.keys]


class Watch:
    """Sees the passes of a model; `seen` is where they go, one stretch after the other."""

    def __init__(self) -> None:
        self.seen: list[Seen] = [Seen()]
        self.unreadable = 0
        self._deadline = float("inf")
        self._entered: Pass | None = None

    @contextmanager
    def on(self, model: torch.nn.Module, seconds: float) -> Iterator[None]:
        """Watch `model` inside, for so long; then its next call raises `Enough`."""
        self._deadline = time.monotonic() + seconds
        entering = model.register_forward_pre_hook(self._enter, with_kwargs=True)
        leaving = model.register_forward_hook(self._leave)
        try:
            yield
        finally:
            entering.remove()
            leaving.remove()

    def turn(self) -> Seen:
        """Begin another stretch; return the one that is over."""
        self.seen.append(Seen())
        return self.seen[-2]

    def _enter(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if time.monotonic() > self._deadline:
            raise Enough
        self._entered = None
        with torch.no_grad():
            try:
                batch = first_tensor(args, kwargs)
                self._entered = None if batch is None else Pass(exact(batch), keys_of(batch))
            except Exception:  # a tensor of another library's making, which shows no numbers
                pass
        if self._entered is None:
            self.unreadable += 1
        else:
            self.seen[-1].passes.append(self._entered)

    def _leave(self, module: torch.nn.Module, args: tuple[Any, ...], output: Any) -> None:
        entered, self._entered = self._entered, None
        if entered is None:
            return

        def back(gradient: torch.Tensor) -> None:
            entered.trained = True

        for tensor in tensors_in(output):
            if tensor.requires_grad:
                tensor.register_hook(back)  # type: ignore[no-untyped-call]

    def __deepcopy__(self, memo: dict[int, Any]) -> Watch:
        """A copy of the model, such as a moving average, is watched with it."""
        return self
