"""Read from the syntax trees of methods which expression makes a layer, and which ones make the items of a container.

A name may be set by several statements, and a statement may call other things than the container. The type of the
layer that is there then tells which expression made it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from itertools import takewhile

import torch

from archcheck.measure.subject.class_code import SETTERS

CONTAINERS = (torch.nn.Sequential, torch.nn.ModuleList, torch.nn.ModuleDict)
_CONTAINER_INITS = frozenset(cls.__init__ for cls in CONTAINERS)
_CHANGED = ("Lazy", "Parametrized")
"""What torch puts before the name of a class, and takes away later or the other way round."""
_UNPACKED = (ast.Starred, ast.GeneratorExp, ast.ListComp)

Values = dict[tuple[str, int], ast.expr]


def values_in(tree: ast.AST) -> Values:
    """Return attribute and line -> the expression for each statement of a method that sets an attribute."""
    found: Values = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            pairs = [pair for target in node.targets for pair in _pairs(target, node.value)]
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            pairs = [*_pairs(node.target, node.value)]
        elif isinstance(node, ast.Call):
            pairs = [*_set_by_call(node)]
        else:
            continue
        for name, line, value in pairs:
            found[name, line] = value
    return found


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, int, ast.expr]]:
    if isinstance(target, ast.Attribute):
        yield target.attr, target.lineno, value
    elif isinstance(target, ast.Tuple | ast.List):
        parts = value.elts if isinstance(value, ast.Tuple | ast.List) else []
        same = len(parts) == len(target.elts) and not any(isinstance(part, ast.Starred) for part in parts)
        for index, each in enumerate(target.elts):
            yield from _pairs(each, parts[index] if same else value)


def _set_by_call(call: ast.Call) -> Iterator[tuple[str, int, ast.expr]]:
    if called(call) in SETTERS:
        given = [*call.args, *(each.value for each in call.keywords)]
        names = [each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        values = [each for each in given if isinstance(each, ast.Call)]
        if len(names) == len(values) == 1:
            yield names[0], call.func.lineno, values[0]


def called(node: ast.AST) -> str:
    """Return the last name of what a call calls, `Conv2d` for `nn.Conv2d(1, 2, 3)`; of another node nothing."""
    if not isinstance(node, ast.Call):
        return ""
    return str(getattr(node.func, "attr", None) or getattr(node.func, "id", ""))


def makes(value: ast.expr | None, module: torch.nn.Module | None) -> bool | None:
    """Return whether an expression made a module: by the class that it names, or `None` if it names none of torch."""
    if isinstance(value, ast.Constant):
        return False
    if value is None or module is None:
        return None
    if isinstance(value, ast.IfExp):
        answers = {makes(value.body, module), makes(value.orelse, module)}
        return True if True in answers else None if None in answers else False
    name = called(value)
    if _plain(name) == _plain(type(module).__name__):
        return True
    known = getattr(torch.nn, name, None)
    return False if isinstance(known, type) and issubclass(known, torch.nn.Module) else None


def is_container(module: torch.nn.Module) -> bool:
    """Whether a module is made from its items, as torch's containers are."""
    return type(module).__init__ in _CONTAINER_INITS


def agreement(value: ast.expr | None, module: torch.nn.Module) -> int:
    """Return how much speaks for an expression that may have made a module: its class, and its items one by one.

    It is 0 if nothing is known, and -1 if the expression made something else.
    """
    made = makes(value, module)
    call = construction(value, module) if value and is_container(module) else None
    if made is False or call is None:
        return -1 if made is False else int(made is True)
    given = items(call)
    return 1 + len(given) if _fits(given, dict(module.named_children())) else -1


def _plain(name: str) -> str:
    for beginning in _CHANGED:
        name = name.removeprefix(beginning)
    return name


def construction(value: ast.AST, container: torch.nn.Module) -> ast.Call | None:
    """Return the call in an expression that makes a container; `None` if none does, or several may."""
    return fitting([*_outermost(value, type(container).__name__)], container)


def _outermost(node: ast.AST, name: str) -> Iterator[ast.Call]:
    if isinstance(node, ast.Call) and called(node) == name:
        yield node
    else:
        for child in ast.iter_child_nodes(node):
            yield from _outermost(child, name)


def fitting(calls: Sequence[ast.Call], container: torch.nn.Module) -> ast.Call | None:
    """Return the only call, or of several the only one whose items may have made those of a container."""
    if len(calls) > 1:
        children = dict(container.named_children())
        calls = [call for call in calls if _fits(items(call), children)]
    return calls[0] if len(calls) == 1 else None


def _fits(given: dict[str, ast.expr], children: dict[str, torch.nn.Module]) -> bool:
    """Whether these items may have made the children, to which more may have been added since."""
    return given.keys() <= children.keys() and all(
        makes(item, children[name]) is not False for name, item in given.items()
    )


def container_inits(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls of `super().__init__(...)` and `nn.Sequential.__init__(self, ...)` in a method."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) == "__init__":
            yield node


def items(call: ast.Call) -> dict[str, ast.expr]:
    """Return name -> item of a container's call, also of those in a list or a table, up to one that is unpacked."""
    given = call.args
    if called(call) == "__init__" and not isinstance(getattr(call.func, "value", None), ast.Call):
        given = given[1:]  # `nn.Sequential.__init__(self, ...)`
    if len(given) != 1:
        return _numbered(given)
    only = given[0].value if isinstance(given[0], ast.Starred) else given[0]
    if isinstance(only, ast.List | ast.Tuple):
        return _named(only.elts) or _numbered(only.elts)
    if only is not given[0]:
        return {}
    if isinstance(only, ast.Dict):
        return _of_keys(only.keys, only.values)
    if called(only) in ("OrderedDict", "dict") and isinstance(only, ast.Call):
        keywords = {each.arg: each.value for each in only.keywords if each.arg}
        return items(ast.Call(func=ast.Name(id="", ctx=ast.Load()), args=only.args, keywords=[])) | keywords
    return _numbered(given)


def _numbered(given: Sequence[ast.expr]) -> dict[str, ast.expr]:
    known = takewhile(lambda item: not isinstance(item, _UNPACKED), given)
    return {str(index): item for index, item in enumerate(known)}


def _named(pairs: Sequence[ast.expr]) -> dict[str, ast.expr]:
    """Return the items of `[("conv", nn.Conv2d(...)), ...]`."""
    parts = [pair.elts for pair in pairs if isinstance(pair, ast.Tuple | ast.List) and len(pair.elts) == 2]
    return _of_keys([key for key, _ in parts], [value for _, value in parts])


def _of_keys(keys: Sequence[ast.expr | None], values: Sequence[ast.expr]) -> dict[str, ast.expr]:
    pairs = zip(keys, values, strict=True)
    return {str(key.value): value for key, value in pairs if isinstance(key, ast.Constant)}
