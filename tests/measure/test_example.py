"""Inputs: inferred from the first layer if possible, made from specs, or refused in one line."""

from __future__ import annotations

import pytest
import torch
from networks import Apply
from torch import nn

from archcheck.foundation.errors import SubjectError
from archcheck.measure import measure_model
from archcheck.measure.loading.example import example_of, from_specs, tensor_specs


@pytest.mark.parametrize(
    ("model", "shape", "dtype"),
    [
        (nn.Sequential(nn.Conv2d(1, 4, 3)), (1, 1, 28, 28), "float32"),
        (nn.Sequential(nn.Conv2d(3, 4, 3)), (1, 3, 32, 32), "float32"),
        (nn.Sequential(nn.Conv2d(3, 4, 7, stride=2)), (1, 3, 224, 224), "float32"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 62 * 62, 2)), (1, 3, 64, 64), "float32"),
        (nn.Sequential(nn.ConvTranspose2d(100, 64, 7), nn.BatchNorm2d(64)), (1, 100, 1, 1), "float32"),
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), (1, 784), "float32"),
        (Apply(lambda self, x: self.a(x.view(-1, 784)), a=nn.Linear(784, 10)), (1, 784), "float32"),
        (nn.Sequential(nn.Embedding(50, 4)), (1, 16), "int64"),
        (nn.LSTM(5, 4), (1, 16, 5), "float32"),
        (nn.Sequential(nn.Conv1d(2, 4, 3)), (1, 2, 128), "float32"),
    ],
)
def test_the_first_layer_tells_the_input(model, shape, dtype):
    facts = measure_model(model)
    assert [(tensor.shape, tensor.dtype) for tensor in facts.shape.inputs] == [(shape, dtype)]
    assert "inferred from the first layer" in facts.subject.notes[0]


def test_an_input_that_no_layer_tells_is_asked_for():
    with pytest.raises(SubjectError, match="give one, as in `--input 1,3,224,224`") as caught:
        measure_model(Apply(lambda self, x: x))
    assert caught.value.kind == "input"


def test_no_usual_size_fits():
    with pytest.raises(SubjectError, match="no usual input size fits"):
        measure_model(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(7, 2)))


def test_specs_say_shape_type_and_range():
    image, ids, mask = from_specs(
        [
            {"shape": [2, 3], "dtype": "float16", "low": 2.0, "high": 3.0},
            {"shape": [4], "dtype": "int64", "low": 5, "high": 9},
            {"shape": [4], "dtype": "bool"},
        ]
    ).args
    assert image.dtype == torch.float16
    assert 2 <= float(image.min()) <= float(image.max()) <= 3
    assert ids.dtype == torch.int64
    assert set(ids.tolist()) <= {5, 6, 7, 8}
    assert mask.dtype == torch.bool


def test_specs_by_name_are_keywords():
    batch = [{"shape": [4, 3]}, {"shape": [4], "dtype": "int64"}]
    example = from_specs({"batch": batch, "index": 0, "mask": {"shape": [4], "dtype": "bool"}})
    assert example.args == ()
    assert [each.shape for each in example.kwargs["batch"]] == [(4, 3), (4,)]
    assert isinstance(example.kwargs["batch"], tuple)
    assert example.kwargs["index"] == 0
    assert example.kwargs["mask"].dtype == torch.bool
    assert tensor_specs({"index": 0, "batch": batch}) == batch


def test_an_unknown_type_is_one_line():
    with pytest.raises(SubjectError, match="`float7` is not a dtype of torch"):
        from_specs([{"shape": [1], "dtype": "float7"}])


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            "def given():\n    raise OSError('no data')",
            "`net.py:given` could not make an input at net.py:2: OSError: no data",
        ),
        ("given = 3", "`net.py:given` is a int, not a function that makes an input"),
        ("def given():\n    3", "`net.py:given` gave nothing; it must return the input, or several as a tuple"),
    ],
)
def test_a_function_that_makes_no_input_is_one_line(body, says, tmp_path):
    (tmp_path / "net.py").write_text(f"{body}\n", encoding="utf-8")
    with pytest.raises(SubjectError) as caught:
        example_of("net.py:given", str(tmp_path))
    assert (caught.value.kind, str(caught.value)) == ("input", says)


def test_an_input_beyond_all_memory_is_refused_in_a_line():
    with pytest.raises(
        SubjectError, match=r"an input of 1000x1x100000x100000 float32 does not fit into memory"
    ) as told:
        from_specs([{"shape": [1000, 1, 100_000, 100_000]}])
    assert told.value.kind == "memory"
