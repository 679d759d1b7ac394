"""Build the model that a name in a module stands for: an instance, what a class or a function makes, or in a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from types import ModuleType
from typing import Any

import torch

from archcheck.foundation.errors import SubjectError, described
from archcheck.measure.loading.bundles import is_bundle, may_hold_models, model_in
from archcheck.measure.loading.errors import missing_name_error, place
from archcheck.measure.loading.signatures import missing_arguments, unknown_argument
from archcheck.measure.operators.meta import needs_numbers, refused, without_memory


def resolved(module: ModuleType, name: str, target: str) -> tuple[Any, tuple[str, ...]]:
    """Return what a name in a module stands for, and the last names, which lead into the bundle that it is or makes."""
    value: Any = module
    parts = name.split(".")
    for index, part in enumerate(parts):
        if not hasattr(value, part):
            if index and may_hold_models(value):
                return value, tuple(parts[index:])
            raise missing_name_error(module, part, target, value)
        value = getattr(value, part)
    return value, ()


def build(
    value: Any, target: str, args: Mapping[str, Any], *, meta: bool = False, within: tuple[str, ...] = ()
) -> tuple[torch.nn.Module, str | None]:
    """Return the model, and a note if it is in a bundle: an instance as it is, else what a class or factory returns.

    `meta` takes no memory. `within` are the names that lead to the model in what is returned.
    """
    whole = target.removesuffix("".join(f".{name}" for name in within))
    if not is_constructor(value):
        return model_in(value, whole, within, made=False)
    if unknown := unknown_argument(value, args):
        raise SubjectError("construct", f"`{target}` {unknown}")
    missing = missing_arguments(value, args)
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        example = " ".join(f"{name}=…" for name in missing)
        raise SubjectError(
            "construct", f"`{target}` needs {names} to be built; give `--args {example}` or `args` in the contract"
        )
    try:
        with without_memory() if meta else nullcontext():
            made = value(**args)
    except SubjectError:  # of `from_pretrained`, which says all
        raise
    except Exception as error:
        if meta and needs_numbers(error):
            raise refused(target, place(error), error) from error
        given = ", ".join(f"{name}={value!r}" for name, value in args.items())
        hint = f"; it was given {given}: `--args` or `args` in the contract change that" if given else ""
        said = f"`{target}` could not be built{place(error)}: {described(error)}{hint}"
        raise SubjectError("construct", said) from error
    return model_in(made, whole, within, made=True)


def is_constructor(value: object) -> bool:
    """Whether a value makes a model when it is called: a class or a function, and no model or bundle."""
    is_made = isinstance(value, torch.nn.Module) or is_bundle(value)
    return callable(value) and (isinstance(value, type) or not is_made)
