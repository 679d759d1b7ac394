"""Example inputs: given by the contract, made by a function of the subject, or stated by the program of its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from archcheck.foundation.errors import SubjectError, described
from archcheck.foundation.words import shape_text
from archcheck.measure.loading.errors import place
from archcheck.measure.loading.load import load_object
from archcheck.measure.loading.program_input import ProgramInput
from archcheck.measure.loading.usual_arguments import Input
from archcheck.measure.shapes.containers import is_record, map_tensors, tensors_in
from archcheck.measure.shapes.noise import integers, normal, uniform
from archcheck.measure.shapes.replays import replayed
from archcheck.measure.subject.device_fallback import note_on, run_without_devices


@dataclass(frozen=True, slots=True)
class Example:
    """Positional and keyword inputs of one forward pass, and a note on how they were found.

    A `suggested` example is replaced by an inferred one if the model does not take it. `training` is the example of
    passes in training mode, if that is another one.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    note: str | None = None
    suggested: bool = False
    training: Example | None = None

    def in_mode(self, training: bool) -> Example:
        """Return the example of passes in training or in evaluation mode."""
        return self.training if training and self.training is not None else self

    def mapped(self, function: Callable[[Any], Any], whole: tuple[type, ...] = ()) -> Example:
        """Return the example with `function` applied to its tensors, and to objects of the classes in `whole`."""
        args, kwargs = map_tensors(function, {0: dict(enumerate(self.args)), 1: dict(self.kwargs)}, whole).values()
        return replace(self, args=tuple(args.values()), kwargs=kwargs)

    def copied(self) -> Example:
        """Return a copy of the example, which a model may write to."""
        return self.mapped(torch.clone)

    def given_to(self, model: Callable[..., Any]) -> Any:
        """Return the output of a model for a copy of the example, which the model may overwrite."""
        copied = self.copied()
        return model(*copied.args, **copied.kwargs)


def given(value: Any) -> Example:
    """Return an example from one input, a sequence of several, or a mapping by keyword.

    A named tuple is one input, and so is a packed sequence. Every pass reads an iterator from its beginning.
    """
    value = replayed(value)
    if isinstance(value, Mapping):
        return Example((), dict(value))
    if isinstance(value, tuple | list) and not is_record(value):
        return Example(tuple(value), {})
    return Example((value,), {})


def from_specs(specs: Sequence[Any] | Mapping[str, Any]) -> Example:
    """Return an example of random tensors, one for each `{shape, dtype, low, high}`, by position or by name.

    A name may have a list of them, which is a tuple then, or a number that is given as it is.

    Raises:
        SubjectError: torch lacks a dtype, or a tensor does not fit into memory.
    """
    if isinstance(specs, Mapping):
        return Example((), {name: _value(spec) for name, spec in specs.items()})
    return Example(tuple(_tensor(spec) for spec in specs), {})


def _value(spec: Any) -> Any:
    if isinstance(spec, Mapping):
        return _tensor(spec)
    return tuple(map(_tensor, spec)) if isinstance(spec, list | tuple) else spec


def suggested(stated: ProgramInput) -> Example:
    """Return the example that the program of a file states."""
    example = from_specs(stated.specs)
    shapes = ", ".join(f"{shape_text(each.shape)} ({dtype_name(each.dtype)})" for each in example.args)
    return replace(example, note=f"input {shapes} as at {stated.where}", suggested=True)


def example_of(given: Any, root: str) -> Any:
    """Return the example that a contract or `--input` asks for: from a function or from specs; `None` to infer it.

    Raises:
        SubjectError: the function cannot be loaded, failed, or returned nothing; or torch lacks a dtype.
    """
    if given is None:
        return None
    return _called(given, root) if isinstance(given, str) else from_specs(given)


def first_input(asked: Any, root: str) -> Input | None:
    """Return the first tensor that a contract or `--input` asks for, so that arguments may agree with it."""
    if not asked:
        return None
    if not isinstance(asked, str):
        specs = tensor_specs(asked)
        if not specs:
            return None
        spec = specs[0]
        highest = int(2 if spec.get("high") is None else spec["high"]) - 1
        return Input(tuple(spec["shape"]), highest if "int" in (spec.get("dtype") or "") else None)
    example = given(example_of(asked, root))
    first = next(iter(tensors_in((example.args, dict(example.kwargs)))), None)
    if first is None:
        return None
    integral = not (first.is_floating_point() or first.is_complex() or first.dtype == torch.bool)
    return Input(tuple(first.shape), int(first.max().item()) if integral and first.numel() else None)


def tensor_specs(asked: Sequence[Any] | Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the tensors that an input asks for, in order."""
    parts = asked.values() if isinstance(asked, Mapping) else asked
    each = [part if isinstance(part, list | tuple) else [part] for part in parts]
    return [spec for specs in each for spec in specs if isinstance(spec, Mapping)]


def _called(target: str, root: str) -> Any:
    function = load_object(target, root)
    if not callable(function):
        raise SubjectError("input", f"`{target}` is a {type(function).__name__}, not a function that makes an input")
    try:
        example, moves = run_without_devices(function)
    except SubjectError:
        raise
    except Exception as error:  # whatever the subject raises
        raise SubjectError("input", f"`{target}` could not make an input{place(error)}: {described(error)}") from error
    if example is None:
        raise SubjectError("input", f"`{target}` gave nothing; it must return the input, or several as a tuple")
    return replace(given(example), note=note_on(moves)) if moves else example


def _tensor(spec: Mapping[str, Any]) -> torch.Tensor:
    name = spec.get("dtype")
    dtype = torch.get_default_dtype() if name is None else getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise SubjectError(
            "input", f"`{name}` is not a dtype of torch; write `float32`, `int64`, `bool` or another one"
        )
    try:
        return _drawn(spec, dtype)
    except (MemoryError, RuntimeError) as error:  # torch has no special class for it
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            shown = shape_text(spec["shape"])
            raise SubjectError(
                "memory", f"an input of {shown} {dtype_name(dtype)} does not fit into memory; give less"
            ) from None
        raise


def dtype_name(dtype: torch.dtype) -> str:
    """Return the name of a dtype as a contract writes it: `float32`."""
    return str(dtype).removeprefix("torch.")


def _drawn(spec: Mapping[str, Any], dtype: torch.dtype) -> torch.Tensor:
    """Return random numbers in the range of the spec, the same ones each time."""
    shape, low, high = tuple(spec["shape"]), spec.get("low"), spec.get("high")
    generator = torch.Generator().manual_seed(0)
    if dtype == torch.bool:
        return integers(0, 2, shape, generator).to(dtype)
    if not dtype.is_floating_point and not dtype.is_complex:
        return integers(int(low or 0), int(2 if high is None else high), shape, generator).to(dtype)
    if low is None and high is None:
        return normal(shape, generator).to(dtype)
    bottom, top = (0.0 if low is None else low), (1.0 if high is None else high)
    return (uniform(shape, generator) * (top - bottom) + bottom).to(dtype)
