"""Find operations that run, reach an output and change something, and near misses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from archcheck.facts.facts import Facts
from archcheck.facts.records import Layer, Op
from archcheck.facts.selectors import GROUPS, selects, selects_layer
from archcheck.rules.queries.dropouts import dropouts
from archcheck.rules.queries.graphs import dependent_on_input, has_weight, label, live


def effective(facts: Facts, selector: str, on: str | None = None) -> list[Op]:
    """Return the operations of `selector` that take effect.

    They run, they reach an output, and they do something: dropout drops in training only, global pooling covers more
    than one position, a softmax weighs more than one number, an attention more than one position, and a ReLU gets
    something negative.
    """
    if selector == "dropout":
        return [dropout.op for dropout in dropouts(facts, on) if dropout.fault is None]
    found = live(facts, selector, on)
    if selector == "linear":
        dependent = dependent_on_input(facts.ops)
        found = [op for op in found if has_weight(op, facts.ops, dependent)]
        # A 1x1 convolution on a 1x1 map is one, too, where one is asked for.
        found += [op for op in live(facts, None, on) if is_pointwise_linear(op)]
    in_training = _sites(facts)
    return [op for op in found if not _trivial(op, facts.ops) and not _rests(op, in_training)]


def _trivial(op: Op, ops: Sequence[Op]) -> str | None:
    """Return why an operation returns its input, or a constant, for any numbers."""
    if op.kind == "attention" and _attends_to_one(op, ops):
        return "attends to a single position"
    if op.attributes.get("idle"):
        return "is given nothing negative"
    if op.attributes.get("coverage") == "trivial":
        return "pools a map that is 1x1 already (trivial)"
    if op.kind in ("softmax", "log_softmax") and _is_over_one(op):
        return "is over a single number"
    return None


def _attends_to_one(op: Op, ops: Sequence[Op]) -> bool:
    """Whether an attention weighs the value of one position alone, by 1."""
    if "scores" in op.attributes:
        return bool(op.shapes) and int(op.attributes["scores"]) == math.prod(op.shapes[0][:-1])
    weights, pending = list[Op](), [*op.inputs]
    for _ in range(_FAR):
        if not pending:
            break
        each = ops[pending.pop(0)]
        if each.kind == "softmax":
            weights.append(each)
        elif each.kind in _BETWEEN:
            pending += each.inputs
    return bool(weights) and all(map(_is_over_one, weights))


def _is_over_one(softmax: Op) -> bool:
    """Whether a softmax is over a single number."""
    return bool(softmax.shapes and softmax.shapes[0]) and softmax.shapes[0][softmax.attributes["dim"]] == 1


_FAR = 12
"""Operations at most between the weights of an attention and their product with the values."""
_BETWEEN = (*GROUPS["reshape"], "dropout", "mul", "masked_fill", "where")


def is_pointwise_linear(op: Op) -> bool:
    """Whether an operation is a 1x1 convolution on a 1x1 map, which is equal to a linear layer."""
    return bool(op.attributes.get("linear_like"))


def pointwise_note(ops: Sequence[Op]) -> str:
    """Return how many of the counted linear layers are convolutions; empty if none is."""
    count = sum(map(is_pointwise_linear, ops))
    if not count:
        return ""
    one = "a 1x1 convolution on a 1x1 map"
    told = one if count == 1 else "1x1 convolutions on 1x1 maps"
    return f" ({told})" if count == len(ops) else f" ({count:,} of them {told})"


def _sites(facts: Facts) -> frozenset[tuple[str, str]] | None:
    """Return layer and kind of each training operation that reaches an output; `None` if training was not measured."""
    return frozenset((op.layer, op.kind) for op in facts.executed("train") if op.live) if facts.train_length else None


def _rests(op: Op, in_training: frozenset[tuple[str, str]] | None) -> bool:
    """Whether a normalisation runs in evaluation only, so that training sees another network."""
    return op.kind in GROUPS["norm"] and in_training is not None and (op.layer, op.kind) not in in_training


def near_misses(facts: Facts, selector: str, on: str | None = None) -> Iterator[tuple[str, Layer | None, Op | None]]:
    """Yield near misses of `selector`, which do not count: the reason, the layer, the operation."""
    if selector == "dropout":
        for dropout in dropouts(facts, on):
            if dropout.fault is not None:
                yield f"{label(dropout.op, facts)} {dropout.fault}", facts.layer(dropout.op.layer), dropout.op
    in_training = _sites(facts)
    for op in facts.ops:
        reason = _shortfall(op, selector, facts)
        if reason is None and selects(selector, op, facts) and _rests(op, in_training):
            reason = "takes part in evaluation only, not in training"
        if reason and selects(on, op, facts):
            yield f"{label(op, facts)} {reason}", facts.layer(op.layer), op
    for layer in facts.layers:
        reason = _declared(layer, selector, facts)
        if reason and selects_layer(on, layer, facts):
            yield f"`{layer.path}` ({layer.type}) {reason}", layer, None


def _shortfall(op: Op, selector: str, facts: Facts) -> str | None:
    if selects(selector, op, facts):
        if not op.live:
            return "runs, but its result reaches no output"
        if trivial := _trivial(op, facts.ops):
            return trivial
    if selector == "linear" and op.kind == "global_conv":
        return "is a convolution over its whole map (global_conv)"
    if op.kind == selector == "linear" and not has_weight(op, facts.ops, dependent_on_input(facts.ops)):
        return "multiplies by numbers that are not weights"
    if selector == "global_avg_pool" and op.kind == "avg_pool":
        extent = "x".join(map(str, op.attributes.get("extent", ())))
        if op.attributes.get("coverage") == "partial":
            return f"leaves out a border of the {extent} map (partial)"
        return f"pools its {extent} map to {'x'.join(map(str, op.shapes[0][2:]))}, not to one position"
    return None


def _declared(layer: Layer, selector: str, facts: Facts) -> str | None:
    """Return why a layer with the name of a kind does not do what its name says; `None` if it does."""
    if selector.replace("_", "") not in layer.type.lower() and layer.type != selector:
        return None
    if not layer.called:
        return "is declared and never called"
    if not any(selects(selector, op, facts) for op in facts.ops_of(layer.path)):
        return f"is called and executes no {selector}" if layer.type != selector else None
    return None
