"""Watch which samples reach a model while it is trained and evaluated, without changing either.

Two hooks on the model see all its calls, also through a wrapper (`nn.DataParallel`, `torch.compile`) and through copies
such as moving averages. A pass belongs to training if a gradient flows back through its output, whatever the mode of
the model. All other passes belong to evaluation. The first input tensor is the batch, its first axis the samples.
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
    """Ends a run that takes too long. It is not an `Exception`, because a trainer may catch those."""


@dataclass(slots=True, eq=False)
class Pass:
    """The samples of one forward pass, and whether a gradient flowed back through it."""

    exact: list[bytes]
    keys: list[Key]
    trained: bool = False


@dataclass(slots=True)
class Seen:
    """The passes of one period."""

    passes: list[Pass] = field(default_factory=list)

    def samples(self, *, trained: bool) -> list[bytes]:
        """Return the digests of the exact samples of all passes of one kind."""
        return [one for each in self.passes if each.trained is trained for one in each.exact]

    def keys(self, *, trained: bool | None = None) -> list[Key]:
        """Return the keys of the samples of all passes of one kind, or of both."""
        return [key for each in self.passes if trained in (None, each.trained) for key in each.keys]


class Watch:
    """Watches the passes of a model; `seen` holds them, one period after the other."""

    def __init__(self) -> None:
        self.seen: list[Seen] = [Seen()]
        self.unreadable = 0
        self._deadline = float("inf")
        self._entered: Pass | None = None

    @contextmanager
    def on(self, model: torch.nn.Module, seconds: float) -> Iterator[None]:
        """Watch `model` in the block. After `seconds`, its next call raises `Enough`."""
        self._deadline = time.monotonic() + seconds
        entering = model.register_forward_pre_hook(self._enter, with_kwargs=True)
        leaving = model.register_forward_hook(self._leave)
        try:
            yield
        finally:
            entering.remove()
            leaving.remove()

    def next_period(self) -> Seen:
        """Begin a new period; return the finished one."""
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
            except Exception:  # a tensor class of another library without readable numbers
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
        """Return this watch, so that copies of the model, such as a moving average, are watched, too."""
        return self
