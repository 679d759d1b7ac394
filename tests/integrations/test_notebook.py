"""What a notebook shows, run by a real kernel."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

CELLS = {
    "imports": """\
import torch
from torch import nn
from archcheck import check, measure

image = torch.rand(1, 1, 28, 28)
""",
    "net": """\
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, x):
        return self.norm(self.conv(x))
""",
    "measure": "measure(Net(), example=image)",
    "check": """\
# the second line
report = check(Net(), example=image, rules={"max-params": 10, "requires": "dropout"})
report
""",
    "print": "print(report)",
    "repr": "print(repr(report))",
    "mistake": "check(Net(), example=image, rules={'max-parms': 10})",
    "verify": "def judged():\n    return report.verify()\njudged()",
    "rich": """\
from rich.console import Console
Console(force_jupyter=False, width=110, color_system=None).print(report)
""",
    "load": "%load_ext archcheck",
    "magic": """\
%%archcheck example=image, rules={"max-params": 10, "forbids": "linear"}
class Other(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(28, 3)

    def forward(self, x):
        return self.a(x)
""",
    "instance": "%%archcheck\nspare = nn.Linear(3, 4)\nnet = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5))",
    "unmagic": "%%archcheck rules=3 4\nx = 1",
    "nothing": "%%archcheck\nx = 1",
    "needs": "%%archcheck\nclass Wide(nn.Linear):\n    def __init__(self, width):\n        super().__init__(width, 1)",
    "fails": "%%archcheck\nraise ValueError('mine')",
    "again": """\
class Net(nn.Module):
    # a line more
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(28, 3)

    def forward(self, x):
        return self.fc(x)
""",
    "named": "measure(Net(), example=image)",
    "hostile": "check(type('<script>alert(1)</script>', (nn.Linear,), {})(3, 1), rules={'max-params': 1})",
}  # fmt: skip


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS.values()])
    folder = tmp_path_factory.mktemp("notebook")
    NotebookClient(
        notebook, kernel_name="python3", allow_errors=True, timeout=300, resources={"metadata": {"path": str(folder)}}
    ).execute()
    return dict(zip(CELLS, notebook.cells, strict=True))


def _number(cells: dict[str, Any], name: str) -> int:
    return int(cells[name].execution_count)


def _shown(cell: Any, form: str = "text/plain") -> str:
    (output,) = [each for each in cell.outputs if each.output_type in ("execute_result", "display_data")]
    return str(output.data[form])


def _printed(cell: Any) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def test_the_last_line_of_a_cell_shows_the_table_of_the_command_line(cells: dict[str, Any]) -> None:
    facts, report = _shown(cells["measure"]), _shown(cells["check"])
    assert "  conv  Conv2d       1x8x26x26      80  48,672\n" in facts
    assert "broken   max-params  Net: 96 parameters, limit 10 (+86, +860.0 %)\n" in report
    assert report.endswith("2 rules: 2 broken")
    assert len(cells["measure"].outputs) == len(cells["check"].outputs) == 1
    assert _printed(cells["print"]).rstrip("\n") == report
    assert _printed(cells["repr"]) == "<Report of Net: 2 rules, 2 broken>\n"
    rich = [line.rstrip() for line in _printed(cells["rich"]).splitlines()]
    assert rich == [line.rstrip() for line in report.splitlines()]


def test_places_are_cells_and_lines_as_jupyter_counts_them(cells: dict[str, Any]) -> None:
    report, net, call = _shown(cells["check"]), _number(cells, "net"), _number(cells, "check")
    assert f"where    In [{net}]:1  class Net\n" in report
    assert f"most     conv  Conv2d  80  83.3 %  In [{net}]:4\n" in report
    assert f"or raise max-params at In [{call}]:2\n" in report
    assert cells["mistake"].outputs[0].evalue.startswith(f'In [{_number(cells, "mistake")}]:1: "max-parms" is not')
    assert f"where   In [{_number(cells, 'again')}]:1" in _shown(cells["named"])


def test_a_cell_under_the_magic_is_run_and_judged(cells: dict[str, Any]) -> None:
    other, number = _shown(cells["magic"]), _number(cells, "magic")
    assert f"where    In [{number}]:2  class Other\n" in other
    assert f"where    In [{number}]:5  a (Linear)\n" in other
    assert f"or raise max-params at In [{number}]:1\n" in other
    assert "Sequential" in _shown(cells["instance"])


def test_an_error_shows_its_message_and_the_lines_of_the_cells(cells: dict[str, Any]) -> None:
    number, (mistake,) = _number(cells, "mistake"), cells["mistake"].outputs
    assert mistake.traceback == [f"ContractError at In [{number}]:1", mistake.evalue]
    number, (verdict,) = _number(cells, "verify"), cells["verify"].outputs
    assert verdict.traceback == [f"BrokenContract at In [{number}]:3, In [{number}]:2", *verdict.evalue.splitlines()]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unmagic", "`%%archcheck rules=3 4` is not understood: SyntaxError"),
        ("nothing", "the cell defines no torch.nn.Module; bind a model to a name, such as `net = Net()`"),
        ("needs", '`Wide` needs "width"; bind a model, as in `net = Wide(…)`'),
    ],
)
def test_a_mistake_is_one_line(cells: dict[str, Any], name: str, message: str) -> None:
    text = _printed(cells[name])
    assert text.startswith(f"UsageError: archcheck: {message}")
    assert text.count("\n") == 1


def test_an_error_of_the_cell_is_its_own(cells: dict[str, Any]) -> None:
    (output,) = cells["fails"].outputs
    assert (output.ename, output.evalue) == ("ValueError", "mine")


def test_the_page_has_colours_and_no_code_of_others(cells: dict[str, Any]) -> None:
    page = _shown(cells["check"], "text/html")
    assert page.startswith("<pre style=")
    assert "font-weight: bold" in page
    hostile = _shown(cells["hostile"], "text/html")
    assert "<script" not in hostile
    assert "&lt;script&gt;" in hostile
