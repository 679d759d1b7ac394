"""Find the root models of a file: models that no other one uses, functions that make models, and bundles with one."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from archcheck.measure.loading.bundles import is_bundle
from archcheck.measure.loading.composition import Composition
from archcheck.measure.loading.constructor_arguments import called
from archcheck.measure.loading.execution import RUNS
from archcheck.measure.loading.import_side_effects import Function, dotted, functions_of, names_in, sign_in
from archcheck.measure.loading.signatures import missing_arguments
from archcheck.measure.subject.source_text import parse

_BEHIND = ("to", "cuda", "cpu", "eval", "float", "half", "train", "requires_grad_")
"""Methods that return the model itself."""


def root_models(module: ModuleType) -> list[str]:
    """Return the root models of a module in source order.

    These are its classes that no other class of it uses, and its instances of other classes. A class that needs
    arguments is replaced by its instances, or by functions without arguments that make one. If there are neither
    classes nor instances, these are the functions that return a model, alone or in a bundle; if there are none, the
    bundles. Classes whose definition failed are included if they look like models.
    """
    tree = tree_of(module)
    classes = _classes(module)
    instances = dict(_instances(module, tree))
    of_own = [name for name, value in instances.items() if type(value).__module__ == module.__name__]
    others = [name for name in instances if name not in of_own]
    used = composition_of(module).parts() | _mentioned(tree, others) | _handed_over(tree, {*classes})
    free = [name for name in classes if name not in used] or ([] if others else list(classes))
    found = [maker for name in free for maker in _makers(module, tree, name, of_own)] + others
    found = (
        found or list(_factories(module, tree, {*classes})) or list(_factories(module, tree, {*classes}, bundles=True))
    )
    return _ordered(tree, found or list(_bundles(module, tree)))


def composition_of(module: ModuleType) -> Composition:
    """Return which definitions of a module are parts of others."""
    return Composition(tree_of(module), _classes(module))


def tree_of(module: ModuleType) -> ast.Module:
    """Return the syntax tree of a module, an empty one if its source is not known."""
    run = RUNS.get(module.__name__)
    if run is not None:
        return ast.Module(body=[node for tree in run.trees for node in tree.body], type_ignores=[])
    tree = parse(module.__file__) if module.__file__ and Path(module.__file__).is_file() else None
    return tree or ast.Module(body=[], type_ignores=[])


def _classes(module: ModuleType) -> list[str]:
    """Return the classes of a module that are models, or look like models and failed."""
    own = [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, torch.nn.Module) and value.__module__ == module.__name__
    ]
    run = RUNS.get(module.__name__)
    failed = run.broken if run else {}
    return [*own, *(name for node in tree_of(module).body if (name := _would_be_model(node)) in failed)]


def _would_be_model(node: ast.stmt) -> str:
    """Return the name of a class that looks like a model, empty for any other statement."""
    if not isinstance(node, ast.ClassDef):
        return ""
    bases = [dotted(base).rpartition(".")[2] for base in node.bases]
    forward = any(isinstance(each, ast.FunctionDef) and each.name == "forward" for each in node.body)
    model = forward or any(base.endswith("Module") and "Data" not in base for base in bases)
    return node.name if model else ""


def _instances(module: ModuleType, tree: ast.Module) -> Iterator[tuple[str, Any]]:
    """Yield the models that a module makes at its top level, each once, by its last name."""
    names = dict.fromkeys(name for node in tree.body if isinstance(node, ast.Assign) for name in _targets(node))
    found = {id(value): (name, value) for name in names if _is_model(value := vars(module).get(name))}
    yield from found.values()


def _is_model(value: object) -> bool:
    return isinstance(value, torch.nn.Module) and any(True for _ in torch.nn.Module.parameters(value))


def _targets(node: ast.Assign) -> list[str]:
    return [name for target in node.targets for name in names_in(target)]


def _mentioned(tree: ast.Module, instances: list[str]) -> set[str]:
    """Return the names in the statements that make these instances."""
    assignments = (node for node in tree.body if isinstance(node, ast.Assign))
    return {name for node in assignments if {*instances}.intersection(_targets(node)) for name in names_in(node.value)}


def _handed_over(tree: ast.Module, classes: set[str]) -> set[str]:
    """Return the classes that are arguments of another class, or of a function that makes one."""
    makers = classes | _making(tree, classes)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and dotted(node.func) in makers]
    arguments = [each for call in calls for each in (*call.args, *(keyword.value for keyword in call.keywords))]
    return {name for each in arguments if not isinstance(each, ast.Call) for name in names_in(each)} & classes


def _makers(module: ModuleType, tree: ast.Module, name: str, instances: list[str]) -> list[str]:
    """Return the root models for a class: the class, or what makes an instance of it if it needs arguments."""
    value = vars(module).get(name)
    if value is None or not missing_arguments(value, {}):
        return [name]
    made = [each for each in instances if type(vars(module)[each]) is value]
    made = made or [each for node in tree.body for each in _defined(node) if _is_bound(vars(module).get(each), value)]
    if made := made or list(_factories(module, tree, {name}, ready=True)):
        return made
    if called(value, module) is not None:
        return [name]
    factories = _factories(module, tree, {name}, bundles=True)
    if made := [each for each in factories if called(vars(module)[each], module) is not None]:
        return made
    bundles = [each for each in _bundles(module, tree) if name in _names_of(tree, each)]
    return list(_factories(module, tree, {name}, ready=True, bundles=True)) or bundles or [name]


def _is_bound(maker: object, value: type) -> bool:
    """Whether a value is `functools.partial(Net, ...)` with all arguments of the class."""
    return isinstance(maker, functools.partial) and maker.func is value and not missing_arguments(maker, {})


def _bundles(module: ModuleType, tree: ast.Module) -> Iterator[str]:
    """Yield the objects and containers of a module with models, and its classes of such objects that need nothing."""
    for node in tree.body:
        for name in _targets(node) if isinstance(node, ast.Assign) else ():
            if is_bundle(vars(module).get(name)):
                yield name
        if isinstance(node, ast.ClassDef) and _keeps_model(node, tree):
            value = vars(module).get(node.name)
            made = any(type(each) is value for each in vars(module).values())
            if isinstance(value, type) and not made and not missing_arguments(value, {}):
                yield node.name


def _keeps_model(node: ast.ClassDef, tree: ast.Module) -> bool:
    """Whether a class that is no model makes one, and does nothing else that shows when it is built."""
    classes = {name for each in tree.body if (name := _would_be_model(each))}
    methods = {each.name: each for each in node.body if isinstance(each, ast.FunctionDef)}
    built: ast.ClassDef | ast.FunctionDef = methods.get("__init__", node)
    used = {each.attr for each in ast.walk(built) if isinstance(each, ast.Attribute)}
    run = [built, *(method for name, method in methods.items() if name in used)]
    makers = classes | _making(tree, classes)
    parts = (part for code in run for part in ast.walk(code) if isinstance(part, ast.expr))
    makes = any(_makes(part, makers, bool(classes)) for part in parts)
    return makes and node.name not in classes and not _does_more(built, tree)


def _does_more(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, tree: ast.Module) -> bool:
    """Whether code has other effects than to make things: it trains, downloads or writes."""
    return sign_in(ast.Module(body=node.body, type_ignores=[]), functions_of(tree)) is not None


def _names_of(tree: ast.Module, name: str) -> set[str]:
    """Return the names in the statements that define a name."""
    return {each for node in tree.body if name in _defined(node) for each in names_in(node)}


def _defined(node: ast.stmt) -> list[str]:
    return _targets(node) if isinstance(node, ast.Assign) else [getattr(node, "name", "")]


def _factories(
    module: ModuleType, tree: ast.Module, classes: set[str], *, ready: bool = False, bundles: bool = False
) -> Iterator[str]:
    """Yield the functions that return a model and that no other one calls; with `ready`, those without arguments.

    A function returns a model if it returns a call of `classes`, of a container of torch, of a network of torchvision
    or of another such function. With `bundles`, it may return the model in a bundle.
    """
    functions, makes = functions_of(tree), _making(tree, classes, bundles=bundles)
    called = {dotted(each.func) for n in makes for each in ast.walk(functions[n]) if isinstance(each, ast.Call)}
    for name in functions:
        value = vars(module).get(name)
        if name in makes and callable(value):
            free = not missing_arguments(value, {})
            if free if ready else name not in called:
                yield name


def _making(tree: ast.Module, classes: set[str], *, bundles: bool = False) -> set[str]:
    """Return the names of the functions that return a model, with `bundles` also those that return a bundle with it."""
    functions = functions_of(tree)
    makes, known = set[str](), -1
    while known < len(makes):
        known = len(makes)
        makers, within = classes | makes, tree if bundles else None
        makes |= {name for name, node in functions.items() if _returns(node, makers, bool(classes), within)}
    return makes


def _returns(function: Function, makers: set[str], own: bool, tree: ast.Module | None) -> bool:
    """Whether a function returns a model, or with the tree of its file, a bundle with one, such as a tuple."""
    made = {
        target
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        for target in _targets_of_models(node, makers, own)
    }
    returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value is not None]
    if any(_makes(value, makers, own) or dotted(_original(value)) in made for value in returned):
        return True
    if tree is None:
        return False
    parts = [part for value in returned for part in _parts(value, tree)]
    in_bundle = any(_makes(part, makers, own) or dotted(_original(part)) in made for part in parts)
    return in_bundle and not _does_more(function, tree)


def _targets_of_models(node: ast.Assign, makers: set[str], own: bool) -> list[str]:
    """Return the names that an assignment gives a model, one by one in `net, ema = Net(), Net()`."""
    if _makes(node.value, makers, own):
        return _targets(node)
    first = node.targets[0]
    if not isinstance(first, ast.Tuple) or not isinstance(node.value, ast.Tuple):
        return []
    pairs = zip(first.elts, node.value.elts, strict=False)
    return [name for target, value in pairs if _makes(value, makers, own) for name in names_in(target)]


def _parts(value: ast.expr, tree: ast.Module) -> Iterator[ast.expr]:
    """Yield the parts of a bundle: of a tuple, a list, a dict, or an object of a class of the file that is no model."""
    if isinstance(value, ast.Tuple | ast.List):
        yield from value.elts
    elif isinstance(value, ast.Dict):
        yield from value.values
    elif isinstance(value, ast.Call):
        plain = {node.name for node in tree.body if isinstance(node, ast.ClassDef) and not _would_be_model(node)}
        plain |= {name for node in tree.body if _makes_class(node) for name in _defined(node)}
        if dotted(value.func).rpartition(".")[2] in plain | {"dict", "SimpleNamespace"}:
            yield from (*value.args, *(each.value for each in value.keywords))


def _makes(value: ast.expr, makers: set[str], own: bool) -> bool:
    """Whether an expression is a call that makes a model, also if `.to(device)` follows."""
    if not isinstance(value, ast.Call):
        return False
    name = dotted(value.func)
    if name in makers:
        return True
    if isinstance(value.func, ast.Attribute) and isinstance(value.func.value, ast.Call):
        return value.func.attr in _BEHIND and _makes(value.func.value, makers, own)
    first, _, last = name.rpartition(".")
    return not own and (last == "Sequential" or first.endswith("models"))


def _makes_class(node: ast.stmt) -> bool:
    """Whether a statement is `Out = namedtuple("Out", ...)`, or makes a dataclass likewise."""
    value = node.value if isinstance(node, ast.Assign) else None
    made = dotted(value.func).rpartition(".")[2] if isinstance(value, ast.Call) else ""
    return made in ("namedtuple", "NamedTuple", "make_dataclass")


def _original(value: ast.expr) -> ast.expr:
    """Return `net` for `net.to(device).eval()`."""
    while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in _BEHIND:
        value = value.func.value
    return value


def _ordered(tree: ast.Module, names: list[str]) -> list[str]:
    order: dict[str, int] = {}
    for index, node in enumerate(tree.body):
        for name in _defined(node):
            order.setdefault(name, index)
    return sorted(dict.fromkeys(names), key=lambda name: order.get(name, -1))
