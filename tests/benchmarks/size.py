"""Build and measure a decoder of 70 billion parameters: what it costs in CPU seconds and in memory.

    python tests/benchmarks/size.py [--positions 512]

The network is written below in the proportions of the largest open decoders of its kind: 80 layers of width 8,192 with
64 heads that share 8 heads of keys and values, gated feed-forward of 28,672, RMS norms, rotary positions, a vocabulary
of 128,256 and a head of its own; all in bfloat16, 141 GB of weights. It is built without memory and measured whole, in
evaluation and in training mode. Counts are held to the formulas of this file; limits of time and memory are printed
beside what was taken, the import of torch apart. Exit code 1 if any of them is missed.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional as F

from archcheck.facts.facts import Facts
from archcheck.measure import measure_model
from archcheck.measure.operators.meta import without_memory

LAYERS, WIDTH, HEADS, KEY_HEADS, INNER, VOCABULARY = 80, 8_192, 64, 8, 28_672, 128_256
HEAD_WIDTH = WIDTH // HEADS
KEY_WIDTH = KEY_HEADS * HEAD_WIDTH

SECONDS = 10.0
MEGABYTES = 2_000.0

T = TypeVar("T")


class Attention(nn.Module):
    """Causal attention whose heads share keys and values in groups."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH, bias=False)
        self.key = nn.Linear(WIDTH, KEY_WIDTH, bias=False)
        self.value = nn.Linear(WIDTH, KEY_WIDTH, bias=False)
        self.output = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
        query = rotated(by_head(self.query(x)), cosine, sine)
        key = rotated(by_head(self.key(x)), cosine, sine)
        key, value = (part.repeat_interleave(HEADS // KEY_HEADS, dim=1) for part in (key, by_head(self.value(x))))
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.output(mixed.transpose(1, 2).flatten(2))


def by_head(x: torch.Tensor) -> torch.Tensor:
    """(N, S, heads * width) to (N, heads, S, width)."""
    return x.unflatten(-1, (-1, HEAD_WIDTH)).transpose(1, 2)


def rotated(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Turn pairs of features by an angle that grows with their position."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)


class FeedForward(nn.Module):
    """A gated feed-forward network (SwiGLU)."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, INNER, bias=False)
        self.up = nn.Linear(WIDTH, INNER, bias=False)
        self.down = nn.Linear(INNER, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Layer(nn.Module):
    """Attention and feed-forward, each on normalised features and added to what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.before_attention = nn.RMSNorm(WIDTH)
        self.attention = Attention()
        self.before_feed_forward = nn.RMSNorm(WIDTH)
        self.feed_forward = FeedForward()

    def forward(self, x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.before_attention(x), cosine, sine)
        return x + self.feed_forward(self.before_feed_forward(x))


class Decoder(nn.Module):
    """Token ids (N, S) to scores of the next token (N, S, vocabulary)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = nn.RMSNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens)
        speeds = 500_000 ** (-torch.arange(0, HEAD_WIDTH, 2) / HEAD_WIDTH)
        angles = torch.outer(torch.arange(tokens.shape[1]), speeds)
        cosine, sine = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        for layer in self.layers:
            x = layer(x, cosine, sine)
        return self.head(self.norm(x))


def parameters_by_hand() -> int:
    """Count every matrix and every norm."""
    attention = 2 * WIDTH * WIDTH + 2 * WIDTH * KEY_WIDTH
    layer = attention + 3 * WIDTH * INNER + 2 * WIDTH
    return LAYERS * layer + WIDTH + 2 * VOCABULARY * WIDTH


def macs_by_hand(positions: int) -> int:
    """Each matrix but the embedding, which is looked up, once a position; scores and what they mix, once a pair.

    The angles of the rotary positions are an outer product of positions and speeds.
    """
    matrices = LAYERS * (2 * WIDTH * WIDTH + 2 * WIDTH * KEY_WIDTH + 3 * WIDTH * INNER) + VOCABULARY * WIDTH
    attention = LAYERS * 2 * HEADS * HEAD_WIDTH * positions * positions
    return positions * matrices + attention + positions * HEAD_WIDTH // 2


def build() -> Decoder:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with without_memory():
            return Decoder()
    finally:
        torch.set_default_dtype(before)


def timed(work: Callable[[], T]) -> tuple[T, float]:
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def peak() -> float:
    """Return the most memory that this process has had, in megabytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--positions", type=int, default=512, help="tokens in the input")
    options = parser.parse_args()
    torch.set_num_threads(1)
    before = peak()
    model, building = timed(build)
    tokens = torch.zeros(1, options.positions, dtype=torch.int64)
    facts, measuring = timed(lambda: measure_model(model, example=tokens))
    grown = peak() - before
    show(facts)
    print(f"{'build':<12}{building:>26.2f} CPU seconds")
    print(f"{'measure':<12}{measuring:>26.2f} CPU seconds, limit of both {SECONDS:g}")
    print(f"{'memory':<12}{grown:>26.0f} MB more than after the import of torch, limit {MEGABYTES:g}")
    right = facts.params.total == parameters_by_hand() and facts.cost.macs == macs_by_hand(options.positions)
    return 0 if right and building + measuring < SECONDS and grown < MEGABYTES else 1


def show(facts: Facts) -> None:
    positions = facts.shape.inputs[0].shape[1]
    rows = {
        "parameters": (facts.params.total, parameters_by_hand()),
        "macs": (facts.cost.macs, macs_by_hand(positions)),
    }
    for name, (found, by_hand) in rows.items():
        verdict = "as by hand" if found == by_hand else f"by hand {by_hand:,}: WRONG"
        print(f"{name:<12}{found:>26,} {verdict}")
    print(f"{'operations':<12}{len(facts.ops):>26,} in evaluation, {facts.train_length:,} in training")
    print(f"{'notes':<12}{'; '.join(facts.subject.notes)}")


if __name__ == "__main__":
    sys.exit(main())
