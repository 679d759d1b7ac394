"""Memory that a step frees and the next one asks for again."""

import contextlib
import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of glibc's malloc.h: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
_KEPT = 1 << 30
_LARGEST = 32 << 20  # of a block from the heap; glibc takes no more


def keep_freed() -> None:
    """Let this process keep up to a GiB that it has freed, where the C library is glibc; else do nothing.

    It holds for all of the process, and for good. glibc gives large blocks back at once, and the system fills each
    of their pages with zeros when they are needed again a step later, which can take a tenth of the step.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, _KEPT)
