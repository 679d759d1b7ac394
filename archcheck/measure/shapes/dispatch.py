"""What the modes of dispatch have in common that look at every operation."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class Dispatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A mode that torch asks what to do for every operation, and that leaves the compiler alone."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # A private hook of torch: without it the first dispatch imports the compiler (about 1.5 s).
        return False
