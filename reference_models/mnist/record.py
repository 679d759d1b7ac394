"""The evidence: what finished runs measured, and of which network, recipe and data.

    python -m reference_models.mnist.record                          what the committed records say
    python -m reference_models.mnist.record runs/A-0 runs/A-1 ... [--output RECORD.json]
    python -m reference_models.mnist.record RECORD.json runs/A-2 ... [--output RECORD.json]   adds runs to a record

The committed checkpoint is the last epoch of the first run named: chosen by its place, never by its score.
"""

import inspect
import json
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from reference_models.mnist import digest
from reference_models.mnist.checkpoint import write_atomically
from reference_models.mnist.command import Parser, execute
from reference_models.mnist.data import FILES, SPLIT_SEED, TEST_SIZE, split
from reference_models.mnist.documents import HEADER, difference, formatted, read_record, read_run, sealed
from reference_models.mnist.errors import RunError
from reference_models.mnist.evaluate import Scores
from reference_models.mnist.loop import Epoch, best
from reference_models.mnist.recipes import Recipe, find

SCHEMA = 1
RECORD = Path(__file__).with_name("record.json")


def describe(recipe: Recipe | str = "A", limit: int | None = None) -> dict[str, Any]:
    """Return the `recipe` and `data` of a record: settings, split and digests. Reads no data file."""
    chosen = find(recipe) if isinstance(recipe, str) else recipe
    parts = split().first(limit)
    return {
        "recipe": {"name": chosen.name, "sha256": chosen.sha256(), "settings": chosen.settings()},
        "data": {
            "name": "MNIST",
            "files": dict(FILES),
            "split": {
                "train": len(parts.train),
                "validation": len(parts.validation),
                "seed": SPLIT_SEED,
                "sha256": digest.of_integers(parts.validation),
            },
            "test": min(limit or TEST_SIZE, TEST_SIZE),
        },
    }


def header(model: nn.Module, recipe: Recipe, limit: int | None = None) -> dict[str, Any]:
    """Return what identifies a run besides its seed, as JSON values."""
    state = [[name, list(tensor.shape)] for name, tensor in model.state_dict().items()]
    source = Path(inspect.getfile(type(model)))
    described = {
        "schema": SCHEMA,
        "model": {
            "class": type(model).__name__,
            "source": source.name,
            "sha256": digest.of_source(source),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "state": digest.of_json(state),
        },
        **describe(recipe, limit),
        "environment": {
            "torch": torch.__version__,
            "python": platform.python_version(),
            "threads": torch.get_num_threads(),
        },
    }
    plain: dict[str, Any] = json.loads(json.dumps(described))
    return plain


def entry(seed: int, rows: Sequence[Epoch], test: Scores) -> dict[str, Any]:
    """Return one run of a record. The test result is the last epoch's; the best epoch is only named."""
    top = best(rows)
    return {
        "seed": seed,
        "epochs": list(rows),
        "selected": "last",
        "best_validation": {
            "epoch": top["epoch"],
            "correct": top["validation_correct"],
            "total": top["validation_total"],
        },
        "test": {"correct": test.correct, "total": test.total, "loss": test.loss},
    }


def collect(sources: Sequence[Path], output: Path = RECORD) -> dict[str, Any]:
    """Write the record of finished runs to `output` and the first one's last checkpoint beside it.

    A source is a run's folder or the file of an earlier record. Raises `RunError` when a run is not finished, a
    record was edited, a seed comes twice, or the runs' network, recipe, data or environment differ; and when `output`
    holds the record of another network, recipe or data, which would be lost.
    """
    records = [read_run(source) if source.is_dir() else read_record(source) for source in sources]
    shared = {key: records[0][key] for key in HEADER}
    for source, record in zip(sources, records, strict=True):
        if (other := difference(record, shared)) is not None:
            raise RunError(f"`{source}` and `{sources[0]}` are runs of different things: {other}; record them apart")
    _spare(output, shared)
    runs = [run for record in records for run in record["runs"]]
    seeds = [run["seed"] for run in runs]
    if len(set(seeds)) < len(seeds):
        raise RunError(f"the runs' seeds {seeds} repeat; name each seed's run once")
    weights = _weights(sources[0], records[0]["checkpoint"])
    beside = output.with_name(output.with_suffix(".safetensors").name.replace("record", "checkpoint", 1))
    collected = sealed({**shared, "runs": runs, "checkpoint": {**records[0]["checkpoint"], "file": beside.name}})
    write_atomically(beside, weights)
    write_atomically(output, formatted(collected))
    return collected


def _spare(output: Path, shared: Mapping[str, Any]) -> None:
    """Raise `RunError` if `output` is a record of other things than `shared`. One that is no record may be replaced."""
    try:
        existing = read_record(output)
    except RunError:
        return
    identity = {key: shared[key] for key in ("model", "recipe", "data")}
    if (other := difference(existing, identity)) is not None:
        raise RunError(f"`{output}` is the record of something else: {other}; pass another `--output`")


def _weights(source: Path, described: Mapping[str, Any]) -> bytes:
    path = (source if source.is_dir() else source.parent) / str(described["file"])
    if not path.exists():
        raise RunError(f"`{path}` is missing; train the run again")
    weights = path.read_bytes()
    if (found := digest.of_bytes(weights)) != described["sha256"]:
        raise RunError(f"`{path}` is not the run's: expected sha256 `{described['sha256']}`, found `{found}`")
    return weights


def summary(record: Mapping[str, Any]) -> str:
    """Return mean, spread (sample standard deviation, range) and number of the runs' test accuracies."""
    shares = [100 * run["test"]["correct"] / run["test"]["total"] for run in record["runs"]]
    spread = f", standard deviation {statistics.stdev(shares):.3f}" if len(shares) > 1 else ""
    return (
        f"Test set, last epoch: mean {statistics.mean(shares):.3f}%{spread}, "
        f"{min(shares):.2f} to {max(shares):.2f}%, n = {len(shares)}"
    )


def titled(record: Mapping[str, Any]) -> str:
    """Return the summary with the recipe's name and epochs before it."""
    recipe = record["recipe"]
    return f"{recipe['name']}, {recipe['settings']['epochs']} epochs: {summary(record)}"


def committed() -> list[Path]:
    """Return the files of the committed records, recipe A's first."""
    return [RECORD, *sorted(RECORD.parent.glob("record-*.json"))]


def main(arguments: Sequence[str] | None = None) -> None:
    """Collect finished runs into a record, or say what the committed ones say."""
    parser = Parser(prog="reference_models.mnist.record", description="Collect finished runs into a record.")
    parser.add_argument(
        "runs", type=Path, nargs="*", help="folders of finished runs, or records; the first gives the weights"
    )
    parser.add_argument("--output", type=Path, default=RECORD, help="default: the committed record")
    options = parser.parse_args(arguments)
    if not options.runs:
        for path in committed():
            sys.stdout.write(f"{titled(read_record(path))}\n")
        return
    record = collect(options.runs, options.output)
    sys.stdout.write(f"Wrote {options.output}\n{summary(record)}\n")


if __name__ == "__main__":
    sys.exit(execute(main))
