"""Random generators are seeded and restored, those that are imported late included."""

import random
import subprocess
import sys

import torch

from archcheck.measure.passes import random_state
from archcheck.measure.passes.random_state import generator_states, has_drawn, random_states_kept, seed_all

LATE = """
import sys, torch
from archcheck.measure.passes.random_state import generator_states, has_drawn, random_states_kept, seed_all
assert "numpy.random" not in sys.modules
before = list(sys.meta_path)
with random_states_kept():
    seed_all(3)
    states = generator_states()
    import numpy
    numpy.random
    assert not has_drawn(states)
    print(numpy.random.rand())
    assert has_drawn(states)
    seed_all(3)
    print(numpy.random.rand())
assert sys.meta_path == before
assert "site-packages" in numpy.random.__spec__.origin
print(numpy.random.rand())
"""


def test_generators_that_are_imported_late_are_seeded_and_then_random() -> None:
    lines = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=True).stdout.splitlines()
    first, second, after = map(float, lines)
    assert first == second != after


def test_a_draw_is_seen_and_seeding_is_none() -> None:
    with random_states_kept():
        seed_all(2)
        states = generator_states()
        torch.rand(2)
        assert not has_drawn(states)
        random.random()
        assert has_drawn(states)


def test_states_are_restored() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with random_states_kept():
        seed_all(5)
        torch.rand(7)
    assert torch.equal(torch.rand(3), expected)


def test_with_an_accelerator_torch_seeds_all_its_devices(monkeypatch) -> None:
    seeds = []
    monkeypatch.setattr(random_state, "has_accelerator", lambda: True)
    monkeypatch.setattr(torch, "manual_seed", seeds.append)
    with random_states_kept():
        seed_all(4)
    assert seeds == [4]
