"""The garbage collector, which pauses where it would look at everything that a library has created."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pause the collection of garbage in cycles, and leave the collector as it was.

    An import creates objects that stay, and runs the collector again and again for them: a tenth of the time of
    importing torch. With torch imported, one collection takes longer than measuring most networks.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
