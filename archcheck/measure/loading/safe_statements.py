"""Find the top-level statements of a file that only define things, so that they can run without the rest."""

from __future__ import annotations

import ast

from archcheck.measure.loading.import_side_effects import Functions, dotted, functions_of, run_within, sign_in

_BUILTINS = frozenset(
    (
        *("abs", "all", "any", "bool", "bytes", "chr", "complex", "dict", "divmod", "enumerate", "filter", "float"),
        *("frozenset", "getattr", "hasattr", "hash", "hex", "int", "isinstance", "issubclass", "iter", "len"),
        *("list", "map", "max", "min", "next", "object", "ord", "pow", "property", "range", "repr", "reversed"),
        *("round", "set", "setattr", "slice", "sorted", "str", "sum", "super", "tuple", "type", "vars", "zip"),
    )
)
_KNOWN = (
    *("argparse.", "collections.", "copy.", "dataclasses.", "datetime.", "einops.", "enum.", "functools."),
    *("itertools.", "math.", "numpy.", "operator.", "os.cpu_count", "os.environ.get", "os.getenv", "os.getcwd"),
    "os.path.",
    *("pathlib.", "random.seed", "re.", "string.", "sys.path.", "time.time", "torch.", "torchvision.models."),
    *("torchvision.transforms.", "types.", "typing.", "typing_extensions.", "warnings.", "logging.getLogger"),
)
_NOT = (
    *("numpy.load", "numpy.save", "numpy.genfromtxt", "numpy.fromfile", "numpy.memmap", "torch.load", "torch.save"),
    *("torch.hub.", "torch.distributed.", "torch.multiprocessing.", "torch.utils.", "torch.jit.load", "torch.onnx."),
    *("torch.optim.", "torch.autograd.grad", "torch.profiler."),
)
_METHODS = frozenset(
    (
        *("add", "add_argument", "add_argument_group", "add_mutually_exclusive_group", "add_module", "append"),
        *("apply", "children", "copy", "count", "cpu", "cuda", "dim", "double", "encode", "decode", "eval"),
        *("extend", "float", "format", "get", "half", "index", "insert", "int", "item", "items", "join", "keys"),
        *("long", "lower", "mean", "modules", "named_children", "named_modules", "named_parameters", "numel"),
        *("parameters", "permute", "pop", "register_buffer", "replace", "requires_grad_", "reshape", "setdefault"),
        *("size", "sort", "split", "squeeze", "startswith", "endswith", "strip", "sum", "t", "to", "tolist"),
        *("train", "transpose", "type", "unsqueeze", "update", "upper", "values", "view"),
    )
)
_PLAIN_BASES = ("NamedTuple", "Enum", "IntEnum", "TypedDict")
_SETTINGS = ("config", "args", "params", "options", "opt", "vocab", "cfg")


DEFAULTS = "__archcheck_defaults__"
"""The name of the function that replaces the reading of the command line."""

_PURE = _BUILTINS | {DEFAULTS}


class SafeStatements:
    """Tells which statements of one file, or of the cells of one notebook, are safe."""

    def __init__(self, tree: ast.Module) -> None:
        self.functions: Functions = functions_of(tree)
        self._imported = dict(_imports(tree))
        self._classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        self._judged: dict[str, bool] = {}

    def is_safe(self, node: ast.AST | None) -> bool:
        """Whether an expression only makes small computations, without side effects."""
        if node is None:
            return True
        awaits = (ast.Await, ast.Yield, ast.YieldFrom)
        inside = list(run_within(node))
        return not any(isinstance(each, awaits) for each in inside) and all(
            self._call_is_safe(each) for each in inside if isinstance(each, ast.Call)
        )

    def _call_is_safe(self, call: ast.Call) -> bool:
        name = self.full_name(call.func)
        if "." not in name:
            return name in _PURE or self._makes_data(name) or self._only_computes(name)
        if name.startswith(_NOT):
            return False
        return name.startswith(_KNOWN) or name.rpartition(".")[2] in _METHODS

    def full_name(self, callee: ast.expr) -> str:
        """Return the full name of what is called: `torch.nn.Linear` for `nn.Linear`."""
        name = dotted(callee)
        first, dot, rest = name.partition(".")
        return f"{self._imported.get(first, first)}{dot}{rest}"

    def _makes_data(self, name: str) -> bool:
        """Whether a class of this file is a model or settings, so that making an object of it is safe."""
        node = self._classes.get(name)
        if node is None:
            return False
        bases = [self.full_name(base) for base in node.bases]
        decorators = [self.full_name(getattr(each, "func", each)) for each in node.decorator_list]
        return (
            any(base.startswith("torch.nn.") or base.rpartition(".")[2] in _PLAIN_BASES for base in bases)
            or any(base in self._classes and base != name and self._makes_data(base) for base in bases)
            or any(name.rpartition(".")[2] == "dataclass" for name in decorators)
            or name.lower().endswith(_SETTINGS)
        )

    def _only_computes(self, name: str) -> bool:
        """Whether a function of this file only computes."""
        if name not in self.functions:
            return False
        if name not in self._judged:
            self._judged[name] = True  # a recursive call is as safe as the rest of the function
            body = ast.Module(body=list(self.functions[name].body), type_ignores=[])
            self._judged[name] = sign_in(body, self.functions) is None and all(
                not isinstance(each, ast.While | ast.With | ast.Try | ast.Global) and self.is_safe(each)
                for each in body.body
            )
        return self._judged[name]


def _imports(tree: ast.Module) -> list[tuple[str, str]]:
    """Return each imported name with its full name."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                found.append((each.asname, each.name) if each.asname else (each.name.partition(".")[0],) * 2)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [(each.asname or each.name, f"{node.module}.{each.name}") for each in node.names]
    return found
