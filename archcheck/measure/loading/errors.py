"""One-line errors about a subject's files: what is wrong, where, and what to do next."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch

from archcheck.foundation.errors import SubjectError, described
from archcheck.measure.loading import execution, stubs
from archcheck.measure.loading.causes import cause_of
from archcheck.measure.loading.model_discovery import root_models
from archcheck.measure.loading.suggestions import suggestion
from archcheck.measure.loading.unset_names import unset_name
from archcheck.measure.subject.asked_calls import asked_by
from archcheck.measure.subject.import_guard import Refused, TooLong
from archcheck.measure.subject.source_text import place as shown_place


@contextmanager
def explained(target: str, guesses: tuple[str, ...] = ()) -> Iterator[None]:
    """Make errors of measuring `target` name the missing package, or the line that was not run.

    If the subject computed with a missing package, raise an error even if the subject went on.
    """
    try:
        yield
    except SubjectError as error:
        raise explained_error(error, target, guesses) from error
    if stubs.STUBS.needed:
        raise _needs_package(target, stubs.STUBS.needed)


def explained_error(error: SubjectError, target: str, guesses: tuple[str, ...] = ()) -> SubjectError:
    """Return an error with its possible cause: a missing package, a line that was not run, or guessed arguments."""
    if stubs.STUBS.needed:
        return _needs_package(target, stubs.STUBS.needed)
    said = [why] if (why := cause_of(error)) and why not in error.message else []
    return SubjectError(error.kind, "; ".join([error.message, *said, *guesses]))


def _needs_package(target: str, name: str) -> SubjectError:
    return SubjectError("import", f"`{target}` needs `{name}`, {stubs.install(name)}")


def missing_name_error(module: ModuleType, name: str, target: str, holder: object) -> SubjectError:
    """Return the error of a name that a module, or `holder` in it, does not have, with the reason."""
    run = execution.RUNS.get(module.__name__)
    if run is not None and name in run.broken:
        error = run.broken[name]
        if isinstance(error, stubs.MissingPackage):
            at = execution.raised_at(error)
            return SubjectError("import", f"`{target}` {error.msg}{f' (at {at})' if at else ''}")
        why = unset_name(error)
        return import_error(error, target, f"; {why}" if why else "")
    if run is not None and name in run.unset:
        return SubjectError("no-model", f"`{target}`: `{name}` is set at {run.set_at(name)}; guard what runs there")
    if run is not None and run.failure and not root_models(module):
        return import_error(run.failure, target)
    missing = f"there is no `{name}` in `{_file_name(module)}`"
    return SubjectError(
        "no-model", f"`{target}`: {'; '.join(filter(None, (missing, suggestion(holder, name, target))))}"
    )


def import_error(error: BaseException, shown: str, more: str = "") -> SubjectError:
    """Return the error for a file that cannot be imported."""
    at = place(error)
    if isinstance(error, SubjectError):  # of `from_pretrained`, which says all
        return error
    if isinstance(error, Refused):
        return SubjectError(
            "import", f"`{shown}` {error} while it is imported{at}{asked_by(error)}, which a report does not let it do"
        )
    if isinstance(error, TooLong):
        return SubjectError("import", f"`{shown}` could not be imported: {error}")
    if isinstance(error, SyntaxError):
        line = Path(error.filename or shown).name + (f":{error.lineno}" if error.lineno else "")
        return SubjectError("syntax", f"`{shown}` has a syntax error at {line}: {error.msg}")
    if isinstance(error, ModuleNotFoundError):
        missing = f"needs the module `{error.name}`{at}, which is not installed here"
        return SubjectError("import", f"`{shown}` {missing}; install it and try again")
    if isinstance(error, SystemExit):
        guard = 'guard that with `if __name__ == "__main__":`'
        return SubjectError("import", f"`{shown}` called sys.exit({error.code!r}) while it was imported{at}; {guard}")
    if isinstance(error, KeyboardInterrupt):
        return SubjectError("import", f"`{shown}` raised KeyboardInterrupt while it was imported{at}")
    return SubjectError("import", f"`{shown}` could not be imported{at}: {described(error)}{more}")


def place(error: BaseException) -> str:
    """Return ` at file.py:12`, the last line of the subject, or else of code outside of torch and archcheck."""
    own = str(Path(__file__).parents[1])
    torch_folder = str(Path(torch.__file__).parent)
    if own_place := execution.raised_at(error):
        return f" at {own_place}"
    found = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if not frame.filename.startswith(("<", own, torch_folder)) and "/importlib/" not in frame.filename:
            found = f" at {shown_place(frame.filename, frame.lineno or 1)}"
    return found


def _file_name(module: ModuleType) -> str:
    return Path(module.__file__).name if module.__file__ else module.__name__


def not_one_model_error(target: str, found: list[str], module: ModuleType) -> SubjectError:
    """Return the error for a file that defines no model, or several."""
    run = execution.RUNS.get(module.__name__)
    if not found and run is not None and run.failure is not None:
        return import_error(run.failure, target)
    needed = stubs.first_of(_file_name(module)) if not found else None
    if needed:
        name, at = needed
        return SubjectError("import", f"`{target}` needs the module `{name}` at {at}, {stubs.install(name)}")
    if not found and run is not None and run.unread:  # cells, which are left out
        return SubjectError(
            "syntax", f"`{target}` has a syntax error at {run.unread[0]}, and no other cell defines a model; mend it"
        )
    if not found:
        return SubjectError(
            "no-model",
            f"`{target}` defines no subclass of torch.nn.Module; name a file that does, or `file.py:factory`",
        )
    names = ", ".join(f"`{target}:{name}`" for name in found)
    return SubjectError("no-model", f"`{target}` defines several models; name one: {names}")


def no_model_error(value: object, target: str) -> SubjectError:
    """Return the error for what Python code gives instead of a model, such as its class."""
    if isinstance(value, type) and issubclass(value, torch.nn.Module):
        name = value.__name__
        return SubjectError("no-model", f"`{name}` is a class and not yet a model; build one: `{name}()`")
    return SubjectError("no-model", f"`{target or repr(value)}` is a {type(value).__name__}, not a torch.nn.Module")
