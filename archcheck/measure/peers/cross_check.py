"""Compare fvcore's counts of a forward pass with archcheck's, and explain the differences.

Both are compared by layer and operator, each layer without the layers inside it, so that a difference is reported once,
where it arises. A reason is given only if it is known: fvcore itself reports the operators without a formula, its
handling of products is computed again, and the executed graph shows what depends on data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from archcheck.facts.activations import activations_of
from archcheck.facts.cross_checks import CrossCheck, Difference
from archcheck.facts.facts import Facts
from archcheck.facts.option_words import WITH_MEMORY
from archcheck.facts.records import Op
from archcheck.foundation.errors import described
from archcheck.foundation.installed_packages import version_of
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.forward import Passes
from archcheck.measure.peers.differences import PADDED_BY_WORD, Evidence, differences
from archcheck.measure.peers.fvcore_counts import Counts, fvcore_counts
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
"""Torch's name of an operator -> the name that fvcore's tracer sees, if they differ."""


def cross_check(passes: Passes, example: Example, facts: Facts) -> CrossCheck:
    """Return fvcore's counts of one forward pass on `example`, compared with archcheck's `facts` about it."""
    result = CrossCheck(
        total_ours=facts.cost.fvcore_flops,
        total_fvcore=None,
        activations_ours=facts.cost.activations,
        activations_fvcore=None,
        version=version_of("fvcore") or "",
    )
    try:
        counts = fvcore_counts(passes, example)
    except Exception as error:  # of the tracer, of a formula of fvcore, or of the subject under the tracer
        advice = f"; fvcore needs real numbers: {WITH_MEMORY}" if passes.on_meta else ""
        return replace(result, error=_one_line(error) + advice)
    return replace(
        result,
        total_fvcore=sum(counts.flops.own.values()),
        activations_fvcore=sum(counts.activations.own.values()),
        compared=len(_ours(facts.ops, "flops").keys() | counts.flops.own.keys()),
        differences=tuple(_differences(facts, counts)),
    )


def _one_line(error: Exception) -> str:
    """Return an error on one line, without the graphs and numbers of torch's tracer, and with fvcore's formula."""
    traceback, formula = error.__traceback__, ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename.endswith("jit_handles.py"):
            formula = f" (in its formula {code.co_name})"
        traceback = traceback.tb_next
    return described(error).partition(" Tensor: ")[0] + formula


def _ours(ops: Sequence[Op], quantity: str) -> dict[Key, int]:
    """Return the counts of each layer itself, in the order of execution, with fvcore's names of operators."""
    counts: Counter[Key] = Counter()
    for op in ops:
        counts[op.layer, _seen_as(op)] += op.flops if quantity == "flops" else activations_of((op,))
    return {key: count for key, count in counts.items() if count}


def _seen_as(op: Op) -> str:
    """Return the name of an operation in fvcore's tracer."""
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
    """Yield the layer and name of the operations whose sizes depend on a bounded one."""
    found: set[int] = set()
    for op in facts.ops:
        if op.op in facts.cost.bounds or not found.isdisjoint(op.inputs):
            found.add(op.index)
            yield op.layer, _seen_as(op)
