import platform
import resource
import subprocess
import sys

import pytest

from reference_models.mnist import memory

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
def test_freed_blocks_are_not_given_back():
    page = resource.getpagesize()
    asked = 10 * 8 * 4 * 2**20 // page
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True)
    assert int(done.stdout) < asked / 100


@pytest.mark.parametrize("error", [AttributeError, OSError, TypeError])
def test_another_c_library_is_left_alone(monkeypatch, error):
    def refuse(name):
        raise error

    monkeypatch.setattr(memory.ctypes, "CDLL", refuse)
    memory.keep_freed()
