"""Find the input that the program of a file gives its model, such as `net(torch.randn(1, 3, 256, 256))`.

Nothing runs: the shapes are numbers of the code, and the numbers of the tensors are random anyway.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

from archcheck.measure.loading.constructor_arguments import constants
from archcheck.measure.loading.execution import RUNS, Run
from archcheck.measure.loading.import_side_effects import dotted, functions_of, is_main_guard, names_in
from archcheck.measure.loading.parser_defaults import evaluate
from archcheck.measure.loading.usual_arguments import Input
from archcheck.measure.subject.source_text import place

_FLOATS = ("randn", "rand", "zeros", "ones", "empty", "Tensor", "FloatTensor", "full")
_SAME = ("cuda", "to", "cpu", "contiguous", "clone", "detach", "requires_grad_", "type")
_TYPES = {
    "float": "float32",
    "half": "float16",
    "bfloat16": "bfloat16",
    "double": "float64",
    "long": "int64",
    "int": "int32",
}
"""Methods that convert a tensor -> the dtype."""
_SUMMARIES = ("summary", "get_model_complexity_info")
"""Functions of other packages that take a model and the shape of its input."""
_PROFILERS = ("profile", "FlopCountAnalysis", "ActivationCountAnalysis", "flop_count", "summary", "trace", "export")
"""Functions that take a model and its input."""
_LARGEST = 1 << 28
"""Elements of an input at most."""

Spec = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ProgramInput:
    """The tensors that a program gives its model, and the line where it does."""

    specs: Sequence[Spec]
    where: str

    @property
    def first(self) -> Input:
        """The first tensor, for arguments that agree with it."""
        spec = self.specs[0]
        integral = "int" in (spec.get("dtype") or "")
        return Input(tuple(spec["shape"]), int(spec.get("high") or 2) - 1 if integral else None)


def program_input(module: ModuleType, model: str) -> ProgramInput | None:
    """Return the input that the program of a module gives a model, `None` if the code does not tell it."""
    run = RUNS.get(module.__name__)
    for file, tree in zip(run.read_files, run.trees, strict=True) if run else ():
        for scope in _scopes(tree):
            found = _Scope(scope, vars(module), run, tree, model).input() if run else None
            if found is not None and math.prod(math.prod(spec["shape"]) for spec in found[1]) <= _LARGEST:
                return ProgramInput(found[1], place(file, found[0]))
    return None


def _scopes(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the code under `__main__`, the functions that it calls, and the statements of the file itself."""
    functions = functions_of(tree)
    guards = [node for node in tree.body if is_main_guard(node)]
    yield from guards
    called = dict.fromkeys(name for guard in guards for name in names_in(guard) if name in functions)
    yield from (functions[name] for name in called)
    plain = [node for node in tree.body if isinstance(node, ast.Assign | ast.Expr | ast.With)]
    yield ast.Module(body=[*plain], type_ignores=[])


class _Scope:
    """Code with the tensors and the models that it makes."""

    def __init__(self, code: ast.AST, names: Mapping[str, Any], run: Run, tree: ast.Module, model: str) -> None:
        self._code, self._module, self._run = code, names, run
        self._makers = {model, *(name for name, node in functions_of(tree).items() if model in names_in(node))}
        self._models = {model}
        self._tensors: dict[str, list[Spec]] = {}

    @cached_property
    def _names(self) -> Mapping[str, Any]:
        """The names of the module, and those that the code assigns to known values."""
        return {**self._module, **constants(self._code, self._module, self._run)}

    def input(self) -> tuple[int, list[Spec]] | None:
        """Return the line and the tensors of the first call of a model with known tensors."""
        nodes = [node for node in ast.walk(self._code) if isinstance(node, ast.Assign | ast.Call)]
        for node in sorted(nodes, key=lambda each: (each.lineno, each.col_offset)):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                self._assign(node.targets[0].id, node.value)
            if isinstance(node, ast.Call) and (specs := self._given(node)):
                return node.lineno, specs
        return None

    def _assign(self, name: str, value: ast.expr) -> None:
        specs = self._several(value)
        if specs:
            self._tensors.setdefault(name, specs)
        elif self._is_model(value):
            self._models.add(name)

    def _is_model(self, value: ast.expr) -> bool:
        while isinstance(value, ast.Call):
            if dotted(value.func) in self._makers:
                return True
            if not isinstance(value.func, ast.Attribute):
                return False
            value = value.func.value  # `Net().cuda()`
        return isinstance(value, ast.Name) and value.id in self._models

    def _given(self, call: ast.Call) -> list[Spec] | None:
        function = call.func
        if isinstance(function, ast.Attribute) and function.attr == "forward":
            function = function.value
        last = dotted(function).rpartition(".")[2]
        if last in _SUMMARIES and (specs := self._summarised(call)):
            return specs
        if last in _PROFILERS:
            stated = [each.value for each in call.keywords if each.arg in ("inputs", "input_data", "args")]
            stated = stated or call.args[1:2]
            return self._several(stated[0]) if stated and call.args and self._is_model(call.args[0]) else None
        made = isinstance(function, ast.Call) and self._is_model(function)
        if call.keywords or not (made or dotted(function) in self._models):
            return None
        return self._several(ast.Tuple(elts=call.args, ctx=ast.Load()))

    def _several(self, value: ast.expr) -> list[Spec] | None:
        """Return the specifications of a tensor or of a tuple of tensors, `None` if one is not known."""
        if isinstance(value, ast.Starred | ast.Name):
            return self._tensors.get(dotted(value.value if isinstance(value, ast.Starred) else value))
        if not isinstance(value, ast.Tuple | ast.List):
            spec = self._tensor(value)
            return None if spec is None else [spec]
        parts = [self._several(each) for each in value.elts]
        return [spec for part in parts for spec in part or ()] if parts and all(parts) else None

    def _summarised(self, call: ast.Call) -> list[Spec] | None:
        """Return the input of a summary: the shape of one sample, or of a batch."""
        stated = [each.value for each in call.keywords if each.arg in ("input_size", "input_res")] or call.args[1:2]
        if not stated or not call.args or not self._is_model(call.args[0]):
            return None
        shape = _shape(evaluate(stated[0], self._names)[0])
        return [{"shape": (1, *shape) if len(shape) == 3 else shape}] if shape else None

    def _tensor(self, value: ast.expr) -> Spec | None:
        """Return the specification of a tensor that an expression makes."""
        if isinstance(value, ast.Name):
            known = self._tensors.get(value.id, [])
            return known[0] if len(known) == 1 else None
        if not isinstance(value, ast.Call):
            return None
        module, _, name = dotted(value.func).rpartition(".")
        if module == "torch":
            return self._made(name, value)
        spec = self._tensor(value.func.value) if isinstance(value.func, ast.Attribute) else None
        if spec is None or name in _SAME:
            return spec
        if name == "unsqueeze" and [getattr(each, "value", None) for each in value.args] == [0]:
            return {**spec, "shape": (1, *spec["shape"])}
        return {**spec, "dtype": _TYPES[name]} if name in _TYPES else None

    def _made(self, name: str, call: ast.Call) -> Spec | None:
        values = [evaluate(each, self._names) for each in call.args]
        keywords = {each.arg: evaluate(each.value, self._names) for each in call.keywords}
        size = keywords.get("size", (None, False))
        given = [value for value, known in values if known]
        if len(given) != len(values):
            return None
        dtype = next((dotted(each.value).rpartition(".")[2] for each in call.keywords if each.arg == "dtype"), None)
        if name == "randint":
            bounds = given if size[1] else given[:-1]
            shape = _shape(size[0] if size[1] else given[-1] if given else None)
            high = bounds[-1] if bounds else keywords.get("high", (None, False))[0]
            low = bounds[0] if len(bounds) > 1 else keywords.get("low", (0, True))[0]
            whole = shape and isinstance(high, int) and isinstance(low, int) and low < high
            return {"shape": shape, "dtype": dtype or "int64", "low": low, "high": high} if whole else None
        if name not in _FLOATS:
            return None
        shape = _shape(size[0] if size[1] else given[0] if given and isinstance(given[0], list | tuple) else given)
        if not shape:
            return None
        return {"shape": shape, "dtype": dtype} if dtype else {"shape": shape}


def _shape(value: object) -> tuple[int, ...]:
    """Return a value as a shape, empty if it is none."""
    whole = isinstance(value, list | tuple) and all(type(each) is int and each > 0 for each in value)
    return tuple(value) if whole and isinstance(value, list | tuple) else ()
