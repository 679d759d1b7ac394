"""fvcore's counts of a forward pass beside our own, and why they differ where they do.

Both are compared by layer and operator, each layer without the layers inside of it, so that a difference is named
once, where it arises. A reason is given only where something is known that explains it: fvcore says itself which
operators it has no formula for, its handling of products is worked out again, and the executed graph tells what
depends on data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from archcheck.facts.activations import activations_of
from archcheck.facts.cross_checks import CrossCheck, Difference
from archcheck.facts.facts import Facts
from archcheck.facts.records import WITH_MEMORY, Op
from archcheck.foundation.errors import described
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.forward import Passes
from archcheck.measure.peers.differences import PADDED_BY_WORD, Evidence, differences
from archcheck.measure.peers.fvcore_counts import Counts, fvcore_counts, fvcore_version
from archcheck.measure.peers.fvcore_products import Key

_FVCORE_NAMES = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolution", "_convolution"), "conv"),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), "conv"),
    **dict.fromkeys(("grid_sampler_2d", "grid_sampler_3d"), "grid_sampler"),
    **dict.fromkeys(("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), "linear"),
    "_adaptive_avg_pool2d": "adaptive_avg_pool2d",
    "native_batch_norm": "batch_norm",
    "native_group_norm": "group_norm",
    "native_layer_norm": "layer_norm",
}
"""Torch's name of an operator -> the one that fvcore's tracer sees, where they differ."""


def cross_check(passes: Passes, example: Example, facts: Facts) -> CrossCheck:
    """Return what fvcore counts of one forward pass on `example`, compared with `facts`, which are ours of it."""
    result = CrossCheck(
        total_ours=facts.cost.fvcore_flops,
        total_fvcore=None,
        activations_ours=facts.cost.activations,
        activations_fvcore=None,
    )
    try:
        counts = fvcore_counts(passes, example)
    except Exception as error:  # of the tracer, of a formula of fvcore's, or of the subject in the tracer's hands
        advice = f"; fvcore needs real numbers: {WITH_MEMORY}" if passes.on_meta else ""
        return replace(result, error=_one_line(error) + advice, version=fvcore_version())
    return replace(
        result,
        total_fvcore=sum(counts.flops.own.values()),
        activations_fvcore=sum(counts.activations.own.values()),
        compared=len(_ours(facts.ops, "flops").keys() | counts.flops.own.keys()),
        differences=tuple(_differences(facts, counts)),
        version=fvcore_version(),
    )


def _one_line(error: Exception) -> str:
    """Describe an error without the graphs and numbers that torch's tracer adds to it, and name fvcore's formula."""
    traceback, formula = error.__traceback__, ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename.endswith("jit_handles.py"):
            formula = f" (in its formula {code.co_name})"
        traceback = traceback.tb_next
    return described(error).partition(" Tensor: ")[0] + formula


def _ours(ops: Sequence[Op], quantity: str) -> dict[Key, int]:
    """Return what each layer runs itself, in the order of execution, under fvcore's names of operators."""
    counts: Counter[Key] = Counter()
    for op in ops:
        counts[op.layer, _seen_as(op)] += op.flops if quantity == "flops" else activations_of((op,))
    return {key: count for key, count in counts.items() if count}


def _seen_as(op: Op) -> str:
    """Return the name under which fvcore's tracer sees an operation."""
    if isinstance(op.attributes.get("padding"), str):
        return PADDED_BY_WORD
    return _FVCORE_NAMES.get(op.op, op.op)


def _differences(facts: Facts, counts: Counts) -> Iterator[Difference]:
    evidence = Evidence(
        products=counts.products,
        bounded=frozenset(_bounded(facts)),
        uncounted=frozenset(facts.cost.uncounted),
    )
    for quantity, side in (("flops", counts.flops), ("activations", counts.activations)):
        yield from differences(quantity, _ours(facts.ops, quantity), side, evidence)


def _bounded(facts: Facts) -> Iterator[Key]:
    """Yield where operations run whose sizes follow from one that was bounded."""
    found: set[int] = set()
    for op in facts.ops:
        if op.op in facts.cost.bounds or not found.isdisjoint(op.inputs):
            found.add(op.index)
            yield op.layer, _seen_as(op)
