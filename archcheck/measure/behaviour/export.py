"""Probe of exports: whether a model can be exported for other runtimes, with the same outputs."""

from __future__ import annotations

import importlib.util
import inspect
import io
import warnings
from collections.abc import Mapping
from typing import Any

import torch

from archcheck.foundation.errors import SubjectError, described
from archcheck.measure.behaviour.closeness import farthest
from archcheck.measure.behaviour.locate import spot_told
from archcheck.measure.behaviour.probe_context import ProbeContext, outputs_of
from archcheck.measure.passes.forward_errors import fault_of
from archcheck.measure.passes.modes import set_mode
from archcheck.measure.subject.compiled import with_compiler


def exports(context: ProbeContext, to: str) -> Mapping[str, Any]:
    """Return the `error` of the export with its place, or how far the outputs of the exported model differ.

    Raises:
        SubjectError: the packages for `onnx` are not installed.
    """
    if to == "onnx":
        _demand_onnx()
    before = context.run(context.example)
    copied = context.example.copied()
    args, kwargs = copied.args, dict(copied.kwargs)
    told: dict[str, Any] = {"dtype": context.dtype(before), "error": None, "at": None, "output": "", "distance": 0.0}
    with context.passes.untouched(values=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        set_mode(context.tree, training=False)
        try:
            with with_compiler():
                program = _exported(context.model, args, kwargs)
                if to == "onnx":
                    _to_onnx(program)
        except Exception as error:  # the failure of the exporter or of the subject is the answer
            fault = fault_of(error, context.tree)
            said = described(error).partition(" (")[0].partition(". ")[0]  # the rest is advice about the exporter
            at = spot_told(None, fault.layer, fault.where or fault.called, context.root)
            return {**told, "error": said, "at": at}
        after = outputs_of(context.example.given_to(program.module()))
        told["output"], told["distance"] = farthest(_numbered(before), _numbered(after))
    return told


def _exported(model: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the exported program: traced while Python runs it, or else through the compiler.

    Before torch 2.14 only the compiler exports recurrent layers. If both fail, raise the error of the first.
    """
    try:
        return torch.export.export(model, args, kwargs, strict=False)
    except Exception as error:
        try:
            return torch.export.export(model, args, kwargs, strict=True)
        except Exception:
            raise error from None


def _numbered(outputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return outputs by their number: after an export, their container may be of another class."""
    return {str(number): tensor for number, tensor in enumerate(outputs.values())}


def _demand_onnx() -> None:
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        names = " and ".join(f"`{name}`" for name in missing)
        message = f"the export to ONNX needs the package{'s' if len(missing) > 1 else ''} {names}"
        install = f"install what is missing: `pip install {' '.join(missing)}`"
        raise SubjectError("output", f"{message}, not installed here", fix=install)
    if inspect.signature(torch.onnx.export).parameters["args"].default is inspect.Parameter.empty:
        said = f"torch {torch.__version__} cannot write an exported program as ONNX"
        raise SubjectError("output", said, fix="install torch 2.5 or newer")


def _to_onnx(program: Any) -> None:
    """Write an exported program as ONNX, and check it with the checker of that format."""
    onnx = importlib.import_module("onnx")
    memory = io.BytesIO()
    written = torch.onnx.export(program, verbose=False, dynamo=True)
    assert written is not None
    onnx.save_model(written.model_proto, memory)
    onnx.checker.check_model(onnx.load_model_from_string(memory.getvalue()), full_check=True)
