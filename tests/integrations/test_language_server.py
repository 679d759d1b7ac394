"""A session of an editor with `archcheck lsp`, by the client of pygls: one server for all tests."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.lsp.client import LanguageClient

from archcheck.integrations.source_ranges import class_line, statement_range
from tests.pages.page_blocks import the_block
from tests.support.cli_samples import environment

NET = """\
from torch import nn
from parts import Block


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, ü = nn.Linear(8, 4), "😀"; self.b = nn.Linear(4, 4)
        self.tail = nn.Sequential(
            nn.ReLU(),
            nn.Dropout(0.5),
        )
        self.block = Block()

    def forward(self, x):
        return self.block(self.tail(self.b(self.a(x))))
"""
PARTS = """\
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return self.inner(x)
"""
SLOW = """\
import pathlib, time
from torch import nn

pathlib.Path("FOLDER/started").touch()
while pathlib.Path("FOLDER/wait").exists():
    time.sleep(0.02)


class Slow(nn.Linear):
    def __init__(self):
        super().__init__(2, WIDTH)
"""
RULES = """\
[subjects.net]
model = "net.py:Net"
input = [1, 8]
rules.max-params = 20
rules.forbids = ["dropout", "linear"]
rules.deterministic-in-eval = true
waivers = [{ rule = "forbids", layer = "block*", reason = "later" }]

[subjects.slow]
model = "slow.py:Slow"
input = [1, 2]
rules.max-params = 10
"""
LONGEST = 60.0
ODD_ADDRESSES = ("file:///nowhere/net.py", "file:///a%00b.py", "git:/net.py", "untitled:Untitled-1", "")


class Editor:
    """A client that knows what it was last shown of each file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shown: dict[str, list[types.Diagnostic]] = {}
        self.failures: list[str] = []
        self.opened: set[str] = set()
        self.client = LanguageClient("editor", "1")

        @self.client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def publish(params: types.PublishDiagnosticsParams) -> None:
            self.shown[Path(params.uri).name] = list(params.diagnostics)

        @self.client.feature(types.WINDOW_SHOW_MESSAGE)
        def failed(params: types.ShowMessageParams) -> None:
            self.failures.append(params.message)

    async def start(self) -> types.InitializeResult:
        changes = {"ARCHCHECK_CACHE_DIR": str(self.folder / "cache")}
        await self.client.start_io(
            sys.executable, "-m", "archcheck", "lsp", cwd=self.folder, env=environment(**changes)
        )
        params = types.InitializeParams(capabilities=types.ClientCapabilities(), root_uri=self.folder.as_uri())
        answer = await self.client.initialize_async(params)
        self.client.initialized(types.InitializedParams())
        return answer

    async def stop(self) -> int | None:
        await self.client.shutdown_async(None)
        self.client.exit(None)
        await asyncio.wait_for(self.client.stop(), LONGEST)
        return self.client._server.returncode

    def open(self, name: str) -> None:
        self.opened.add(name)
        item = types.TextDocumentItem(self.uri(name), "python", 1, (self.folder / name).read_text())
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def edit(self, name: str, text: str) -> None:
        document = types.VersionedTextDocumentIdentifier(uri=self.uri(name), version=2)
        change = types.TextDocumentContentChangeWholeDocument(text=text)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))

    def save(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        if name in self.opened:
            self.edit(name, text)
        self.client.text_document_did_save(
            types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(self.uri(name)))
        )

    async def hover(self, name: str, line: int) -> str | None:
        return await self.hover_at(self.uri(name), line)

    async def hover_at(self, uri: str, line: int = 1) -> str | None:
        position = types.HoverParams(types.TextDocumentIdentifier(uri), types.Position(line - 1, 9))
        found = await self.client.text_document_hover_async(position)
        return found.contents.value if found else None

    async def until(self, holds: Callable[[], Any]) -> None:
        end = asyncio.get_running_loop().time() + LONGEST
        while not holds():
            assert asyncio.get_running_loop().time() < end, (self.shown, self.failures)
            await asyncio.sleep(0.02)

    def codes(self, name: str) -> list[tuple[Any, int]]:
        return [(each.code, each.range.start.line + 1) for each in self.shown.get(name, [])]

    def uri(self, name: str) -> str:
        return (self.folder / name).as_uri()


async def session(folder: Path) -> dict[str, Any]:
    for name, text in {"net.py": NET, "parts.py": PARTS, "archcheck.toml": RULES}.items():
        (folder / name).write_text(text)
    slow = SLOW.replace("FOLDER", str(folder))
    (folder / "slow.py").write_text(slow.replace("WIDTH", "3"))
    (folder / "alone").mkdir()
    (folder / "alone" / "archcheck.toml").write_text('[subjects.x]\nmodel = "x.py:X"\nrules.max-parms = 1\n')
    (folder / "alone" / "y.py").write_text("import torch\n")
    seen: dict[str, Any] = {}
    editor = Editor(folder)
    seen["capabilities"] = (await editor.start()).capabilities
    editor.open("net.py")
    await editor.until(lambda: ("forbids", 11) in editor.codes("net.py"))
    await editor.until(lambda: editor.codes("parts.py"))
    seen["first"] = dict(editor.shown)
    seen["hover"] = [await editor.hover("net.py", line) for line in (8, 13, 5, 15)]
    editor.edit("net.py", NET.replace("nn.Linear(8, 4)", "nn.Linear(8, 40)"))
    seen["hover of an edited line"] = await editor.hover("net.py", 8)
    editor.edit("net.py", NET)

    editor.save("parts.py", PARTS.replace("nn.Linear(4, 4)", "nn.Identity()"))
    await editor.until(lambda: not editor.codes("parts.py"))
    seen["after the part"] = editor.codes("net.py")

    editor.save("net.py", NET.replace("return self", "return 1 / 0 + self"))
    await editor.until(lambda: any("could not be measured" in each.message for each in editor.shown["net.py"]))
    seen["forward"] = list(editor.shown["net.py"])
    editor.save("net.py", NET.replace("super().__init__()", "super().__init__("))
    await editor.until(lambda: any("never closed" in each.message for each in editor.shown["net.py"]))
    seen["syntax"] = list(editor.shown["net.py"])

    (folder / "wait").touch()
    editor.open("slow.py")
    await editor.until((folder / "started").exists)
    seen["hover meanwhile"] = await editor.hover("parts.py", 7)
    (folder / "started").unlink()
    editor.save("slow.py", slow.replace("WIDTH", "5").replace("/wait", "/nothing"))
    await editor.until((folder / "started").exists)
    await editor.until(lambda: editor.codes("slow.py"))
    seen["newer save"] = list(editor.shown["slow.py"])
    (folder / "wait").unlink()

    editor.open("alone/y.py")
    await editor.until(lambda: editor.codes("y.py"))
    seen["mistakes"] = list(editor.shown["y.py"]), list(editor.shown["archcheck.toml"])
    (folder / "alone" / "archcheck.toml").write_text('[subjects.x]\nmodel = "x.py:X"\nrules.max-params = 1\n')
    editor.save("alone/y.py", "import torch\n")
    await editor.until(lambda: not editor.codes("y.py"))
    seen["mended"] = editor.codes("archcheck.toml")
    toml = RULES.partition("[subjects.slow]")[0].replace("[subjects.net]", "[subjects.other]")
    editor.save("net.py", NET)
    await editor.until(lambda: ("forbids", 11) in editor.codes("net.py"))
    editor.save("archcheck.toml", toml.replace("max-params = 20", "max-params = 2_000"))
    await editor.until(lambda: ("max-params", 5) not in editor.codes("net.py"))
    await editor.until(lambda: ("forbids", 11) in editor.codes("net.py"))
    seen["contract saved"] = editor.codes("net.py"), editor.codes("slow.py")
    (folder / "alone" / "archcheck.toml").write_text("[subjects.x\n")
    editor.save("alone/y.py", "import torch\n")
    await editor.until(lambda: editor.shown["y.py"] and editor.shown["archcheck.toml"])
    (folder / "alone" / "archcheck.toml").unlink()
    editor.save("alone/y.py", "import torch\n")
    await editor.until(lambda: not (editor.shown["y.py"] or editor.shown["archcheck.toml"]))
    editor.client.initialized(types.InitializedParams())
    seen["hover of no file"] = [await editor.hover_at(uri) for uri in ODD_ADDRESSES]
    seen["failures"] = editor.failures
    seen["exit code"] = await editor.stop()
    return seen


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("editor")
    (folder / ".git").mkdir()
    return asyncio.run(session(folder.resolve()))


def test_a_remark_is_at_the_statement_that_builds_the_layer(seen: dict[str, Any]) -> None:
    found = {(each.code, each.range.start.line + 1): each for each in seen["first"]["net.py"]}
    assert list(found) == [("max-params", 5), ("forbids", 8), ("forbids", 11)]
    dropout = found["forbids", 11]
    assert (dropout.range.start.character, dropout.range.end.character) == (12, 27)
    assert dropout.severity == types.DiagnosticSeverity.Error
    assert dropout.source == "archcheck"
    assert "\nfix: " in dropout.message
    assert dropout.code_description.href.startswith("file:///")
    assert dropout.code_description.href.endswith("/pages/rules/forbids.md")


def test_the_severity_is_that_of_the_verdict(seen: dict[str, Any]) -> None:
    (waived,) = seen["first"]["parts.py"]
    assert waived.severity == types.DiagnosticSeverity.Hint
    assert waived.message == "linear is executed by `block.inner` (Linear)\nwaived: later"


def test_hover_tells_the_figures_of_the_layers_of_a_line(seen: dict[str, Any]) -> None:
    layers, block, model, nothing = seen["hover"]
    assert layers.splitlines() == [
        '"a" (Linear): 36 parameters, output 1x4, 32 multiply-accumulates',
        '"b" (Linear): 20 parameters, output 1x4, 16 multiply-accumulates',
    ]
    assert block == '"block" (Block): 20 parameters, output 1x4, 16 multiply-accumulates'
    assert model == '"net", the model: 76 parameters, output 1x4, 64 multiply-accumulates'
    assert nothing is None


def test_hover_says_nothing_of_a_line_that_was_edited_since(seen: dict[str, Any]) -> None:
    assert seen["hover of an edited line"] is None


def test_saving_a_part_judges_the_subjects_that_it_is_in(seen: dict[str, Any]) -> None:
    assert ("max-params", 5) in seen["after the part"]


def test_a_subject_that_cannot_be_measured_is_one_remark_where_it_fails(seen: dict[str, Any]) -> None:
    (forward,) = seen["forward"]
    assert forward.range.start.line + 1 == 16
    (syntax,) = seen["syntax"]
    assert syntax.range.start.line + 1 == 7


def test_a_newer_save_ends_the_run_of_the_older_one(seen: dict[str, Any]) -> None:
    (found,) = seen["newer save"]
    assert found.message.startswith("15 parameters, limit 10")


def test_the_editor_is_answered_while_a_subject_is_measured(seen: dict[str, Any]) -> None:
    assert seen["hover meanwhile"] is None or "inner" in seen["hover meanwhile"]


def test_mistakes_of_a_contract_are_told_there_and_in_the_file(seen: dict[str, Any]) -> None:
    (told,), (mistake,) = seen["mistakes"]
    assert told.message.startswith("nothing is judged, the contract is wrong: alone/archcheck.toml:3: ")
    assert mistake.range.start.line + 1 == 3
    assert "max-params" in mistake.message
    assert seen["mended"] == []


def test_a_saved_contract_is_judged_by_and_subjects_that_it_dropped_are_cleared(seen: dict[str, Any]) -> None:
    net, slow = seen["contract saved"]
    assert ("max-params", 5) not in net
    assert net.count(("forbids", 11)) == 1
    assert slow == []


def test_what_is_no_file_has_no_hover_and_is_no_failure(seen: dict[str, Any]) -> None:
    assert seen["hover of no file"] == [None] * len(ODD_ADDRESSES)
    assert seen["failures"] == []


def test_the_server_ends_when_the_editor_leaves(seen: dict[str, Any]) -> None:
    assert seen["exit code"] == 0
    assert seen["failures"] == []


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("a = 1\n  \n", 1, ((0, 0), (0, 5))),
        ("é = '😀'; b = f(2)  # c\n", 1, ((0, 0), (0, 8))),
        ("x = [\n    f('😀'), g(),\n]\n", 2, ((1, 4), (1, 11))),
        ("x = [\n    f('😀'), g(),\n]\n", 1, ((0, 0), (2, 1))),
        ("@d\nclass A:\n    pass\n", 2, ((1, 0), (1, 8))),
        ("class A:\n  if 1: x = 2\n", 2, ((1, 2), (1, 13))),
        ("  not python (\n", 1, ((0, 2), (0, 14))),
        ("x = '\x0c\u2028'\r\nclass A: pass\r\n", 2, ((1, 0), (1, 13))),
        ("", 1, ((0, 0), (0, 0))),
        ("a = 1\n", 9, ((0, 0), (0, 0))),
        ("a = 1\n", 0, ((0, 0), (0, 0))),
    ],
)
def test_a_range_is_what_begins_at_a_line(text: str, line: int, expected: object) -> None:
    assert statement_range(text, line) == expected


@pytest.mark.parametrize(
    ("text", "name", "line"),
    [("x = 1\nclass Net: ...\n", "Net", 2), ("x = 1\ndef Net(): ...\n", "Net", 2), ("(\n", "Net", 1), ("", "", 1)],
)
def test_a_class_is_found_by_its_name(text: str, name: str, line: int) -> None:
    assert class_line(text, name) == line


@pytest.mark.parametrize(
    ("language", "starts"), [("js", 'command: "archcheck", args: ["lsp"]'), ("lua", 'cmd = { "archcheck", "lsp" }')]
)
def test_the_page_starts_what_was_tested(language: str, starts: str) -> None:
    assert starts in the_block(language, "archcheck").text
