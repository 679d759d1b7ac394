"""How users call the options that messages point at, and the default of a limit."""

from __future__ import annotations

IMPORT_TIMEOUT = 10.0
"""Seconds of CPU time that the subject's own code may take to import, unless a request says otherwise."""

IMPORT_TIMEOUT_WORDS = "`--import-timeout` (in a contract `import-timeout`)"
"""How users set this limit."""

META_WORDS = "`--meta` (in a contract `meta = true`)"
"""How users ask for a model without memory."""

WITH_MEMORY = f"leave {META_WORDS} out, and build it on a device with memory, such as the CPU"
"""How users ask for a model with memory. In Python a model may be on the meta device without any option."""
