"""What the tests of the faces share: a small project on disk, and archcheck as a process."""

import compileall
import contextlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_samples import CONTRACT, NETWORKS, environment, write
from tests.support.fuzzing import bounded_memory

pytest_plugins = "pytester"

# For this process and all that it starts: several processes of several threads each only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Measuring imports files of subjects. The tests see what else it writes, if Python writes no compiled code beside them.
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
sys.dont_write_bytecode = True

_numbers = itertools.count()

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_configure(config: pytest.Config) -> None:
    """Compile archcheck once: the tests start hundreds of processes, and each would do it again."""
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(Path(__file__).parents[1] / "archcheck", quiet=2)


@pytest.fixture(scope="session", autouse=True)
def _no_cache() -> Iterator[None]:
    """Keep what is measured for many tests off the user's cache and from one another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCHCHECK_CACHE_DIR", os.devnull)
        yield


@pytest.fixture(scope="session")
def _caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("caches")


@pytest.fixture(autouse=True)
def cache_folder(_caches: Path, _no_cache: None) -> Iterator[Path]:
    """A cache of its own for each test: none is answered by what another has measured."""
    with pytest.MonkeyPatch.context() as patch:
        folder = _caches / str(next(_numbers))
        patch.setenv("ARCHCHECK_CACHE_DIR", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def _memory_of_readers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Bound the memory of the tests that read what somebody damaged: a mistake there takes all that there is."""
    fuzzes = request.module.__name__.endswith(("_fuzz", "_mutated"))
    with bounded_memory() if fuzzes else contextlib.nullcontext():
        yield


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose contract has a subject for each exit code."""
    folder = tmp_path_factory.mktemp("project")
    (folder / ".git").mkdir()
    write(folder, networks_py=NETWORKS, pyproject_toml=CONTRACT)
    return folder


@pytest.fixture(scope="session")
def archcheck(project: Path) -> Run:
    """Run the command in the project; keyword arguments are environment variables."""

    def run(*arguments: str | Path, cwd: Path = project, **changes: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "archcheck", *map(str, arguments)]
        return subprocess.run(
            command, cwd=cwd, env=environment(**changes), capture_output=True, text=True, timeout=300, check=False
        )

    return run


@pytest.fixture(scope="session")
def checked(archcheck: Run, project: Path) -> "subprocess.CompletedProcess[str]":
    """One run of the gate over the whole project, saved as `saved.json` there."""
    return archcheck("check", "--format", "json", "--output", "saved.json")


@pytest.fixture(scope="session")
def saved(checked: Any, project: Path) -> dict[str, Any]:
    """The reports of that run by subject, as JSON."""
    document = json.loads((project / "saved.json").read_text())
    return {report["subject"]: report for report in document["reports"]}
