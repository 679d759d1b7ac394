"""The garbage collector, which pauses or runs rarely where it would look at what stays anyway."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_MANY = 50_000
"""More than a command makes until it has read its contract, and few megabytes if all of them are garbage."""


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


@contextmanager
def collection_rare() -> Iterator[None]:
    """Collect garbage in cycles only once for each `_MANY` new objects, and leave the collector as it was.

    A command imports some hundred modules, whose objects stay, and may then wait for hours.
    """
    thresholds = gc.get_threshold()
    if thresholds[0]:  # 0 is never
        gc.set_threshold(max(_MANY, thresholds[0]), *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
