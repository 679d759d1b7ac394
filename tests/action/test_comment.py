"""The step that comments on a pull request, against a server that answers as GitHub's does."""

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.action.workflow import Run, run_action

EVENT = {"pull_request": {"number": 7}}
BOT = {"user": {"type": "Bot"}, "author_association": "NONE"}
STRANGER = {"user": {"type": "User"}, "author_association": "NONE"}


class GitHub(ThreadingHTTPServer):
    """Holds the comments of pull request 7; `refuses` is the code with which writing is refused."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.comments: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str]] = []
        self.tokens: set[str] = set()
        self.refuses: int | None = None
        self.babbles = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: GitHub

    def do_GET(self) -> None:
        query = {name: int(values[0]) for name, values in parse_qs(urlsplit(self.path).query).items()}
        first = (query["page"] - 1) * query["per_page"]
        self.answer(200, self.server.comments[first : first + query["per_page"]])

    def do_POST(self) -> None:
        content = self.content()
        if not self.refused():
            self.server.comments.append({"id": len(self.server.comments) + 1, **content, **BOT})
            self.answer(201, self.server.comments[-1])

    def do_PATCH(self) -> None:
        content = self.content()
        if not self.refused():
            comment = self.server.comments[int(self.path.rpartition("/")[2]) - 1]
            comment.update(content)
            self.answer(200, comment)

    def content(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def refused(self) -> bool:
        if self.server.refuses:
            self.answer(self.server.refuses, {"message": "Resource not accessible by integration"})
        return bool(self.server.refuses)

    def answer(self, code: int, value: Any) -> None:
        self.server.requests.append((self.command, urlsplit(self.path).path))
        self.server.tokens.add(self.headers["Authorization"])
        self.send_response(code)
        self.end_headers()
        self.wfile.write(b"<html>" if self.server.babbles else json.dumps(value).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def github() -> Iterator[GitHub]:
    server = GitHub()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def comment(
    folder: Path,
    url: str,
    text: str = "### archcheck: kept\n",
    event: Any = EVENT,
    **inputs: str,
) -> Run:
    summary, happened = folder / "said.md", folder / "event.json"
    summary.write_text(text)
    happened.write_text(json.dumps(event))
    before = {"setup": {"python": sys.executable}, "summarise": {"summary": str(summary)}}
    environment = {"GITHUB_API_URL": url, "GITHUB_REPOSITORY": "some/where", "GITHUB_EVENT_PATH": str(happened)}
    return run_action(folder, folder, {"comment": "true", **inputs}, only="Comment", before=before, **environment)


def test_there_is_one_comment_and_it_is_kept_up_to_date(github: GitHub, tmp_path: Path) -> None:
    github.comments.append({"id": 1, "body": "what a network", **STRANGER})
    assert comment(tmp_path, github.url).logs["Comment"] == ""
    comment(tmp_path, github.url, "### archcheck: broken\n")
    assert len(github.comments) == 2
    mark, _, text = github.comments[1]["body"].partition("\n")
    assert (mark[:15], mark[-4:], text) == ("<!-- archcheck ", " -->", "### archcheck: broken\n")
    assert github.tokens == {"Bearer the job's token"}
    assert github.requests[-1] == ("PATCH", "/repos/some/where/issues/comments/2")


def test_it_is_found_behind_many_others(github: GitHub, tmp_path: Path) -> None:
    github.comments = [{"id": number, "body": "more", **STRANGER} for number in range(1, 101)]
    comment(tmp_path, github.url)
    comment(tmp_path, github.url, "again")
    assert len(github.comments) == 101
    assert github.comments[100]["body"].endswith("\nagain")


def test_each_contract_has_a_comment_of_its_own(github: GitHub, tmp_path: Path) -> None:
    comment(tmp_path, github.url)
    comment(tmp_path, github.url, config="other.toml")
    assert len({each["body"].partition("\n")[0] for each in github.comments}) == 2


def test_the_mark_of_a_stranger_is_not_ours(github: GitHub, tmp_path: Path) -> None:
    comment(tmp_path, github.url)
    github.comments[0] |= STRANGER
    comment(tmp_path, github.url)
    assert len(github.comments) == 2


@pytest.mark.parametrize("code", [401, 403, 404])
@pytest.mark.parametrize("again", [False, True])
def test_who_may_not_write_gets_a_notice(github: GitHub, tmp_path: Path, code: int, again: bool) -> None:
    if again:
        comment(tmp_path, github.url)
    github.refuses = code
    run = comment(tmp_path, github.url)
    assert run.code == 0
    (line,) = run.logs["Comment"].splitlines()
    assert line.startswith(f"::notice title=archcheck::no comment: the token may not write one (HTTP {code}).")
    assert "`pull-requests: write`" in line


def test_no_trouble_with_the_server_is_a_failure(github: GitHub, tmp_path: Path) -> None:
    github.refuses = 500
    runs = [comment(tmp_path, github.url), comment(tmp_path, "http://127.0.0.1:9")]
    github.babbles = True
    runs.append(comment(tmp_path, github.url))
    for run in runs:
        assert run.code == 0
        (line,) = run.logs["Comment"].splitlines()
        assert line.startswith("::notice title=archcheck::no comment: ")


@pytest.mark.parametrize("event", [{}, {"pull_request": None}, {"pull_request": {}}])
def test_without_a_pull_request_nobody_is_asked(github: GitHub, tmp_path: Path, event: Any) -> None:
    run = comment(tmp_path, github.url, event=event)
    assert (run.code, github.requests) == (0, [])
    assert "this is no pull request" in run.logs["Comment"]


def test_who_asked_for_no_comment_gets_none(github: GitHub, tmp_path: Path) -> None:
    assert comment(tmp_path, github.url, comment="false").logs["Comment"] == ""
    assert github.requests == []


def test_what_is_too_long_ends_with_a_whole_line(github: GitHub, tmp_path: Path) -> None:
    comment(tmp_path, github.url, "| a row |\n" * 10_000)
    body = github.comments[0]["body"]
    assert len(body) < 65_536
    assert set(body.splitlines()[1:-2]) == {"| a row |"}
    assert body.endswith("\n\nThe rest is in the job summary.\n")
