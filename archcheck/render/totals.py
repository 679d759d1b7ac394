"""The labelled lines below the layer table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archcheck.facts.facts import Facts
from archcheck.facts.records import NUMBER_BYTES, Choice, Hidden, Params, Tensor, Training
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.words import amount, shape_text
from archcheck.render import tool_comparison
from archcheck.render.layer_table import why_unused
from archcheck.render.wording import listed
from archcheck.rules.queries.dropouts import dropouts
from archcheck.rules.queries.graphs import label
from archcheck.rules.queries.heads import head_of
from archcheck.rules.queries.value_passes import passes_text

SHOWN = 8
"""Most names of one sort that are written out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A labelled line. An `alarming` line is highlighted."""

    label: str
    text: str
    alarming: bool = False


def header(facts: Facts) -> Iterator[Line]:
    """Yield what was measured, where it is, and on what input."""
    if facts.subject.where:
        yield Line(label="where", text=str(facts.subject.where))
    yield Line(label="input", text=_tensors(facts.shape.inputs))
    yield Line(label="output", text=_tensors(facts.shape.outputs))
    for note in facts.subject.notes:
        yield Line(label="note", text=note)
    yield from decided(facts)


def decided(facts: Facts) -> Iterator[Line]:
    """Yield the lines about values that decide what runs, and about the number of passes behind these facts."""
    passes = facts.passes
    if passes is None:
        return
    few = "; more would take too long, or fail" if passes.few else ""
    text = f"{passes_text(passes)}, for values decide what runs; costs are the largest{few}"
    yield Line(label="passes", text=text, alarming=passes.few)
    for choice in passes.choices[:SHOWN]:
        yield Line(label="decides", text=choice_text(choice))
    if rest := passes.choices[SHOWN:]:
        yield Line(label="", text=f"and {len(rest):,} more lines")
    if passes.rare:
        text = f"{listed(passes.rare, SHOWN)}: in none of them, but on larger batches or with other parameters"
        yield Line(label="rare", text=text)
    if passes.unsettled:
        yield Line(label="unsettled", text=f"{listed(passes.unsettled, SHOWN)}: in none of them, and others may")


def choice_text(choice: Choice) -> str:
    """Return `model.py:3 in `forward` of layer `router`: `if gate.mean() > 0` (evaluation: true in 9 of 16 passes)`."""
    layer = f"layer `{choice.layer}`" if choice.layer else "the model"
    function = f"`{choice.function}` of {layer}" if choice.function else layer
    return f"{choice.where} in {function}: `{choice.code}` ({choice.outcome})"


def _tensors(tensors: tuple[Tensor, ...]) -> str:
    return ", ".join(f"{shape_text(tensor.shape)} {tensor.dtype}" for tensor in tensors) or "none"


_FEW_ZEROS = 0.1
"""The share of zero parameters that is usual, because biases often start at zero."""


def lines(facts: Facts) -> Iterator[Line]:
    """Yield the lines below the layer table: sums, weights, head, dropouts, training, and what was not measured."""
    yield from _sums(facts)
    yield from _weights(facts)
    # Data flows through the head in the opposite order.
    yield Line(label="head", text=" > ".join(head_of(facts.in_pass(0))[::-1]) or "unknown")
    yield from _dropouts(facts)
    yield from _training(facts)
    if facts.unmeasured:
        yield Line(label="unmeasured", text=listed(facts.unmeasured, SHOWN), alarming=True)


def _sums(facts: Facts) -> Iterator[Line]:
    """Yield the sums, each with the convention it follows."""
    params, cost = facts.params, facts.cost
    split = f"{params.trainable:,} trainable, {params.frozen:,} frozen"
    yield Line(label="parameters", text=f"{params.total:,} ({split})")
    zeros = 0 if params.effective is None else params.total - params.effective
    if zeros > _FEW_ZEROS * params.total:
        yield Line(label="effective", text=f"{params.effective:,} parameters that are not zero ({zeros:,} are)")
    yield Line(label="buffers", text=amount(params.buffers, "elements"))
    yield Line(label="bytes", text=f"{params.bytes:,} of parameters and buffers{_by_dtype(params)}")
    yield Line(label="macs", text=f"{cost.macs:,} multiply-accumulates (1 multiply-add = 1)")
    if cost.training_macs is not None:
        yield Line(label="training", text=f"{cost.training_macs:,} multiply-accumulates a step, forward and backward")
    yield Line(label="flops", text=f"{cost.fvcore_flops:,} as published tables count (fvcore's convention)")
    yield Line(label="activations", text=f"{cost.activations:,} elements of convolution and matmul outputs")
    yield Line(label="memory", text=f"{cost.peak_activation_bytes:,} bytes of activations at the peak")
    if cost.uncounted:
        yield Line(label="uncounted", text=f"{listed(cost.uncounted, SHOWN)}: cost unknown", alarming=True)
    if cost.bounds:
        yield Line(label="bounds", text=f"sizes depend on data: {listed(cost.bounds, SHOWN)}", alarming=True)
    for each in tool_comparison.lines(facts):
        yield Line(label=each.label, text=each.text, alarming=each.doubtful)
    if facts.shape.receptive_field:
        yield Line(label="receptive field", text=f"{shape_text(facts.shape.receptive_field)} input positions")


def _by_dtype(params: Params) -> str:
    """Return the bytes of each dtype where there are several."""
    sizes = params.bytes_by_dtype
    return f" ({', '.join(f'{dtype} {size:,}' for dtype, size in sizes.items())})" if len(sizes) > 1 else ""


def _weights(facts: Facts) -> Iterator[Line]:
    """Yield tied, hidden and unused weights, and unused layers."""
    lines = [*_tied(facts), *_hidden(facts), *_unused(facts), *_unused_layers(facts)]
    yield from lines or [Line(label="weights", text="none tied, hidden or unused; no unused layers")]
    yield from _beside(facts)


def _tied(facts: Facts) -> Iterator[Line]:
    for names in facts.params.tied:
        yield Line(label="tied weights", text=f"{' = '.join(names[:SHOWN])} (counted once)")


def _hidden(facts: Facts) -> Iterator[Line]:
    loose = [weight for weight in facts.params.hidden if not weight.buffer]
    held = [weight for weight in facts.params.hidden if weight.buffer]
    used = "a weight" if len(held) == 1 else "weights"
    yield from _hidden_weights(loose, f"{amount(len(loose), 'tensors')}, neither parameter nor buffer")
    yield from _hidden_weights(held, f"{amount(len(held), 'buffers')} used as {used}")


def _hidden_weights(weights: Sequence[Hidden], what: str) -> Iterator[Line]:
    if not weights:
        return
    total = sum(weight.elements for weight in weights)
    yield Line(label="hidden weights", text=f"{amount(total, 'elements')} in {what}:", alarming=True)
    for weight in weights[:SHOWN]:
        place = f" at {weight.where}" if weight.where else ""
        name = weight.name or f"operand of {weight.used_by}"
        yield Line(label="", text=f"{name} {shape_text(weight.shape)}{place}", alarming=True)
    if rest := weights[SHOWN:]:
        yield Line(label="", text=f"and {len(rest):,} more", alarming=True)


def _beside(facts: Facts) -> Iterator[Line]:
    """Yield what acts beside the parameters and is not a weight: Python numbers, masks, tables of positions."""
    entries = facts.params.beside
    if not entries:
        return
    shown = [_acting(entry) for entry in entries[:SHOWN]]
    more = [f"{len(entries) - SHOWN:,} more"] if len(entries) > SHOWN else []
    total = amount(sum(entry.numbers for entry in entries), "numbers")
    yield Line(label="beside", text=f"{total}: {', '.join([*shown, *more])}")


def _acting(entry: Hidden) -> str:
    known = entry.where is not None and not entry.where.file.startswith("/")  # not where an export was made
    place = f" at {entry.where}" if known else ""
    user = f"by {entry.used_by}{place}"
    wide = f" ({entry.content_bytes:,} bytes)" if entry.content_bytes > entry.numbers * NUMBER_BYTES else ""
    numbers = f"{entry.numbers:,}{wide}"
    if entry.origin == "numbers":
        return f"{numbers} in Python, most {user}"
    return f"{numbers} for {entry.name or entry.origin} {shape_text(entry.shape)} of {entry.bits} bits {user}"


def _unused(facts: Facts) -> Iterator[Line]:
    names = facts.params.unused
    if names:
        total = sum(facts.params.sizes.get(name, 0) for name in names)
        text = f"{listed(names, SHOWN)} ({amount(total, 'elements')} that no output reads)"
        yield Line(label="unused weights", text=text, alarming=True)


def _unused_layers(facts: Facts) -> Iterator[Line]:
    found = defaultdict(list)
    for path in facts.unused_layers:
        layer = facts.layer(path)
        found[why_unused(path, facts)].append(f"{path} ({layer.type})" if layer else path)
    for reason, names in found.items():
        text = f"{reason}: {listed(names, SHOWN)} ({amount(len(names), 'layers')})"
        yield Line(label="unused layers", text=text, alarming=True)


def _dropouts(facts: Facts) -> Iterator[Line]:
    try:
        found = dropouts(facts)
    except NotMeasured as error:
        yield Line(label="dropout", text=f"unknown: {error}", alarming=True)
        return
    places: defaultdict[tuple[float, str | None], list[str]] = defaultdict(list)
    for dropout in found:
        places[dropout.rate, dropout.fault].append(label(dropout.op, facts).replace("`", ""))
    for (rate, fault), names in places.items():
        wrong = f" ({fault})" if fault else ""
        yield Line(label="dropout", text=f"{rate:g}{wrong} in {listed(names, SHOWN)}", alarming=bool(fault))


def _record(training: Training) -> Line:
    belongs = "belongs to this model" if training.record is not None else "there is none yet"
    said = "; ".join(training.mismatches) or belongs
    return Line(label="record", text=f"{training.record_file}: {said}", alarming=bool(training.mismatches))


def _training(facts: Facts) -> Iterator[Line]:
    training = facts.training
    if training is None:
        return
    if training.record_file:
        yield _record(training)
    if training.checkpoint_problem:
        yield Line(label="checkpoint", text=training.checkpoint_problem, alarming=True)
    elif training.correct is not None and training.total:
        share = f"{training.correct / training.total:.2%}".replace("%", " %")
        text = f"{training.correct:,} of {training.total:,} correct on the held-out test set ({share})"
        yield Line(label="checkpoint", text=text)
