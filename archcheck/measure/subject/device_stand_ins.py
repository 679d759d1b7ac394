"""What replaces the streams, generators and tensor types of a device that is not there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any


class Idle:
    """Replaces a stream, an event or the choice of a device: it does nothing."""

    def __enter__(self) -> Idle:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: 0.0 if name == "elapsed_time" else name == "query"


ANSWERS: Mapping[str, Callable[..., Any]] = {
    "current_device": lambda: 0,
    "get_device_name": lambda device=None: "cpu",
    **dict.fromkeys(
        ("synchronize", "set_device", "empty_cache", "init", "reset_peak_memory_stats", "ipc_collect"),
        lambda *args, **kwargs: None,
    ),
    **dict.fromkeys(
        ("device", "stream", "Stream", "Event", "current_stream", "default_stream"), lambda *args, **kwargs: Idle()
    ),
}
"""What the functions of `torch.cuda` and its like return without a device."""


class GeneratorType(type):
    """Makes `torch.Generator` give one of the CPU for an absent device, and know all generators."""

    replaced: Callable[..., Any]
    original: Any

    def __call__(cls, device: Any = "cpu") -> Any:
        """Return a generator of a device, or of the CPU in its place."""
        return cls.original(device=cls.replaced(device))

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.original)


class TensorType(type):
    """Makes a type such as `torch.cuda.FloatTensor` stand for that of the CPU."""

    used: Callable[[FrameType | None], None]
    original: Any

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Return a tensor of the CPU."""
        cls.used(sys._getframe())
        return cls.original(*args, **kwargs)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.original)
