"""A session of an agent with `archcheck mcp`, by the client of the SDK: one server for all tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from jsonschema import validate
from mcp import StdioServerParameters
from mcp.client import Client

from archcheck.facts.snapshot import Snapshot, Totals, snapshot_text
from tests.pages.page_blocks import the_block
from tests.support.cli_samples import environment

NET = """\
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 4)

    def forward(self, x):
        return self.a(x)
"""
CONTRACT = """\
[subjects.net]
model = "net.py:Net"
input = [1, 8]
rules.max-params = { limit = 20, because = "it must fit" }
rules.forbids = ["dropout"]
"""
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "explain": ("explain", {"topic": "max-params"}),
    "list": ("explain", {}),
    "report": ("report", {"target": "net.py:Net", "input": ["2,8"]}),
    "check": ("check", {}),
    "diff": ("diff", {"first": "before.json", "second": "after.json"}),
    "no report": ("diff", {"first": "nothing.json", "second": "after.json"}),
    "init": ("init", {"target": "net.py"}),
    "no subject": ("check", {"subjects": ["nte"]}),
    "no file": ("report", {"target": "nothing.py"}),
    "no page": ("explain", {"topic": "max-parms"}),
    "an option": ("report", {"target": "--paranoid"}),
    "no target": ("report", {}),
    "a text for a list": ("check", {"subjects": "net"}),
    "a number for a list": ("report", {"target": "net.py", "input": 3}),
    "a number for a text": ("report", {"target": "net.py", "input": [3]}),
    "unknown": ("report", {"target": "net.py", "inputs": ["2,8"]}),
    "long": ("diff", {"first": "x" * 5_000, "second": "after.json"}),
}
TOTALS: dict[str, Any] = {
    **dict.fromkeys(["params", "trainable", "frozen", "buffers", "hidden", "bytes", "macs"], 36),
    **dict.fromkeys(["fvcore_flops", "activations", "peak_activation_bytes"], 36),
    **dict.fromkeys(["inputs", "outputs", "uncounted"], ()),
    "receptive_field": None,
}


async def session(folder: Path) -> dict[str, Any]:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "archcheck", "mcp"],
        cwd=folder,
        env=environment(ARCHCHECK_CACHE_DIR=os.devnull),
    )
    began = time.monotonic()
    seen: dict[str, Any] = {}
    with anyio.fail_after(120):
        async with Client(server) as client:
            seen["tools"] = {tool.name: tool for tool in (await client.list_tools()).tools}
            print(f"started without torch in {time.monotonic() - began:.2f} s")
            for name, (tool, arguments) in CALLS.items():
                seen[name] = await client.call_tool(tool, arguments)
    return seen


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("agent")
    (folder / ".git").mkdir()
    (folder / "net.py").write_text(NET)
    (folder / "archcheck.toml").write_text(CONTRACT)
    for name, params in {"before": 36, "after": 40}.items():
        totals = Totals(**{**TOTALS, "params": params})
        (folder / f"{name}.json").write_text(snapshot_text({"net": Snapshot(totals=totals, layers={})}))
    return anyio.run(session, folder)


def value_of(seen: dict[str, Any], name: str) -> Any:
    answer = seen[name]
    assert not answer.is_error, answer.content[0].text
    validate(answer.structured_content, seen["tools"][CALLS[name][0]].output_schema)
    return answer.structured_content


def test_each_tool_says_what_it_takes_and_returns(seen: dict[str, Any]) -> None:
    assert list(seen["tools"]) == ["report", "check", "explain", "diff", "init"]
    assert seen["tools"]["report"].input_schema["required"] == ["target"]
    assert "ToolFinding" in json.dumps(seen["tools"]["check"].output_schema)


def test_a_finding_has_its_place_and_the_next_step(seen: dict[str, Any]) -> None:
    judged = value_of(seen, "check")
    assert (judged["passes"], judged["exit_code"]) == (False, 1)
    params, forbids = judged["reports"][0]["outcomes"]
    assert (params["rule"], params["verdict"], params["because"]) == ("max-params", "broken", "it must fit")
    (finding,) = params["findings"]
    assert (finding["file"], finding["line"]) == ("net.py", 4)
    assert finding["fix"] == "remove 16 parameters, or raise max-params at archcheck.toml:4"
    assert (forbids["verdict"], forbids["findings"]) == ("kept", [])


def test_a_report_has_layers_with_figures(seen: dict[str, Any]) -> None:
    (report,) = value_of(seen, "report")["reports"]
    assert (report["parameters"], report["macs"], report["outputs"]) == (36, 64, ["2x4"])
    assert report["layers"][1] == {
        "path": "a",
        "type": "Linear",
        "parameters": 36,
        "outputs": ["2x4"],
        "macs": 64,
        "file": "net.py",
        "line": 7,
    }


def test_pages_and_first_contracts_are_text(seen: dict[str, Any]) -> None:
    assert value_of(seen, "explain")["text"].startswith("max-params")
    assert "tutorial" in value_of(seen, "list")["text"]
    assert "max-params = 40" in value_of(seen, "init")["text"]


def test_a_difference_says_what_grew(seen: dict[str, Any]) -> None:
    (found,) = value_of(seen, "diff")["subjects"]
    assert found == {"subject": "net", "same": False, "grew": True, "summary": "params 36 -> 40 (+4, +11.1 %)"}


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("no subject", '"nte" is not a subject of archcheck.toml; did you mean "net"?'),
        ("no file", "nothing.py"),
        ("no page", 'did you mean "max-params"?'),
        ("an option", "--paranoid"),
        ("no target", 'report needs "target"'),
        ("a text for a list", "\"subjects\" must be a list of texts, found 'net'"),
        ("a number for a list", '"input" must be a list of texts, found 3'),
        ("a number for a text", '"input.0" must be a text, found 3'),
        ("unknown", '"inputs" is not an argument of report; did you mean "input"?'),
        ("long", "is too long for the name of a file"),
        ("no report", "there is no file nothing.json"),
    ],
)
def test_a_mistake_is_an_error_of_one_line(seen: dict[str, Any], name: str, part: str) -> None:
    answer = seen[name]
    assert answer.is_error
    (content,) = answer.content
    assert part in content.text
    assert "\n" not in content.text
    assert "pydantic" not in content.text


@pytest.mark.parametrize("command", ["mcp", "lsp"])
def test_a_signal_ends_a_server_whose_client_stays(command: str, tmp_path: Path) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping" if command == "mcp" else "shutdown", "params": {}}
    text = json.dumps(message)
    framed = f"{text}\n" if command == "mcp" else f"Content-Length: {len(text)}\r\n\r\n{text}"
    with subprocess.Popen(
        [sys.executable, "-m", "archcheck", command],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as server:
        assert server.stdin
        assert server.stdout
        server.stdin.write(framed.encode())
        server.stdin.flush()
        assert server.stdout.read(1)
        server.terminate()
        try:
            assert server.wait(20) == 128 + signal.SIGTERM
        finally:
            server.kill()


def test_the_page_starts_what_was_tested() -> None:
    servers = json.loads(the_block("json", "mcpServers").text)["mcpServers"]
    assert servers == {"archcheck": {"command": "archcheck", "args": ["mcp"]}}
