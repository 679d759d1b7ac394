"""Judge the networks of this tree with two versions of archcheck, and print every verdict that differs.

    python tests/benchmarks/verdicts.py BEFORE AFTER [--corpus NAME ...]

A version is a git revision, or the Python interpreter of an environment in which archcheck is installed. Of a revision,
`archcheck/` is checked out in a temporary worktree and run by this interpreter. Both versions judge the same files by
the same contracts, each through `python -m archcheck check --format json`, so they may differ in everything inside:

- `evasions`: the networks that try to be talked into a pass, and the honest one beside them;
- `harmless`: honest networks that look as if they were not;
- `wild`: files as people write them;
- `hostile`: subjects that hang, crash, forge answers or fill the machine;
- `reference`: the reference models, with their records and what the README says of them;
- `examples`: those in the docstrings of the rules that a contract can state: not those of snapshots and texts, which
  take files besides, nor those of an empty input.

A verdict is that of a rule, or the kind of the error where a subject cannot be measured. A contract that a version
refuses, as it states a rule that came later, is a verdict of the whole corpus. The last lines count. Exit code 1 when
any verdict differs.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import indent

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from archcheck.foundation.words import amount
from archcheck.judging.rule_pages import Example, examples
from archcheck.rules import BUILTIN
from archcheck.rules.base import rule_name
from tests.evasion import catalogue
from tests.measure.wild import test_wild
from tests.workers.hostile import hostile_subjects

ROOT = Path(__file__).resolve().parents[2]

Key = tuple[str, str, str]
"""A corpus, a subject and an instance of a rule."""

SUBJECT, CONTRACT = "(subject)", "(contract)"
"""In place of a rule, what could not be measured; in place of a subject, what could not be read."""

SAID = ("note", "where", "target", "frozen", "unused")
"""What a file of the corpus `wild` says of itself beside the names of its models."""

WILD_RULES = "max-params = 500\nno-hidden-weights = true\nno-unused-layers = true\nfinite-output = true\n"


def write_evasions(folder: Path) -> None:
    for file in catalogue.SUBJECTS.glob("*.py"):
        shutil.copy(file, folder)
    subjects = {"honest": "honest.py:Honest", **dict(catalogue.evasions())}
    (folder / "archcheck.toml").write_text(catalogue.contract(subjects))


def write_harmless(folder: Path) -> None:
    file = Path(catalogue.__file__).with_name("harmless.py")
    shutil.copy(file, folder)
    factories = [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)]
    names = [node.name for node in factories if not node.args.args]
    subjects = [f'[subjects.{name}]\nmodel = "harmless.py:{name}"\ninput = [4, 8]\n' for name in names]
    (folder / "archcheck.toml").write_text(f"[rules]\n{catalogue.RULES}\n" + "\n".join(subjects))


def write_wild(folder: Path) -> None:
    subjects = []
    for kind in test_wild.KINDS:
        shutil.copytree(test_wild.HERE / kind, folder / kind, ignore=shutil.ignore_patterns("__pycache__"))
        for path in sorted((folder / kind).iterdir()):
            target, lines = test_wild.expected(path) if not path.name.startswith(("_", ".")) else ("", [])
            file = (path / target if path.is_dir() else path).relative_to(folder).as_posix()
            words = [line.partition(": ")[0] for line in lines]
            models = [word for word in words if word.isidentifier() and word not in SAID]
            for name in dict.fromkeys(models):
                subjects.append(f"[subjects.{json.dumps(f'{file}:{name}')}]\nmodel = {json.dumps(f'{file}:{name}')}\n")
    (folder / "archcheck.toml").write_text(f"[rules]\n{WILD_RULES}\n" + "\n".join(subjects))


def write_reference(folder: Path) -> None:
    shutil.copytree(ROOT / "reference_models", folder / "reference_models")
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)


def write_examples(folder: Path) -> None:
    subjects = []
    for rule in BUILTIN:
        for number, example in enumerate(examples(rule), 1):
            if can_be_stated(example):
                name = f"{rule_name(rule)}-{number}-{example.verdict}"
                (folder / f"{name}.py").write_text(source_of(example))
                shapes = f"input = {example.input}\n" if example.input else ""
                model = f'[subjects.{name}]\nmodel = "{name}.py:model"\n'
                subjects.append(f"{model}{shapes}[subjects.{name}.rules]\n{example.rule}\n")
    (folder / "archcheck.toml").write_text("\n".join(subjects))


def can_be_stated(example: Example) -> bool:
    """Whether a contract and a file with the model are all that an example takes."""
    empty = re.search(r"\b0\b", example.input or "")
    return bool(example.model) and not empty and not {"was", "texts"} & set(example.lines)


def source_of(example: Example) -> str:
    """Return a file whose `model()` is the model of an example."""
    source = example.model or ""
    lines = ["import types", "import torch", "import torch.nn.functional as F", "from torch import nn", ""]
    if source.startswith("def "):
        lines += ["class Model(nn.Module):", indent(source, "    "), ""]
        source = "Model()"
    lines += ["def model():", f"    net = ({source})"]
    if "forward" in example.lines:
        lines += [f"    net.forward = types.MethodType({example.lines['forward']}, net)"]
    return "\n".join([*lines, "    return net", ""])


CORPORA: Mapping[str, Callable[[Path], None]] = {
    "evasions": write_evasions,
    "harmless": write_harmless,
    "wild": write_wild,
    "hostile": hostile_subjects.write_project,
    "reference": write_reference,
    "examples": write_examples,
}
"""Name of a corpus -> what writes its files and its contract into an empty folder."""


@contextlib.contextmanager
def command_of(version: str) -> Iterator[tuple[Sequence[str], Mapping[str, str]]]:
    """Yield how to run a version of archcheck: the command, and the variables that it takes."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    if Path(version).is_file() and os.access(version, os.X_OK):
        yield [str(Path(version).absolute()), "-m", "archcheck"], environment
        return
    git = ["git", "-C", str(ROOT)]
    asked = [*git, "rev-parse", "--verify", "--quiet", f"{version}^{{commit}}"]
    commit = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    if not commit:
        raise SystemExit(f"{version}: neither a Python interpreter nor a revision of this repository")
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder).resolve() / "tree"
        subprocess.run([*git, "worktree", "add", "--quiet", "--no-checkout", "--detach", tree, commit], check=True)
        try:
            subprocess.run(["git", "-C", tree, "checkout", "--quiet", commit, "--", "archcheck"], check=True)
            yield [sys.executable, "-m", "archcheck"], {**environment, "PYTHONPATH": str(tree)}
        finally:
            subprocess.run([*git, "worktree", "remove", "--force", tree], check=True)


def judge(version: str, corpora: Sequence[str]) -> dict[Key, str]:
    """Return the verdicts of a version."""
    verdicts: dict[Key, str] = {}
    with command_of(version) as (command, environment):
        for corpus in corpora:
            with tempfile.TemporaryDirectory(prefix="verdicts-") as folder:
                CORPORA[corpus](Path(folder))
                asked = [*command, "check", "--no-cache", "--format", "json"]
                done = subprocess.run(asked, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            verdicts |= {(corpus, *key): word for key, word in read(done.stdout, done.stderr).items()}
            print(f"{version}: {corpus} judged", file=sys.stderr, flush=True)
    return verdicts


def read(out: str, error: str) -> dict[tuple[str, str], str]:
    """Return the verdicts of a JSON report, by subject and rule; or what there is in its place."""
    if not out:
        return {(CONTRACT, CONTRACT): f"refused: {next(iter(error.splitlines()), 'nothing was said')}"}
    verdicts = {}
    for report in json.loads(out)["reports"]:
        if report.get("error"):
            verdicts[report["subject"], SUBJECT] = f"error: {report['error']['kind']}"
        for outcome in report["outcomes"]:
            verdicts[report["subject"], outcome["instance"]] = outcome["verdict"]
    return verdicts


def differences(before: Mapping[Key, str], after: Mapping[Key, str]) -> list[tuple[str, ...]]:
    """Return a row for each verdict that differs: its key, and both; `-` where a version gives none."""
    keys = dict.fromkeys((*before, *after))
    rows = [(*key, before.get(key, "-"), after.get(key, "-")) for key in keys]
    return [row for row in rows if row[-2] != row[-1]]


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows of words in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "".join("  ".join(map(str.ljust, row, widths)).rstrip() + "\n" for row in rows)


def summary(before: Mapping[Key, str], after: Mapping[Key, str]) -> tuple[str, int]:
    """Return what is printed, and the exit code."""
    rows = differences(before, after)
    keys = {*before, *after}
    subjects = {key[:2] for key in keys}
    words = Counter(word.partition(":")[0] for word in after.values())
    counted = f"after: {', '.join(f'{count:,} {word}' for word, count in words.most_common())}\n"
    judged = f"{amount(len(keys), 'verdicts')} of {amount(len(subjects), 'subjects')}"
    counted += f"{judged}; {len(rows):,} {'differs' if len(rows) == 1 else 'differ'}\n"
    if not rows:
        return counted, 0
    return table([("corpus", "subject", "rule", "before", "after"), *rows]) + counted, 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", help="a git revision, or a Python interpreter")
    parser.add_argument("after", help="another one")
    parser.add_argument("--corpus", action="append", choices=CORPORA, help="judge this one alone; may be repeated")
    options = parser.parse_args()
    corpora = options.corpus or list(CORPORA)
    text, code = summary(*(judge(version, corpora) for version in (options.before, options.after)))
    print(text, end="")
    return code


if __name__ == "__main__":
    sys.exit(main())
