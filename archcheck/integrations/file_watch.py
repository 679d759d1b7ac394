"""Tell which files below a folder changed, by watchfiles."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

from watchfiles import Change, DefaultFilter, watch

_STEP = 20
"""Milliseconds of quiet after which changes are told together."""
_LONGEST = 200
"""Milliseconds until changes are told that go on, and between two looks at whether to end."""


@contextmanager
def changes_below(folder: Path, is_relevant: Callable[[Path], bool]) -> Iterator[SimpleQueue[frozenset[Path]]]:
    """Yield a queue of the relevant files that were changed together, from now on until the context ends.

    Folders of tools and environments, such as `.git` and `.venv`, are left out.
    """
    usual = DefaultFilter()
    changed: SimpleQueue[frozenset[Path]] = SimpleQueue()
    ended, begun = threading.Event(), threading.Event()

    def is_watched(change: Change, path: str) -> bool:
        return usual(change, path) and is_relevant(Path(path))

    def run() -> None:
        for found in watch(
            folder,
            watch_filter=is_watched,
            stop_event=ended,
            step=_STEP,
            debounce=_LONGEST,
            rust_timeout=_LONGEST,
            yield_on_timeout=True,
            raise_interrupt=False,
        ):
            begun.set()  # the first turn, at the latest by its timeout: from here on no change is missed
            if found:
                changed.put(frozenset(Path(path) for _, path in found))

    thread = threading.Thread(target=run, name="archcheck watch", daemon=True)
    thread.start()
    begun.wait(10)
    try:
        yield changed
    finally:
        ended.set()
        thread.join(5)
