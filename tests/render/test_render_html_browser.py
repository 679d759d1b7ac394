"""The page in a browser: what it holds, that nothing goes wrong and nothing leaves, and that it fits a telephone."""

from __future__ import annotations

import html
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from archcheck.render import render
from archcheck.rules.findings import Report
from tests.render.pages import Document, two_seeds
from tests.render.samples import cross_checked, differences, failed, judged, residual_net, troubled_net

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"there is no browser: none of {', '.join(NAMES)} is on PATH")

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--no-first-run", "--no-proxy-server", "--enable-logging=stderr", "--v=0",
)  # fmt: skip
EVERYTHING = (
    judged(),
    two_seeds(),
    Report(subject="resnet50", facts=residual_net()),
    Report(subject="odd", facts=troubled_net()),
    Report(subject="counted", facts=cross_checked(*differences())),
    failed(),
)
Load = Callable[[str], tuple[str, str]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Open a text as a page; return what the browser makes of it, and what it complains of."""

    def run(text: str) -> tuple[str, str]:
        file = tmp_path / "page.html"
        file.write_text(text, encoding="utf-8")
        command = [str(BROWSER), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", file.as_uri()]
        done = subprocess.run(command, capture_output=True, timeout=300, check=True)
        errors = done.stderr.decode(errors="replace").splitlines()
        return done.stdout.decode(), "\n".join(line for line in errors if "CONSOLE" in line)

    return run


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """A server, and the paths that it was asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", paths
        server.shutdown()
        thread.join()


def test_the_browser_shows_the_numbers_of_the_json_and_complains_of_nothing(load: Load) -> None:
    dumped, complaints = load(render(EVERYTHING, "html"))
    assert complaints == ""
    document, reports = Document(dumped), json.loads(render(EVERYTHING, "json"))["reports"]
    articles = dumped.split("<article ")[1:]
    assert len(articles) == len(reports)
    for article, report in zip(articles, reports, strict=True):
        _compare(Document(f"<article {article.partition('</main>')[0]}"), report)
    assert document.one("h1").text == "6 subjects"


def _compare(document: Document, report: dict[str, Any]) -> None:
    facts = report.get("facts") or {}
    shown = {each.attributes["data-fact"]: int(each.attributes["value"]) for each in document.having("data-fact")}
    assert len(shown) == (6 if facts else 0)
    for fact, value in shown.items():
        part, name = fact.split(".")
        assert value == facts[part][name]
    layers = {each["path"]: each for each in facts.get("layers", ())}
    for row in document.having("data-layer"):
        found = layers[row.attributes["data-layer"]]
        assert int(row.attributes["data-params"]) == found["params"]
        assert int(row.attributes["data-macs"]) == found["macs"]
    verdicts = [
        (each.attributes["data-instance"], each.attributes["data-verdict"]) for each in document.having("data-rule")
    ]
    assert verdicts == [(each["instance"], each["verdict"]) for each in report["outcomes"]]
    runs = ((facts.get("training") or {}).get("record") or {}).get("runs", ())
    results = [int(each.attributes["value"]) for each in document.all("data", class_="correct")]
    assert results == [run["test"]["correct"] for run in runs]


def test_a_complaint_would_be_seen(load: Load) -> None:
    _, complaints = load("<!doctype html><script>console.error('broken')</script>")
    assert "broken" in complaints


def test_nothing_leaves_the_page_even_where_something_got_into_it(load: Load, asked: tuple[str, list[str]]) -> None:
    server, paths = asked
    image = f"<img src={server}/in-a-name>"
    named = replace(judged(), subject=image, facts=replace(troubled_net(), layers=judged().facts.layers))
    text = render((named, two_seeds()), "html")
    load(text)
    assert paths == []
    smuggled = f'<img src="{server}/smuggled"><script src="{server}/script"></script>'
    _, complaints = load(text.replace("<main", f"{smuggled}<main"))
    assert paths == []
    assert "Content Security Policy" in complaints
    load(f"<!doctype html>{smuggled}")  # as it is without the policy: the server does hear of it
    assert sorted(paths) == ["/script", "/smuggled"]


@pytest.mark.parametrize("width", [360, 1_280])
def test_a_page_is_as_wide_as_the_screen(load: Load, width: int) -> None:
    page = html.escape(render(EVERYTHING, "html"), quote=True)
    dumped, complaints = load(
        f'<!doctype html><iframe srcdoc="{page}" width="{width}" height="800" style="border:0"></iframe>'
        "<script>onload = () => { const page = document.querySelector('iframe').contentDocument;"
        "page.querySelectorAll('details').forEach(each => each.open = true);"
        "document.body.dataset.width = page.documentElement.scrollWidth;"
        "document.body.dataset.font = getComputedStyle(page.body).fontSize }</script>"
    )
    assert complaints == ""
    body = Document(dumped).one("body").attributes
    assert int(body["data-width"]) <= width
    assert body["data-font"] == ("14px" if width < 640 else "15px")  # the style is in force
