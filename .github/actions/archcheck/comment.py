"""Keep one comment on the pull request up to date with the summary; where that may not be, say so in a notice.

Reads `SUMMARY` (a file), `TOKEN`, `KEY` (tells the comments of several contracts apart) and what the runner sets. The
comment is found again by a mark that readers do not see. Whatever goes wrong, the step does not fail: the gate alone
decides.
"""

import hashlib
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST = 60_000
"""Characters of a comment; GitHub refuses more than 65,536."""
PER_PAGE = 100
FORBIDDEN = (
    "the token may not write one (HTTP {}). The job needs the permission `pull-requests: write`, "
    "which pull requests from forks never get; the job summary says the same"
)
TRUSTED = ("OWNER", "MEMBER", "COLLABORATOR")


def main() -> None:
    """Write the comment, or a notice."""
    number = pull_request()
    if number is None:
        notice("no comment: this is no pull request")
        return
    try:
        keep(number, f"{mark()}\n{body()}")
    except urllib.error.HTTPError as error:
        notice(f"no comment: {FORBIDDEN.format(error.code) if error.code in (401, 403, 404) else error}")
    except (OSError, ValueError) as error:
        notice(f"no comment: GitHub gave no answer: {error}")


def pull_request() -> int | None:
    """Return the number of the pull request that the workflow runs for."""
    file = os.environ.get("GITHUB_EVENT_PATH")
    event = json.loads(Path(file).read_text(encoding="utf-8")) if file and Path(file).is_file() else {}
    number = (event.get("pull_request") or {}).get("number")
    return number if isinstance(number, int) else None


def mark() -> str:
    """Return the line, hidden from readers, that tells this comment from all others."""
    key = hashlib.sha256(os.environ["KEY"].encode()).hexdigest()[:16]
    return f"<!-- archcheck {key} -->"


def body() -> str:
    """Return the summary, as much of it as a comment may hold."""
    text = Path(os.environ["SUMMARY"]).read_text(encoding="utf-8")
    if len(text) <= MOST:
        return text
    # A line is never cut, so that a table stays one.
    return text[:MOST].rpartition("\n")[0] + "\n\nThe rest is in the job summary.\n"


def keep(number: int, text: str) -> None:
    """Write the comment again where there is one, else for the first time."""
    comments = f"repos/{os.environ['GITHUB_REPOSITORY']}/issues"
    for comment in existing(f"{comments}/{number}/comments"):
        if is_ours(comment):
            ask("PATCH", f"{comments}/comments/{comment['id']}", {"body": text})
            return
    ask("POST", f"{comments}/{number}/comments", {"body": text})


def existing(path: str) -> Iterator[dict[str, Any]]:
    """Yield the comments that there are, page by page."""
    page = 1
    while found := ask("GET", f"{path}?per_page={PER_PAGE}&page={page}"):
        yield from found
        if len(found) < PER_PAGE:
            return
        page += 1


def is_ours(comment: dict[str, Any]) -> bool:
    """Whether it bears the mark and is by who may speak here: a stranger could write the mark, and later change it."""
    known = comment["user"]["type"] == "Bot" or comment.get("author_association") in TRUSTED
    return known and str(comment["body"]).startswith(mark())


def ask(method: str, path: str, content: object = None) -> Any:
    """Return the answer of GitHub. Raises `OSError` when there is none, `ValueError` when it is not JSON."""
    request = urllib.request.Request(
        f"{os.environ['GITHUB_API_URL']}/{path}",
        data=None if content is None else json.dumps(content).encode(),
        method=method,
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {os.environ['TOKEN']}",
            "Content-Type": "application/json",
            "User-Agent": "archcheck",
            "X-GitHub-Api-Version": "2022-11-28",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def notice(text: str) -> None:
    """Tell the runner to show `text`."""
    escaped = " ".join(text.split()).replace("%", "%25")
    sys.stdout.write(f"::notice title=archcheck::{escaped}\n")


if __name__ == "__main__":
    main()
