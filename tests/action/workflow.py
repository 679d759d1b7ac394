"""Runs the steps of an action as the runner of GitHub does, as far as the steps here need it."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github" / "actions" / "archcheck" / "action.yml"
WORKFLOWS = ROOT / ".github" / "workflows"
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


def read(file: Path) -> dict[str, Any]:
    # YAML 1.1 takes the key `on` for a truth value; nothing here asks for it.
    document: dict[str, Any] = yaml.safe_load(file.read_text())
    return document


def tool(name: str, *arguments: object) -> str:
    """Run a tool of this environment that finds faults; return what it said, if it found any."""
    script = Path(sysconfig.get_path("scripts")) / name
    done = subprocess.run([script, *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


@dataclass
class Run:
    """What a run of the action left behind: `code` is that of the first step that failed, or 0.

    `steering` is what was written to the files that change the environment, the path and the state of later steps.
    """

    folder: Path = ACTION.parent
    code: int = 0
    logs: dict[str, str] = field(default_factory=dict)
    steps: dict[str, dict[str, str]] = field(default_factory=dict)
    summary: str = ""
    steering: str = ""
    outputs: dict[str, str] = field(default_factory=dict)


def run_action(
    workspace: Path,
    temporary: Path,
    inputs: Mapping[str, str],
    *,
    only: str | None = None,
    before: Mapping[str, dict[str, str]] | None = None,
    folder: Path = ACTION.parent,
    **environment: str,
) -> Run:
    """Run every step of the action in `workspace`, until one fails.

    `only` names the one step that is run, and `before` gives the outputs of those that it comes after. `folder` is
    where the runner has put the action.
    """
    action, run = read(folder / ACTION.name), Run(folder=folder, steps=dict(before or {}))
    given = {name: str(value.get("default", "")) for name, value in action["inputs"].items()} | dict(inputs)
    summary = temporary / "summary.md"
    steering = {name: temporary / name for name in ("GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE")}
    for file in (summary, *steering.values()):
        file.touch()
    for step in action["runs"]["steps"]:
        if only not in (None, step["name"]):
            continue
        output = temporary / f"output_{len(run.logs)}"
        output.touch()
        process = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=workspace / resolve(step.get("working-directory", "."), given, run),
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")},
                "RUNNER_TEMP": str(temporary),
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(summary),
                **{name: str(file) for name, file in steering.items()},
                **environment,
                **{name: resolve(value, given, run) for name, value in step.get("env", {}).items()},
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        run.logs[step["name"]] = process.stdout
        run.steps[step.get("id", step["name"])] = dict(line.split("=", 1) for line in output.read_text().splitlines())
        if process.returncode:
            run.code = process.returncode
            break
    run.summary = summary.read_text()
    run.steering = "".join(file.read_text() for file in steering.values())
    run.outputs = {name: resolve(value["value"], given, run) for name, value in action["outputs"].items()}
    return run


def _addresses(run: Run) -> dict[str, str]:
    """Return where the checked repository is, and where the action is if that is elsewhere."""
    elsewhere = run.folder != ACTION.parent
    return {
        "server_url": "https://github.com",
        "repository": "SOME/NETWORK",
        "sha": "c0ffee",
        "action_repository": "OWNER/REPO" if elsewhere else "",
        "action_ref": "REF" if elsewhere else "",
    }


def resolve(text: str, inputs: Mapping[str, str], run: Run) -> str:
    """Put in the values of `inputs.…`, `steps.….outputs.…` and of the few words of `github.…` that are known here."""

    def value(match: re.Match[str]) -> str:
        match match[1].split("."):
            case ["inputs", name]:
                return EXPRESSION.sub(value, inputs[name])
            case ["steps", step, "outputs", name]:
                return run.steps.get(step, {}).get(name, "")
            case ["github", "action_path"]:
                return str(run.folder)
            case ["github", "token"]:
                return "the job's token"
            case ["github", ("server_url" | "repository" | "sha" | "action_repository" | "action_ref") as name]:
                return _addresses(run)[name]
            case ["github", "event", "before"]:
                return inputs.get("event.before", "")
        raise ValueError(match[1])

    return EXPRESSION.sub(value, text)
