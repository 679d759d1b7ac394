import os
import platform
from types import SimpleNamespace

import pytest

from reference_models.mnist import loop, memory, recipes
from reference_models.mnist.model import Net

STEPS = """
import resource
import torch
from reference_models.mnist.memory import keep_freed
torch.set_num_threads(1)
keep_freed()
def step():
    blocks = [torch.ones(1 << 20) for _ in range(8)]  # 4 MiB each: 1,024 pages
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_freed_blocks_are_not_given_back(python):
    page = os.sysconf("SC_PAGE_SIZE")
    asked = 10 * 8 * 4 * 2**20 // page
    done = python("-c", STEPS)
    assert int(done.stdout) < asked / 100, done


def test_the_c_library_is_told_both_limits(monkeypatch):
    told = []
    library = SimpleNamespace(mallopt=lambda *option: told.append(option))
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: library)
    memory.keep_freed()
    assert told == [(-3, 32 * 2**20), (-1, 2**30)]  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of malloc.h


def test_a_c_library_without_the_function_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: SimpleNamespace())
    memory.keep_freed()


def test_who_imports_the_network_imports_nothing_that_tells_the_c_library(python):
    line = (
        "import sys, reference_models.mnist.model; print([n for n in sys.modules if n.startswith('reference_models')])"
    )
    packages = ["reference_models", "reference_models.mnist"]
    assert python("-c", line).stdout == f"{[*packages, 'reference_models.mnist.model']}\n"


IMPORTS = """
import ctypes
import sys
import torch
ctypes.CDLL = lambda name: sys.exit("told")
import reference_models.mnist.train
from reference_models.mnist.memory import keep_freed
print("imported")
keep_freed()
"""


def test_importing_the_trainer_tells_it_nothing_either(python):
    done = python("-c", IMPORTS)
    assert (done.stdout, done.stderr) == ("imported\n", "told\n")


def test_a_training_keeps_what_it_frees(sets, monkeypatch):
    told = []
    monkeypatch.setattr(loop, "keep_freed", lambda: told.append(True))
    loop.Training(Net(), recipes.A, 0, *sets)
    assert told == [True]


@pytest.mark.parametrize("error", [AttributeError, OSError, TypeError])
def test_another_c_library_is_left_alone(monkeypatch, error):
    def refuse(name):
        raise error

    monkeypatch.setattr(memory.ctypes, "CDLL", refuse)
    memory.keep_freed()
