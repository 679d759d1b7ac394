"""The README and the manual as a reader follows them: each fenced block in order, in a folder of the page's own.

* A block after a line that ends in a colon and names a file last, as in "Save this as `net.py`:", is that file.
* Any other block of `python` is run, and any other block of `toml` is read as a contract.
* A block of `console` holds commands behind `$ ` and what they print, on both streams. They run in the folder, or in
  the root of this repository as long as nothing on the page has been written or run.
* Blocks in `ELSEWHERE`, and those of other languages, are looked at by the tests that are named there.

`python -m tests.pages.page_blocks [PAGE ...]` writes again what the commands of pages print.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from archcheck.contract import load
from archcheck.judging.topic_pages import topics
from tests.support.cli_samples import environment

ROOT = Path(__file__).parents[2]
MANUAL = ROOT / "archcheck" / "pages"
PAGES = {"README": ROOT / "README.md"} | {topic.name: MANUAL / f"{topic.name}.md" for topic in topics()}
"""Every page with blocks, by its topic: rules have none, and neither has the list of all pages."""

_NAMES_FILE = re.compile(r"`(?P<file>[\w./-]+\.\w+)`[^`]*:$")


ELSEWHERE = {
    ("agents", "json", '{ "mcpServers"'): "../integrations/test_agent_server.py",
    ("editors", "js", "const"): "../integrations/test_language_server.py",
    ("editors", "lua", "vim"): "../integrations/test_language_server.py",
    ("README", "text", "$ archcheck report reference_models/mnist/model.py --depth 1"): "test_readme.py",
    ("README", "text", "A, 15 epochs"): "test_readme.py",
    ("README", "sh", "python3 -m venv .venv"): "test_readme.py",
    ("accuracy", "console", "$ archcheck train halves"): "../cli/test_cli_train.py",
    ("experiment-trackers", "python", "import mlflow"): "test_page_trackers.py",
    ("experiment-trackers", "python", "import torch\nimport wandb"): "test_page_trackers.py",
    ("flagship", "text", " way"): "test_readme.py",
    ("frontier", "sh", "archcheck sync"): "../reference_models/test_mnist_frontier.py",
    ("formats", "text", "$ archcheck check --format concise"): "test_page_ci.py",
    ("isolation", "sh", "docker run"): "test_readme.py",
    ("pull-requests", "yaml", "- uses: ./.github"): "test_page_ci.py",
    ("pull-requests", "yaml", "name: model check"): "../action/test_workflows.py",
    ("pull-requests", "yaml", "repos:"): "test_page_ci.py",
    ("targets", "console", "$ archcheck report bert-tiny"): "../measure/test_transformers.py",
    ("texts", "html", "<!-- archcheck: mnist -->"): "test_readme.py",
    ("texts", "html", "<!-- archcheck: small-* comparison -->"): "../rules/test_comparisons.py",
    ("texts", "markdown", "---"): "../rules/test_model_cards.py",
}
"""Page, language and beginning of each block that a test of its own looks at, and where that test is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block: the page that it stands on, its language and text, and the file that it is, if it is one."""

    page: str
    language: str
    text: str
    file: str | None = None

    def __str__(self) -> str:
        first = self.text.partition("\n")[0]
        return f"{self.page}: {self.language}: {first}"

    @property
    def elsewhere(self) -> str | None:
        """The file of the test that looks at this block, if it is not followed like the others."""
        named = (test for (page, *of), test in ELSEWHERE.items() if page == self.page and self._is(*of))
        return next(named, None)

    def _is(self, language: str, beginning: str) -> bool:
        return self.language == language and self.text.startswith(beginning)

    @property
    def commands(self) -> Iterator[tuple[str, str]]:
        """Each command of a console with what it prints."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def text_of(page: str) -> str:
    return PAGES[page].read_text(encoding="utf-8")


def blocks(language: str | None = None, page: str | None = None) -> list[Block]:
    """Return the blocks of a page, or of all, in order; of one language, or of all."""
    found = [block for name in PAGES if page in (None, name) for block in _blocks_of(name)]
    return [block for block in found if language in (None, block.language)]


def the_block(language: str, text: str) -> Block:
    """Return the only block of a language that holds a text."""
    (found,) = [block for block in blocks(language) if text in block.text]
    return found


def _blocks_of(page: str) -> Iterator[Block]:
    text = text_of(page)
    for fence in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        above = text[: fence.start()].rstrip("\n").rpartition("\n")[2]
        named = _NAMES_FILE.search(above)
        yield Block(page=page, language=fence[1], text=fence[2], file=named["file"] if named else None)


class Session:
    """Follows a page: writes its files, runs its code and its commands."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_used = False
        (folder / ".git").mkdir()  # the contract of another folder is none of this one

    def follow(self, block: Block) -> None:
        if block.elsewhere is not None:
            return
        if block.file is not None:
            self._write(block.file, block.text)
        elif block.language == "python":
            self._run([sys.executable, "-c", block.text], self._folder)
            self._is_used = True
        elif block.language == "toml":
            self._read_contract(block.text)
        elif block.language == "console":
            for command, output in block.commands:
                assert same_versions(self.output_of(command)) == same_versions(output), command
        else:
            raise AssertionError(f"nothing looks at this block: {block}")

    def output_of(self, command: str) -> str:
        """Return what a command prints in a terminal of 100 columns, whatever its exit code is."""
        return self._run(["bash", "-c", command], self._folder if self._is_used else ROOT, check=False)

    def _write(self, name: str, text: str) -> None:
        file = self._folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        self._is_used = True

    def _read_contract(self, text: str) -> None:
        own = "pyproject.toml" if "[tool.archcheck" in text else "archcheck.toml"
        folder = self._folder / ".contract"
        folder.mkdir(exist_ok=True)
        (folder / own).write_text(text, encoding="utf-8")
        assert load(folder / own).subjects
        (folder / own).unlink()

    @staticmethod
    def _run(command: list[str], folder: Path, *, check: bool = True) -> str:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        surroundings = environment(PATH=path, COLUMNS="100", NO_COLOR="1", PYTHONPATH=str(ROOT))
        done = subprocess.run(
            command,
            cwd=folder,
            env=surroundings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stdout
        return done.stdout


def same_versions(text: str) -> str:
    """Leave out the version of torch, which is that of whoever reads the page, and where its line is wrapped."""
    without = re.sub(r"torch \d[\w.+]*", "torch", text)
    return text if without == text else " ".join(without.split())


def rewritten(page: str) -> str:
    """Return a page with what its commands print today."""
    text = text_of(page)
    with tempfile.TemporaryDirectory() as folder:
        session = Session(Path(folder))
        for block in blocks(page=page):
            if block.language != "console" or block.elsewhere:
                session.follow(block)
                continue
            shown = "".join(f"$ {command}\n{session.output_of(command)}" for command, _ in block.commands)
            text = text.replace(f"```console\n{block.text}```", f"```console\n{shown}```", 1)
    return text


if __name__ == "__main__":
    for name in sys.argv[1:] or PAGES:
        before, after = text_of(name), rewritten(name)
        if same_versions(before) != same_versions(after):
            PAGES[name].write_text(after, encoding="utf-8")
            print(f"written: {PAGES[name].relative_to(ROOT)}")
