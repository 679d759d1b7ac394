"""Measure every model of torchvision and print a table.

    python tests/benchmarks/zoo.py [--output zoo.jsonl] [--only PREFIX ...]

Resumable: each model's line is appended to the output as soon as it is there, and models that have one are
passed over. Models are built on the CPU with random weights. The last lines count how many were measured, how
many of them by shapes alone, and which failed and why.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torchvision import models

from archcheck.errors import SubjectError
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
    options: dict[str, Any] = {"weights": None}
    if any(word in name for word in (*DETECTION, "fcn", "deeplab", "lraspp")):
        options["weights_backbone"] = None
    return models.get_model(name, **options)


def measure(name: str) -> dict[str, Any]:
    try:
        model = build(name)
    except Exception as error:
        return {"model": name, "error": f"cannot be built here: {type(error).__name__}: {error}"[:200]}
    expected = sum(parameter.numel() for parameter in model.parameters())
    start = time.process_time()
    try:
        facts = measure_model(model, example=example(name))
    except SubjectError as error:
        return {"model": name, "error": str(error)}
    return {
        "model": name,
        "params": facts.params.total,
        "params_right": facts.params.total == expected,
        "macs": facts.cost.macs,
        "flops": facts.cost.fvcore_flops,
        "activations": facts.cost.activations,
        "peak_bytes": facts.cost.peak_activation_bytes,
        "seconds": round(time.process_time() - start, 3),
        "real": any("real tensors" in note for note in facts.subject.notes),
        "uncounted": facts.cost.uncounted,
        "bounds": facts.cost.bounds,
        "hidden": facts.params.hidden_total,
        "unused": len(facts.params.unused),
    }


def show(row: dict[str, Any]) -> None:
    if "error" in row:
        print(f"{row['model']:<36} {row['error']}", flush=True)
        return
    how = "real" if row["real"] else "shapes"
    rest = ", ".join([*row["uncounted"], *(f"bounded {name}" for name in row["bounds"])])
    print(
        f"{row['model']:<36}{row['params']:>13,}{row['macs']:>18,}{row['activations']:>14,}"
        f"{row['peak_bytes']:>15,}{row['seconds']:>9.2f}s  {how:<7}{rest}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("zoo.jsonl"))
    parser.add_argument("--only", nargs="*", default=[""])
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    lines = options.output.read_text().splitlines() if options.output.exists() else []
    rows = {row["model"]: row for row in map(json.loads, lines)}
    for name in models.list_models():
        if not name.startswith(tuple(options.only)):
            continue
        if name not in rows:
            rows[name] = measure(name)
            with options.output.open("a") as file:
                file.write(json.dumps(rows[name]) + "\n")
        show(rows[name])
    done = [row for row in rows.values() if "error" not in row]
    print(f"measured {len(done)} of {len(rows)}, {sum(not row['real'] for row in done)} of them by shapes alone")
    print(f"parameter totals wrong: {sum(not row['params_right'] for row in done)}")
    print(f"with hidden weights: {[row['model'] for row in done if row['hidden']]}")
    print(f"with unused parameters: {[row['model'] for row in done if row['unused']]}")


if __name__ == "__main__":
    main()
