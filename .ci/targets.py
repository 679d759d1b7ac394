"""Write again which operators each target has, as its installed package tells: the `inventory` of each list.

Prints each list that changes. A list whose package is not installed stays as it is. With `--check` nothing is written,
and the exit code is 1 when a list is stale. What an operator of torch becomes on a target is written by hand.
"""

import contextlib
import importlib.util
import os
import re
import sys
import tempfile
import textwrap
from collections.abc import Callable
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

LISTS = Path(__file__).parents[1] / "archcheck" / "rules" / "targets"


def onnx_opset_17() -> tuple[str, set[str]]:
    """Return the operators of the default domain of ONNX at opset 17."""
    import onnx

    latest: dict[str, tuple[int, bool]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "" and schema.since_version <= 17:
            each = (schema.since_version, schema.deprecated)
            latest[schema.name] = max(latest.get(schema.name, each), each)
    return f"onnx {version('onnx')}", {name for name, (_, deprecated) in latest.items() if not deprecated}


def executorch_portable() -> tuple[str, set[str]]:
    """Return the operators that the portable kernels of ExecuTorch implement."""
    listed = files("executorch").joinpath("kernels/portable/functions.yaml").read_text(encoding="utf-8")
    return f"executorch {version('executorch')}", {name.split(".")[0] for name in re.findall(r"op: (\S+)", listed)}


def executorch_xnnpack() -> tuple[str, set[str]]:
    """Return the operators that the partitioner of XNNPACK takes."""
    from executorch.backends.xnnpack.partition.config import ALL_PARTITIONER_CONFIGS

    names = {config.target_name.split(".")[0] for config in ALL_PARTITIONER_CONFIGS}
    return f"executorch {version('executorch')}", names


def tflite_micro() -> tuple[str, set[str]]:
    """Return the builtin operators for which the interpreter of TensorFlow Lite Micro finds a kernel."""
    from tflite_micro.tensorflow.lite.micro.python.schema_py_generated import BuiltinOperator

    codes = {name: code for name, code in vars(BuiltinOperator).items() if name.isupper()}
    odd = {"CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"} | {n for n in codes if n.startswith("STABLEHLO_")}
    found = {name for name, code in codes.items() if name not in odd and _has_kernel(code)}
    return f"tflite_micro {version('tflite_micro')}", found


def _has_kernel(code: int) -> bool:
    """Whether the interpreter finds a kernel, asked in a process of its own: some crash on empty arguments."""
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            from tflite_micro.python.tflite_micro import runtime

            with contextlib.suppress(Exception):
                runtime.Interpreter.from_bytes(_model_of_one(code))
            os._exit(0)
        os.waitpid(child, 0)
        said.seek(0)
        return b"Didn't find op" not in said.read()


def _model_of_one(code: int) -> bytes:
    import flatbuffers
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    def tensor() -> object:
        made = schema.TensorT()
        made.shape, made.type, made.buffer, made.name = [1, 4], 0, 0, b"t"
        return made

    operator, kernel, graph, model = schema.OperatorT(), schema.OperatorCodeT(), schema.SubGraphT(), schema.ModelT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
    kernel.builtinCode, kernel.deprecatedBuiltinCode, kernel.version = code, min(code, 127), 1
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [tensor(), tensor()], [0], [1], [operator]
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [kernel], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


INVENTORIES: dict[str, tuple[str, Callable[[], tuple[str, set[str]]]]] = {
    "executorch-portable": ("executorch", executorch_portable),
    "executorch-xnnpack": ("executorch", executorch_xnnpack),
    "onnx-opset-17": ("onnx", onnx_opset_17),
    "tflite-micro": ("tflite_micro", tflite_micro),
}
"""Of each list: the package that tells, and how."""


def with_inventory(text: str, release: str, names: set[str]) -> str:
    """Return a list with another inventory, and the release that it is from."""
    shown = textwrap.fill(", ".join(f'"{name}"' for name in sorted(names)), 118, break_on_hyphens=False)
    text = re.sub(r'(?m)^release = ".*"$', f'release = "{release}"', text)
    return re.sub(r"(?ms)^inventory = \[.*?^\]", f"inventory = [\n{textwrap.indent(shown, '  ')},\n]", text)


def main() -> int:
    """Write what is stale, or only tell it."""
    stale = []
    for target, (package, inventory) in INVENTORIES.items():
        file = LISTS / f"{target}.toml"
        if importlib.util.find_spec(package) is not None:
            before = file.read_text(encoding="utf-8")
            after = with_inventory(before, *inventory())
            if after != before:
                stale.append(file)
                if "--check" not in sys.argv:
                    file.write_text(after, encoding="utf-8")
    sys.stdout.writelines(f"{file.relative_to(LISTS.parents[2])}\n" for file in stale)
    return bool(stale) and "--check" in sys.argv


if __name__ == "__main__":
    sys.exit(main())
