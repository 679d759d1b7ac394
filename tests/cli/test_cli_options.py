"""The command line's parts, in this process."""

import argparse
import io
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from archcheck.cli import main, output, targets
from archcheck.cli.option_values import argument_of, format_of, input_of, method_of, output_of, positive, whole_of
from archcheck.cli.options import parse
from archcheck.contract.specifications import InputSpec
from archcheck.foundation import installed_packages
from archcheck.foundation.errors import ArchcheckError
from archcheck.render import FORMATS
from tests.support.cli_samples import environment


@pytest.mark.parametrize(
    ("word", "argument"),
    [
        ("width=16", ("width", 16)),
        ("rate=0.5", ("rate", 0.5)),
        ("name=resnet", ("name", "resnet")),
        ("name='16'", ("name", "16")),
        ("bias=true", ("bias", True)),
        ("bias=False", ("bias", False)),
        ("sizes=[1, 2]", ("sizes", [1, 2])),
        ("norm=None", ("norm", None)),
        ("url=a=b", ("url", "a=b")),
        ("empty=", ("empty", "")),
    ],
)
def test_arguments_are_literals_or_strings(word, argument):
    assert argument_of(word) == argument


@pytest.mark.parametrize(
    ("word", "spec"),
    [
        ("1,1,28,28", InputSpec(shape=(1, 1, 28, 28))),
        ("1x3x8", InputSpec(shape=(1, 3, 8))),
        ("1,16:int64", InputSpec(shape=(1, 16), dtype="int64")),
        ("5", InputSpec(shape=(5,))),
    ],
)
def test_inputs_are_shapes_with_a_dtype(word, spec):
    assert input_of(word) == spec


@pytest.mark.parametrize(
    ("read", "word", "says"),
    [
        (method_of, "model.encode", 'must name a method of the model, such as "training_step"'),
        (input_of, "1,a", "is not a shape"),
        (input_of, "", "is not a shape"),
        (input_of, "1,-3", "is not a shape"),
        (input_of, "0,3", "positive sizes"),
        (input_of, "1,3:flaot32", 'did you mean "float32"?'),
        (argument_of, "width", "NAME=VALUE"),
        (argument_of, "net.py", "NAME=VALUE"),
        (format_of, "yaml", "the formats are"),
        (output_of, "no/such/file", "a folder that exists"),
        (output_of, ".", "name a file"),
        (positive(float), "-1", "positive number"),
        (positive(float), "nan", "positive number"),
        (positive(int), "1.5", "positive whole number"),
        (input_of, "1,4611686018427387904", "more than 9,007,199,254,740,992 elements"),
        (input_of, "94906266,94906266", "more than 9,007,199,254,740,992 elements"),
        (whole_of, "-1", "whole number from 0 on"),
        (whole_of, "1.5", "whole number from 0 on"),
        (whole_of, "9" * 19, "at most 18 digits"),
        (whole_of, "", "whole number from 0 on"),
    ],
)
def test_a_word_that_cannot_be_read_says_what_could(read, word, says):
    with pytest.raises(argparse.ArgumentTypeError, match=says):
        read(word)


def test_every_format_can_be_chosen():
    assert [format_of(name) for name in FORMATS] == list(FORMATS)


def test_options_may_be_given_again_and_again():
    options = parse(["report", "net.py", "--input", "1,3", "--input", "1,4", "--args", "a=1", "b=2", "--args", "c=3"])
    assert [spec.shape for spec in options.input] == [(1, 3), (1, 4)]
    assert dict(options.args) == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize("command", ["report", "init"])
def test_the_help_names_every_file_that_holds_models(command, capsys):
    assert main([command, "--help"]) == 0
    assert "notebook.ipynb" in capsys.readouterr().out


@pytest.mark.parametrize("seed", ["-1", "1.5", "9" * 23])
def test_a_seed_that_torch_does_not_take_is_a_mistake(seed):
    with pytest.raises(ArchcheckError, match="--seed: must be a whole number from 0 on"):
        parse(["train", "net", f"--seed={seed}"])


def test_abbreviations_are_mistakes():
    with pytest.raises(ArchcheckError, match="--form"):
        parse(["check", "--form", "json"])


def test_the_version_names_what_a_verdict_depends_on_in_one_line(tmp_path):
    command = [sys.executable, "-X", "importtime", "-m", "archcheck", "--version"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
    versions = version("archcheck-torch"), version("torch"), platform.python_version()
    assert done.stdout == "archcheck {} (torch {}, Python {})\n".format(*versions)
    assert not re.search(r"\|\s+(torch|numpy|rich|hypothesis)$", done.stderr, re.MULTILINE)


def test_the_version_is_told_without_torch(monkeypatch, capsys):
    monkeypatch.setattr(installed_packages, "version_of", {"archcheck-torch": "1.2"}.get)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"archcheck 1.2 (torch is not installed, Python {platform.python_version()})\n"


@pytest.mark.parametrize(
    ("settings", "terminal", "color"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"TERM": "dumb"}, True, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
    ],
)
def test_colour(monkeypatch, settings, terminal, color):
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    assert output.wants_color() is color


def test_width_is_that_of_the_terminal_and_a_file_has_none(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: False)
    monkeypatch.delenv("COLUMNS", raising=False)
    assert output.width() is None
    monkeypatch.setenv("COLUMNS", "72")
    assert output.width() == 72


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", "? 9 ?C\n"), ("cp1252", "? 9 °C\n"), ("utf-8", "─ 9 °C\n")])
def test_what_a_console_has_no_letter_for_is_a_question_mark(monkeypatch, encoding, shown):
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    monkeypatch.setattr("sys.stdout", out)
    output.write("─ 9 °C\n")
    assert out.buffer.getvalue().decode(encoding) == shown


def test_a_file_is_replaced_whole_and_follows_links(tmp_path):
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("old")
    link.symlink_to(file)
    output.save("new", link)
    assert file.read_text() == "new"
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("old")

    def full(path: Path, *_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ArchcheckError, match=r"cannot write .*No space left"):
        output.save("new", file)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert file.read_text() == "old"


def test_what_is_no_regular_file_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    output.save("text", pipe)
    assert os.read(reader, 10) == b"text"
    assert pipe.is_fifo()
    os.close(reader)


def test_annotations_are_relative_to_the_repository(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert output.base() == ""
    monkeypatch.chdir(tmp_path / "sub" / "deep")
    assert output.base() == "sub/deep"


@pytest.mark.parametrize("target", ["pkg/net.py:Net", "pkg.net:Net", "./pkg/../pkg/net.py:Net"])
def test_the_same_model_under_several_names_is_at_one_place(tmp_path, target):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "net.py").touch()
    assert targets.place(tmp_path, target) == ((tmp_path / "pkg" / "net.py").resolve(), "Net")


def test_a_package_is_at_its_init_file_and_a_missing_module_nowhere(tmp_path):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    assert targets.place(tmp_path, "pkg:Net") == ((tmp_path / "pkg" / "__init__.py").resolve(), "Net")
    assert targets.place(tmp_path, "gone:Net") == (None, "Net")


@pytest.mark.parametrize("target", ["", "/", ".", ":", "..", "a..b", "/:x", "a\nb"])
def test_nonsense_is_at_no_place(tmp_path, target):
    assert targets.place(tmp_path, target)[0] is None
