"""A subject cannot put an answer into the cache by which a later run would keep it."""

from __future__ import annotations

import pytest

from archcheck.contract import load
from archcheck.judging.engine import check_contract
from archcheck.workers.cache import Cache
from archcheck.workers.worker_process import Worker
from tests.support.cli_samples import write

CONTRACT = """
    [subjects.net]
    model = "net.py:Net"
    input = [1, 4]
    rules = { max-params = 10 }
"""
SMALL = """
    from torch import nn
    class Net(nn.Linear):
        def __init__(self):
            super().__init__(4, 1)
"""
LARGE = """
    import os, shutil, subprocess, sys
    from torch import nn
    FROM, TO = {honest!r}, {poison!r}
    class Net(nn.Linear):
        def __init__(self):
            super().__init__(4, 100)
            {how}
"""
WAYS = {
    "open": "open(TO, 'wb').write(open(FROM, 'rb').read())",
    "rename": "os.rename(shutil.copy(FROM, FROM + '.copy'), TO)",
    "process": "subprocess.run([sys.executable, '-c', 'import shutil, sys; shutil.copy(*sys.argv[1:])', FROM, TO])",
}


def judge(folder, cache):
    with Worker(cache=Cache(cache)) as worker:
        (report,) = check_contract(load(folder / "archcheck.toml"), worker=worker)
    return report


@pytest.mark.parametrize("how", WAYS)
def test_what_a_subject_writes_into_the_cache_is_never_believed(tmp_path, how):
    cache, kept = tmp_path / "cache", tmp_path / "kept"
    write(tmp_path, archcheck_toml=CONTRACT, net_py=SMALL)
    assert judge(tmp_path, cache).exit_code == 0
    (entry,) = cache.glob("*.json")
    entry.rename(kept)
    write(tmp_path, net_py=LARGE.format(honest=str(kept), poison=str(entry), how=WAYS[how]))
    report = judge(tmp_path, cache)
    if how == "process":  # it is measured, but nobody saw what the process did
        assert report.exit_code == 1
    else:
        assert "in the cache" in report.error.message
    assert not entry.exists()


def test_what_this_process_has_kept_stays_when_a_subject_is_distrusted(tmp_path):
    cache = tmp_path / "cache"
    write(tmp_path, archcheck_toml=CONTRACT, net_py=SMALL)
    seen = Cache(cache).seen()
    judge(tmp_path, cache)
    Cache(cache).remove_foreign_entries(seen)
    assert len(list(cache.glob("*.json"))) == 1


def test_a_file_of_somebody_else_beside_the_entries_stays(tmp_path):
    seen = Cache(tmp_path).seen()
    for name in ("thesis.txt", "key", "0" * 64 + ".json", ".archcheck-1.partial"):
        (tmp_path / name).write_text("mine", encoding="utf-8")
    Cache(tmp_path).remove_foreign_entries(seen)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]
