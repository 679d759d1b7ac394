"""Replace devices that this machine does not have by the CPU.

This covers `.cuda()`, `.to("cuda")`, `device="cuda"`, `with torch.device("cuda")`, weights that were saved on a device,
and the functions of `torch.cuda` that need one; likewise for other accelerators. Afterwards torch is as before.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import overrides
from torch.overrides import TorchFunctionMode
from torch.utils import _device

from archcheck.foundation.source_place import Where
from archcheck.measure.subject.device_stand_ins import ANSWERS, GeneratorType, TensorType
from archcheck.measure.subject.source_places import place_of

ACCELERATORS = ("cuda", "mps", "xpu", "npu", "hpu", "mlu", "musa", "mtia", "hip", "ipu", "xla")
_NAMED = re.compile(rf"(?:{'|'.join(ACCELERATORS)})(?::\d+)?")
_TENSOR_TYPE = re.compile(rf"torch\.(?:{'|'.join(ACCELERATORS)})\.(\w+Tensor)")
_TENSOR_TYPES = (
    *("Tensor", "FloatTensor", "DoubleTensor", "HalfTensor", "BFloat16Tensor", "LongTensor", "IntTensor"),
    *("ShortTensor", "CharTensor", "ByteTensor", "BoolTensor"),
)
_CPU = torch.device("cpu")


class _stack:  # noqa: N801 - a name for functions that torch does not type
    """The function modes of this thread."""

    modes: Callable[[], list[Any]] = staticmethod(overrides._get_current_function_mode_stack)
    pop: Callable[[], Any] = staticmethod(overrides._pop_mode)
    push: Callable[[Any], None] = staticmethod(overrides._push_mode)


class Move(NamedTuple):
    """A place where code asks for a device that is not there; `None` if no file of the subject asks."""

    device: str
    where: Where | None


@cache
def has_accelerator() -> bool:
    """Whether torch can use a device beside the processor, in every release: `torch.accelerator` is of 2.6."""
    named = torch._C._get_privateuse1_backend_name() != "privateuseone"  # a device that somebody else has added
    return named or any(
        each.is_available() for each in (torch.cuda, torch.backends.mps, torch.xpu, getattr(torch, "mtia", torch.cuda))
    )


def _is_absent(kind: str) -> bool:
    """Whether this machine has no device of a kind, such as `cuda`."""
    if kind not in _absent:
        try:
            with torch._C.DisableTorchFunction():
                torch.empty(0, device=kind)
        except Exception:  # torch has no special class for it
            _absent[kind] = True
        else:
            _absent[kind] = False
    return _absent[kind]


_absent: dict[str, bool] = {}


class _OnCpu(TorchFunctionMode):
    """Replaces absent devices among the arguments of torch's functions by the CPU."""

    def __init__(self, moves: dict[Move, None]) -> None:
        super().__init__()
        self._moves = moves

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Run one function of torch."""
        name = getattr(func, "__name__", "")
        if name in ACCELERATORS and args and isinstance(args[0], torch.Tensor) and _is_absent(name):
            self.record(name, sys._getframe())
            return args[0]
        moves = name == "to" or name == "type"
        new_args = tuple(self.replaced(each, text=moves and index == 1) for index, each in enumerate(args))
        new_kwargs = {key: self.replaced(each, text=key in ("device", "dtype")) for key, each in (kwargs or {}).items()}
        if name == "pin_memory" or new_kwargs.get("pin_memory"):
            if name == "pin_memory" and _is_absent("cuda"):
                self.record("cuda", sys._getframe())
                return args[0]
            new_kwargs["pin_memory"] = not _is_absent("cuda")
        return func(*new_args, **new_kwargs)

    def replaced(self, value: Any, *, text: bool = True) -> Any:
        """Return an argument with the CPU for an absent device. With `text`, a text or a number may name a device."""
        if isinstance(value, TensorType):
            value.used(sys._getframe())
            return value.original
        if isinstance(value, torch.device):
            if value.type in ACCELERATORS and _is_absent(value.type):
                self.record(value.type, sys._getframe())
                return _CPU
        elif text and isinstance(value, str):
            if _NAMED.fullmatch(value) and _is_absent(kind := value.partition(":")[0]):
                self.record(kind, sys._getframe())
                return "cpu"
            if (match := _TENSOR_TYPE.fullmatch(value)) and _is_absent(kind := value.split(".")[1]):
                self.record(kind, sys._getframe())
                return f"torch.{match[1]}"
        elif text and type(value) is int and _is_absent("cuda"):
            self.record("cuda", sys._getframe())
            return "cpu"
        return value

    def record(self, kind: str, frame: FrameType | None) -> None:
        """Remember that code asks for a device, at the place that calls `frame`."""
        self._moves[Move(kind, place_of(frame))] = None


_active: list[_OnCpu] = []
"""The modes that replace devices now, the innermost last."""


@contextmanager
def on_cpu(moves: dict[Move, None]) -> Iterator[None]:
    """Replace absent devices by the CPU until the end of the block; add the places that ask for them to `moves`."""
    mode = _OnCpu(moves)
    with ExitStack() as stack:
        _active.append(mode)
        stack.callback(_active.pop)
        stack.enter_context(_default_type_of_cpu(mode))  # before its names are replaced
        for holder, name, replacement in _replacements(mode):
            stack.enter_context(_replaced_attribute(holder, name, replacement))
        stack.enter_context(_stored_on_cpu(mode))
        stack.enter_context(_default_on_cpu(mode))
        mode.__enter__()  # type: ignore[no-untyped-call]
        stack.callback(_leave, mode)
        yield


def _leave(mode: _OnCpu) -> None:
    """End a mode, wherever it is on torch's stack: a default device that code has set may lie on top of it."""
    if mode not in _stack.modes():
        return
    above = []
    while (top := _stack.pop()) is not mode:
        above.append(top)
    for each in reversed(above):
        _stack.push(each)


def join_in_thread() -> None:
    """Replace absent devices in this new thread, too, if they are replaced now: torch's modes are those of a thread."""
    if _active:
        _active[-1].__enter__()  # type: ignore[no-untyped-call]


def _replacements(mode: _OnCpu) -> Iterator[tuple[Any, str, Any]]:
    """Yield what is replaced: the holder, the name, and the replacement."""
    for kind in ACCELERATORS:
        holder = getattr(torch, kind, None)
        if holder is None or not _is_absent(kind):
            continue
        for name, answer in ANSWERS.items():
            if hasattr(holder, name):
                yield holder, name, _recording(mode, kind, answer)
        for name in _TENSOR_TYPES:
            if hasattr(holder, name):
                used = partial(mode.record, kind)
                yield holder, name, TensorType(name, (), {"used": used, "original": getattr(torch, name)})
    context = _device.DeviceContext
    original = context.__init__

    def enter_cpu(self: Any, device: Any) -> None:
        original(self, mode.replaced(torch.device(device)))

    yield context, "__init__", enter_cpu
    yield torch, "Generator", GeneratorType("Generator", (), {"replaced": mode.replaced, "original": torch.Generator})
    yield torch.UntypedStorage, "cuda", lambda self, *args, **kwargs: self
    set_device = torch.set_default_device

    def set_beneath(device: Any) -> None:
        # Some releases end the former default device by taking whatever is on top of the stack.
        _leave(mode)
        try:
            set_device(device)
        finally:
            mode.__enter__()  # type: ignore[no-untyped-call]

    yield torch, "set_default_device", set_beneath
    set_type = torch.set_default_tensor_type
    yield torch, "set_default_tensor_type", lambda kind: set_type(mode.replaced(kind))
    to = torch.nn.Module.to

    def move(self: torch.nn.Module, *args: Any, **kwargs: Any) -> torch.nn.Module:
        # The method parses its arguments in C++, which knows neither every name of a device nor the mode.
        given = tuple(mode.replaced(each, text=index == 0) for index, each in enumerate(args))
        return to(self, *given, **{key: mode.replaced(each, text=key == "device") for key, each in kwargs.items()})

    yield torch.nn.Module, "to", move


def _recording(mode: _OnCpu, kind: str, answer: Callable[..., Any]) -> Callable[..., Any]:
    def answered(*args: Any, **kwargs: Any) -> Any:
        mode.record(kind, sys._getframe())
        return answer(*args, **kwargs)

    return answered


@contextmanager
def _replaced_attribute(holder: Any, name: str, replacement: Any) -> Iterator[None]:
    """Replace an attribute until the end of the block, unless other code replaces it meanwhile."""
    own = name in vars(holder)
    before = getattr(holder, name)
    setattr(holder, name, replacement)
    try:
        yield
    finally:
        if vars(holder).get(name) is replacement:
            setattr(holder, name, before) if own else delattr(holder, name)


@contextmanager
def _stored_on_cpu(mode: _OnCpu) -> Iterator[None]:
    """Load what was saved on an absent device, or is mapped to one, to the CPU."""
    registry = getattr(torch.serialization, "_package_registry", None)
    if not isinstance(registry, list):
        yield
        return

    def restored(storage: Any, location: str) -> Any:
        kind = location.partition(":")[0]
        if kind not in ACCELERATORS or not _is_absent(kind):
            return None
        mode.record(kind, sys._getframe())
        return storage

    entry = (-1, lambda storage: None, restored)  # the first entry that answers decides
    registry.insert(0, entry)
    try:
        yield
    finally:
        registry[:] = [each for each in registry if each is not entry]


@contextmanager
def _default_on_cpu(mode: _OnCpu) -> Iterator[None]:
    """Make the CPU the default device if the default device is absent."""
    context: Any = getattr(getattr(torch, "_GLOBAL_DEVICE_CONTEXT", None), "device_context", None)
    device = getattr(context, "device", None)
    if not isinstance(device, torch.device) or device.type not in ACCELERATORS or not _is_absent(device.type):
        yield
        return
    context.device = _CPU
    mode.record(device.type, None)
    try:
        yield
    finally:
        context.device = device


@contextmanager
def _default_type_of_cpu(mode: _OnCpu) -> Iterator[None]:
    """Make the default tensor type one of the CPU if it is one of an absent device."""
    ask = getattr(torch._C, "_get_default_device", None)  # of the type, which no public function tells
    kind = str(ask()).partition(":")[0] if ask else "cpu"
    if kind not in ACCELERATORS or not _is_absent(kind):
        yield
        return
    names = {torch.float64: "DoubleTensor", torch.float16: "HalfTensor", torch.bfloat16: "BFloat16Tensor"}
    name = names.get(torch.get_default_dtype(), "FloatTensor")
    _set_tensor_type(f"torch.{name}")
    mode.record(kind, None)
    try:
        yield
    finally:
        if str(ask() if ask else kind) == "cpu":
            _set_tensor_type(f"torch.{kind}.{name}")


def _set_tensor_type(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch advises against the type that the subject has set
        torch.set_default_tensor_type(name)
