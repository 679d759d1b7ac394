"""How far the relative imports of a file reach."""

import pytest

from archcheck.measure.loading.imports import relative_levels


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("import a\nfrom b import c\n", 0),
        ("from . import a\n", 1),
        ("from .a import b\nfrom..c import d\n", 2),
        ("from\\\n  ...a import b\n", 3),
        ("from\t.  . a import b\n", 2),
        ("# taken from .somewhere\n'from ..b import c'\n", 0),
        ("from . import (\n", 0),  # nobody can read it
    ],
)
def test_the_levels_of_relative_imports_are_those_of_the_syntax(tmp_path, text, levels):
    (tmp_path / "file.py").write_text(text)
    assert relative_levels(tmp_path / "file.py") == levels
    assert relative_levels(tmp_path / "missing.py") == 0
