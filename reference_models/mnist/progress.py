"""Show a run: one line an epoch everywhere, and a live bar of its batches where stdout is a terminal."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from reference_models.mnist.loop import Step


class Display:
    """A context manager that prints lines, and is called with every `Step` of a run over `epochs`."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.console = Console(soft_wrap=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not sys.stdout.isatty(),
        )
        self.task = self.bar.add_task("loading", total=None)
        self.first = 0.0

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def line(self, text: str) -> None:
        """Print `text` as it is, above the bar."""
        self.console.print(text, markup=False, highlight=False)

    def __call__(self, step: Step) -> None:
        """Move the bar to `step`; after an epoch's last one print the epoch's line."""
        if step.step == 1:
            self.first = time.monotonic()
        text = self._text(step)
        self.bar.update(self.task, description=text, completed=step.step, total=step.steps)
        if step.step == step.steps:
            self.line(text)

    def _text(self, step: Step) -> str:
        """Return the running means and the rate, counted from the end of the epoch's first batch."""
        seconds = time.monotonic() - self.first
        rate = f", {(step.step - 1) / seconds:.1f} it/s" if step.step > 1 else ""
        return f"Epoch {step.epoch}/{self.epochs}: loss={step.loss:.4f}, accuracy={step.accuracy:.2%}{rate}"
