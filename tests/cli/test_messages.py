"""What a message says: what is wrong, where, what was expected, what to do next. The command runs as a process."""

from __future__ import annotations

import pytest

from tests.support.cli_samples import write

NETWORKS = """
    from torch import nn

    class Plain(nn.Module):
        def __init__(self, width: int = 4):
            super().__init__()
            self.conv = nn.Conv2d(1, width, 3)

        def forward(self, x):
            return self.conv(x).flatten(1)
"""

CONTRACT = """
    [subjects.plain]
    model = "networks.py:Plain"
    input = [1, 1, 8, 8]
    [subjects.plain.rules]
    requires = ["dropout", "batch_norm", "softmax", "Linear"]
    requires-any = ["lstm", "relu"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("messages")
    (folder / ".git").mkdir()
    write(folder, networks_py=NETWORKS, archcheck_toml=CONTRACT)
    return folder


def test_what_no_operation_comes_close_to_is_to_be_added(archcheck, folder):
    said = archcheck("check", "plain", cwd=folder).stdout
    for kind, way in {
        "dropout": "add `nn.Dropout(p)` or `F.dropout(x, p, self.training)`",
        "batch_norm": "add `nn.BatchNorm2d(channels)`",
        "softmax": "add `F.softmax(x, dim=1)`",
        "Linear": "add a layer of type `Linear`",
        "ne of lstm, relu": "add `nn.LSTM(inputs, hidden)`, or add `nn.ReLU()`",
    }.items():
        head, _, rest = said.partition(f"the model executes no{'' if kind.startswith('ne') else ' '}{kind}")
        assert rest, (kind, head)
        assert rest.split("fix", 1)[1].strip().startswith(way), kind
    assert "rate above 0" not in said
