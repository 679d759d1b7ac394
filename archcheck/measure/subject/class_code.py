"""Read the compiled code of classes: where a class begins, and on which lines its methods set an attribute.

Compiled code is at hand and keeps its lines. Reading it takes a hundredth of the time of parsing the source, which for
a layer of a large package is a file of thousands of lines for each of its base classes.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator
from functools import cache
from types import CodeType, FunctionType
from typing import Any

SETTERS = frozenset({"add_module", "register_module", "setattr", "__setattr__"})
"""Functions that set the attribute that they are given the name of."""
_STORE = dis.opmap["STORE_ATTR"]
_LOADS = ("LOAD_METHOD", "LOAD_ATTR", "LOAD_GLOBAL", "LOAD_SUPER_ATTR")
"""What loads one of those; newer Pythons have an instruction for `super().name`."""


def first_line(cls: type) -> int | None:
    """Return the line of the class statement, or of its first decorator; `None` if no code tells.

    Python 3.13 and newer note it in the class. Before, it is the line of the class body in the code of its module.
    """
    noted = vars(cls).get("__firstlineno__")
    if isinstance(noted, int):
        return noted
    bodies = _bodies(cls.__module__).get(cls.__qualname__, ())
    if len(bodies) > 1:  # such as one in each branch of an `if`
        own = {code.co_firstlineno for code in method_codes(cls)}
        bodies = tuple(body for body in bodies if own & {each.co_firstlineno for each in _nested(body)})
    return bodies[0].co_firstlineno if len(bodies) == 1 else None


_known: dict[str, tuple[Any, dict[str, tuple[CodeType, ...]]]] = {}
"""Module -> its specification, which is another one when it is imported again, and what `_bodies` returns."""


def _bodies(module: str) -> dict[str, tuple[CodeType, ...]]:
    """Return the code that a module compiled to by qualified name, which for a class is that of its body."""
    spec = getattr(sys.modules.get(module), "__spec__", None)
    if module not in _known or _known[module][0] is not spec:
        _known[module] = spec, _compiled(module, spec)
    return _known[module][1]


def _compiled(module: str, spec: Any) -> dict[str, tuple[CodeType, ...]]:
    try:
        code = spec.loader.get_code(module)
    except Exception:  # a loader may raise anything, and there are many
        return {}
    found: dict[str, tuple[CodeType, ...]] = {}
    for each in _nested(code) if isinstance(code, CodeType) else ():
        found[each.co_qualname] = (*found.get(each.co_qualname, ()), each)
    return found


def _nested(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of all functions and classes within `code`."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _nested(constant)


@cache
def method_codes(cls: type) -> tuple[CodeType, ...]:
    """Return the code of the methods that a class defines itself, without what decorators put around them."""
    found: dict[CodeType, None] = {}
    for value in vars(cls).values():
        for function in _functions(value, f"{cls.__qualname__}."):
            found[function.__code__] = None
    return tuple(found)


def _functions(value: Any, prefix: str) -> Iterator[FunctionType]:
    """Yield the functions behind an attribute of a class; those in closures if their names say that they are its."""
    if isinstance(value, property):
        parts: tuple[Any, ...] = (value.fget, value.fset)
    elif isinstance(value, staticmethod | classmethod):
        parts = (value.__func__,)
    else:
        parts = (value,)
    for part in parts:
        inner = part
        while isinstance(inner, FunctionType):
            yield inner
            kept = [cell.cell_contents for cell in inner.__closure__ or () if _is_filled(cell)]
            own = [each for each in kept if isinstance(each, FunctionType) and each.__qualname__.startswith(prefix)]
            inner = vars(inner).get("__wrapped__") or (own[0] if own and own[0] is not inner else None)


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


@cache
def span(code: CodeType) -> tuple[int, int]:
    """Return the first line of a function, or of its first decorator, and its last line."""
    ends = [end for each in (code, *_nested(code)) for _, end, _, _ in each.co_positions() if end is not None]
    return code.co_firstlineno, max(ends, default=code.co_firstlineno)


@cache
def methods_by_name(cls: type) -> dict[str, tuple[CodeType, ...]]:
    """Return name -> the methods of a class that have it as an attribute or a text: few of many need reading."""
    found: dict[str, list[CodeType]] = {}
    for code in method_codes(cls):
        names = {each for part in (code, *_nested(code)) for each in (*part.co_names, *part.co_consts)}
        for name in names:
            if isinstance(name, str):
                found.setdefault(name, []).append(code)
    return {name: tuple(codes) for name, codes in found.items()}


@cache
def attribute_lines(code: CodeType) -> dict[str, tuple[int, ...]]:
    """Return name -> lines of `self.name = ...`, `self.add_module("name", ...)` or `setattr(self, "name", ...)`.

    `self` is what the method calls its first argument. Functions in the method are read, too.
    """
    if not code.co_argcount:
        return {}
    this, found = code.co_varnames[0], dict[str, tuple[int, ...]]()
    for each in (code, *_nested(code)):
        for name, line in _set_in(each, this):
            found[name] = (*found.get(name, ()), line)
    return found


def _set_in(code: CodeType, this: str) -> Iterator[tuple[str, int]]:
    """Yield the attributes of the variable `this` that code sets, and those that it adds as modules."""
    adds = not SETTERS.isdisjoint(code.co_names)
    if not adds and _STORE not in code.co_code[::2]:
        return
    adding: int | None = None
    setter = ""
    added: str | None = None
    before: dis.Instruction | None = None
    for step in dis.get_instructions(code):
        line = step.positions.lineno if step.positions else None
        if step.opname == "STORE_ATTR" and before is not None and _loads(before, this) and line is not None:
            yield step.argval, line
        elif adds and step.opname in _LOADS and step.argval in SETTERS:
            adding, added, setter = line, None, step.argval
        elif adding is not None and added is None and step.opname == "LOAD_CONST" and isinstance(step.argval, str):
            added = step.argval
            if setter == "setattr" and not (before and _loads(before, this)):  # it sets that of another object
                adding = None
        elif step.opname == "BUILD_STRING":  # the constant was a part of a name that is put together
            adding = None
        elif adding is not None and added is not None and step.opname.startswith("CALL"):
            yield added, adding
            adding = None
        before = step


def _loads(step: dis.Instruction, name: str) -> bool:
    """Whether an instruction loads the variable `name` last; newer Pythons load two variables by one instruction."""
    if not step.opname.startswith(("LOAD_FAST", "LOAD_DEREF", "LOAD_CLASSDEREF")):
        return False
    loaded = step.argval
    return bool((loaded[-1] if isinstance(loaded, tuple) else loaded) == name)
