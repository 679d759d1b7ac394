"""Apply a fix text to the broken project that it is said of, and judge the project again."""

from __future__ import annotations

import bz2
import importlib.util
import itertools
import linecache
import re
import shlex
import sys
import textwrap
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

from archcheck.cli import main
from archcheck.contract import load
from archcheck.judging.engine import check_subject
from archcheck.judging.in_process import check_by_contract
from archcheck.rules.findings import Outcome
from archcheck.workers.worker_process import Worker

HEAD = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\ntorch.manual_seed(0)\n\n\n"
PASSES = ("kept", "waived")
_numbers = itertools.count()

Change = tuple[str, str]
"""What stands in exactly one place of the project, and what the fix puts there; a new file if the first is `+NAME`."""


@dataclass(frozen=True)
class Installed:
    """A module that a reader installs, after its project lacked it; a package that is nowhere gets a stand-in."""

    name: str


@dataclass(frozen=True)
class Remove:
    """A file that a reader moves away, if it is there."""

    name: str


Step = Change | Installed | Remove | str
"""What a reader does: a change, an installation, a file moved away, or a command line."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A broken project, what its finding says to do, and what a reader does who follows it.

    `rule` are the lines below `[subjects.net.rules]`; the first one is judged. `fix` is the whole text. `edits` are
    what parts of it ask for, each on its own: `build it without padding`, or each side of an `or`. `subject` are
    further lines of the subject. `files` are files of the project, as texts or as functions that write them. `lacks`
    are modules that are not installed, and `before` is done before the project is judged. With `process`, a worker
    measures the project, as it does for the command line.
    """

    rule: str
    fix: str
    edits: Mapping[str, Step | list[Step]]
    model: str = "nn.Linear(3, 4)"
    input: str | None = "[1, 3]"
    subject: str = ""
    files: Mapping[str, str | Callable[[Path], None]] = field(default_factory=dict)
    process: bool = False
    lacks: tuple[str, ...] = ()
    before: Sequence[Step] = ()
    target: str = "model.py:Net"

    @property
    def name(self) -> str:
        """The rule that is judged."""
        return re.split(r"[ =\n]", self.rule.strip(), maxsplit=1)[0]

    def write(self, folder: Path) -> None:
        """Write the broken project."""
        folder.mkdir()
        given = f"input = {self.input}\n" if self.input else ""
        contract = f'[subjects.net]\nmodel = "{self.target}"\n{given}{self.subject.lstrip()}\n'
        at = contract.find("[[subjects")
        rules = f"[subjects.net.rules]\n{self.rule.strip()}\n"
        contract = f"{contract}{rules}" if at < 0 else f"{contract[:at]}{rules}\n{contract[at:]}"
        for name, content in {"archcheck.toml": contract, "model.py": source(self.model), **self.files}.items():
            if callable(content):
                content(folder / name)
            else:
                (folder / name).write_text(content, encoding="utf-8")


def forward(code: str, built: str = "") -> str:
    """Return the methods of a model whose forward pass gives `code`. `built` are lines of its constructor."""
    layers = f"\n    {built}" if built else ""
    return f"def __init__(self):\n    super().__init__(){layers}\n\ndef forward(self, x):\n    return {code}\n"


def called(code: str, layer: str = "nn.Linear(3, 4)") -> str:
    """Return the methods of a model with one `layer`, whose forward pass gives `code`."""
    return f"""
    def __init__(self):
        super().__init__()
        self.layer = {layer}

    def forward(self, x):
        return {code}
    """


def source(model: str) -> str:
    """Return a file with the class or function `Net`, of an expression or of the methods of a model."""
    model = textwrap.dedent(model).strip("\n")
    if re.match(r"(def|class|@|import|from) ?", model) is None:
        return f"{HEAD}def Net():\n    return {model}\n"
    if model.startswith(("def __init__", "def forward")):
        return f"{HEAD}class Net(nn.Module):\n{textwrap.indent(model, '    ')}\n"
    return f"{HEAD}{model}\n"


def commands(edit: Step | list[Step]) -> list[str]:
    """Return the command lines of an edit."""
    return [step for step in (edit if isinstance(edit, list) else [edit]) if isinstance(step, str)]


def apply(edit: Step | Sequence[Step], folder: Path) -> None:
    """Change the project as a reader of the fix does."""
    for step in edit if isinstance(edit, list) else [edit]:
        if isinstance(step, str):
            with chdir(folder):
                assert main(shlex.split(step)[1:]) == 0, step
        elif isinstance(step, Installed):
            sys.modules[step.name] = _STORED.get(step.name) or _standing_in(step.name)
        elif isinstance(step, Remove):
            (folder / step.name).unlink(missing_ok=True)
        else:
            _change(*step, folder)


def _change(old: str, new: str, folder: Path) -> None:
    if old.startswith("+"):
        (folder / old[1:]).write_text(new, encoding="utf-8")
        return
    texts = {file: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    found = {file: text.count(old.encode()) for file, text in texts.items() if old.encode() in text}
    assert list(found.values()) == [1], f"{old!r} stands {found or 'nowhere'}"
    (file,) = found
    file.write_bytes(texts[file].replace(old.encode(), new.encode()))


_STORED = {"bz2": bz2}


def _standing_in(name: str) -> ModuleType:
    """Return a module with the one class that is used of a package."""
    module = ModuleType(name)
    module.ZstdCompressor = lambda level: SimpleNamespace(compressobj=lambda: zlib.compressobj(level % 10))  # type: ignore[attr-defined]
    return module


def judged(case: Case, folder: Path, worker: Callable[[], Worker]) -> list[Outcome]:
    """Judge the project, and return the outcomes of the rule."""
    with chdir(folder):
        contract = load(folder / "archcheck.toml")
        (entry,) = contract.subjects
        torch.manual_seed(0)
        if case.process:
            report = check_subject(worker(), contract, entry)
            assert report.error is None, report.error
        else:
            report = check_by_contract(_built(folder / "model.py"), contract, entry)
    return [outcome for outcome in report.outcomes if outcome.rule == case.name]


def _built(file: Path) -> Any:
    name = f"model_{next(_numbers)}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    linecache.checkcache()
    try:
        spec.loader.exec_module(module)
        return module.Net()
    finally:
        del sys.modules[name]


def unexplained(fix: str, parts: list[str]) -> str:
    """Return what is left of a fix without the parts that were applied, and without `or`, `and` and punctuation."""
    for part in sorted(parts, key=len, reverse=True):
        fix = fix.replace(part, " | ")
    return re.sub(r"\b(or|and)\b|[\s,;:|]", "", fix)
