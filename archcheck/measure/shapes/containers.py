"""Containers of tensors: finds the tensors in an input or output, and builds the same container with other tensors.

All containers are walked the same way: lists, tuples, dictionaries and sets with their subclasses, named tuples and
packed sequences, and objects that keep tensors in attributes or slots, such as dataclasses, `UserDict`, the output
classes of model libraries and graphs. A NumPy array of numbers counts as the tensor that shares its memory.
`tensors_in` and `map_tensors` visit the same tensors in the same order.

An object is copied without its constructor, which may need other arguments or check them.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any, TypeGuard

import torch

from archcheck.foundation.errors import SubjectError
from archcheck.measure.shapes.arrays import is_array, tensor_of
from archcheck.measure.shapes.replays import Replay

Function = Callable[[Any], Any]
"""Returns a new tensor for a tensor."""

_State = tuple[dict[int, tuple[Any, Any]], tuple[type, ...]]
"""The state of one mapping: objects and their copies by identity, and the classes that the function gets."""

ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.Size})
"""Classes that hold nothing, checked first."""
_CODE = (type, torch.nn.Module, ModuleType, FunctionType, BuiltinFunctionType, MethodType, Enum)
"""Code and names hold no tensors of an input; those of a layer are its own."""
PLAIN = (str, bytes, int, float, complex, torch.layout, torch.memory_format, torch.Generator, *_CODE)
"""Classes that hold nothing, with their subclasses."""

_SEQUENCES = (list, tuple, deque, set, frozenset)


def tensors_in(value: Any, seen: dict[int, Any] | None = None) -> Iterator[torch.Tensor]:
    """Yield the tensors in an argument, a result or a model's output, however they are nested.

    Each object is visited once: it may hold itself, like a node that knows its parent. `seen` holds those so far.

    Raises:
        SubjectError: a plain list or dictionary holds itself.
    """
    if is_tensor(value):
        yield value
        return
    kind = value.__class__
    if kind in ATOMS or isinstance(value, PLAIN):
        return
    seen = {} if seen is None else seen
    if kind is not list and kind is not tuple and kind is not dict:
        if id(value) in seen:
            return
        seen[id(value)] = value  # kept, so that its id is not reused
        array = tensor_of(value)
        if array is not None:
            yield array
            return
    try:
        for part in _parts(value):
            yield from tensors_in(part, seen)
    except RecursionError:
        if not _holds_itself(value):
            raise
        told = f"the forward pass takes or returns a {kind.__name__} that holds itself, whose tensors have no end"
        raise SubjectError("forward", f"{told}; leave it out of itself") from None


def _holds_itself(value: Any) -> bool:
    pending, seen = _items(value), set[int]()
    while pending:
        part = pending.pop()
        if part is value:
            return True
        if part.__class__ in (list, tuple, dict) and id(part) not in seen:
            seen.add(id(part))
            pending += _items(part)
    return False


def named_tensors(value: Any, name: str = "", seen: dict[int, Any] | None = None) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors in `value` with their paths: `""` for a tensor alone, else `logits`, `0.hidden` and so on."""
    seen = {} if seen is None else seen
    if is_tensor(value):
        yield name, value
    elif value.__class__ not in ATOMS and not isinstance(value, PLAIN) and id(value) not in seen:
        if value.__class__ not in (list, tuple, dict):
            seen[id(value)] = value
        array = tensor_of(value)
        if array is not None:
            yield name, array
            return
        for key, part in keyed(value):
            yield from named_tensors(part, f"{name}.{key}" if name else key, seen)


def is_tensor(value: Any) -> TypeGuard[torch.Tensor]:
    """Whether a value is a tensor to torch, too; `isinstance` believes a mock."""
    return issubclass(type(value), torch.Tensor)


def is_record(value: Any) -> bool:
    """Whether a tuple is one object with fields: a named tuple, a packed sequence, a result of `torch.max`."""
    return isinstance(value, tuple) and (hasattr(value, "_fields") or hasattr(value, "n_fields"))


def attributes_of(value: Any) -> dict[str, Any]:
    """Return what an object holds by name in its `__dict__` and its slots; code holds nothing."""
    if isinstance(value, PLAIN):
        return {}
    found: dict[str, Any] = dict(getattr(value, "__dict__", None) or {})
    for name in _slots(type(value)):
        if name not in found and hasattr(value, name):
            found[name] = getattr(value, name)
    return found


def _slots(kind: type) -> Iterator[str]:
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if name.startswith("__") and not name.endswith("__"):
                name = f"_{base.__name__.lstrip('_')}{name}"
            if name not in ("__dict__", "__weakref__"):
                yield name


def _items(value: Any) -> list[Any]:
    """Return the items of a built-in container, without its attributes."""
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, _SEQUENCES) else []


def _parts(value: Any) -> list[Any]:
    """Return items and attributes; an attribute that is also an item, as in output classes, comes once."""
    if value.__class__ in (list, tuple, dict):
        return _items(value)
    if isinstance(value, weakref.ReferenceType):
        return []
    if is_array(value):
        return list(value.flat) if value.dtype == object else []
    items = _items(value)
    known = {id(item) for item in items}
    parts = items + [part for part in attributes_of(value).values() if id(part) not in known]
    if isinstance(value, Mapping) and not isinstance(value, dict) and next(tensors_in(parts), None) is None:
        return list(value.values())  # computed values, or hidden ones
    return parts


def keyed(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a container with the names that users know."""
    if isinstance(value, Mapping):
        yield from ((str(key), part) for key, part in value.items())
    elif is_record(value) and hasattr(value, "_fields"):
        yield from zip(value._fields, value, strict=True)
    elif isinstance(value, _SEQUENCES):
        yield from ((str(number), part) for number, part in enumerate(value))
    elif is_array(value):
        yield from ((str(number), part) for number, part in enumerate(value.flat) if value.dtype == object)
    else:
        yield from attributes_of(value).items()


# --- the same container with other tensors -------------------------------------------------------------------


def map_tensors(function: Function, value: Any, whole: tuple[type, ...] = ()) -> Any:
    """Return `value` with what `function` makes of every tensor in it, keeping everything else.

    Parts without tensors are not copied, except iterators, which a pass uses up. Some objects have no copy: see
    `fixed_inputs`. `function` gets an object whose class is in `whole` as it is, but not one of a derived class.
    """
    return _mapped(function, value, ({}, whole))


def _mapped(function: Function, value: Any, state: _State) -> Any:
    made, whole = state
    if type(value) in whole or is_tensor(value):
        return function(value)
    kind = value.__class__
    if kind in ATOMS or isinstance(value, PLAIN):
        return value
    if kind is tuple or kind is list:
        return kind(_mapped(function, item, state) for item in value)
    if kind is dict:
        return {key: _mapped(function, item, state) for key, item in value.items()}
    if id(value) in made:
        return made[id(value)][1]
    if isinstance(value, weakref.ReferenceType):
        target = made.get(id(value()))
        return value if target is None else weakref.ref(target[1])
    kept = next(tensors_in(value), None) is None and kind is not Replay
    return value if kept else _copy_of(value, function, state)


def _copy_of(value: Any, function: Function, state: _State) -> Any:
    """Return a copy of an object with other tensors; the object itself if its class allows no copy."""
    if is_array(value):
        return _array_like(value, function, state)
    if isinstance(value, tuple | frozenset):
        return _frozen_like(value, function, state)
    new = _empty_like(value)
    if new is None:
        return value
    state[0][id(value)] = value, new  # first, as it may hold itself; keeps the id
    _fill(new, value, function, state)
    return new


def _fill(new: Any, value: Any, function: Function, state: _State) -> None:
    twins: dict[int, Any] = {}

    def mapped(part: Any) -> Any:
        twins[id(part)] = _mapped(function, part, state)
        return twins[id(part)]

    if isinstance(value, dict):
        base = OrderedDict if isinstance(value, OrderedDict) else dict
        for key, item in value.items():
            base.__setitem__(new, key, mapped(item))
    elif isinstance(value, list):
        list.extend(new, [mapped(item) for item in value])
    elif isinstance(value, deque):
        deque.extend(new, [mapped(item) for item in value])
    elif isinstance(value, set):
        set.update(new, [mapped(item) for item in value])
    own = getattr(new, "__dict__", {})
    for name, part in attributes_of(value).items():
        part = twins[id(part)] if id(part) in twins else _mapped(function, part, state)
        if name in getattr(value, "__dict__", {}):
            own[name] = part
        else:
            object.__setattr__(new, name, part)


_EMPTY: tuple[Any, ...] = (OrderedDict, defaultdict, dict, list, deque, set, SimpleNamespace)
"""Classes written in C that can create an empty object, subclasses before base classes."""


def _empty_like(value: Any) -> Any:
    """Return a new empty object of the same class; `None` if the class allows none."""
    kind = value.__class__
    if hasattr(kind, "__del__"):  # it owns something that its copy would release, too
        return None
    base = next((each for each in _EMPTY if isinstance(value, each)), None)
    try:
        if base is None:
            return object.__new__(kind)
        new = base.__new__(kind)
    except TypeError:  # a class written in C
        return None
    if isinstance(value, defaultdict):
        new.default_factory = value.default_factory
    if isinstance(value, deque):
        deque.__init__(new, maxlen=value.maxlen)
    return new


def _frozen_like(value: Any, function: Function, state: _State) -> Any:
    items = [_mapped(function, item, state) for item in value]
    kind, base = value.__class__, tuple if isinstance(value, tuple) else frozenset
    try:
        new = base.__new__(kind, items)
    except TypeError:  # a `torch.return_types` class
        new = kind(items)
    state[0][id(value)] = value, new
    own = getattr(new, "__dict__", {})
    own.update({name: _mapped(function, part, state) for name, part in getattr(value, "__dict__", {}).items()})
    return new


def _array_like(value: Any, function: Function, state: _State) -> Any:
    new = value.copy()
    state[0][id(value)] = value, new
    if value.dtype == object:
        for index, item in enumerate(value.flat):
            new.flat[index] = _mapped(function, item, state)
        return new
    tensor = tensor_of(new)
    result = None if tensor is None else function(tensor)
    if not isinstance(result, torch.Tensor) or type(result) is not torch.Tensor or result.device.type == "meta":
        return new  # an array always has values
    with torch.no_grad():
        other = result.detach().resolve_conj().numpy().astype(value.dtype, copy=False).view(type(value))
    state[0][id(value)] = value, other
    return other
