"""Where `fused.dropped` draws its zeros, held to the distribution of independent trials.

Each chi-square statistic of k terms has mean k and variance 2k; the draws are those of fixed seeds, and the bounds
are five standard deviations, so that a mistake of a few per mille in a probability is seen.
"""

import math

import pytest
import torch

from reference_models.mnist import fused
from reference_models.mnist.fused import SPARSE, dropped

PROBABILITIES = [0.008, 0.1, SPARSE]


def drawn(draws, size, probability):
    """Return `(draws, size)` 0 and 1, one row for each draw after another from one generator."""
    torch.manual_seed(11)
    zeros = torch.zeros(draws, size, dtype=torch.float64)
    for row in zeros:
        row[fused._zeros(size, probability)] = 1
    return zeros


def assert_chi_square(statistic, terms):
    assert abs(statistic - terms) < 5 * math.sqrt(2 * terms)


def assert_each_position_has_the_probability(zeros, probability):
    draws, size = zeros.shape
    differences = zeros.sum(dim=0) - draws * probability
    assert_chi_square(float((differences**2).sum() / (draws * probability * (1 - probability))), size)
    assert abs(float(differences.sum())) < 5 * math.sqrt(draws * size * probability * (1 - probability))


@pytest.mark.parametrize("probability", PROBABILITIES)
def test_gaps_are_geometric(probability):
    torch.manual_seed(3)
    count, most = 2_000_000, int(3 / probability)
    gaps = fused._gaps(count, probability).diff()
    assert int(gaps.min()) == 1
    found = torch.bincount(gaps.clamp(max=most + 1), minlength=most + 2)[1:].double()
    lengths = torch.arange(most, dtype=torch.float64)  # of what is kept between two zeros
    shares = torch.cat((probability * (1 - probability) ** lengths, torch.tensor([(1 - probability) ** most])))
    expected = shares * (count - 1)
    assert_chi_square(float(((found - expected) ** 2 / expected).sum()), most)


@pytest.mark.parametrize("probability", PROBABILITIES)
def test_every_position_has_the_probability_up_to_the_borders(probability):
    assert_each_position_has_the_probability(drawn(20_000, 97, probability), probability)


@pytest.mark.parametrize(("at_once", "size"), [(1, 4), (1, 60), (3, 60)])
def test_the_probability_stays_where_one_drawing_ends_and_the_next_begins(monkeypatch, at_once, size):
    draw = fused._gaps
    monkeypatch.setattr(fused, "_gaps", lambda count, probability: draw(at_once, probability))
    assert_each_position_has_the_probability(drawn(10_000, size, 0.2), 0.2)


@pytest.mark.parametrize("probability", PROBABILITIES)
def test_zeros_at_any_distance_and_in_draws_one_after_another_are_uncorrelated(probability):
    zeros = (drawn(20_000, 97, probability) - probability) / math.sqrt(probability * (1 - probability))
    pairs = [(zeros[:, lag:], zeros[:, :-lag]) for lag in range(1, 40)] + [(zeros[1:], zeros[:-1])]
    scores = torch.stack([(one * other).sum() / math.sqrt(one.numel()) for one, other in pairs])
    assert_chi_square(float((scores**2).sum()), len(pairs))


def test_samples_channels_and_places_are_equal_and_uncorrelated():
    torch.manual_seed(5)
    shape, draws, probability = (4, 8, 5, 5), 3_000, 0.1
    scale = math.sqrt(probability * (1 - probability))
    zeros = torch.stack([((dropped(torch.ones(shape), probability) == 0).float() - 0.1) / scale for _ in range(draws)])
    for parts in (zeros.transpose(0, 1), zeros.movedim(2, 0), zeros.flatten(3).movedim(3, 0)):
        rows = parts.flatten(1).double()
        products = rows @ rows.T / math.sqrt(rows.shape[1])
        pairs = products[tuple(torch.triu_indices(len(rows), len(rows), offset=1))]
        assert_chi_square(float((pairs**2).sum()), len(pairs))
        totals = rows.sum(dim=1) / math.sqrt(rows.shape[1])
        assert_chi_square(float((totals**2).sum()), len(totals))


def test_the_state_of_the_global_generator_decides_the_zeros_and_nothing_else_does():
    torch.manual_seed(9)
    before = torch.get_rng_state()
    first, second = fused._zeros(5_000, 0.1), fused._zeros(5_000, 0.1)
    after = torch.get_rng_state()
    torch.set_rng_state(before)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    again = fused._zeros(5_000, 0.1)
    torch.set_num_threads(threads)
    assert torch.equal(again, first)
    assert not torch.equal(first, second)
    assert torch.equal(fused._zeros(5_000, 0.1), second)
    assert torch.equal(torch.get_rng_state(), after)


def test_the_zeros_are_the_same_elements_however_the_input_lies():
    x = torch.ones(3, 4, 5, 6)
    layouts = [x, x.to(memory_format=torch.channels_last), torch.ones(6, 8, 5, 9)[::2, 1::2, :, 3:]]
    found = []
    for layout in (*layouts, x.mT.contiguous().mT):
        torch.manual_seed(1)
        found.append(dropped(layout, 0.15))
    assert all(torch.equal(found[0], other) for other in found[1:])
    assert found[0].eq(0).any()


@pytest.mark.parametrize("shape", [(), (0,), (0, 3, 4, 4), (2, 3, 0, 4), (2, 3, 4, 4, 4)])
def test_any_shape_is_kept(shape):
    x = torch.ones(shape, dtype=torch.float64, requires_grad=True)
    out = dropped(x, 0.1)
    out.sum().backward()
    assert (out.shape, out.dtype, x.grad.shape) == (x.shape, x.dtype, x.shape)


@pytest.mark.parametrize("probability", [1e-12, 1e-20, 1e-300])
def test_a_probability_of_next_to_nothing_drops_nothing(probability):
    assert dropped(torch.ones(1000), probability).eq(1).all()


@pytest.mark.parametrize("probability", [-0.1, 1.1, math.nan])
def test_what_is_no_probability_is_refused_as_by_dropout(probability):
    with pytest.raises((ValueError, RuntimeError), match="dropout probability has to be between 0 and 1"):
        dropped(torch.ones(3), probability)
