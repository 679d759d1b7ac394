"""Memory that is given back while measuring goes on."""

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import re, torch
from pathlib import Path
from archcheck.measure.subject import memory_trimming

def now(key):
    return int(re.search(key + r":\\s+(\\d+)", Path("/proc/self/smaps_rollup").read_text())[1])

{before}
was = now("{key}")
memory_trimming.{name}()
print(was - now("{key}"))
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU())
net(torch.rand(1, 1, 5, 5)).sum().backward()
print(torch.linalg.svd(torch.eye(3)).S.tolist())
"""


def run(name: str, key: str, before: str = "") -> tuple[int, str]:
    code = CODE.format(name=name, key=key, before=before)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    difference, result = done.stdout.splitlines()
    return int(difference), result


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells what a process holds")
def test_the_code_that_an_import_ran_is_taken_out_and_comes_back() -> None:
    """In kilobytes: torch's own library is hundreds of megabytes, and a good part of it is touched by its import."""
    difference, result = run("drop_library_code", "Rss")
    assert difference > 10_000
    assert result == "[1.0, 1.0, 1.0]"


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells what a process holds")
def test_blocks_that_were_freed_are_given_back() -> None:
    """Many blocks of less than what glibc takes from the system at once, with one at the end that is still used."""
    before = "blocks = [bytearray(60_000) for _ in range(2_000)]; last = bytearray(60_000); del blocks"
    assert run("give_back", "Pss_Anon", f"memory_trimming.freeze(); {before}")[0] > 50_000


def test_a_process_of_the_user_is_not_searched_for_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    from archcheck.measure.subject import memory_trimming

    def refused() -> None:
        raise AssertionError("the collector looks at every object of the process")

    monkeypatch.setattr(memory_trimming.gc, "collect", refused)
    memory_trimming.give_back()


def test_systems_without_the_c_library_functions_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    from archcheck.measure.subject import memory_trimming

    class Other:
        def __init__(self, name: object) -> None:
            raise OSError("no such library")

    monkeypatch.setattr(memory_trimming.ctypes, "CDLL", Other)
    monkeypatch.setattr(memory_trimming._Process, "only_measures", True)
    memory_trimming.give_back()
    memory_trimming.drop_library_code()
