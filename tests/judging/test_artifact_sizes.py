"""`max-artifact-bytes`: files on disk, by globs and codecs."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import zlib
from contextlib import chdir
from pathlib import Path

import pytest

from archcheck.contract import load
from archcheck.facts.artifact_files import Artifact
from archcheck.foundation.errors import ContractError
from archcheck.judging.artifact_sizes import sizes_of
from archcheck.judging.engine import check_contract
from archcheck.workers.worker_process import Worker

MODEL = "from torch import nn\n\n\nclass Net(nn.Linear):\n    def __init__(self):\n        super().__init__(3, 4)\n"
TEXT = b"".join(b"step %d of the log\n" % random.Random(0).randrange(999) for _ in range(3_000))


@pytest.fixture
def submission(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "log.txt").write_bytes(TEXT)
    (tmp_path / "noise.bin").write_bytes(random.Random(1).randbytes(20_000))
    for name in ("a.bin", "b.bin", "deep/c.bin"):
        (tmp_path / "weights" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "weights" / name).write_bytes(bytes(1_000))
    return tmp_path


@pytest.fixture(scope="module")
def worker():
    worker = Worker()
    yield worker
    worker.close()


def stated(submission, rule):
    (submission / "archcheck.toml").write_text(
        f'[subjects.net]\nmodel = "model.py"\ninput = [1, 3]\n[subjects.net.rules]\nmax-artifact-bytes = {rule}\n'
    )


def outcome(submission, worker, rule):
    stated(submission, rule)
    with chdir(submission):
        (report,) = check_contract(load(Path("archcheck.toml")), worker=worker)
    return report.outcomes[0]


@pytest.mark.parametrize(
    ("files", "total"),
    [
        ('["noise.bin"]', 20_000),
        ('"noise.bin"', 20_000),
        ('["weights/*.bin"]', 2_000),
        ('["weights/**/*.bin"]', 3_000),
        ('["weights"]', 3_000),
        ('["weights", "weights/*.bin", "weights/a.bin"]', 3_000),
        ('["model.py", "noise.bin"]', 20_000 + len(MODEL)),
    ],
)
def test_the_files_of_patterns_and_folders_count_once(submission, worker, files, total):
    assert outcome(submission, worker, f"{{ limit = {total}, files = {files} }}").verdict == "kept"
    broken = outcome(submission, worker, f"{{ limit = {total - 1}, files = {files} }}")
    assert broken.verdict == "broken"
    assert f"{total:,} bytes of files, limit {total - 1:,} (+1" in broken.summary


@pytest.mark.parametrize(
    ("codec", "level", "size"),
    [
        ("zlib", "", len(zlib.compress(TEXT, 9))),
        ("zlib", ", level = 1", len(zlib.compress(TEXT, 1))),
        ("gzip", "", len(gzip.compress(TEXT, 9))),
        ("bz2", "", len(bz2.compress(TEXT))),
        ("xz", "", len(lzma.compress(TEXT, preset=9))),
    ],
)
def test_a_codec_counts_what_it_makes_of_each_file(submission, worker, codec, level, size):
    rule = f'{{ limit = %d, files = ["log.txt", "noise.bin"], codec = "{codec}"{level}, compressed = ["log.txt"] }}'
    total = size + 20_000
    assert outcome(submission, worker, rule % total).verdict == "kept"
    assert f"{total:,} bytes of files" in outcome(submission, worker, rule % (total - 1)).summary


def test_units_are_decimal_or_binary(submission, worker):
    (submission / "noise.bin").write_bytes(bytes(1_000_001))
    assert "limit 1,000,000 (+1" in outcome(submission, worker, '{ limit = "1 MB", files = "noise.bin" }').summary
    assert outcome(submission, worker, '{ limit = "1 MiB", files = "noise.bin" }').verdict == "kept"


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ('{ limit = 9, files = "absent.pt" }', 'there is no file "absent.pt"'),
        ('{ limit = 9, files = ["noise.bin", "*.safetensors"] }', 'there is no file "*.safetensors"'),
    ],
)
def test_what_cannot_be_measured_is_an_error(submission, worker, rule, says):
    found = outcome(submission, worker, rule)
    assert (found.verdict, found.findings[0].message) == ("error", says)


def test_the_command_line_says_so_in_one_line(submission, archcheck):
    stated(submission, '{ limit = "2 kB", files = ["weights", "log.txt"], codec = "xz", compressed = "weights" }')
    found = archcheck("check", "--format", "concise", cwd=submission)
    assert found.returncode == 1
    assert "bytes of files, limit 2,000" in found.stdout


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ('{ limit = 9, files = "noise.bin", codec = "rar" }', "codec"),
        ('{ limit = 9, files = "noise.bin", level = 3 }', "there is no `codec`"),
        ('{ limit = 9, files = "noise.bin", codec = "xz", compressed = "other" }', "is none of them"),
        ('{ limit = 9, files = "noise.bin", codec = "bz2", level = 0 }', "bz2 has the levels 1 to 9, found 0"),
        ("{ limit = 9, files = [] }", "`files` names at least one file"),
        ('{ limit = -1, files = "noise.bin" }', "`limit` must be at least 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(submission, rule, says):
    stated(submission, rule)
    with pytest.raises(ContractError, match=says):
        load(submission / "archcheck.toml")


@pytest.mark.skipif(os.name != "posix", reason="links need a privilege elsewhere")
def test_what_links_lead_to_counts_once(tmp_path):
    (tmp_path / "entry").mkdir()
    (tmp_path / "apart").mkdir()
    (tmp_path / "apart" / "weights.bin").write_bytes(bytes(700))
    (tmp_path / "entry" / "code.py").write_bytes(bytes(30))
    for name, target in {"more": "../apart", "again": "../apart", "up": "..", "copy.py": "code.py"}.items():
        (tmp_path / "entry" / name).symlink_to(target)
    asked = Artifact(pattern="entry")
    assert sorted(file.bytes for file in sizes_of(tmp_path, [asked])[asked]) == [30, 700]


@pytest.mark.skipif(os.name != "posix", reason="pipes by name are of POSIX")
def test_pipes_are_no_files_and_a_new_size_counts_at_the_next_check(submission, worker):
    os.mkfifo(submission / "weights" / "pipe")
    assert outcome(submission, worker, '{ limit = 3_000, files = "weights" }').verdict == "kept"
    (submission / "weights" / "a.bin").write_bytes(bytes(1_001))
    assert outcome(submission, worker, '{ limit = 3_000, files = "weights" }').verdict == "broken"
