"""Reading a file of any bytes gives facts or one line, and a small file takes little memory."""

import json
import resource
import struct

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from archcheck.foundation.errors import SubjectError
from archcheck.measure.artifacts.source_or_file import open_artifact
from archcheck.measure.artifacts.weights import describe_weights
from archcheck.measure.model import measure_model
from tests.measure.artifacts.exported_files import Tiny, entries, export, write
from tests.support.fuzzing import examples

MOST = 50_000_000
"""Bytes of memory at most for reading a file of some ten thousand bytes."""

SETTINGS = settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
EDITS = st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=8), st.integers(0, 12)), min_size=1, max_size=4)


def edited(content, edits):
    """Return bytes with each edit made: from a place on, so many bytes are replaced by others."""
    for place, new, dropped in edits:
        at = place % (len(content) + 1)
        content = content[:at] + new + content[at + dropped :]
    return content


def bounded(read):
    """Read, and check that an error is one line of archcheck and that memory stays within the limit."""
    before, said = peak(), ""
    try:
        read()
    except SubjectError as error:
        said = error.message
    assert "\n" not in said
    assert len(said) < 1_000
    assert peak() - before < MOST


def peak():
    """Return the peak memory of this process in bytes, tensors included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.fixture(scope="module")
def tensors(tmp_path_factory):
    file = tmp_path_factory.mktemp("tensors") / "w.safetensors"
    save_file({"a": torch.zeros(3), "b": torch.ones(2, 2, dtype=torch.int64)}, file, metadata={"format": "pt"})
    return file.read_bytes()


@pytest.fixture(scope="module")
def pickled(tmp_path_factory):
    file = tmp_path_factory.mktemp("pickled") / "w.pt"
    torch.save({"a": torch.zeros(3), "b": torch.ones(2, 2)}, file, _use_new_zipfile_serialization=False)
    return file.read_bytes()


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return export(Tiny(), torch.zeros(1, 1, 6, 6), to=tmp_path_factory.mktemp("program") / "net.pt2")


def read_tensors(folder, name, content):
    (folder / name).write_bytes(content)
    bounded(lambda: describe_weights(name, str(folder)))


def read_program(file):
    def read():
        opened = open_artifact(file.name, str(file.parent))
        measure_model(opened.model, example=opened.example())

    bounded(read)


@SETTINGS
@given(edits=EDITS)
def test_any_bytes_of_tensors(tensors, tmp_path_factory, edits):
    read_tensors(tmp_path_factory.getbasetemp(), "any.safetensors", edited(tensors, edits))


@SETTINGS
@given(content=st.binary(max_size=60), length=st.integers(0, 80))
def test_any_bytes_at_all(tmp_path_factory, content, length):
    read_tensors(tmp_path_factory.getbasetemp(), "all.safetensors", struct.pack("<Q", length) + b"{" + content)


@SETTINGS
@given(
    header=st.dictionaries(st.text(max_size=4), JSON, max_size=3),
    claims=st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets"]), JSON),
)
def test_any_header(tmp_path_factory, header, claims):
    claim = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **claims}
    text = json.dumps({**header, "t": claim}).encode()
    read_tensors(tmp_path_factory.getbasetemp(), "header.safetensors", struct.pack("<Q", len(text)) + text + bytes(8))


@SETTINGS
@given(edits=EDITS)
def test_any_bytes_of_a_pickle(pickled, tmp_path_factory, edits):
    read_tensors(tmp_path_factory.getbasetemp(), "any.pt", edited(pickled, edits))


NAMED_BY_THE_REST = [(4, bytes(5), 0), (4, bytes(5), 6), (4, bytes(5), 12), (28, bytes(5), 2)]
"""A directory whose first entry takes kilobytes of the archive for its name."""


@SETTINGS
@given(edits=EDITS)
@example(edits=NAMED_BY_THE_REST)
def test_any_bytes_of_an_archive(program, tmp_path_factory, edits):
    file = tmp_path_factory.getbasetemp() / "any.pt2"
    file.write_bytes(edited(program.read_bytes(), edits))
    read_program(file)


@SETTINGS
@given(edits=EDITS, name=st.sampled_from(["models/model.json", "data/weights/model_weights_config.json"]))
def test_any_bytes_within_an_archive(program, tmp_path_factory, edits, name):
    contents = entries(program)
    file = write({**contents, name: edited(contents[name], edits)}, tmp_path_factory.getbasetemp() / "within.pt2")
    read_program(file)


@SETTINGS
@given(data=st.data())
def test_any_value_within_a_graph(program, tmp_path_factory, data):
    contents = entries(program)
    name = data.draw(st.sampled_from(["models/model.json", "data/weights/model_weights_config.json"]))
    table = json.loads(contents[name])
    inner = table
    while isinstance(inner, dict | list) and inner:
        key = data.draw(st.sampled_from(list(inner) if isinstance(inner, dict) else range(len(inner))))
        if not isinstance(inner[key], dict | list) or not inner[key] or data.draw(st.integers(0, 9)) == 0:
            inner[key] = data.draw(JSON)
            break
        inner = inner[key]
    file = write({**contents, name: json.dumps(table)}, tmp_path_factory.getbasetemp() / "value.pt2")
    read_program(file)
