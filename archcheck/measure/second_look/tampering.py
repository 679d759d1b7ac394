"""Detects whether a subject replaced what measuring relies on: archcheck, Python's built-in functions, torch's tensors.

A subject may replace parts of its own network, or torch's functions and layers: archcheck measures what then executes,
so this needs no guard. The guard stops cheap cheats only: code in the same process can undo whatever it did.
"""

from __future__ import annotations

import builtins
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.machinery import SourceFileLoader
from operator import is_
from pathlib import Path
from types import (
    FrameType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    ModuleType,
)
from typing import Any

from archcheck.foundation.errors import SubjectError
from archcheck.measure.subject.ownership import is_own, writer

_RELIED_ON = (
    "builtins", "copy", "dataclasses", "functools", "gc", "hashlib", "inspect", "json", "json.decoder", "json.encoder",
    "math", "os", "torch", "torch._ops", "torch._tensor", "torch.nn.modules.module", "torch.nn.parameter",
    "torch.overrides", "torch.utils._python_dispatch", "weakref",
)  # fmt: skip
_CLASSES = frozenset({
    "JSONDecoder", "JSONEncoder", "Module", "OpOverload", "OpOverloadPacket", "Parameter", "Tensor",
    "TorchDispatchMode", "inference_mode", "no_grad",
})  # fmt: skip
_REPLACED_BY_MANY = frozenset({
    *("print", "input", "open", "exit", "quit", "help", "breakpoint", "_", "display"),
    *("load", "save", "compile", "manual_seed", "seed", "set_default_device", "set_default_dtype", "fork", "environ"),
    *("set_num_threads", "get_default_device", "vmap", "typename", "get_device_module"),
    "Storage",  # which `set_default_dtype` sets
})  # fmt: skip
"""Names that honest code replaces, and that measuring does not rely on."""

_FILLED = frozenset({"KNOWN", "RUNS"})
"""Tables of archcheck in capitals that measuring itself fills."""
_TABLES = (dict, frozenset, tuple, str, int)
_ROUTINES = (property, staticmethod, classmethod, GetSetDescriptorType, MemberDescriptorType, MethodDescriptorType)

_FRAMES = "sys._getframe"
_AUDITED = frozenset({
    "gc.get_objects", "gc.get_referrers", "gc.get_referents", "sys._current_frames", "sys.addaudithook",
    "sys.setprofile", "sys.settrace", _FRAMES,
})  # fmt: skip
"""Audit events of code that looks at other code's objects and frames; frames count during a forward pass."""

_WRITING = frozenset(
    {"os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate"}
)
"""Audit events of changes to files, besides `open`."""

_OURS = os.path.join(Path(__file__).parents[2], "")  # noqa: PTH118 - the trailing separator is the point
_FORWARD = str(Path(__file__).parents[1] / "passes" / "forward.py")


class Seal:
    """The state of what measuring relies on, recorded before any code of a subject ran."""

    def __init__(self) -> None:
        self._modules = {name: each for name, each in sys.modules.items() if _is_ours(name) or name in _RELIED_ON}
        self._owners = dict(self._found())
        self._kept = {place: dict(vars(owner)) for place, owner in self._owners.items()}  # so that no id is reused
        self._before = {place: _state(place, vars(owner)) for place, owner in self._owners.items()}
        self._tables = {place: _tables(place, owner) for place, owner in self._owners.items()}
        functions = (each for kept in self._kept.values() for each in kept.values() if type(each) is FunctionType)
        self._functions = frozenset(map(id, functions))
        self._rewritten: set[int] = set()
        """Those of the functions that were given other code or other defaults since."""
        self._watchers = sys.getprofile(), sys.gettrace()
        self._reported = ""
        self._auditing = False
        self._cache: tuple[str, ...] = ()
        self._harmless: set[str] = set()
        """Files of archcheck that looked at frames or objects, as it does at every layer and operation."""

    def watch(self, cache: str) -> None:
        """Report from now on when a subject looks at what measures it, watches it, or opens files in `cache`.

        An audit hook cannot be removed.
        """
        folders = {cache, os.path.realpath(cache)} if cache else ()
        self._cache = tuple(os.path.join(folder, "") for folder in folders)  # noqa: PTH118
        sys.addaudithook(self._audit)

    def demand(self) -> None:
        """Raise `SubjectError` if anything was replaced since, or an audit event was reported."""
        if self._reported:
            raise _tampering(f"looks at what measures it: {self._reported}")
        found = next(self._replaced(), None)
        if found is not None:
            raise _tampering(f"replaced `{found}`, which archcheck measures with")

    def _found(self) -> Iterator[tuple[str, Any]]:
        for name, module in self._modules.items():
            yield name, module
            for key, value in list(vars(module).items()):
                if isinstance(value, type) and (value.__module__ == name or name == "torch") and _is_relied_on(value):
                    yield f"{name}.{key}", value

    def _replaced(self) -> Iterator[str]:
        for name, module in self._modules.items():
            if sys.modules.get(name) is not module:
                yield f"sys.modules[{name!r}]"
        for name, module in list(sys.modules.items()):
            if _is_ours(name) and name not in self._modules and not _is_genuine(module):
                yield f"sys.modules[{name!r}]"
        if (sys.getprofile(), sys.gettrace()) != self._watchers:
            yield "sys.setprofile"
        for place, owner in self._owners.items():
            touched = self._touched(place, owner)
            if not touched:
                continue
            values, kept = vars(owner), self._before[place]
            now = _state(place, {key: values[key] for key in touched if key in values})
            before = {key: kept[key] for key in touched if key in kept}
            if now != before:
                yield from _differing(place, before, now, _hiding_names(owner))

    def _touched(self, place: str, owner: Any) -> set[str]:
        """Return the names in a module or class whose state may differ: all of them if any of them has new insides.

        To describe the states of all names takes longer than to measure a small network. To look into each function
        would touch it, and so copy the memory that this process shares with the one that forked it.
        """
        now, before = vars(owner), self._kept[place]
        if self._rewritten and not self._rewritten.isdisjoint(map(id, before.values())):
            return {*now, *before}
        if not all(_contents(table) == contents for table, contents in self._tables[place]):
            return {*now, *before}
        if len(now) == len(before) and all(map(is_, now.values(), before.values())) and list(now) == list(before):
            return set()
        return {key for key in {*now, *before} if key not in now or key not in before or now[key] is not before[key]}

    def _is_cached(self, path: object) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        return bool(self._cache) and os.path.abspath(os.fsdecode(path)).startswith(self._cache)  # noqa: PTH100

    def _note_rewritten(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note a function whose `__code__`, `__defaults__` or `__kwdefaults__` are being set, which Python audits."""
        if event == "object.__setattr__" and id(arguments[0]) in self._functions:
            self._rewritten.add(id(arguments[0]))

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        self._note_rewritten(event, arguments)
        if (event == "open" or event in _WRITING) and any(map(self._is_cached, arguments[:2])):
            self._reported = self._reported or f"`{event}` in the cache"
        if event not in _AUDITED or self._auditing or self._reported:
            return
        self._auditing = True  # looking for the caller raises audit events, too
        try:
            looking = sys._getframe(1)
            if looking.f_code.co_filename in self._harmless:
                return
            frame = _caller(looking)
            if frame is looking and frame.f_code.co_filename.startswith(_OURS):
                self._harmless.add(frame.f_code.co_filename)  # which `is_own` takes for no subject's
            if frame is not None and is_own(frame.f_code.co_filename) and (event != _FRAMES or _is_measured(frame)):
                self._reported = f"`{event}` in {Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        finally:
            self._auditing = False


def _tampering(what: str) -> SubjectError:
    return SubjectError(
        "tampering",
        f"{what}, so it cannot be judged: remove that, or keep it out of the files that are judged",
    )


def _differing(place: str, before: dict[str, Any], now: dict[str, Any], hiding: frozenset[str]) -> Iterator[str]:
    yield from (f"{place}.{key}" for key, value in before.items() if key not in now or now[key] != value)
    yield from (f"{place}.{key}" for key in now.keys() - before.keys() if key in hiding)


def _hiding_names(owner: Any) -> frozenset[str]:
    """Return the names that hide something when they are added: those of base classes and of built-in functions."""
    if isinstance(owner, type):
        return frozenset(key for base in owner.__mro__[1:] for key in vars(base))
    return frozenset(vars(builtins)) if _is_ours(owner.__name__) else frozenset()


def _state(place: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what identifies each callable among the values of a module or class, and each of our tables."""
    ours = _is_ours(place)
    state: dict[str, Any] = {}
    for key, value in list(values.items()):
        if key in _REPLACED_BY_MANY:
            continue
        if type(value) is FunctionType:
            state[key] = id(value), id(value.__code__), id(value.__defaults__), id(value.__kwdefaults__)
        elif callable(value) or isinstance(value, _ROUTINES) or (ours and isinstance(value, ModuleType)):
            state[key] = id(value)
        elif ours and _is_table(key, value):
            state[key] = id(value), None if key in _FILLED else _contents(value)
    return state


def _tables(place: str, owner: Any) -> list[tuple[Any, Any]]:
    """Return our tables in a module or class with their contents."""
    if not _is_ours(place):
        return []
    kept = ((key, each) for key, each in vars(owner).items() if key not in _REPLACED_BY_MANY | _FILLED)
    return [(each, _contents(each)) for key, each in kept if isinstance(each, dict) and _is_table(key, each)]


def _is_table(key: str, value: Any) -> bool:
    return key.lstrip("_").isupper() and isinstance(value, _TABLES)


def _contents(value: Any) -> Any:
    return tuple((key, id(each)) for key, each in value.items()) if isinstance(value, dict) else None


def _caller(frame: FrameType | None) -> FrameType | None:
    """Return the frame of the file that looks, also if it does so through `inspect` or code without a file."""
    while (frame := writer(frame)) is not None and frame.f_code.co_filename == inspect.__file__:
        frame = frame.f_back
    return frame


def _is_measured(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _FORWARD:
            return True
        frame = frame.f_back
    return False


def _is_ours(name: str) -> bool:
    return name == "archcheck" or name.startswith("archcheck.")


def _is_relied_on(cls: type) -> bool:
    return _is_ours(cls.__module__) or cls.__name__ in _CLASSES


def _is_genuine(module: Any) -> bool:
    """Whether a module of archcheck that was imported later comes from its folder."""
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    return type(module) is ModuleType and type(loader) is SourceFileLoader and loader.path.startswith(_OURS)


_seals: list[Seal] = []


def seal() -> Seal:
    """Return the seal of this process, created by the first call."""
    if not _seals:
        _seals.append(Seal())
    return _seals[0]


def watched(cache: str) -> Callable[[], None]:
    """Watch a subject from now on; return the function that raises if it tampered with measuring or with `cache`."""
    kept = seal()
    kept.watch(cache)
    return kept.demand
