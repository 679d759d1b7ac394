"""Run a model's forward pass under the trace: by shapes alone, or on real tensors where that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from archcheck.errors import SubjectError
from archcheck.measure.arguments import map_tensors, tensors_in
from archcheck.measure.example import Example, candidates, given
from archcheck.measure.places import is_subject
from archcheck.measure.shape_tensor import shape_tensor_like
from archcheck.measure.trace import Trace, Tracer
from archcheck.measure.tree import Tree


def first_trace(model: torch.nn.Module, example: Any) -> tuple[Example, Trace]:
    """Trace in evaluation mode, with the given example or the first inferred one that the model takes."""
    if example is not None:
        chosen = example if isinstance(example, Example) else given(example)
        return chosen, trace(model, chosen, training=False)
    failure: SubjectError | None = None
    for candidate in candidates(Tree(model)):
        try:
            return candidate, trace(model, candidate, training=False)
        except SubjectError as error:
            failure = failure or error
    if failure is None:
        raise SubjectError(
            "input",
            "the input cannot be inferred: there is no first layer that tells; give one, as in `--input 1,3,224,224`",
        )
    raise SubjectError(
        "input",
        f"no usual input size fits; give one with `--input`, as in `--input 1,3,224,224` (first try: {failure})",
    )


def trace(model: torch.nn.Module, example: Example, *, training: bool) -> Trace:
    """Trace by shapes alone, or on real tensors where that fails."""
    set_mode(model, training)
    try:
        return _run(model, example, real=_is_lazy(model))
    except Exception as shape_error:  # whatever the subject raises
        if _says_shapes_are_wrong(shape_error):
            raise _forward_error(model, example, shape_error) from shape_error
        try:
            return _run(model, example, real=True)
        except Exception as error:
            raise _forward_error(model, example, error) from error


def _run(model: torch.nn.Module, example: Example, *, real: bool) -> Trace:
    if real and _is_lazy(model):
        with torch.no_grad():
            model(*example.args, **example.kwargs)
    tracer = Tracer(Tree(model), real=real)
    convert = _keep if real else _without_values
    with torch.inference_mode():
        args, kwargs = map_tensors(convert, example.args), map_tensors(convert, dict(example.kwargs))
        with tracer, _any_batch(real):
            for tensor in (*tensors_in(args), *tensors_in(kwargs)):
                tracer.add_input(tensor)
            tracer.set_outputs(model(*args, **kwargs))
    return tracer.trace


@contextmanager
def _any_batch(real: bool) -> Iterator[None]:
    """Let BatchNorm take a single value a channel in training.

    Torch refuses it because a variance of one value means nothing; for shapes alone it means nothing anyway,
    and an example of one image is what people give.
    """
    check = getattr(torch.nn.functional, "_verify_batch_size", None)
    if real or check is None:
        yield
        return
    torch.nn.functional._verify_batch_size = lambda size: None  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.nn.functional._verify_batch_size = check  # type: ignore[attr-defined]


def _keep(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.clone()


def _without_values(tensor: torch.Tensor) -> torch.Tensor:
    """Floating inputs lose their values; integers, such as token ids and lengths, keep theirs."""
    return shape_tensor_like(tensor) if tensor.is_floating_point() or tensor.is_complex() else tensor.clone()


def _is_lazy(model: torch.nn.Module) -> bool:
    return any(torch.nn.parameter.is_lazy(tensor) for _, tensor in Tree(model).parameters())


def _says_shapes_are_wrong(error: Exception) -> bool:
    """Whether one of our own shape rules refused, which a run on real tensors would only repeat."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_code.co_filename.endswith("shape_rules.py")


def _forward_error(model: torch.nn.Module, example: Example, error: Exception) -> SubjectError:
    shapes = ", ".join("x".join(map(str, tensor.shape)) or "scalar" for tensor in inputs_of(example)) or "no tensor"
    place = _raised_at(error)
    text = " ".join(str(error).split()) or "no message"
    message = f"the forward pass failed on input {shapes}{place}: {type(error).__name__}: {text[:300]}"
    return SubjectError(
        "forward", f"{message}; does the input fit the model? (`input` in the contract, `--input` here)"
    )


def _raised_at(error: BaseException) -> str:
    """Return the innermost line of the subject's own code in the traceback."""
    place, traceback = "", error.__traceback__
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if is_subject(file):
            place = f" at {Path(file).name}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place


def set_mode(model: torch.nn.Module, training: bool) -> None:
    """Switch to training or evaluation by the model's own `train()`, where frozen BatchNorm is often kept frozen."""
    model.train(training)


def inputs_of(example: Example) -> list[torch.Tensor]:
    """Return the tensors of an example, positional ones first."""
    return [*tensors_in(example.args), *tensors_in(dict(example.kwargs))]
