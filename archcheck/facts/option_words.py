"""How users call the options that messages point at, and the default of a limit."""

from __future__ import annotations

from collections.abc import Sequence

from archcheck.foundation.suffixes import is_file

IMPORT_TIMEOUT = 10.0
"""Seconds of CPU time that the subject's own code may take to import, unless a request says otherwise."""

IMPORT_TIMEOUT_WORDS = "`--import-timeout` (in a contract `import-timeout`)"
"""How users set this limit."""

META_WORDS = "`--meta` (in a contract `meta = true`)"
"""How users ask for a model without memory."""

WITH_MEMORY = f"leave {META_WORDS} out, and build it on a device with memory, such as the CPU"
"""How users ask for a model with memory. In Python a model may be on the meta device without any option."""

NOT_LOADED = "its weights are not loaded"
"""How a note tells that a network was built without memory because its weights are not at hand."""


def with_memory(target: str, notes: Sequence[str]) -> str:
    """Return how users get numbers for what was built without memory: by an option, or because it was published so."""
    if any(NOT_LOADED in note for note in notes):
        return "download its weights, so that the code of the file loads them"
    if target.startswith("transformers:") or not (":" in target or is_file(target)):
        return "a configuration has no numbers: judge a function of a file of yours that builds the model or loads it"
    return WITH_MEMORY
