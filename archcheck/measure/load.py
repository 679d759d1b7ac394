"""Find and build the subject that a target names.

A target is `file.py`, `file.py:Name`, `package.module:Name` or `package/module.py:Name`; the name is a class, a
factory or an instance. A file inside a package is imported by its dotted name, so that relative imports work.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from archcheck.errors import SubjectError, described
from archcheck.measure.meta import needs_numbers, refused, without_memory

_FILE = re.compile(r"^(?P<file>.+\.py)(?::(?P<name>[\w.]+))?$")
_MODULE = re.compile(r"^(?P<module>[\w.]+):(?P<name>[\w.]+)$")


def load(target: str, root: str, args: Mapping[str, Any], *, meta: bool = False) -> torch.nn.Module:
    """Return the model that `target` names, built with `args` if it is a class or a factory.

    With `meta` it is built without memory; what stands in its file already built stays as it is.

    Raises:
        SubjectError: with one line that says what is missing and what to do next.
    """
    module, name = load_module(target, root)
    if name is None:
        found = roots(module)
        if len(found) != 1:
            raise _not_one(target, found)
        name = found[0]
    return build(attribute(module, name, target), target, args, meta=meta)


def find(target: str, root: str) -> list[str]:
    """Return the targets with a name that `target` stands for: every root class of a file, else itself."""
    match = _FILE.match(target)
    if match is None or match["name"]:
        return [target]
    module, _ = load_module(target, root)
    found = roots(module)
    if not found:
        raise _not_one(target, found)
    return [f"{target}:{name}" for name in found]


def load_module(target: str, root: str) -> tuple[ModuleType, str | None]:
    """Import the module of a target; return it with the name that the target gives, if any."""
    if match := _FILE.match(target):
        return _import_file(Path(root, match["file"]), match["file"], root), match["name"]
    if match := _MODULE.match(target):
        _prefer(root)
        return _import(match["module"], target), match["name"]
    if Path(root, target).exists():
        folder = f"{target.rstrip('/')}/" if Path(root, target).is_dir() else ""
        raise SubjectError("not-found", f"`{target}` is not a Python file; name one, as in `{folder}model.py:Net`")
    raise SubjectError(
        "not-found",
        f"there is no file, subject or module `{target}`; write `file.py`, `file.py:Class` or `package.module:Class`",
    )


def load_object(target: str, root: str) -> Any:
    """Return any object by target: an example function, a trainer, an evaluation."""
    module, name = load_module(target, root)
    if name is None:
        raise SubjectError("not-found", f"`{target}` names no function; write `{target}:name`")
    return attribute(module, name, target)


def attribute(module: ModuleType, name: str, target: str) -> Any:
    """Return `module.name`, dots allowed."""
    value: Any = module
    for part in name.split("."):
        if not hasattr(value, part):
            known = ", ".join(f"`{root}`" for root in roots(module)[:5])
            hint = f"; the models there: {known}" if known else ""
            raise SubjectError("no-model", f"`{target}`: there is no `{part}` in {_short(module)}{hint}")
        value = getattr(value, part)
    return value


def build(value: Any, target: str, args: Mapping[str, Any], *, meta: bool = False) -> torch.nn.Module:
    """Return the model: call a class or factory with `args`, without memory for `meta`; take an instance as it is."""
    if isinstance(value, torch.nn.Module) and not isinstance(value, type):
        return value
    if not callable(value):
        raise SubjectError(
            "no-model", f"`{target}` is a {type(value).__name__}, not a torch.nn.Module or a function that makes one"
        )
    missing = _missing_arguments(value, args)
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        example = " ".join(f"{name}=…" for name in missing)
        raise SubjectError(
            "construct", f"`{target}` needs {names} to be built; give `--args {example}` or `args` in the contract"
        )
    try:
        with without_memory() if meta else nullcontext():
            model = value(**args)
    except Exception as error:
        if meta and needs_numbers(error):
            raise refused(target, _place(error), error) from error
        raise SubjectError("construct", f"`{target}` could not be built{_place(error)}: {described(error)}") from error
    if not isinstance(model, torch.nn.Module):
        raise SubjectError("no-model", f"`{target}` made a {type(model).__name__}, not a torch.nn.Module")
    return model


def roots(module: ModuleType) -> list[str]:
    """Return the models of a module: classes it defines that no other class of it uses, in source order."""
    classes = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, torch.nn.Module) and value.__module__ == module.__name__
    }
    used = _used_names(module)
    free = [name for name in classes if not any(name in names for user, names in used.items() if user != name)]
    return free or list(classes)


def _used_names(module: ModuleType) -> dict[str, set[str]]:
    """Return for each class of the module the names that its body and its bases mention."""
    try:
        tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return {}
    return {
        node.name: {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


def _missing_arguments(value: Any, args: Mapping[str, Any]) -> list[str]:
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return []
    return [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY, parameter.POSITIONAL_ONLY)
        and parameter.name not in args
    ]


def _import_file(path: Path, shown: str, root: str) -> ModuleType:
    if not path.is_file():
        raise SubjectError("not-found", f"there is no file `{shown}`; is the path relative to {root}?")
    package_root, name = _dotted(path.resolve())
    _prefer(root)
    if package_root != path.resolve().parent:
        _prefer(str(package_root))
        return _import(name, shown)
    return _import_alone(path.resolve(), shown)


def _dotted(path: Path) -> tuple[Path, str]:
    """Return the folder to import from and the dotted name, walking up through `__init__.py`."""
    parts, folder = [path.stem], path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(parts)


def _import_alone(path: Path, shown: str) -> ModuleType:
    """Import a file that is in no package, under a name of its own: `model.py` may exist in many folders."""
    name = f"archcheck_subject_{path.stem}_{abs(hash(str(path))):x}"
    if name in sys.modules:
        return sys.modules[name]
    _prefer(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        raise _import_error(error, shown) from error
    return module


def _import(name: str, shown: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except BaseException as error:
        raise _import_error(error, shown) from error


def _import_error(error: BaseException, shown: str) -> SubjectError:
    at = _place(error)
    if isinstance(error, SyntaxError):
        line = f"{Path(error.filename or shown).name}:{error.lineno}"
        return SubjectError("syntax", f"`{shown}` has a syntax error at {line}: {error.msg}")
    if isinstance(error, ModuleNotFoundError):
        missing = f"needs the module `{error.name}`{at}, which is not installed here"
        return SubjectError("import", f"`{shown}` {missing}; install it and try again")
    if isinstance(error, SystemExit):
        guard = 'guard that with `if __name__ == "__main__":`'
        return SubjectError("import", f"`{shown}` called sys.exit({error.code!r}) while it was imported{at}; {guard}")
    if isinstance(error, KeyboardInterrupt):
        return SubjectError("import", f"`{shown}` raised KeyboardInterrupt while it was imported{at}")
    return SubjectError("import", f"`{shown}` could not be imported{at}: {described(error)}")


def _place(error: BaseException) -> str:
    """Return ` at file.py:12`, the last line outside of Python's own import machinery, torch and archcheck."""
    own = str(Path(__file__).parent)
    torch_folder = str(Path(torch.__file__).parent)
    place = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if not frame.filename.startswith(("<", own, torch_folder)) and "/importlib/" not in frame.filename:
            place = f" at {Path(frame.filename).name}:{frame.lineno}"
    return place


def _prefer(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _short(module: ModuleType) -> str:
    return f"`{Path(module.__file__).name}`" if module.__file__ else f"`{module.__name__}`"


def _not_one(target: str, found: list[str]) -> SubjectError:
    if not found:
        return SubjectError(
            "no-model",
            f"`{target}` defines no subclass of torch.nn.Module; name a file that does, or `file.py:factory`",
        )
    names = ", ".join(f"`{target}:{name}`" for name in found)
    return SubjectError("no-model", f"`{target}` defines several models; name one: {names}")
