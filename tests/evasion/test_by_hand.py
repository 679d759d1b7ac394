"""What is written by hand is what it does, in whatever order its operands stand."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.cli_samples import environment

DROPOUT, NORM, POOL = 'requires = ["dropout"]', 'requires = ["batch_norm"]', 'requires = ["global_avg_pool"]'
FOLLOWED = 'followed-by = { layer = "conv", by = "batch_norm" }'
RIGHT = {
    **dict.fromkeys(["MaskFirst", "MaskFirstWritten", "ChosenMaskFirst", "SpikesDropped"], (DROPOUT, "kept")),
    **dict.fromkeys(["SameMaskFirst", "SameChosen", "SameOfSpikes"], (DROPOUT, "broken")),
    "OfFlattened": (FOLLOWED, "kept"),
    "ShapeOfNorm": (NORM, "broken"),
    "OfOneNumber": ('requires = ["layer_norm"]', "broken"),
    "GroupsOfOne": ('requires = ["group_norm"]', "broken"),
    **dict.fromkeys(["Summed", "SummedOfList", "OneStep"], (POOL, "kept")),
    **dict.fromkeys(["OnlySummed", "SummedCorner", "OneRow", "OneColumn"], (POOL, "broken")),
    "Diffusion": ("no-hidden-weights = true", "kept"),
    "BeneathLarge": ("no-hidden-weights = true", "broken"),
}


def test_what_is_written_by_hand_is_what_it_does(tmp_path):
    shutil.copy(Path(__file__).with_name("by_hand.py"), tmp_path)
    subjects = [
        f'[subjects.{name}]\nmodel = "by_hand.py:{name}"\ninput = [2, 1, 12, 12]\n[subjects.{name}.rules]\n{rule}\n'
        for name, (rule, _) in RIGHT.items()
    ]
    (tmp_path / "archcheck.toml").write_text("\n".join(subjects))
    command = [sys.executable, "-m", "archcheck", "check", "--no-cache", "--format", "json"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    found = {
        report["subject"]: [one["verdict"] for one in report["outcomes"]] or report["error"]
        for report in json.loads(done.stdout)["reports"]
    }
    assert found == {name: [verdict] for name, (_, verdict) in RIGHT.items()}
