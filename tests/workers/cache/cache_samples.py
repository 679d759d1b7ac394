"""A project that reads files of every kind, a small project, and helpers for the cache folder."""

import json
from pathlib import Path

from archcheck.workers.cache import _seal

MODEL = """
    from pathlib import Path
    from torch import nn
    from shapes import OUT
    try:
        from extra import OUT
    except ImportError:
        pass
    here = Path(__file__).parent
    width = int((here / "width.txt").read_text())
    try:
        width = int((here / "override.txt").read_text())
    except OSError:
        pass
    extra_layers = [nn.Linear(OUT, OUT) for file in sorted((here / "blocks").iterdir())]

    class Net(nn.Sequential):
        def __init__(self, bias=True):
            super().__init__(nn.Linear(width, OUT, bias=bias), *extra_layers, nn.LogSoftmax(-1))
"""
SCHOOL = """
    from answers import ANSWERS
    def run(model, *, seed, epochs=1):
        yield {"loss": 1.0}
    def evaluate(model):
        return ANSWERS, 4
"""
CONTRACT = """
    [subjects.net]
    model = "model.py:Net"
    input = "example.py:example"
    args = { bias = false }
    [subjects.net.training]
    train = "school.py:run"
    evaluate = "school.py:evaluate"
    checkpoint = "checkpoint.safetensors"
    record = "record.json"
    [subjects.net.rules]
    record-matches-model = true
    max-params = 100
"""
EXAMPLE = """
    import torch
    def example():
        return torch.ones(1, 3)
"""


SMALL = """
    import os
    from torch import nn
    os.chdir(os.path.dirname(__file__))
    {line}
    class A(nn.Linear):
        def __init__(self):
            super().__init__(1, 1)
"""


def entries(folder):
    return sorted(file for file in folder.iterdir() if file.suffix == ".json")


def body_of(entry: Path) -> dict:
    return json.loads(entry.read_bytes().partition(b"\n")[2])


def reseal(folder, entry, body):
    entry.write_bytes(_seal((folder / "key").read_bytes(), body) + b"\n" + body)
