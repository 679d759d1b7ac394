"""Inputs in containers, and weights as they are stored, judged by the command as a process."""

import json

import pytest
import torch
from torch import nn

from tests.support.cli_samples import write

NETWORKS = """
    import dataclasses
    from typing import NamedTuple

    import torch
    from torch import nn

    @dataclasses.dataclass
    class Batch:
        image: torch.Tensor

    class Log(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(4, 2)

        def forward(self, batch):
            return self.lin(batch.image.log())

    def boxed():
        return Batch(torch.rand(2, 4) + 0.5)

    class Pair(NamedTuple):
        image: torch.Tensor
        mask: torch.Tensor

    class TakesPair(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(4, 2)

        def forward(self, pair):
            return self.lin(pair.image * pair.mask)

    def pair():
        return Pair(torch.rand(2, 4), torch.ones(2, 4))

    class Drains(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(4, 2)

        def forward(self, x, rows):
            return self.lin(x)

    def rows():
        return torch.rand(2, 4), bytearray(b"12")

    class Images(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, images):
            return [self.conv(image[None])[0] for image in images]

    def images():
        return ([torch.rand(3, 8, 10), torch.rand(3, 6, 6)],)

    def pair_of_images():
        return (tuple(images()[0]),)

    def images_read_once():
        return (image for image in images()[0])

    class Added(Images):
        def forward(self, pairs, numbers):
            return tuple(self.conv((one + other)[None])[0] for (one, other), number in zip(pairs, numbers))

    def added():
        return map(tuple, [[torch.rand(3, 8, 8), torch.rand(3, 8, 8)]] * 2), iter([1.0] * 9)

    class Pyramid(nn.Module):
        def __init__(self):
            super().__init__()
            self.coarse, self.fine = nn.Linear(4, 2), nn.Linear(8, 2)

        def forward(self, maps):
            return self.coarse(maps[0]) + self.fine(maps[1])

    def pyramid():
        return ((torch.rand(2, 4), torch.rand(2, 8)),)

    class Yields(Images):
        def forward(self, images):
            return (image for image in super().forward(images))

    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(6, 3)

        def forward(self, graph, signals):
            return self.lin(torch.tanh(graph @ signals.t()).t())

    def graph():
        return torch.eye(6).to_sparse_csr(), torch.rand(2, 6)

    class Taps(nn.Module):
        def __init__(self):
            super().__init__()
            self.taps = nn.Parameter(torch.rand(3))

        def forward(self, x):
            return sum(self.taps[i] * x[:, i : i + 4] for i in range(3))

    def quantised():
        model = nn.Sequential(*[nn.Linear(16, 16) for _ in range(3)]).eval()
        return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)

    class Plain(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(4, 2))
"""

CONTRACT = """
    [subjects.boxed]
    model = "net.py:Log"
    input = "net.py:boxed"
    rules = { finite-output = true, keeps-batch = true }
    [subjects.pair]
    model = "net.py:TakesPair"
    input = "net.py:pair"
    rules = { keeps-batch = true, independent-of-batch = true }
    [subjects.drains]
    model = "net.py:Drains"
    input = "net.py:rows"
    rules = { finite-output = true, keeps-batch = true, max-params = 10 }
    [subjects.images]
    model = "net.py:Images"
    input = "net.py:images"
    rules = { keeps-batch = true, independent-of-batch = true }
    [subjects.pair_of_images]
    model = "net.py:Images"
    input = "net.py:pair_of_images"
    rules = { keeps-batch = true, independent-of-batch = true, accepts = { batch = [1, 4] } }
    [subjects.images_read_once]
    model = "net.py:Images"
    input = "net.py:images_read_once"
    rules = { keeps-batch = true, independent-of-batch = true, finite-output = true, max-macs = 12_528 }
    [subjects.added]
    model = "net.py:Added"
    input = "net.py:added"
    rules = { keeps-batch = true, independent-of-batch = true, finite-output = true, max-macs = 13_824 }
    [subjects.pyramid]
    model = "net.py:Pyramid"
    input = "net.py:pyramid"
    rules = { keeps-batch = true, independent-of-batch = true, accepts = { batch = [1, 4] } }
    [subjects.yields]
    model = "net.py:Yields"
    input = "net.py:images"
    rules = { max-params = 112 }
    [subjects.graph]
    model = "net.py:Shared"
    input = "net.py:graph"
    rules = { keeps-batch = true, independent-of-batch = true, accepts = { batch = [1, 4] } }
    [subjects.taps]
    model = "net.py:Taps"
    input = [2, 6]
    rules = { max-macs = 23 }
    [subjects.quantised]
    model = "net.py:quantised"
    input = [1, 16]
    [subjects.quantised.rules]
    no-hidden-weights = true
    no-unused-layers = true
    max-params = 816
    max-bytes = [{ limit = 960, of = "parameters" }, { limit = 960 }]
    [subjects.loaded]
    model = "net.py:Plain"
    input = [1, 4]
    weights = "plain.pt"
    [subjects.loaded.rules]
    max-bytes = { limit = 1, of = "file" }
    min-sparsity = 0.1
"""


PROBED = ("keeps-batch", "independent-of-batch", "finite-output")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("containers")
    write(made, net_py=NETWORKS, archcheck_toml=CONTRACT)
    torch.save(nn.Sequential(nn.Linear(4, 2)).state_dict(), made / "plain.pt")
    return made


def test_containers_and_stored_weights(archcheck, folder):
    run = archcheck("check", "--format", "json", cwd=folder)
    reports = {each["subject"]: each for each in json.loads(run.stdout)["reports"]}
    found = {
        name: {each["instance"]: each["verdict"] for each in report["outcomes"]} for name, report in reports.items()
    }
    assert found == {
        "boxed": {"finite-output": "broken", "keeps-batch": "kept"},
        "pair": {"keeps-batch": "kept", "independent-of-batch": "kept"},
        "drains": {"finite-output": "error", "keeps-batch": "error", "max-params": "kept"},
        "images": {"keeps-batch": "kept", "independent-of-batch": "kept"},
        "pair_of_images": {"keeps-batch": "kept", "independent-of-batch": "kept", "accepts": "kept"},
        "images_read_once": dict.fromkeys(PROBED, "kept") | {"max-macs": "kept"},
        "added": dict.fromkeys(PROBED, "kept") | {"max-macs": "kept"},
        "pyramid": {"keeps-batch": "kept", "independent-of-batch": "kept", "accepts": "kept"},
        "yields": {},
        "graph": {"keeps-batch": "kept", "independent-of-batch": "kept", "accepts": "kept"},
        "taps": {"max-macs": "broken"},
        "quantised": {
            "no-hidden-weights": "kept",
            "no-unused-layers": "kept",
            "max-params": "kept",
            "max-bytes-1": "kept",
            "max-bytes-2": "kept",
        },
        "loaded": {"max-bytes": "broken", "min-sparsity": "broken"},
    }
    assert run.returncode == 2
    inputs = {name: len(report["facts"]["shape"]["inputs"]) for name, report in reports.items() if "facts" in report}
    assert list(inputs.values()) == [1, 2, 1, 2, 2, 2, 4, 2, 2, 1, 1, 1]
    assert reports["yields"]["error"]["message"].endswith("no tensor but a generator; return what it yields in a list")
    (size,) = (each["found"] for each in reports["loaded"]["outcomes"] if each["rule"] == "max-bytes")
    assert size == (folder / "plain.pt").stat().st_size
    finding = reports["drains"]["outcomes"][0]["findings"][0]["message"]
    assert "the input `1` (bytearray) cannot be given other numbers" in finding


def test_a_misspelled_part_of_the_bytes_is_one_line(archcheck, tmp_path):
    write(tmp_path, net_py=NETWORKS, archcheck_toml=CONTRACT.replace('of = "file"', 'of = "files"'))
    run = archcheck("check", cwd=tmp_path)
    assert run.returncode == 2
    assert '"of" must be "parameters" or "buffers" or "state" or "file", found "files"' in run.stderr
