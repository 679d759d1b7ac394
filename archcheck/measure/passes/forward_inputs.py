"""Tell which inputs the forward pass of a model takes, where those that it was given are not as many."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import torch

from archcheck.foundation.errors import SubjectError
from archcheck.foundation.words import amount, listed
from archcheck.measure.loading.example import Example, dtype_name
from archcheck.measure.loading.signatures import parameters_of
from archcheck.measure.subject.measured_method import method_of

_USUAL = "1,3,224,224"
"""An input as `--input` takes it, where none is known."""


def misfit(model: torch.nn.Module, example: Example) -> str | None:
    """Return what inputs a model takes and how to give them, if an example has not as many; else `None`."""
    taken = [each for each in parameters_of(model.forward) if each.kind is not each.VAR_KEYWORD]
    if not taken or _binds(model, example):
        return None
    needed = [each.name for each in taken if each.default is each.empty and each.kind is not each.VAR_POSITIONAL]
    by_name = [each.name for each in taken if each.kind is each.KEYWORD_ONLY and each.name in needed]
    takes = f"`{method_of(model)}` takes {_named(needed or [each.name for each in taken])}"
    if example.kwargs:
        before = f"{amount(len(example.args), 'inputs')} and " if example.args else ""
        return f"{takes}, and was given {before}{listed(example.kwargs)} by name"
    if by_name:
        return f"{takes}; let a function return them by name, and give it as `input` in the contract"
    if not 1 < len(needed) != len(example.args):
        return f"{takes}, and was given {amount(len(example.args), 'inputs')}"
    return f"{takes}; {_how(needed, example)}"


def refuse_inputs_by_name(model: torch.nn.Module) -> None:
    """Raise a `SubjectError` if a model needs inputs by keyword, which are not inferred."""
    if any(each.kind is each.KEYWORD_ONLY and each.default is each.empty for each in parameters_of(model.forward)):
        raise SubjectError("input", f"the input cannot be inferred: {misfit(model, Example((torch.empty(()),), {}))}")


def _binds(model: torch.nn.Module, example: Example) -> bool:
    try:
        inspect.signature(model.forward).bind(*example.args, **example.kwargs)
    except TypeError:
        return False
    except ValueError:  # of compiled code
        return True
    return True


def _named(names: Sequence[str]) -> str:
    return f"{amount(len(names), 'inputs')}, {listed(names)}"


def _how(names: Sequence[str], example: Example) -> str:
    """Return how to give several inputs, each of the shape of the first one, which is only an example."""
    shown = " ".join(f"--input {_shape(example)}" for _ in names)
    return f"give each by an `--input` in this order, as in `{shown}`"


def _shape(example: Example) -> str:
    first = example.args[0] if example.args else None
    if not isinstance(first, torch.Tensor) or not first.dim():
        return _USUAL
    integral = "" if first.is_floating_point() else f":{dtype_name(first.dtype)}"
    return ",".join(map(str, first.shape)) + integral
