"""Probe of exports: whether a model can be exported for other runtimes, with the same outputs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch

from archcheck.foundation.errors import SubjectError, described
from archcheck.measure.behaviour.closeness import farthest
from archcheck.measure.behaviour.locate import spot_told
from archcheck.measure.behaviour.other_runtimes import TARGETS, run_by_first, written_for
from archcheck.measure.behaviour.probe_context import ProbeContext, outputs_of
from archcheck.measure.passes.forward_errors import fault_of
from archcheck.measure.passes.modes import set_mode
from archcheck.measure.subject.compiled import with_compiler


def exports(context: ProbeContext, to: str) -> Mapping[str, Any]:
    """Return the `error` of the export with its place, or how far the outputs of the exported model differ.

    `run_by` is what runs the exported program, and `runs` says whether it can.

    Raises:
        SubjectError: a package that writes or runs the format is not installed.
    """
    target = TARGETS.get(to)
    if target is not None:
        target.demand()
    before = context.run(context.example)
    copied = context.example.copied()
    args, kwargs = copied.args, dict(copied.kwargs)
    told: dict[str, Any] = {"dtype": context.dtype(before), "error": None, "at": None, "output": "", "distance": 0.0}
    told |= {"runs": True, "run_by": "torch"}
    with context.passes.untouched(values=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        set_mode(context.tree, training=False)
        try:
            with with_compiler():
                program = _exported(context.model, args, kwargs)
                written = target and written_for(target, program)
        except SubjectError:
            raise
        except Exception as error:  # the failure of the exporter or of the subject is the answer
            fault = fault_of(error, context.tree)
            said = described(error).partition(" (")[0].partition(". ")[0]  # the rest is advice about the exporter
            at = spot_told(None, fault.layer, fault.where or fault.called, context.root)
            return {**told, "error": said, "at": at}
        if target is None:
            after = outputs_of(context.example.given_to(program.module()))
        else:
            told["run_by"], after, failure = run_by_first(target.runners(written), context.example)
            if failure is not None:
                return {**told, "runs": False, "error": described(failure).partition("\n")[0]}
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
    """Return outputs by their number: after an export, their container may be of another class.

    A complex number is two real ones, as ONNX writes it.
    """
    real = (torch.view_as_real(each) if each.is_complex() else each for each in outputs.values())
    return {str(number): tensor for number, tensor in enumerate(real)}
