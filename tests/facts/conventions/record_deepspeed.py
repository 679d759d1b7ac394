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
    if sys.argv[1:]:
        print("counted", json.dumps(say("deepspeed", *NETWORKS[sys.argv[1]]())))
    else:
        counts = {}
        for name in NETWORKS:
            told = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=True).stdout
            counts[name] = json.loads(told.rpartition("counted ")[2])
        RECORD.write_text(json.dumps(counts, indent=1) + "\n")
