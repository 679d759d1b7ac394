"""Lets the call of a model run another method than `forward`, while the model is measured.

Everything that measures calls the model. So for the time of the measurement two attributes of the instance redirect
that call to the method. The layers, the parameters and their paths stay those of the model. Hooks of the model itself
do not run around the method, because a plain call `model.act(x)` runs none. What the method calls is not redirected:
`self(x)` runs the hooks and the true `forward`, and so does `self.forward(x)` without the hooks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any, NamedTuple

import torch

from archcheck.foundation.errors import SubjectError
from archcheck.foundation.words import did_you_mean

FORWARD = "forward"

_CALL = "_call_impl"
_REDIRECTION = "_measured_method"
_SHOWN = 8
"""Methods that a message names at most, beside `forward`."""


class _Redirection(NamedTuple):
    """The method that a model runs when it is called, and the `forward` that the instance itself had before."""

    name: str
    forward: Callable[..., Any] | None


def method_of(model: torch.nn.Module) -> str:
    """Return the name of the method that a call of the model runs."""
    found: _Redirection | None = _own(model).get(_REDIRECTION)
    return found.name if found else FORWARD


@contextmanager
def redirected(model: torch.nn.Module, name: str | None) -> Iterator[None]:
    """Let a call of the model run its method `name` during the block; `None` is `forward`.

    Raises:
        SubjectError: the model has no such method.
    """
    if name in (None, FORWARD):
        yield
        return
    redirect(model, name)
    try:
        yield
    finally:
        _restore(model)


def redirect(model: torch.nn.Module, name: str | None) -> torch.nn.Module:
    """Let a call of the model run its method `name` from now on; `None` is `forward`. Return the model.

    Raises:
        SubjectError: the model has no such method.
    """
    own = _own(model)
    if name is None or name == FORWARD or _REDIRECTION in own:
        return model
    parameters = _demand(model, name)
    own[_REDIRECTION] = _Redirection(name, own.get(FORWARD))
    for attribute, function in zip((FORWARD, _CALL), _functions(name, parameters), strict=True):
        own[attribute] = MethodType(function, model)  # a bound method is copied with the model, and bound to the copy
    return model


@contextmanager
def as_users_call(model: torch.nn.Module) -> Iterator[Callable[..., Any]]:
    """Yield what a user calls, the model or its method, without a trace of the redirection in the model."""
    own = _own(model)
    ours = {name: own[name] for name in (_REDIRECTION, FORWARD, _CALL) if _REDIRECTION in own}
    if not ours:
        yield model
        return
    _restore(model)
    try:
        yield getattr(model, ours[_REDIRECTION].name)
    finally:
        own.update(ours)


def _restore(model: torch.nn.Module) -> None:
    own = _own(model)
    found: _Redirection | None = own.pop(_REDIRECTION, None)
    for attribute in (FORWARD, _CALL) if found else ():
        own.pop(attribute, None)
    if found and found.forward is not None:
        own[FORWARD] = found.forward


def _functions(name: str, parameters: list[inspect.Parameter]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the functions that take the place of `forward` and of the call, with the parameters of the method."""
    running: list[str] = []
    """Whether the method runs: then a call is one of the subject's. Copies share it."""

    def forward(self: torch.nn.Module, /, *args: Any, **kwargs: Any) -> Any:
        if running:
            return _true_forward(self)(*args, **kwargs)
        running.append(name)
        try:
            return getattr(self, name)(*args, **kwargs)
        finally:
            running.pop()

    def call(self: torch.nn.Module, /, *args: Any, **kwargs: Any) -> Any:
        if running:
            usual: Callable[..., Any] = torch.nn.Module._call_impl
            return usual(self, *args, **kwargs)
        # Torch's tracer learns from `_slow_forward` which module runs.
        run: Callable[..., Any] = self._slow_forward if torch._C._get_tracing_state() else self.forward
        return run(*args, **kwargs)

    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    free = [each.replace(kind=each.KEYWORD_ONLY) if each.name == "self" else each for each in parameters]
    forward.__signature__ = inspect.Signature([this, *free])  # type: ignore[attr-defined]
    return forward, call


def _true_forward(model: torch.nn.Module) -> Callable[..., Any]:
    own: Callable[..., Any] | None = _own(model)[_REDIRECTION].forward
    if own is not None:
        return own
    bound: Callable[..., Any] = inspect.getattr_static(type(model), FORWARD).__get__(model, type(model))
    return bound


def _demand(model: torch.nn.Module, name: str) -> list[inspect.Parameter]:
    """Return the parameters of a method.

    Raises:
        SubjectError: the model has no such method, or has something else under its name.
    """
    if not isinstance(name, str):
        raise SubjectError("call", f'`call` is the name of a method, found {name!r}; write `call="training_step"`')
    try:
        method = getattr(model, name, None)
    except Exception:  # a property of the subject
        method = None
    if not callable(method) or isinstance(method, torch.nn.Module):
        what = "a layer and no method" if isinstance(method, torch.nn.Module) else "not a method"
        owner, names = type(model).__name__, _methods(model)
        raise SubjectError(
            "call", f"`{name}` is {what} of `{owner}`{did_you_mean(name, names, f'it has {_shown(names)}')}"
        )
    try:
        return [*inspect.signature(method).parameters.values()]
    except (TypeError, ValueError):  # of compiled code
        return [
            inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
            inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
        ]


def _methods(model: torch.nn.Module) -> list[str]:
    """Return the public methods that the code of the model adds to those of torch, in the order of the code."""
    package = type(model).__module__.partition(".")[0]
    classes = [each for each in type(model).__mro__ if each.__module__.partition(".")[0] == package]
    names = dict.fromkeys(name for each in classes for name, value in vars(each).items() if _is_method(value))
    known = set(dir(torch.nn.Module))
    return [*(name for name in names if not name.startswith("_") and name not in known), FORWARD]


def _is_method(value: Any) -> bool:
    return inspect.isroutine(value) or isinstance(value, classmethod | staticmethod)


def _shown(names: list[str]) -> str:
    own = names[:-1]
    rest = [f"{len(own) - _SHOWN:,} more"] if len(own) > _SHOWN else []
    quoted = [*(f"`{name}`" for name in own[:_SHOWN]), *rest, f"`{names[-1]}`"]
    return " and ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))


def _own(model: torch.nn.Module) -> dict[str, Any]:
    own: dict[str, Any] = object.__getattribute__(model, "__dict__")
    return own
