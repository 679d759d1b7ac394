"""Replace `torch.compile` while a network is measured: its argument runs uncompiled, and no compiler starts.

A compiled network has the facts of the original one, because the compiler changes how an operation runs, not which one.
So nothing is compiled. A process that only measures replaces `torch.compile` and the functions of `torch.compiler`
before it imports a subject, and torch never imports its compiler, which takes seconds. What the caller of `measure` has
already compiled runs uncompiled during the measurement.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator, Sized
from contextlib import ContextDecorator, contextmanager
from pathlib import Path
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any

import torch

_WITHIN = "_orig_mod"
"""The name of the original module in a compiled one; it is a part of names in state dicts."""
_NO_COMPILER = "TORCHDYNAMO_DISABLE"
"""The variable that makes `torch._dynamo.optimize` return its argument unchanged."""
_WRAPPERS = (__file__, torch.nn.modules.module.__file__, str(Path(torch.__file__).with_name("_dynamo")))
_torch_compile = torch.compile
_torch_set_stance = getattr(torch.compiler, "set_stance", None)  # since torch 2.6


class _AsTorchs:
    """Makes an object an instance of torch's class for `isinstance`, if that class is imported."""

    @property  # type: ignore[misc]  # it is never set
    def __class__(self) -> type:
        return _torchs_class() or type(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return object.__new__, (type(self),), self.__dict__  # because pickle compares the class


class OptimizedModule(_AsTorchs, torch.nn.Module):
    """Replaces torch's class of this name for a compiled module: it runs the module uncompiled.

    With `options` it does so only while a network is measured, and compiles later calls with them.
    """

    def __init__(self, module: torch.nn.Module, options: dict[str, Any] | None = None) -> None:
        self.__dict__.update(_options=options, _compiled=[])
        super().__init__()
        self._modules[_WITHIN] = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module."""
        if self._options is None or torch.compile is _compile_later:
            return self._orig_mod(*args, **kwargs)
        if not self._compiled:
            self._compiled.append(torch.compile(self._orig_mod, **self._options))
        return self._compiled[0](*args, **kwargs)

    @property
    def training(self) -> bool:
        """The mode of the module."""
        return bool(self._orig_mod.training)

    @training.setter
    def training(self, mode: bool) -> None:
        if self.__dict__.get("_modules"):  # torch sets it before there is a module
            self._orig_mod.training = mode

    def __len__(self) -> int:
        if isinstance(self._orig_mod, Sized):
            return len(self._orig_mod)
        raise TypeError(f"{type(self._orig_mod).__name__} does not support len()")

    def __getattr__(self, name: str) -> Any:
        module = self.__dict__["_modules"][_WITHIN]
        return module if name == _WITHIN else getattr(module, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "forward" or hasattr(type(self), name) or not self.__dict__.get("_modules"):
            super().__setattr__(name, value)
        else:
            setattr(self._orig_mod, name, value)


def original(module: torch.nn.Module) -> torch.nn.Module:
    """Return the original of a compiled module; any other module as it is.

    A compiled module to which other things were added counts as a layer like others.
    """
    while type(module) in (OptimizedModule, _torchs_class()) and _is_pristine(module):
        module = module._modules[_WITHIN]  # type: ignore[assignment]
    return module


def original_name(name: str) -> str:
    """Return the name of a tensor or layer in the network before it was compiled."""
    return ".".join(part for part in name.split(".") if part != _WITHIN) if _WITHIN in name else name


def beyond_wrappers(frame: FrameType) -> FrameType:
    """Return the frame that calls a layer, without frames of torch and of a compiled layer in between."""
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_WRAPPERS):
        frame = frame.f_back
    return frame


def _torchs_class() -> type | None:
    frames = sys.modules.get("torch._dynamo.eval_frame")  # without importing it
    return getattr(frames, "OptimizedModule", None)


def _is_pristine(module: torch.nn.Module) -> bool:
    own, fresh = module.__dict__, torch.nn.Module().__dict__
    added = _OURS if type(module) is OptimizedModule else _TORCHS
    if own.keys() - fresh.keys() - added or any(type(own.get(key)) is not type(fresh[key]) for key in _STATE):
        return False
    alone = [*own["_modules"]] == [_WITHIN] and not any(own[key] for key in _STATE if key != "_modules")
    hooks = any(value for key, value in own.items() if "_hooks" in key)
    return alone and not hooks and _runs(module, own["_modules"][_WITHIN])


_STATE = ("_modules", "_parameters", "_buffers")
_OURS = frozenset({"_options", "_compiled"})
_TORCHS = frozenset({
    "dynamo_ctx", "forward", "_forward", "get_compiler_config", "_super_module_initialized",
    "_torchdynamo_orig_callable", "_torchdynamo_wrapper_id",
})  # fmt: skip
"""The attributes of a compiled module beside those of every module. Any others were added later."""


def _runs(module: torch.nn.Module, within: torch.nn.Module) -> bool:
    """Whether a compiled module runs the one within it, and nothing else."""
    own = module.__dict__
    if type(module) is OptimizedModule:
        compiled = own["_compiled"]
        return type(compiled) is list and all(original(each) is original(within) for each in compiled)
    acts = [each for each in vars(type(module)).values() if callable(each) or hasattr(each, "__get__")]
    if type(module).__bases__ != (torch.nn.Module,) or not all(map(_is_torchs, acts)):
        return False
    called: Any = own.get("forward")
    if isinstance(called, MethodType) and called.__self__ is module:  # it initialises a lazy module first
        called = own.get("_forward")
    while isinstance(called, FunctionType) and _is_torchs(called):
        cells = dict(zip(called.__code__.co_freevars, called.__closure__ or (), strict=True))
        called = cells["fn"].cell_contents if "fn" in cells else None
    if isinstance(called, MethodType):
        called = called.__self__ if called.__func__ is getattr(type(within), called.__func__.__name__, None) else None
    return called is within


def _is_torchs(function: Any) -> bool:
    function = getattr(function, "__func__", getattr(function, "fget", function))  # static methods and properties
    code = getattr(function, "__code__", None)
    return isinstance(code, CodeType) and code.co_filename.startswith(_WRAPPERS[-1])


def without_compiler() -> None:
    """Keep torch's compiler out of this process permanently.

    Torch replaces `Module.__init__` when it first compiles, and other methods of modules that it watches. The flags
    tell torch that this is done already, so that no subject can pass off its own methods as torch's.
    """
    os.environ[_NO_COMPILER] = "1"
    torch.nn.Module.___needs_generation_tag_patch = False  # type: ignore[attr-defined]
    torch.nn.Module.___has_generation_tag_patch = True  # type: ignore[attr-defined]  # since torch 2.15
    torch.nn.Module.___needs_mutation_patch = False  # type: ignore[attr-defined]
    torch.compile = _named(_compile_never, _torch_compile)
    for name, stand_in in _MARKS.items():
        if (stands_for := getattr(torch.compiler, name, None)) not in (None, stand_in):
            setattr(torch.compiler, name, _named(stand_in, stands_for))


def _named(stand_in: Any, stands_for: Any) -> Any:
    for key in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(stand_in, key, getattr(stands_for, key))
    return stand_in


def _compile_never(model: Any = None, **options: Any) -> Any:
    if model is None:
        return _compile_never
    return OptimizedModule(model) if isinstance(model, torch.nn.Module) else model


def _itself(model: Any = None) -> Any:
    return model


def _decorator() -> Any:
    """Return a decorator without effect, which may be used with or without arguments."""

    def decorate(model: Any = None, *args: Any, **options: Any) -> Any:
        return decorate if model is None else model

    return decorate


def _without_effect() -> Any:
    def nothing(*args: Any, **options: Any) -> None:
        return None

    return nothing


class _Stance(ContextDecorator):
    def __init__(self, stance: str = "default", **options: Any) -> None:
        self.stance = stance

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


_MARKS: dict[str, Any] = {
    **{
        name: _decorator()
        for name in ("allow_in_graph", "assume_constant_result", "disable", "nested_compile_region", "nonstrict_trace")
    },
    **{name: _without_effect() for name in ("cudagraph_mark_step_begin", "reset")},
    "set_stance": _Stance,
    "substitute_in_graph": lambda *args, **options: _itself,
}
"""Replacements for the functions of `torch.compiler` that import the compiler."""


@contextmanager
def uncompiled() -> Iterator[None]:
    """Run compiled code uncompiled, and compile nothing, until the end of the block."""
    before = torch.compile
    if before is not _compile_never:
        torch.compile = _compile_later
    try:
        with _eager():
            yield
    finally:
        torch.compile = before


@contextmanager
def with_compiler() -> Iterator[None]:
    """Give torch its compiler back until the end of the block, because an export needs it for branches."""
    before, disabled = torch.compile, os.environ.pop(_NO_COMPILER, None)
    torch.compile = _torch_compile if before in (_compile_never, _compile_later) else before
    try:
        with _eager("default"):
            yield
    finally:
        torch.compile = before
        if disabled is not None:
            os.environ[_NO_COMPILER] = disabled


@contextmanager
def _eager(stance: str = "force_eager") -> Iterator[None]:
    """Make an imported compiler run Python code uncompiled; with the stance `default`, make it compile.

    Before torch 2.6 only the first is possible: there an export would compile what was compiled before.
    """
    frames: Any = sys.modules.get("torch._dynamo.eval_frame")
    if frames is None:
        yield
    elif _torch_set_stance is not None:
        with _torch_set_stance(stance):
            yield
    elif stance == "default":
        yield
    else:
        hand_over = frames.set_eval_frame  # torch passes Python frames to its compiler by it
        raises = frames.config.error_on_nested_fx_trace  # an export of compiled code fails with it
        frames.set_eval_frame, frames.config.error_on_nested_fx_trace = lambda callback: hand_over(None), False
        try:
            yield
        finally:
            frames.set_eval_frame, frames.config.error_on_nested_fx_trace = hand_over, raises


def _compile_later(model: Any = None, **options: Any) -> Any:
    if model is None:
        return functools.partial(_compile_later, **options)
    if isinstance(model, torch.nn.Module):
        return OptimizedModule(model, options)
    return model if isinstance(model, type | staticmethod) else _compiled_later(model, options)


def _compiled_later(function: Any, options: dict[str, Any]) -> Any:
    compiled: list[Any] = []

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if torch.compile is _compile_later:
            return function(*args, **kwargs)
        if not compiled:
            compiled.append(torch.compile(function, **options))
        return compiled[0](*args, **kwargs)

    return run
