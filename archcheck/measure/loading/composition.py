"""Tell which definitions of a file are parts of others: a class builds its parts itself, or a function does it for it.

To name a class is not to build it: `super(Net, self)`, `isinstance(m, Net)`, `Net.forward(self, x)`, an annotation and
a comparison make no part.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property

from archcheck.measure.loading.import_side_effects import Function, dotted, is_main_guard, names_in

_ONLY_NAMES = {"super": 0, "isinstance": 1, "issubclass": 1, "hasattr": 0, "getattr": 0, "cast": 0, "typing.cast": 0}
"""Functions that only look at a class -> the place of that argument."""
_BLOCKS = (ast.If, ast.Try, ast.For, ast.While, ast.With)


class Composition:
    """The definitions of a file, each with those that it builds or passes on."""

    def __init__(self, tree: ast.Module, models: Collection[str] = ()) -> None:
        """Read a file. `models` are the classes that are models: an attribute of one is no part."""
        self._statements = list(_statements(tree.body))
        self._models = {*models}
        self._classes = {node.name: node for node in self._statements if isinstance(node, ast.ClassDef)}
        self._guards = [node for node in tree.body if is_main_guard(node)]

    def parts(self) -> set[str]:
        """Return the models that another model builds, is handed, or extends.

        A class that the program of the file builds itself is no part of the classes that extend it.
        """
        bases = {name for each in self._models & {*self._classes} for name in self._bases(self._classes[each])}
        built = {each for name in self._models for each in self._within(name) if each != name}
        return (built | (bases - self._named_by_program)) & self._models

    @cached_property
    def reached(self) -> Mapping[str, set[str]]:
        """The definitions that each definition uses, also through others."""
        direct = {name: {*used} - {name} for name, used in self._direct.items()}
        for name, node in self._classes.items():
            direct.setdefault(name, set()).update({*self._bases(node)} & {*direct})
        known = -1
        while known < (now := sum(map(len, direct.values()))):
            known = now
            direct = {
                name: used.union(*(direct.get(each, ()) for each in used)) - {name} for name, used in direct.items()
            }
        return direct

    def named_in(self, node: ast.AST) -> set[str]:
        """Return the definitions that a piece of code builds or passes on, itself."""
        return {*self._named(node, frozenset())} & {*self._defined}

    def _within(self, model: str) -> set[str]:
        """Return the models that a model builds, itself or through definitions that are no models."""
        found, pending = set[str](), [*self._direct.get(model, ())]
        while pending:
            name = pending.pop()
            if name not in found:
                found.add(name)
                pending += () if name in self._models else self._direct.get(name, ())
        return found

    @cached_property
    def _named_by_program(self) -> set[str]:
        named = {name for guard in self._guards for name in self.named_in(guard)}
        called = [node for node in self._statements if isinstance(node, Function) and node.name in named]
        return named | {name for node in called for name in self.named_in(node)}

    @cached_property
    def _defined(self) -> set[str]:
        return {name for node in self._statements for name in defined(node)}

    @cached_property
    def _direct(self) -> Mapping[str, set[str]]:
        direct: dict[str, set[str]] = {name: set() for name in self._defined}
        for node in self._statements:
            if isinstance(node, ast.ClassDef | Function):
                direct[node.name] |= self.named_in(node)
                for decorator in node.decorator_list:
                    self._register(decorator, {node.name}, direct)
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for name in _assigned(node):
                    direct.setdefault(name, set()).update(self.named_in(node.value))
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                arguments = [*node.value.args, *(each.value for each in node.value.keywords)]
                self._register(node.value.func, {name for each in arguments for name in self.named_in(each)}, direct)
        return direct

    def _register(self, callee: ast.expr, given: set[str], direct: dict[str, set[str]]) -> None:
        """Count what is given to `REGISTRY.register`, or to a function that keeps it in `REGISTRY`, as of that."""
        functions = {node.name: node for node in self._statements if isinstance(node, Function)}
        for name in names_in(callee):
            holders = names_in(functions[name]) if name in functions else [name]
            for holder in {*holders} & {*direct} - {*functions} - self._models:
                direct[holder] |= given

    def _bases(self, node: ast.ClassDef) -> Iterator[str]:
        return (name for base in node.bases for name in names_in(base) if name != node.name)

    @cached_property
    def _instances(self) -> set[str]:
        """The variables that hold an object of a model class."""
        assigned = [node for node in self._statements if isinstance(node, ast.Assign)]
        made = [(node, node.value.func) for node in assigned if isinstance(node.value, ast.Call)]
        return {name for node, callee in made if dotted(callee) in self._models for name in defined(node)}

    @cached_property
    def _makers(self) -> set[tuple[str, str]]:
        """The class methods and static methods of the classes, which may make an object."""
        return {
            (name, each.name)
            for name, node in self._classes.items()
            for each in node.body
            if isinstance(each, Function)
            and any(dotted(one) in ("classmethod", "staticmethod") for one in each.decorator_list)
        }

    def _named(self, node: ast.AST, hidden: frozenset[str]) -> Iterator[str]:
        """Yield the names in a piece of code that may become a part; `hidden` are local names."""
        if isinstance(node, ast.Name):
            yield from () if node.id in hidden or not isinstance(node.ctx, ast.Load) else (node.id,)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            of = node.value.id
            only_read = of in self._models | self._instances and (of, node.attr) not in self._makers
            yield from () if only_read else self._named(node.value, hidden)
        elif isinstance(node, ast.Compare):
            for each in (node.left, *node.comparators):
                yield from () if isinstance(each, ast.Name | ast.Tuple | ast.List) else self._named(each, hidden)
        elif isinstance(node, ast.ClassDef):
            for statement in node.body:
                leaves = isinstance(statement, Function) and not _is_called(statement.name, node)
                code = _without_returned(statement) if isinstance(statement, Function) and leaves else statement
                yield from self._named(code, hidden)
        else:
            if isinstance(node, Function):
                hidden = hidden | _locals(node)
            for child in _children(node):
                yield from self._named(child, hidden)


def defined(node: ast.stmt) -> list[str]:
    """Return the names that a statement defines: of a class, a function, or the targets of an assignment."""
    if isinstance(node, ast.Assign):
        return [name for target in node.targets for name in names_in(target)]
    if isinstance(node, ast.AnnAssign):
        return names_in(node.target)
    return [node.name] if isinstance(node, ast.ClassDef | Function) else []


def _assigned(node: ast.Assign | ast.AnnAssign) -> list[str]:
    """Return what an assignment changes: `BLOCKS` in `BLOCKS["a"] = A`."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [
        name for target in targets for name in names_in(target.value if isinstance(target, ast.Subscript) else target)
    ]


def _statements(body: Collection[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a file, also those within others, without the code under `__main__`."""
    for node in body:
        if is_main_guard(node):
            continue
        yield node
        if isinstance(node, _BLOCKS):
            blocks = [getattr(node, name, []) for name in ("body", "orelse", "finalbody")]
            blocks += [handler.body for handler in getattr(node, "handlers", ())]
            for block in blocks:
                yield from _statements(block)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a piece of code that may build something: no annotation, but that of a constructor."""
    if isinstance(node, Function):
        given = node.args
        named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
        yield from (each for each in (*given.defaults, *given.kw_defaults, *node.decorator_list) if each is not None)
        if node.name == "__init__":
            yield from (each.annotation for each in named if each.annotation is not None)
        yield from node.body
    elif isinstance(node, ast.AnnAssign):
        yield from () if node.value is None else (node.value,)
    elif isinstance(node, ast.Call) and dotted(node.func) in _ONLY_NAMES:
        looked_at = _ONLY_NAMES[dotted(node.func)]
        yield from (each for index, each in enumerate(node.args) if index != looked_at)
    else:
        yield from ast.iter_child_nodes(node)


def _locals(function: Function) -> frozenset[str]:
    """Return the names that a function takes or sets."""
    declared = {name for each in ast.walk(function) if isinstance(each, ast.Global) for name in each.names}
    stored = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return frozenset((stored | {each.arg for each in ast.walk(function) if isinstance(each, ast.arg)}) - declared)


def _is_called(method: str, node: ast.ClassDef) -> bool:
    """Whether a class, or torch for it, calls one of its methods."""
    if method == "forward" or method.startswith("__"):
        return True
    return any(isinstance(each, ast.Attribute) and each.attr == method for each in ast.walk(node))


def _without_returned(function: Function) -> ast.Module:
    """Return the statements of a function without those that only make what it returns to code outside of its class."""
    returned = {
        name
        for each in ast.walk(function)
        if isinstance(each, ast.Return) and each.value
        for name in names_in(each.value)
    }
    plain = [node for node in function.body if not isinstance(node, ast.Return) and not _only_makes(node, returned)]
    return ast.Module(body=plain, type_ignores=[])


def _only_makes(node: ast.stmt, names: Collection[str]) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return bool(targets) and all(isinstance(each, ast.Name) and each.id in names for each in targets)
