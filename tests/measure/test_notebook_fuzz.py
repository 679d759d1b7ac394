"""The cells of any notebook are read, or it is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcheck.foundation.errors import SubjectError
from archcheck.measure.loading.notebooks import code_cells
from tests.support.fuzzing import examples
from tests.support.json_mutations import DAMAGE, changed, is_one_line, written

NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": ["# net"]},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "import torch"], "execution_count": 1},
        {"cell_type": "code", "source": "x = 1", "outputs": []},
    ],
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {},
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notebooks") / "nb.ipynb"


def read_or_tell(file: Path, content: bytes) -> list[str] | None:
    file.write_bytes(content)
    said = ""
    try:
        return code_cells(file, "nb.ipynb")
    except SubjectError as error:
        said = error.message
    assert is_one_line(said, "nb.ipynb", "save it in Jupyter again")
    return None


@settings(max_examples=examples(100), deadline=None)
@given(st.data())
def test_any_change_is_read_or_refused(file: Path, data: st.DataObject) -> None:
    read_or_tell(file, written(changed(data, NOTEBOOK)))


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_notebook_is_refused(file: Path, damage: str) -> None:
    assert read_or_tell(file, DAMAGE[damage](written(NOTEBOOK))) is None


def test_an_undamaged_notebook_is_read(file: Path) -> None:
    assert read_or_tell(file, written(NOTEBOOK)) == [f"{file}:cell 1", f"{file}:cell 2"]
