"""What the flagship's tests share: small parts of the real data, and its commands as a user runs them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from reference_models.mnist import data
from reference_models.mnist.data import Digits

# The first derivative of a process starts the threads of autograd, one for each device. Compilers that other tests
# import pretend to some, and a process with such threads cannot fork one that trains. So the first one is now.
torch.ones(1, requires_grad=True).sum().backward()

ROOT = Path(__file__).parents[2]

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def sets() -> tuple[Digits, Digits]:
    """300 training and 300 validation images, real ones."""
    return data.load_train(limit=300)


@pytest.fixture
def environment() -> dict[str, str]:
    """The variables of a process in which the flagship can be imported and prints at once."""
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def python(tmp_path: Path, environment: dict[str, str]) -> Command:
    """Run Python in a process of its own, in an empty folder."""

    def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
        line = [sys.executable, *map(str, arguments)]
        return subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture
def command(python: Command) -> Command:
    """Run a module of the flagship as a user does."""
    return lambda module, *arguments: python("-m", f"reference_models.mnist.{module}", *arguments)


@pytest.fixture
def refused(command: Command) -> Callable[..., str]:
    """Run a module that must fail as the house's commands fail, and return its one line."""

    def run(module: str, *arguments: object) -> str:
        done = command(module, *arguments)
        assert done.returncode == 2, done
        assert done.stdout == ""
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    return run
