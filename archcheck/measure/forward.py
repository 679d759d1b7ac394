"""Run a model's forward pass under the trace: by shapes alone, or on real tensors where that fails."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from archcheck.errors import SubjectError, described
from archcheck.measure.arguments import map_tensors, tensors_in
from archcheck.measure.example import Example, candidates
from archcheck.measure.places import is_subject
from archcheck.measure.restore import untouched
from archcheck.measure.shape_tensor import shape_tensor_like
from archcheck.measure.trace import Trace, Tracer, shapes_of
from archcheck.measure.tree import Tree, lazy_tensors

AFFORDABLE = 20_000_000_000
"""Multiply-accumulates up to which a real forward pass confirms the shapes: about a second of one core."""


def first_trace(model: torch.nn.Module, example: Example | None) -> tuple[Example, Trace]:
    """Trace in evaluation mode, with the given example or the first inferred one that the model takes."""
    if example is not None:
        return example, trace(model, example, training=False)
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


def trace(model: torch.nn.Module, example: Example, *, training: bool, real: bool = False) -> Trace:
    """Trace by shapes alone, or on real tensors where that fails or `real` asks for it. The model is left as it was."""
    if real:
        return _trace_real(model, example, training=training)
    try:
        return _run(model, example, training=training, how="shapes")
    except SubjectError:
        raise
    except Exception as error:  # whatever the subject raises
        if _says_shapes_are_wrong(error):
            raise _forward_error(model, example, error) from error
    return _trace_real(model, example, training=training)


def _trace_real(model: torch.nn.Module, example: Example, *, training: bool) -> Trace:
    try:
        return _run(model, example, training=training, how="real")
    except Exception as error:
        failure = error
    try:
        # Code that differentiates inside its forward pass cannot do so in inference mode.
        return _run(model, example, training=training, how="differentiable")
    except Exception:
        raise _forward_error(model, example, failure) from failure


def _run(model: torch.nn.Module, example: Example, *, training: bool, how: str) -> Trace:
    real = how != "shapes"
    convert = _keep if real else _without_values
    tree = Tree(model)
    with untouched(tree, values=real):
        set_mode(model, training)
        tracer = Tracer(tree, real=real)
        with torch.no_grad() if how == "differentiable" else torch.inference_mode():
            args, kwargs = map_tensors(convert, example.args), map_tensors(convert, dict(example.kwargs))
            with tracer.watching(), _any_batch():
                for tensor in (*tensors_in(args), *tensors_in(kwargs)):
                    tracer.add_input(tensor)
                tracer.set_outputs(model(*args, **kwargs))
    return tracer.trace


def confirmed(model: torch.nn.Module, example: Example, traced: Trace) -> Trace:
    """Return `traced`, or a trace on real tensors, after a real forward pass in evaluation mode.

    Shapes alone let through what torch refuses (a wrong dtype, an index out of range), and cannot know which way
    code goes that looks at values. Beyond `AFFORDABLE` operations the trace stands unconfirmed.

    Raises:
        SubjectError: the real pass failed.
    """
    if traced.real or sum(event.macs for event in traced.events) > AFFORDABLE or _on_meta_device(model):
        return traced
    if not traced.bounds and _real_output_shapes(model, example) == tuple(s for s, _ in traced.output_tensors):
        return traced
    return _trace_real(model, example, training=False)


def _real_output_shapes(model: torch.nn.Module, example: Example) -> tuple[tuple[int, ...], ...]:
    with untouched(Tree(model), values=True), torch.no_grad():
        set_mode(model, training=False)
        try:
            return shapes_of(model(*example.args, **example.kwargs))
        except Exception as error:
            raise _forward_error(model, example, error) from error


def _on_meta_device(model: torch.nn.Module) -> bool:
    return any(tensor.device.type == "meta" for _, tensor in Tree(model).parameters())


def initialised(model: torch.nn.Module, example: Example | None) -> torch.nn.Module:
    """Return `model`, or a copy whose lazy layers have seen one real input and made their parameters."""
    if example is None or not is_lazy(model):
        return model
    copied = copy.deepcopy(model)
    try:
        with torch.no_grad():
            copied.eval()(*example.args, **example.kwargs)
    except Exception as error:
        raise _forward_error(model, example, error) from error
    return copied


@contextmanager
def _any_batch() -> Iterator[None]:
    """Let BatchNorm take a single value a channel in training.

    Torch refuses it because a variance of one value means nothing; here no value means anything, and an example
    of one image is what people give.
    """
    check = getattr(torch.nn.functional, "_verify_batch_size", None)
    if check is None:
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


def is_lazy(model: torch.nn.Module) -> bool:
    """Whether a layer of `model` waits for its first input to make its parameters."""
    return any(lazy_tensors(node.module) for node in Tree(model).nodes)


def _says_shapes_are_wrong(error: Exception) -> bool:
    """Whether one of our own shape rules refused, which a run on real tensors would only repeat."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_code.co_filename.endswith("shape_rules.py")


def _forward_error(model: torch.nn.Module, example: Example, error: Exception) -> SubjectError:
    shapes = ", ".join("x".join(map(str, tensor.shape)) or "scalar" for tensor in inputs_of(example)) or "no tensor"
    message = f"the forward pass failed on input {shapes}{_raised_at(error)}: {described(error)}"
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
    """Switch to training or evaluation by the model's own `train(mode)`, where frozen BatchNorm is often kept frozen.

    A method of that name with another purpose, such as a training loop, is not called.
    """
    if "mode" in inspect.signature(type(model).train).parameters:
        try:
            model.train(training)
        except TypeError:  # a child's method has another purpose
            pass
        else:
            return
    for node in Tree(model).nodes:
        node.module.training = training


def inputs_of(example: Example) -> list[torch.Tensor]:
    """Return the tensors of an example, positional ones first."""
    return [*tensors_in(example.args), *tensors_in(dict(example.kwargs))]
