"""Writes `deepspeed.json`: what DeepSpeed counts of each network, in a process each, as a failure leaves it broken.

DeepSpeed brings a dozen packages along, so that the tests read this record instead. To make it again, install
`deepspeed==0.19.8`, then run `python tests/facts/conventions/record_deepspeed.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from counted_networks import NETWORKS
from counting_tools import say

RECORD = Path(__file__).with_name("deepspeed.json")

if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print("counted", json.dumps(say("deepspeed", *NETWORKS[sys.argv[2]]())))
    else:
        known = json.loads(RECORD.read_text()) if sys.argv[1:] else {}  # names: these anew, the others as they are
        for name in sys.argv[1:] or NETWORKS:
            command = [sys.executable, __file__, "--one", name]
            told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            known[name] = json.loads(told.rpartition("counted ")[2])
        RECORD.write_text(json.dumps({name: known[name] for name in NETWORKS}, indent=1) + "\n")
