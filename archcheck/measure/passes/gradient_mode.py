"""Records where the subject switches gradients off. A measured pass runs without autograd, which could tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from archcheck.measure.passes.replaced_attributes import replaced


class GradientMode:
    """Follows `no_grad`, `enable_grad`, `inference_mode` and `set_grad_enabled`; `off` says that gradients are off now.

    A custom `autograd.Function` switches gradients off in another way, and has a gradient all the same.
    """

    def __init__(self) -> None:
        self.off = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Follow the switches in the block."""
        with ExitStack() as stack:
            for cls, is_off in _SWITCHES:
                methods = {"__enter__": self._entering(cls.__enter__, is_off), "__exit__": self._leaving(cls.__exit__)}
                stack.enter_context(replaced(cls, methods))
            setter: Any = torch.set_grad_enabled
            methods = {"__init__": self._setting(setter.__init__), "__exit__": self._leaving(setter.__exit__)}
            stack.enter_context(replaced(setter, methods))
            yield

    def _entering(self, enter: Callable[..., Any], is_off: Callable[[Any], bool]) -> Callable[..., Any]:
        def entering(switch: Any) -> Any:
            before = self.off
            entered = enter(switch)  # which may use another of these switches
            self._set(switch, before, is_off(switch))
            return entered

        return entering

    def _setting(self, init: Callable[..., Any]) -> Callable[..., Any]:
        def setting(switch: Any, mode: bool) -> None:
            before = self.off
            init(switch, mode)
            self._set(switch, before, not mode)

        return setting

    def _leaving(self, leave: Callable[..., Any]) -> Callable[..., Any]:
        def leaving(switch: Any, *raised: Any) -> Any:
            left = leave(switch, *raised)
            self.off = getattr(switch, _BEFORE, False)
            return left

        return leaving

    def _set(self, switch: Any, before: bool, off: bool) -> None:
        setattr(switch, _BEFORE, before)
        self.off = off


_BEFORE = "_off_before"
_SWITCHES: tuple[tuple[Any, Callable[[Any], bool]], ...] = (
    (torch.no_grad, lambda switch: True),
    (torch.enable_grad, lambda switch: False),
    (torch.inference_mode, lambda switch: bool(switch.mode)),
)
