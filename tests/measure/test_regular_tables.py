"""Tables whose lines are curves count as what describes these, whatever their dtype and axes."""

import math

import numpy as np
import pytest
import torch

from archcheck.measure.structure.distinct_numbers import numbers_in

WIDE = torch.float64
NOISE = torch.randn(4000, generator=torch.Generator().manual_seed(0), dtype=WIDE)
NUMBER = torch.arange(200, dtype=WIDE)
PLACE = torch.linspace(-1, 1, 200, dtype=WIDE)
ROW = torch.arange(40, dtype=WIDE)[:, None]
CHOSEN = NOISE.view(100, 40, 1)
"""Forty chosen numbers each, one for each line of a table."""


def polynomials(degree):
    """Polynomials of a degree, forty: each has one coefficient more."""
    return sum(CHOSEN[power] * torch.cos(power * torch.acos(PLACE)) for power in range(degree + 1))


def waves(frequencies, phase=0.0):
    return torch.sin(frequencies * NUMBER + phase)


def with_amplitudes(table, *amplitudes):
    table = table.clone()
    for row, amplitude in enumerate(amplitudes):
        table[7 * row] *= amplitude
    return table


STEPS = 0.3 + 0.02 * ROW
FACTORS = 2 / 1.1**ROW
LINES = {  # table: (numbers of its lines, where nothing else is shorter)
    "lines": (polynomials(1), 40 * 2),
    "parabolas": (polynomials(2), 40 * 4),
    "cubics": (polynomials(3), 40 * 4),
    "of degree 7": (polynomials(7), 40 * 8),
    "of degree 15": (polynomials(15), 40 * 16),
    "growing": (polynomials(1).exp(), 40 * 2),
    "growing below zero": (-polynomials(1).exp(), 40 * 2),
    "exponentials of cubics": (polynomials(3).exp(), 40 * 4),
    "sinusoids": (CHOSEN[0] + CHOSEN[1] * waves(0.3 + CHOSEN[2].abs() / 2, CHOSEN[3]), 40 * 5),
    "by one step": (waves(STEPS), 2 * 5),
    "by one factor": (waves(FACTORS), 2 * 5),
    "from a half on": (torch.cos(math.pi / 200 * (NUMBER + 0.5) * ROW), 2 * 5),
    "from one on": (torch.cos(STEPS * (NUMBER + 1)), 2 * 5),
    "around the middle": (torch.cos(STEPS * (NUMBER - 99.5)), 2 * 5),
    "by turns": (torch.stack([waves(STEPS), waves(STEPS, math.pi / 2)], 1).flatten(0, 1), 2 * 2 * 5),
    "one half after the other": (torch.cat([waves(FACTORS), waves(FACTORS, math.pi / 2)]), 2 * 2 * 5),
    "of one amplitude but one": (with_amplitudes(waves(STEPS), 0.7), 2 * 5 + 5),
    "of one amplitude but two": (with_amplitudes(waves(STEPS), 0.7, 0.5), 2 * 5 + 2 * 5),
    "of one amplitude but three": (with_amplitudes(waves(STEPS), 0.7, 0.5, 0.2), 2 * 5 + 2 * 5 + 15),
}


BITS = {torch.float64: 47, torch.float32: 22, torch.float16: 11, torch.bfloat16: 8}
"""Bits that a number has in a dtype beyond what its rounding takes."""
SMOOTH = ("lines", "parabolas", "cubics", "of degree", "growing", "exponentials")
"""Tables whose lines are polynomials: a coefficient weighs the digits that it has."""


@pytest.mark.parametrize("dtype", BITS)
@pytest.mark.parametrize("name", LINES)
def test_a_table_weighs_what_describes_its_lines(name, dtype):
    table, worth = LINES[name]
    table = (table / table.abs().max()).to(dtype)  # so that sixteen bits can hold them
    weighed = numbers_in(table)
    if name.startswith(SMOOTH):
        assert 0.4 * BITS[dtype] / 20 * worth <= weighed <= 1.1 * BITS[dtype] / 20 * worth
    else:
        assert weighed == worth
    assert abs(numbers_in(table.t().contiguous()) - weighed) <= 1
    assert numbers_in(table[None, :, None]) == weighed


@pytest.mark.parametrize("name", LINES)
def test_one_number_that_lies_off_makes_a_table_of_chosen_ones(name):
    table = LINES[name][0].float()
    for row, column in ((0, 0), (17, 91), (39, 199)):
        changed = table.clone()
        changed[row, column] += 1e-2 * table.abs().max()
        assert numbers_in(changed) > 2 * numbers_in(table)


@pytest.mark.parametrize(
    ("table", "worth"),
    [
        (np.logspace(-3, 2, 300), 5),
        (1 / 10000 ** (np.arange(0, 128, 2) / 128), 5),
        (0.99 ** np.arange(300), 24),
        (np.hanning(300), 20),
        (np.blackman(400), 32),
        (np.linspace(0.1, 1, 300) ** 2, 8),
        (np.exp(-(np.linspace(-2, 2, 300) ** 2)), 5),
        (np.sin(np.arange(100)[:, None] / 10000 ** (np.arange(0, 64, 2) / 64)), 10),
        (np.cos(np.pi / 64 * (np.arange(64) + 0.5) * np.arange(64)[:, None]), 10),
    ],
)
def test_tables_of_numpy_are_regular_as_they_come(table, worth):
    """NumPy computes in float64, and a table may be kept so."""
    assert numbers_in(torch.from_numpy(table)) <= worth


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_numbers_in_the_last_places_of_a_curve_do_not_hide(dtype):
    chosen = 2**12 * torch.finfo(dtype).eps * NOISE[:200].to(dtype)  # a fit is checked to within the rounding
    assert numbers_in(LINES["cubics"][0].to(dtype) + chosen) > 1000
