"""What makes a repository judge its contract: a workflow of GitHub, and a hook of pre-commit."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.words import as_yaml, quote, visible

WORKFLOW = Path(".github", "workflows", "archcheck.yml")
ACTION = ".github/actions/archcheck"
"""Where the repository of archcheck holds its action."""
UNKNOWN = "OWNER/REPO@REF"
"""What stands for the repository of archcheck and a commit of it until somebody names them."""
_PLACE = re.compile(r"([\w.-]+/[\w.-]+)@([\w./-]+)", re.ASCII)


def action_of(place: str) -> str:
    """Return the action as a step uses it, for `OWNER/REPO@REF`. Raises `ArchcheckError` for anything else."""
    found = _PLACE.fullmatch(place)
    if found is None:
        raise ArchcheckError(
            f"--action takes the repository that holds the action and a commit of it, {UNKNOWN}, found {quote(place)}"
        )
    return f"{found[1]}/{ACTION}@{found[2]}"


def workflow_text(contract: Path, *, place: str = UNKNOWN, installs: Sequence[str] = ()) -> str:
    """Return a workflow that judges a contract with the action.

    `contract` is its path in the repository, `place` names the action, and `installs` are the arguments of pip for what
    the networks import, one call each, seen from the folder of the contract. Python is the release that runs now.
    Raises `ArchcheckError` for a place that cannot be.
    """
    folder = contract.parent.as_posix()
    plain = folder.replace("${{", "${{ '${{' }}")  # GitHub reads an expression in any text
    there = [] if folder == "." else [f"working-directory: {as_yaml(plain)}"]
    steps = ("\n        ".join([f"      - run: python -m pip install {each}", *there]) + "\n" for each in installs)
    words = {
        "FILE": visible(contract.as_posix()),
        "PYTHON": ".".join(map(str, sys.version_info[:2])),
        "INSTALL": "".join(steps),
        "ACTION": action_of(place),
        "CONFIG": "\n          ".join([contract.name, *there]),
    }
    text = files("archcheck.integrations.repository").joinpath("archcheck.yml").read_text(encoding="utf-8")
    return re.sub(r"@([A-Z]+)@", lambda found: words[found[1]], text)


def uses_action(workflow: str) -> bool:
    """Whether the text of a workflow uses the action, from wherever."""
    return re.search(rf"^[ \t-]*uses:.*{re.escape(ACTION)}(?:@|\s|[\"']|$)", workflow, re.MULTILINE) is not None


def hook(contract: Path) -> dict[str, Any]:
    """Return a repository of pre-commit with the hook. `contract` is the path of the contract in the repository."""
    config = "" if contract.parent == Path() else f" --config {shlex.quote(contract.as_posix())}"
    only = {
        "id": "archcheck",
        "name": "archcheck",
        "entry": f"archcheck check{config}",
        "language": "system",
        "types_or": ["python", "toml"],
        "pass_filenames": False,
    }
    return {"repo": "local", "hooks": [only]}
