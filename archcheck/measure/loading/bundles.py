"""Find the model in a bundle: a tuple `(model, metadata)`, a dict, a dataclass, or an object with a model in it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import torch

from archcheck.foundation.errors import SubjectError
from archcheck.foundation.words import amount

_DEEPEST = 3
"""How many levels of a bundle are searched."""
_MOST = 10_000
"""How many values of a bundle are looked at: a data set may be a list of millions."""
_NAMES = ("model", "net", "network", "module", "backbone")
"""Properties that an object may make its model with."""
_AROUND = ("__call__", "forward", "predict", "infer", "run")
_PLAIN = (str, bytes, int, float, complex, torch.Tensor, torch.dtype, torch.device)
_CODE = (type, ModuleType, FunctionType, MethodType, BuiltinFunctionType, functools.partial)


class Held(NamedTuple):
    """A model in a bundle, with the names and indices that lead to it."""

    path: tuple[str, ...]
    model: torch.nn.Module


def may_hold_models(value: object) -> bool:
    """Whether names behind a target may lead into a value, or into what it makes: a bundle, a class or a function."""
    is_model = isinstance(value, torch.nn.Module) or (isinstance(value, type) and issubclass(value, torch.nn.Module))
    return not is_model and not isinstance(value, (ModuleType, *_PLAIN)) and value is not None


def is_bundle(value: object) -> bool:
    """Whether a value is an object or a container with models, and neither a model nor code that makes one."""
    return not isinstance(value, (torch.nn.Module, *_CODE)) and bool(_held(value))


def model_in(value: object, target: str, within: Sequence[str], *, made: bool) -> tuple[torch.nn.Module, str | None]:
    """Return the only model in a value, and a note if the value is a bundle; `within` leads to it if it is given.

    `made` says that the target makes the value.

    Raises:
        SubjectError: there is no model in the value, or there are several. The message names them.
    """
    source = f"which `{target}` makes" if made else f"which is `{target}`"
    for index, name in enumerate(within):
        value = _part(value, name, f"{_kind(value)}, {source}", ".".join(within[: index + 1]))
    if isinstance(value, torch.nn.Module):
        return value, None
    what = f"`{target}` {'made' if made else 'is'} {_kind(value)}"
    found = _chosen(_held(value))
    if not found:
        maker = "" if made else " or a function that makes one"
        raise SubjectError("no-model", f"{what}, not a torch.nn.Module{maker}")
    if len(found) > 1:
        named = [f"`{target}.{'.'.join((*within, *each.path))}` ({type(each.model).__name__})" for each in found]
        raise SubjectError("no-model", f"{what} with {amount(len(found), 'models')}; name one: {', '.join(named)}")
    path, model = found[0]
    own = {name for base in type(value).__mro__ for name in vars(base)}
    around = next((name for name in _AROUND if name in own), None)
    left = f"; what its `{around}` does around the model is not measured" if around else ""
    return model, f"the model is `{'.'.join(path)}` of {_kind(value)}, {source}{left}"


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _part(value: Any, name: str, whole: str, path: str) -> Any:
    if isinstance(value, Mapping) and name in value:
        return value[name]
    if isinstance(value, list | tuple) and name.isdigit() and int(name) < len(value):
        return value[int(name)]
    try:
        return getattr(value, name)
    except AttributeError:
        raise SubjectError("no-model", f"there is no `{path}` in {whole}") from None


def _held(value: object) -> list[Held]:
    """Return the models in a value, each once, without those that are a part of another one."""
    found: dict[int, Held] = {}
    for held in _search(value):
        found.setdefault(id(held.model), held)
    parts = {
        id(part) for held in found.values() for part in torch.nn.Module.modules(held.model) if part is not held.model
    }
    return [held for key, held in found.items() if key not in parts]


def _search(value: object) -> Iterator[Held]:
    pending: list[tuple[tuple[str, ...], object]] = [((), value)]
    seen: set[int] = set()
    while pending and len(seen) < _MOST:
        path, each = pending.pop(0)
        if id(each) in seen or each is None or isinstance(each, (*_PLAIN, *_CODE)):
            continue
        seen.add(id(each))
        if isinstance(each, torch.nn.Module):
            yield Held(path, each)
        elif len(path) < _DEEPEST:
            pending += [((*path, name), part) for name, part in _parts(each)]


def _parts(value: Any) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        yield from ((str(name), part) for name, part in value.items())
    elif isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        yield from ((str(index), part) for index, part in enumerate(value))
    elif hasattr(value, "_fields"):
        yield from ((name, getattr(value, name, None)) for name in value._fields)
    else:
        fields = [field.name for field in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else []
        own = getattr(value, "__dict__", {})
        properties = [name for name in _NAMES if isinstance(getattr(type(value), name, None), property)]
        shared = [name for base in type(value).__mro__ for name, each in vars(base).items() if _is_model(each)]
        for name in dict.fromkeys([*fields, *(own if isinstance(own, dict) else ()), *shared, *properties]):
            try:
                yield name, getattr(value, name)
            except Exception:  # whatever a property of the subject raises
                continue


def _is_model(value: object) -> bool:
    return isinstance(value, torch.nn.Module)


def _chosen(found: list[Held]) -> list[Held]:
    """Return the models with parameters if only one has any: a loss is a module, too."""
    trained = [held for held in found if any(True for _ in torch.nn.Module.parameters(held.model))]
    return trained if len(trained) == 1 else found
