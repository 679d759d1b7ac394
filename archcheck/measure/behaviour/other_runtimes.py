"""Write an exported program in the format of another runtime, and run it there."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import io
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import _pytree

from archcheck.foundation.errors import SubjectError, described
from archcheck.measure.behaviour.probe_context import Outputs, outputs_of
from archcheck.measure.loading.example import Example

Runners = Mapping[str, Callable[..., Any]]
"""Functions that run a program with the arguments of the model, by the name of what runs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """How to write a program, and what runs it here. `demand` raises `SubjectError` if a package is missing."""

    demand: Callable[[], None]
    write: Callable[[Any], Any]
    runners: Callable[[Any], Runners]


def written_for(target: Target, program: Any) -> Any:
    """Return a program in the format of a target.

    Raises:
        SubjectError: the exporter lacks a package, so that its failure says nothing about the program.
    """
    try:
        return target.write(program)
    except ImportError as error:
        said = f"the exporter lacks a package: {described(error)}".partition("\n")[0]
        raise SubjectError(
            "output", said, fix="install it, or newer releases of the packages of this format"
        ) from error


def run_by_first(runners: Runners, example: Example) -> tuple[str, Outputs, Exception | None]:
    """Return which of the runners ran a program, and its outputs; if none can, why the first cannot."""
    failures: dict[str, Exception] = {}
    for name, run in runners.items():
        try:
            return name, outputs_of(example.given_to(run)), None
        except Exception as error:  # a kernel that is missing
            failures[name] = error
    name, failure = next(iter(failures.items()))
    return name, {}, failure


def _demand(exporter: str, packages: tuple[str, ...]) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        names = " and ".join(f"`{name}`" for name in missing)
        message = f"{exporter} needs the package{'s' if len(missing) > 1 else ''} {names}"
        install = f"install what is missing: `pip install {' '.join(missing)}`"
        raise SubjectError("output", f"{message}, not installed here", fix=install)


def _demand_onnx() -> None:
    _demand("the export to ONNX", ("onnx", "onnxscript"))
    if inspect.signature(torch.onnx.export).parameters["args"].default is inspect.Parameter.empty:
        said = f"torch {torch.__version__} cannot write an exported program as ONNX"
        raise SubjectError("output", said, fix="install torch 2.5 or newer")


def _to_onnx(program: Any) -> Any:
    """Return the program in ONNX, after the checker of that format has read what would be written."""
    onnx = importlib.import_module("onnx")
    memory = io.BytesIO()
    written = torch.onnx.export(program, verbose=False, dynamo=True)
    assert written is not None
    onnx.save_model(written.model_proto, memory)
    onnx.checker.check_model(onnx.load_model_from_string(memory.getvalue()), full_check=True)
    return written


def _onnx_runners(written: Any) -> Runners:
    """Return onnxruntime, and the evaluator of onnx, which is slow and has kernels for every dtype."""
    found = {"onnxruntime": written} if importlib.util.find_spec("onnxruntime") is not None else {}
    if hasattr(written, "call_reference"):  # since torch 2.7
        found["the reference evaluator of onnx"] = written.call_reference
    if not found:
        said = "comparing the outputs of a program in ONNX needs the package `onnxruntime`, not installed here"
        raise SubjectError("output", said, fix="install what is missing: `pip install onnxruntime`")
    return found


_LOWERING = "executorch.backends.xnnpack.partition.xnnpack_partitioner"


def _demand_executorch() -> None:
    _demand("the export to ExecuTorch", ("executorch",))
    try:
        with warnings.catch_warnings():  # it says that it is experimental
            warnings.simplefilter("ignore")
            for name in (_LOWERING, "executorch.exir", "executorch.runtime"):
                importlib.import_module(name)
    except (ImportError, OSError) as error:  # it was built for another torch, or lacks a package of its own
        said = f"the package `executorch` cannot be imported: {described(error)}".partition("\n")[0]
        raise SubjectError("output", said, fix="install the release of executorch for this torch") from error


def _to_executorch(program: Any) -> Any:
    """Return the program for ExecuTorch: what XNNPACK has goes there, and the rest to the portable kernels."""
    partitioner = importlib.import_module(_LOWERING).XnnpackPartitioner()
    lower = importlib.import_module("executorch.exir").to_edge_transform_and_lower
    return lower(program, partitioner=[partitioner]).to_executorch()


def _executorch_runners(written: Any) -> Runners:
    def run(*args: Any, **kwargs: Any) -> Any:
        loaded = importlib.import_module("executorch.runtime").Runtime.get().load_program(written.buffer)
        given = [each for each in _pytree.tree_leaves((args, kwargs)) if each is not None]
        return loaded.load_method("forward").execute(given)

    return {"the runtime of ExecuTorch": run}


TARGETS = {
    "onnx": Target(demand=_demand_onnx, write=_to_onnx, runners=_onnx_runners),
    "executorch": Target(demand=_demand_executorch, write=_to_executorch, runners=_executorch_runners),
}
"""The formats beside `torch.export` itself."""
