"""Measure every model of torchvision and print a table.

    python tests/benchmarks/zoo.py [--output zoo.jsonl] [--only PREFIX ...] [--fvcore] [--paranoid] [--size PIXELS]

The columns are the model, its parameters, multiply-accumulates, activations, bytes at the peak, seconds, how it was
traced (by shapes alone or on real tensors), and operations that are not counted or only bounded. With `--fvcore`
follows what fvcore counts of it, flops and activations, and below each difference with its reason. With `--paranoid`
each classifier takes a second look on real numbers, too: the seconds that this takes on top, and what it says where it
has something to say; `--size` gives images of that side, where a model takes them, so that large models can be run.

Resumable: each model's line is appended to the output as soon as it is there, and models that have one are
passed over. Models are built on the CPU with random weights. The last lines count how many were measured, how
many of them by shapes alone, and which differ from fvcore without a reason that is known.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torchvision import models

from archcheck.facts.cross_checks import CrossCheck
from archcheck.facts.facts import Facts
from archcheck.facts.records import CROSS_CHECK, PARANOID
from archcheck.foundation.errors import SubjectError
from archcheck.measure import measure_model

DETECTION = ("rcnn", "retinanet", "ssd", "fcos")
VIDEO = ("r3d", "mc3", "r2plus1d", "s3d", "swin3d", "mvit")


def example(name: str) -> Any:
    if any(word in name for word in DETECTION):
        return ([torch.rand(3, 320, 320)],)
    if any(word in name for word in VIDEO):
        return torch.rand(1, 3, 16, 224, 224)
    if "raft" in name:
        return torch.rand(1, 3, 128, 128), torch.rand(1, 3, 128, 128)
    if name == "vit_h_14" or "inception" in name:
        size = 224 if name == "vit_h_14" else 299
        return torch.rand(1, 3, size, size)
    return torch.rand(1, 3, 224, 224)


def build(name: str) -> torch.nn.Module:
    torch.manual_seed(0)  # how many boxes a detector finds depends on its weights
    options: dict[str, Any] = {"weights": None}
    if any(word in name for word in (*DETECTION, "fcn", "deeplab", "lraspp")):
        options["weights_backbone"] = None
    return models.get_model(name, **options)


def is_classifier(name: str) -> bool:
    others = (*DETECTION, *VIDEO, "raft", "fcn", "deeplab", "lraspp", "quantized")
    return not any(word in name for word in others)


def second_look(model: torch.nn.Module, inputs: Any) -> dict[str, Any]:
    start = time.process_time()
    try:
        facts = measure_model(model, example=inputs, needs=[PARANOID])
    except SubjectError as error:
        return {"alarm": str(error)}
    first = measure_model(model, example=inputs)
    modes = ("eval", "train") if facts.train_length else ("eval",)
    graphs = ((facts.executed(mode), first.executed(mode)) for mode in modes)
    pairs = [pair for both in graphs for pair in zip(*both, strict=True)]
    quiet = [op.layer for op, known in pairs if op.live is not known.live]
    alarm = f"says nothing: {quiet}" if quiet else ""
    return {"alarm": alarm, "notes": facts.subject.notes, "seconds": round(time.process_time() - start, 3)}


def measure(name: str, *, fvcore: bool, paranoid: bool, size: int | None) -> dict[str, Any]:
    try:
        model = build(name)
    except Exception as error:
        return {"model": name, "error": f"cannot be built here: {type(error).__name__}: {error}"[:200]}
    expected = sum(parameter.numel() for parameter in model.parameters())
    # Made once, for both measure the same pass only on the same numbers.
    inputs = torch.rand(1, 3, size, size) if size and is_classifier(name) else example(name)
    start = time.process_time()
    try:
        facts = measure_model(model, example=inputs)
    except SubjectError as error:
        return {"model": name, "error": str(error)}
    seconds = time.process_time() - start
    row = described(name, facts) | {"params_right": facts.params.total == expected, "seconds": round(seconds, 3)}
    if paranoid and is_classifier(name):
        row["paranoid"] = second_look(model, inputs)
    if fvcore:
        check = measure_model(model, example=inputs, needs=[CROSS_CHECK]).cross_check
        assert check is not None
        row["fvcore"] = compared(check)
    return row


def described(name: str, facts: Facts) -> dict[str, Any]:
    return {
        "model": name,
        "params": facts.params.total,
        "macs": facts.cost.macs,
        "flops": facts.cost.fvcore_flops,
        "activations": facts.cost.activations,
        "peak_bytes": facts.cost.peak_activation_bytes,
        "real": any("real tensors" in note for note in facts.subject.notes),
        "uncounted": facts.cost.uncounted,
        "bounds": facts.cost.bounds,
        "hidden": facts.params.hidden_total,
        "unused": len(facts.params.unused),
    }


def compared(check: CrossCheck) -> dict[str, Any]:
    """Return fvcore's totals and the differences, those of one operator and one reason together."""
    layers, ours, fvcore = Counter[Any](), Counter[Any](), Counter[Any]()
    for difference in check.differences:
        key = difference.quantity, difference.op, difference.reason
        layers[key] += 1
        ours[key] += difference.ours
        fvcore[key] += difference.fvcore
    return {
        "flops": check.total_fvcore,
        "activations": check.activations_fvcore,
        "error": check.error,
        "unexplained": sum(not difference.explained for difference in check.differences),
        "differences": [[*key, layers[key], ours[key], fvcore[key]] for key in layers],
    }


def show(row: dict[str, Any]) -> None:
    if "error" in row:
        print(f"{row['model']:<36} {row['error']}", flush=True)
        return
    how = "real" if row["real"] else "shapes"
    rest = ", ".join([*row["uncounted"], *(f"bounded {name}" for name in row["bounds"])])
    print(
        f"{row['model']:<36}{row['params']:>13,}{row['macs']:>18,}{row['activations']:>14,}"
        f"{row['peak_bytes']:>15,}{row['seconds']:>9.2f}s  {how:<7}{rest}{looked(row)}{beside(row)}",
        flush=True,
    )


def looked(row: dict[str, Any]) -> str:
    """Return what a second look says."""
    found = row.get("paranoid")
    if found is None:
        return ""
    return f"  looked again: {found['alarm'] or 'the same'}, {'; '.join(found.get('notes', ()))}".rstrip(", ")


def beside(row: dict[str, Any]) -> str:
    """Return fvcore's part of a line, and the lines below it."""
    found = row.get("fvcore")
    if found is None:
        return ""
    if found["error"]:
        return f"  fvcore failed: {found['error']}"
    lines = [f"  fvcore {found['flops']:,} {found['activations']:,}"]
    for quantity, op, reason, layers, ours, fvcore in found["differences"]:
        lines.append(f"    {quantity} of {op} in {layers} layers: {ours:,}, fvcore {fvcore:,}: {reason}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("zoo.jsonl"))
    parser.add_argument("--only", nargs="*", default=[""])
    parser.add_argument("--fvcore", action="store_true", help="let fvcore count beside")
    parser.add_argument("--paranoid", action="store_true", help="look at classifiers a second time, on real numbers")
    parser.add_argument("--size", type=int, help="the side of the images that classifiers are given")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    lines = options.output.read_text().splitlines() if options.output.exists() else []
    rows = {row["model"]: row for row in map(json.loads, lines)}
    for name in models.list_models():
        if not name.startswith(tuple(options.only)):
            continue
        if name not in rows or (options.fvcore and not rows[name].keys() & {"fvcore", "error"}):
            rows[name] = measure(name, fvcore=options.fvcore, paranoid=options.paranoid, size=options.size)
            with options.output.open("a") as file:
                file.write(json.dumps(rows[name]) + "\n")
        show(rows[name])
    done = [row for row in rows.values() if "error" not in row]
    print(f"measured {len(done)} of {len(rows)}, {sum(not row['real'] for row in done)} of them by shapes alone")
    print(f"parameter totals wrong: {sum(not row['params_right'] for row in done)}")
    print(f"with hidden weights: {[row['model'] for row in done if row['hidden']]}")
    print(f"with unused parameters: {[row['model'] for row in done if row['unused']]}")
    if options.paranoid:
        again = [row for row in done if "paranoid" in row]
        alarms = [row["model"] for row in again if row["paranoid"]["alarm"]]
        print(f"looked at {len(again)} again, alarms: {alarms or 'none'}")
    if options.fvcore:
        summarise([row for row in done if "fvcore" in row])


def summarise(rows: list[dict[str, Any]]) -> None:
    failed = [row["model"] for row in rows if row["fvcore"]["error"]]
    differing = [row for row in rows if row["fvcore"]["differences"]]
    unexplained = [row["model"] for row in differing if row["fvcore"]["unexplained"]]
    print(f"fvcore counted {len(rows) - len(failed)} of {len(rows)}, failed: {failed}")
    verdict = f"unexplained: {unexplained}" if unexplained else "all explained"
    print(f"differences to fvcore: {len(differing)} models, {verdict}")


if __name__ == "__main__":
    main()
