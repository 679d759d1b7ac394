"""Exported programs of tiny networks, and helpers to change their files."""

import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn


class Tiny(nn.Module):
    """A convolution of 3 x 1 x 3 x 3 weights and a linear layer: 30 + 6 + 3 * 2 + 2 = 44 parameters."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        self.drop = nn.Dropout(0.25)
        self.fc = nn.Linear(3, 2)

    def forward(self, x):
        x = self.drop(self.norm(self.conv(x)).relu())
        return self.fc(x.mean((2, 3)))


def export(model, *inputs, to, training=False, **options):
    """Write a `.pt2` file as users do."""
    return saved(torch.export.export(model.train(training), inputs, **options), to)


def saved(program, to):
    """Save an exported program."""
    torch.export.save(program, to)
    return readable(to)


def readable(file):
    """Return the file; skip the test with a torch that writes exported programs in the format before this one."""
    if "archive_format" not in entries(file):
        pytest.skip(f"torch {torch.__version__} exports in a format that is refused")
    return file


def entries(file):
    with zipfile.ZipFile(file) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def write(contents, to, *, top="net", compression=zipfile.ZIP_STORED):
    """Write an archive of the given entries."""
    with zipfile.ZipFile(to, "w", compression) as archive:
        for name, content in contents.items():
            archive.writestr(f"{top}/{name}", content)
    return to


def changed(file, to, change):
    """Write the archive `file` again with its graph, a table, changed in place by `change`."""
    contents = entries(file)
    graph = json.loads(contents["models/model.json"])
    change(graph)
    return write({**contents, "models/model.json": json.dumps(graph)}, to)


def nodes_of(graph):
    return graph["graph_module"]["graph"]["nodes"]


class Harm:
    """A pickle of this makes the file `marker` when it is read."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def harm(marker):
    return pickle.dumps(Harm(marker))


def folder_of(path):
    return Path(path).parent
