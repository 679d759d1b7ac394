"""The section of the README on files without code: its commands print what it says."""

import re
from pathlib import Path

import torch

from reference_models.mnist.model import Net
from tests.measure.artifacts.exported_files import readable

README = Path(__file__).parents[2] / "README.md"


def test_the_flagship_exported_is_reported_as_the_readme_shows(archcheck, tmp_path, monkeypatch):
    section = README.read_text(encoding="utf-8").partition("## Artifacts without code\n")[2].partition("\n## ")[0]
    ((exported,), ((words, shown),)) = (
        re.findall(r"^`(torch\.export\.save.*)`:$", section, re.MULTILINE),
        re.findall(r"^```console\n\$ archcheck (.*)\n((?:.*\n)*?)```$", section, re.MULTILINE),
    )
    monkeypatch.chdir(tmp_path)
    exec(exported, {"torch": torch, "Net": Net})
    readable(tmp_path / "net.pt2")
    printed = archcheck(*words.split(), cwd=tmp_path).stdout
    assert same_torch(printed) == same_torch(shown)


def same_torch(text):
    """Leave out the version of torch, which is that of whoever exports."""
    return re.sub(r"torch \d[\w.+]*", "torch", text)
