"""A small project for the tests of the faces, and the environment in which they run as processes."""

import os
from pathlib import Path
from textwrap import dedent

NETWORKS = """
    import torch
    from torch import nn

    print("the subject prints")

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x):
            return self.norm(self.conv(x)).relu()

    class Net(nn.Module):
        def __init__(self, width=4):
            super().__init__()
            self.block = Block()
            self.fc = nn.Linear(width, 10)
            self.idle = nn.Linear(3, 2)

        def forward(self, x):
            return self.fc(self.block(x).mean((2, 3)))

    class Deep(nn.Module):
        def __init__(self, corners):
            super().__init__()
            self.fc = nn.Linear(corners, corners)

        def forward(self, x):
            return self.fc(x)
"""

CONTRACT = """
    [tool.archcheck.subjects.good]
    model = "networks.py:Net"
    input = [1, 1, 8, 8]
    [tool.archcheck.subjects.good.rules]
    max-params = 106
    no-unused-params = true
    [[tool.archcheck.subjects.good.waivers]]
    rule = "no-unused-params"
    reason = "old checkpoints have it"

    [tool.archcheck.subjects.bad]
    model = "networks.py:Net"
    input = [1, 1, 8, 8]
    [tool.archcheck.subjects.bad.rules]
    max-params = { limit = 100, because = "the budget" }
    dropout-rate = 0.1

    [tool.archcheck.subjects.gone]
    model = "gone.py:Net"
    rules.max-params = 1
"""


def write(folder: Path, **files: str) -> None:
    """Write files named `net_py` or `pyproject_toml`."""
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        (folder / f"{stem}.{suffix}").write_text(dedent(text))


def environment(**changes: str) -> dict[str, str]:
    """Return the environment without what would change the look of a report."""
    looks = ("COLUMNS", "FORCE_COLOR", "NO_COLOR")
    kept = {name: value for name, value in os.environ.items() if name not in looks}
    return kept | {"OMP_NUM_THREADS": "1"} | changes
