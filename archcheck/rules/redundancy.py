"""Redundancy: neighbouring operations that undo or repeat one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archcheck.facts.facts import Facts
from archcheck.facts.records import Op
from archcheck.facts.selectors import GROUPS, selects
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.dropouts import dropouts
from archcheck.rules.queries.graphs import TRANSPARENT, consumers, label, live
from archcheck.rules.queries.paths import Readers
from archcheck.rules.queries.placed_findings import op_finding
from archcheck.rules.queries.scope import demand_reach


@dataclass(frozen=True, slots=True, kw_only=True)
class NoBiasBeforeNorm(Rule):
    """No convolution or linear layer has a bias that the normalisation directly after it removes.

    BatchNorm and InstanceNorm subtract the mean of each channel, and every bias with it. Such a bias costs parameters
    and optimiser state and changes nothing. GroupNorm with one channel per group does the same. LayerNorm, RMSNorm,
    GroupNorm over several channels and a frozen BatchNorm do not cancel a bias. Neither does a BatchNorm where
    something else reads the result, too.

    Example, kept:
        rule = no-bias-before-norm = true
        model = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3))
        input = [1, 1, 8, 8]

    Example, broken:
        rule = no-bias-before-norm = true
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
        input = [1, 1, 8, 8]
        says = `0` (Conv2d) adds a bias that `1` (BatchNorm2d) subtracts again: 4 parameters without effect
    """

    prohibition = True

    def check(self, facts: Facts) -> Result:
        """Look at every bias in the training graph, where normalisation uses the statistics of the batch."""
        demand_reach(self, facts)
        ops = facts.executed("train")
        calls, useless = _biases(ops, facts, self.on)
        return Result(
            examined=calls,
            findings=tuple(_useless_bias(op, norm, _bias(op, ops, facts), facts) for op, norm in useless),
            found=sum(_bias(op, ops, facts) for op, _ in useless),
            limit=0,
            unit="parameters without effect",
            kept="no bias before a normalisation that subtracts it",
        )


def cancelled_biases(facts: Facts) -> Iterator[str]:
    """Yield the names of the parameters that are such biases."""
    ops = facts.executed("train")
    for op, _ in _biases(ops, facts, None)[1]:
        if op.params and facts.params.sizes.get(op.params[-1]) == _bias(op, ops, facts):
            yield op.params[-1]


def _biases(ops: Sequence[Op], facts: Facts, on: str | None) -> tuple[int, list[tuple[Op, Op | None]]]:
    """Return the number of biases, and the operations whose bias a normalisation cancels."""
    readers = consumers(ops)
    calls: dict[tuple[str, ...] | int, list[Op]] = {}
    for op in ops:
        if op.live and selects(on, op, facts) and _bias(op, ops, facts):
            calls.setdefault(op.params or op.index, []).append(op)
    # A layer that is called twice needs its bias where only one of the calls is normalised.
    norms = [(each[0], [_norm_after(op, readers, facts) for op in each]) for each in calls.values()]
    return len(calls), [(op, after[0]) for op, after in norms if after[0] and all(after)]


def _bias(op: Op, ops: Sequence[Op], facts: Facts) -> int:
    """Return the elements of the bias that an operation adds to the channels, axis 1; 0 without one."""
    if op.kind in ("conv", "global_conv", "conv_transpose") and op.attributes.get("bias"):
        batched = len(op.shapes[0]) == len(op.attributes["kernel"]) + 2
        return int(op.attributes["out_channels"]) if batched else 0
    if not op.shapes or len(op.shapes[0]) != 2:
        return 0
    spelled = op.kind == "add" and len(op.inputs) == 1 and len(op.params) == 1 and ops[op.inputs[0]].kind == "linear"
    if spelled and facts.params.sizes.get(op.params[0]) == op.shapes[0][1]:
        return op.shapes[0][1]
    return op.shapes[0][1] if op.kind == "linear" and (op.attributes.get("bias") or op.op == "addmm") else 0


def _norm_after(op: Op, readers: Readers, facts: Facts) -> Op | None:
    """Return the normalisation that subtracts the mean of each channel, if nothing else reads the result."""
    if any(_same_call(op, facts.ops[index]) for index in facts.shape.output_ops):
        return None
    following = list(_past_copies(op, readers))
    cancels = following and all(_centres(reader) and reader.shapes[0][1] == op.shapes[0][1] for reader in following)
    return following[0] if cancels else None


def _same_call(op: Op, other: Op) -> bool:
    return (op.index, op.layer, op.op) == (other.index, other.layer, other.op)


def _past_copies(op: Op, readers: Readers) -> Iterator[Op]:
    for reader in readers.get(op.index, ()):
        if reader.kind == "copy":
            yield from _past_copies(reader, readers)
        else:
            yield reader


def _centres(norm: Op) -> bool:
    if norm.kind == "group_norm":
        return bool(norm.attributes.get("groups") == norm.attributes.get("features", 0))
    return norm.kind in ("batch_norm", "instance_norm") and bool(norm.attributes.get("training"))


def _useless_bias(op: Op, norm: Op | None, elements: int, facts: Facts) -> Finding:
    assert norm is not None
    message = f"{label(op, facts)} adds a bias that {label(norm, facts)} subtracts again"
    fix = "leave its bias out, as `bias=False` does"
    return op_finding(op, facts, f"{message}: {elements:,} parameters without effect", fix)


_MOVES = frozenset({"reshape", "permute", "copy", "slice", "pixel_shuffle", "channel_shuffle", "dropout"})
"""Kinds between two activations that change no value, except that dropout drops and scales values."""
_SOFTMAX = ("softmax", "log_softmax")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoDoubleActivation(Rule):
    """No activation directly follows another activation, and no softmax directly follows a softmax.

    A second ReLU does nothing. A sigmoid after a ReLU gives nothing below one half. `log_softmax` over `softmax` along
    the same axis is a common mistake before a loss: it flattens the probabilities until hardly anything is learned.
    `nn.CrossEntropyLoss` applies one `log_softmax` itself. Reshapes and dropout may stand between. Pooling, arithmetic
    and anything with weights separate two activations. An activation that is written with two others, such as `x *
    tanh(softplus(x))`, is one activation.

    Example, kept:
        rule = no-double-activation = true
        model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), nn.LogSoftmax(1))
        input = [1, 3]

    Example, broken:
        rule = no-double-activation = true
        model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sigmoid())
        input = [1, 3]
        says = `2` (Sigmoid) is applied to what `1` (ReLU) gave: sigmoid directly after relu

    Example, broken:
        rule = no-double-activation = true
        model = nn.Sequential(nn.Linear(3, 4), nn.Softmax(1), nn.LogSoftmax(1))
        input = [1, 3]
        says = `2` (LogSoftmax) takes probabilities of `1` (Softmax) for raw scores: log_softmax after softmax
    """

    each_pass = True
    prohibition = True

    def check(self, facts: Facts) -> Result:
        """Go back from each activation to the next operation that changes values."""
        demand_reach(self, facts)
        ops = [op for op in live(facts, None, self.on) if op.kind in (*GROUPS["activation"], *_SOFTMAX)]
        readers = consumers(facts.ops)
        findings = tuple(
            _double(op, before, facts)
            for op in ops
            if (before := _activation_before(op, facts)) is not None and not _is_one(before, op, readers)
        )
        return Result(
            examined=len(ops),
            findings=findings,
            found=len(findings),
            limit=0,
            unit="double activations",
            kept=f"none of {len(ops)} activations follows another",
        )


def _activation_before(op: Op, facts: Facts) -> Op | None:
    """Return the activation whose result `op` is applied to, a softmax for a softmax over the same axis."""
    passed = {"copy", "dropout"} if op.kind in _SOFTMAX else _MOVES
    before = op
    while len(before.inputs) == 1:
        before = facts.ops[before.inputs[0]]
        if op.kind in _SOFTMAX and before.kind in _SOFTMAX:
            return before if before.attributes.get("dim") == op.attributes.get("dim") else None
        if op.kind not in _SOFTMAX and before.kind in GROUPS["activation"]:
            return before
        if before.kind not in passed:
            return None
    return None


def _is_one(first: Op, second: Op, readers: Readers) -> bool:
    """Whether two activations form one: `x * tanh(softplus(x))` is mish."""
    return any(
        reader.kind == "mul" and set(first.inputs) & set(reader.inputs) for reader in readers.get(second.index, ())
    )


def _double(op: Op, before: Op, facts: Facts) -> Finding:
    if op.kind == "log_softmax" and before.kind == "softmax":
        message = f"{label(op, facts)} takes probabilities of {label(before, facts)} for raw scores"
        pair, fix = "log_softmax after softmax", "remove the softmax: log_softmax takes raw scores"
    else:
        message = f"{label(op, facts)} is applied to what {label(before, facts)} gave"
        pair, fix = f"{op.kind} directly after {before.kind}", "keep one of the two"
    return op_finding(op, facts, f"{message}: {pair}", fix)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoDropoutBeforeNorm(Rule):
    """No dropout stands directly before a batch normalisation.

    Dropout changes the variance of its output in training and not in evaluation. BatchNorm collects its running
    variance in training, and this variance is wrong in evaluation (Li et al., "Understanding the Disharmony between
    Dropout and Batch Normalization by Variance Shift", 2018). Activation, pooling and reshapes may stand between.
    Weights and a junction of branches separate the two. Put dropout after the last BatchNorm.

    Example, kept:
        rule = no-dropout-before-norm = true
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.1))
        input = [2, 3]

    Example, broken:
        rule = no-dropout-before-norm = true
        model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.1), nn.ReLU(), nn.BatchNorm1d(4))
        input = [2, 3]
        says = `1` (Dropout) shifts the variance that `3` (BatchNorm1d) learns: dropout of rate 0.1 before batch_norm
    """

    prohibition = True

    def check(self, facts: Facts) -> Result:
        """Follow every dropout in the graph of training to what comes before the next weights."""
        demand_reach(self, facts)
        readers = consumers(facts.executed("train"))
        drops = [drop for drop in dropouts(facts, self.on) if drop.fault is None and drop.op.kind == "dropout"]
        shifting = [(drop, norm) for drop in drops if (norm := _batch_norm_after(drop.op, readers)) is not None]
        findings = tuple(
            op_finding(
                drop.op,
                facts,
                f"{label(drop.op, facts)} shifts the variance that {label(norm, facts)} learns: "
                f"dropout of rate {drop.rate:g} before batch_norm",
                "move the dropout behind the last batch_norm",
            )
            for drop, norm in shifting
        )
        return Result(
            examined=len(drops),
            findings=findings,
            found=len(findings),
            limit=0,
            unit="dropouts before batch_norm",
            kept=f"none of {len(drops)} dropouts stands before a batch_norm",
        )


def _batch_norm_after(op: Op, readers: Readers) -> Op | None:
    pending, seen = [op], {op.index}
    while pending:
        for reader in readers.get(pending.pop().index, ()):
            if reader.kind == "batch_norm" and reader.attributes.get("training"):
                return reader
            if reader.kind in TRANSPARENT and reader.index not in seen:
                seen.add(reader.index)
                pending.append(reader)
    return None
