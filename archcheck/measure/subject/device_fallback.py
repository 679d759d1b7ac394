"""Run code that asks for a GPU on a machine without one: what it moves there stays on the CPU.

Code runs as it is first. If it fails, and the error speaks of a device, it runs once more with absent devices replaced
(see `absent_devices`). So nothing is replaced where a GPU is there, where code handles its absence, or where no code
asks for one. An error that has another cause stays as it was. Afterwards torch is as before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch

from archcheck.foundation.errors import described
from archcheck.measure.subject.absent_devices import ACCELERATORS, Move, on_cpu
from archcheck.measure.subject.source_text import place

Result = TypeVar("Result")

_SPOKEN_OF = re.compile(rf"(?<![a-z])(?:{'|'.join(ACCELERATORS)})|gpu|nvidia|device|accelerator", re.IGNORECASE)
"""What every error of torch about an absent device speaks of."""


def run_without_devices(
    run: Callable[[], Result],
    *,
    before_again: Callable[[], object] = lambda: None,
    problems: Callable[[Result], Iterable[str]] = lambda result: (),
) -> tuple[Result, tuple[Move, ...]]:
    """Return the result of `run`, and the places that ask for absent devices.

    If `run` fails for an absent device, or has `problems` that speak of one, it runs again with the devices replaced.
    `before_again` undoes what it has done by then.
    """
    failure: Exception | None = None
    numbers = torch.get_rng_state()
    try:
        result = run()
        if not any(map(_SPOKEN_OF.search, problems(result))):
            return result, ()
    except Exception as error:
        if not speaks_of_device(error):
            raise
        failure = error
    before_again()
    torch.set_rng_state(numbers)
    moves: dict[Move, None] = {}
    try:
        with on_cpu(moves):
            again = run()
    except Exception:
        if failure is None:
            return result, ()
        if moves:  # the device was not what it failed for in the end
            raise
    else:
        if moves:
            return again, tuple(moves)
        if failure is None:
            return result, ()
    raise failure


def speaks_of_device(error: BaseException | None) -> bool:
    """Whether an error or one of its causes speaks of a device."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        if _SPOKEN_OF.search(described(error)):  # the text of a subject's own error may raise one itself
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def note_on(moves: Iterable[Move]) -> str | None:
    """Return the report's note about the places that ask for absent devices, `None` if there are none."""
    shown = dict.fromkeys(moves)
    if not shown:
        return None
    devices = ", ".join(dict.fromkeys(f"`{move.device}`" for move in shown))
    files: dict[str, list[int]] = {}
    for move in shown:
        if move.where is not None:
            files.setdefault(move.where.file, []).append(move.where.line)
    at = ", ".join(place(file, *sorted(set(lines))) for file, lines in files.items())
    return f"no {devices} here: what is moved there stays on the CPU{f' ({at})' if at else ''}"
