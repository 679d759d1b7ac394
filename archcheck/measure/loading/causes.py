"""Tell what an error of the subject is due to where neither its input nor its arguments are to blame.

This is a package, a file, a device or the network that is not here, or a name that was not set.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.util import find_spec
from traceback import walk_tb

from archcheck.foundation.errors import described
from archcheck.measure.loading.stubs import install
from archcheck.measure.loading.unset_names import unset_name
from archcheck.measure.subject.absent_devices import has_accelerator
from archcheck.measure.subject.device_fallback import speaks_of_device
from archcheck.measure.subject.ownership import is_own
from archcheck.measure.subject.source_text import parse

_NETWORK = re.compile(r"internet|urlopen|getaddrinfo|name resolution|HTTP Error|max retries|connection", re.IGNORECASE)
_UNWRITTEN = 'is missing the required "forward" function'
"""What torch says of a model without a `forward`."""
_NO_GRADIENT = "does not require grad and does not have a grad_fn"
_DRIVER = re.compile(r"\bdriver|\bCPU\b")


def cause_of(error: BaseException) -> str | None:
    """Return what an error is due to, and what to do, if this is no matter of the input or the arguments."""
    if (why := unset_name(error)) is not None:
        return why
    for each in _chain(error):
        if isinstance(each, ModuleNotFoundError) and each.name:
            return f"it needs `{each.name}`, {install(each.name)}"
        if (absent := _absent_package(each)) is not None:
            return f"`{absent[0]}` is None without `{absent[1]}`, {install(absent[1])}"
        if _is_of_network(each):
            return "it asks for a download, which is not here; let the model be built and run without it"
        if isinstance(each, FileNotFoundError):
            return "the file is not here; put it where the code reads it, or let the model do without it"
    if _is_of_backward(error):
        return "it is measured without gradients; let it return the loss, and leave `backward` to the trainer"
    if _is_of_device(error):
        return "this machine lacks the device or the driver that it needs; let the model run on the CPU"
    return None


def is_due_to_input(error: BaseException) -> bool:
    """Whether another input may mend an error."""
    if isinstance(error, ImportError | OSError) or _UNWRITTEN in described(error):
        return False
    unset = isinstance(error, NameError) and not isinstance(error, UnboundLocalError)
    return not unset and cause_of(error) is None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen = set[int]()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__


def _is_of_network(error: BaseException) -> bool:
    return isinstance(error, OSError | RuntimeError) and (
        isinstance(error, ConnectionError | TimeoutError) or bool(_NETWORK.search(described(error)))
    )


def _is_of_device(error: BaseException) -> bool:
    if has_accelerator() or not isinstance(error, RuntimeError | AssertionError):
        return False  # a `NotImplementedError` is a `RuntimeError`; a `ValueError` is about the input
    return speaks_of_device(error) or bool(_DRIVER.search(described(error)))


def _is_of_backward(error: BaseException) -> bool:
    """Whether the code of the subject itself runs a backward pass, such as a training step that optimises by hand."""
    return _NO_GRADIENT in described(error) and any(
        frame.f_code.co_name == "backward" and not is_own(frame.f_code.co_filename)
        for frame, _ in walk_tb(error.__traceback__)
    )


def _absent_package(error: BaseException) -> tuple[str, str] | None:
    """Return a name that is `None` because an import failed, and the package, if an error comes from its use."""
    if not isinstance(error, TypeError | AttributeError) or "NoneType" not in described(error):
        return None
    places = [(frame, line) for frame, line in walk_tb(error.__traceback__) if is_own(frame.f_code.co_filename)]
    if not places:
        return None
    frame, line = places[-1]
    tree = parse(frame.f_code.co_filename)
    if tree is None:
        return None
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node.lineno == line}
    for name, package in _optional(tree):
        if name in used and frame.f_globals.get(name, ...) is None and not _is_installed(package):
            return name, package
    return None


def _optional(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the names that a file sets to `None` where an import fails, each with the package."""
    for node in (each for each in tree.body if isinstance(each, ast.Try)):
        imported = [each.module for each in node.body if isinstance(each, ast.ImportFrom) and each.module]
        imported += [name.name for each in node.body if isinstance(each, ast.Import) for name in each.names]
        for each in (inner for handler in node.handlers for inner in handler.body if isinstance(inner, ast.Assign)):
            if isinstance(each.value, ast.Constant) and each.value.value is None:
                yield from (
                    (t.id, imported[0].partition(".")[0]) for t in each.targets if isinstance(t, ast.Name) and imported
                )


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False
