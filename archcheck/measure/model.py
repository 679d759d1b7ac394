"""From an instance of a model to its facts."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from archcheck.activations import activations_of
from archcheck.errors import SubjectError
from archcheck.facts import Facts, diff_ops
from archcheck.measure.behaviour import accept
from archcheck.measure.behaviour.bench import Bench
from archcheck.measure.behaviour.lessons import NotTaken, learn
from archcheck.measure.behaviour.probing import PROBES, run_probe
from archcheck.measure.behaviour.variants import centred
from archcheck.measure.distrust import paranoid
from archcheck.measure.loading.example import Example, given
from archcheck.measure.operators.answers import dtype_of
from archcheck.measure.operators.schema import VALUES
from archcheck.measure.passes.branches import plain_branches
from archcheck.measure.passes.events import Trace
from archcheck.measure.passes.forward import AFFORDABLE, Passes, inputs_of, passes_of, set_mode
from archcheck.measure.passes.restore import same_torch
from archcheck.measure.peers.cross_check import cross_check
from archcheck.measure.structure import graph, idle, ledger
from archcheck.measure.structure.chance import chosen
from archcheck.measure.structure.field import receptive_field
from archcheck.measure.structure.layers import layers_of
from archcheck.measure.structure.training_cost import step_macs
from archcheck.measure.subject.compiled import original, uncompiled
from archcheck.measure.subject.heap import give_back
from archcheck.measure.subject.places import class_where, relative
from archcheck.parts import CROSS_CHECK, PARANOID, Cost, Op, Shapes, Subject, Tensor
from archcheck.probes import parsed
from archcheck.stated_costs import Stated as StatedCost


def measure_model(
    model: torch.nn.Module,
    *,
    example: Any = None,
    name: str | None = None,
    target: str | None = None,
    root: str | None = None,
    needs: Iterable[str] = (),
    confirm: bool = False,
    fresh: Callable[[], torch.nn.Module] | None = None,
    costs: Mapping[str, StatedCost] | None = None,
) -> Facts:
    """Measure `model` in this process and leave it as it was.

    `example` is a tensor, a sequence of positional inputs, a mapping of keyword inputs, an `Example`, or
    `None` to infer the input from the first layer. `needs` names the probes to run, and `cross-check` where fvcore
    shall count, too. `root` is the folder that places in files are relative to. With `confirm`, a real forward pass
    in evaluation mode has to succeed and give the same shapes. `fresh` builds the model anew, for probes that compare
    with one that nobody has used. `costs` states what operators of the subject's own cost, by name.

    Raises:
        SubjectError: `model` is no module, its forward pass failed, or its input could not be inferred.
    """
    if not isinstance(model, torch.nn.Module):
        raise SubjectError("no-model", f"`{target or model!r}` is a {type(model).__name__}, not a torch.nn.Module")
    chosen = example if isinstance(example, Example) or example is None else given(example)
    model = original(model)
    target = target or f"{type(model).__module__}:{type(model).__qualname__}"
    with same_torch(), uncompiled(), plain_branches():
        facts = _measured(
            passes_of(model, chosen, costs), chosen, tuple(needs),
            confirm=confirm, target=target, root=root or str(Path.cwd()), fresh=fresh,
        )  # fmt: skip
    return replace(facts, subject=replace(facts.subject, name=name or type(model).__name__))


def _measured(
    passes: Passes,
    example: Example | None,
    needs: Sequence[str],
    *,
    confirm: bool,
    target: str,
    root: str,
    fresh: Callable[[], torch.nn.Module] | None,
) -> Facts:
    """Return the facts; all else that measuring makes is gone when garbage is collected again."""
    chosen, evaluation = passes.first(example)
    by_shapes = evaluation
    if confirm:
        evaluation = passes.confirmed(chosen, evaluation)
    training, unmeasured = _training_trace(passes, chosen, real=evaluation.real)
    if confirm and training is not None and not training.real:
        training, unmeasured = _confirmed_training(passes, chosen, training)
    bench = Bench(passes=passes, example=chosen, trace=evaluation, root=root, fresh=fresh)
    behaviour = {need: told for need in needs if (told := _probe(bench, need)) is not None}
    give_back()
    second = paranoid.look(passes, chosen, evaluation, training, root) if PARANOID in needs else paranoid.NOTHING
    facts = _facts(passes, chosen, evaluation, training, second, target=target, root=root)
    if evaluation.real and (facts.params.unused or facts.unused_layers):
        facts = _used_by_others(facts, bench, [by_shapes, evaluation, *([training] if training else [])])
    if CROSS_CHECK in needs:
        facts = replace(facts, cross_check=cross_check(passes, chosen, facts))
    return replace(facts, behaviour=behaviour, unmeasured=unmeasured)


def _facts(
    passes: Passes,
    example: Example,
    evaluation: Trace,
    training: Trace | None,
    second: paranoid.Second,
    *,
    target: str,
    root: str,
) -> Facts:
    model, tree = passes.model, passes.tree
    in_evaluation = graph.build(evaluation, root)
    in_training = graph.build(training, root, like=in_evaluation) if training else None
    ops = second.heard(in_evaluation, training=False)
    train_ops = second.heard(in_training, training=True) if in_training else ()
    traces = [evaluation, training] if training else [evaluation]
    params = ledger.params(tree, traces, (ops, train_ops), root, chosen(passes, example, evaluation))
    return Facts(
        subject=Subject(
            name=type(model).__name__,
            target=target,
            fingerprint=graph.fingerprint(in_evaluation, in_training, tree.shapes()),
            environment={"torch": str(torch.__version__), "python": platform.python_version()},
            where=relative(class_where(type(model)), root),
            notes=(*_notes(passes, example, evaluation), *_unused_costs(passes, traces), *second.notes),
            meta=passes.on_meta,
        ),
        params=params,
        layers=layers_of(tree, evaluation, (ops, train_ops), params.sizes, root),
        ops=ops,
        train_ops=diff_ops(ops, train_ops),
        train_length=len(train_ops),
        cost=_cost(evaluation, ops, training, step_macs(in_training, tree) if in_training else None),
        shape=Shapes(
            inputs=tuple(_outside(tensor) for tensor in inputs_of(example)),
            outputs=tuple(Tensor(shape=shape, dtype=dtype) for shape, dtype in evaluation.output_tensors),
            output_ops=tuple(index for index in evaluation.outputs if index >= 0),
            output_names=tuple(name for name, index in _outputs(evaluation) if index >= 0),
            receptive_field=receptive_field(ops, evaluation),
        ),
        unused_layers=idle.unused_layers(tree, traces),
    )


_OTHERS = 4
_SAMPLES = 16
"""Batches, and samples of each, that a layer may wait for until the data send something through it."""


def _used_by_others(facts: Facts, bench: Bench, traces: list[Trace]) -> Facts:
    """Take for used what data may lead to, where a forward pass looks at their values: experts take turns.

    `traces` are those that are known already. The first is by shapes alone and bounds the sizes that depend on data, so
    that it runs what few data run; it tells nothing where it made values up.
    """
    passes, root = bench.passes, bench.root
    traces = traces if traces[0].bounds.isdisjoint(VALUES) else traces[1:]
    unused, layers = set(facts.params.unused), facts.unused_layers
    for seed in range(_OTHERS + 1):
        if seed:
            with suppress(Exception):  # whatever the subject raises on other numbers, or no axis of samples is known
                traces.append(learn(bench, _SAMPLES, AFFORDABLE, seed, partial(_other, passes, seed)))
        unused -= {name for trace in traces for op in graph.build(trace, root).ops if op.live for name in op.params}
        layers = idle.unused_layers(passes.tree, traces)
        if not unused and not layers:
            break
    kept = tuple(name for name in facts.params.unused if name in unused)
    return replace(facts, params=replace(facts.params, unused=kept), unused_layers=layers)


def _other(passes: Passes, seed: int, example: Example, samples: int) -> Trace:
    """Trace on other numbers, every other time on such as are farther apart."""
    example = example.mapped(partial(centred, factor=seed**2)) if seed % 2 else example
    try:
        return passes.trace(example, training=False, real=True)
    except SubjectError as error:
        raise NotTaken(error.kind, str(error)) from error


def _training_trace(passes: Passes, example: Example, *, real: bool) -> tuple[Trace | None, tuple[str, ...]]:
    """Trace in training mode; a model that wants more than its input there (targets) is measured in evaluation only."""
    try:
        return passes.trace(example, training=True, real=real), ()
    except SubjectError as error:
        return None, (f"training mode: {error}",)


def _confirmed_training(passes: Passes, example: Example, traced: Trace) -> tuple[Trace | None, tuple[str, ...]]:
    """Return a trace of training on real numbers where shapes alone made up a value that the code read."""
    if traced.bounds.isdisjoint(VALUES) or not passes.affords(traced):
        return traced, ()
    return _training_trace(passes, example, real=True)


def _probe(bench: Bench, need: str) -> Mapping[str, Any] | None:
    """Return what a probe tells, `None` where none is asked for or there are no numbers for it."""
    name, parameters = parsed(need)
    passes = bench.passes
    if name == accept.NAME:
        return accept.accepted(bench, **parameters)
    if name not in PROBES or passes.on_meta:
        return None
    with passes.untouched(values=True):
        set_mode(passes.tree, training=False)
        return run_probe(name, bench, **parameters)


def _outside(tensor: torch.Tensor) -> Tensor:
    return Tensor(shape=tuple(tensor.shape), dtype=dtype_of(tensor))


def _notes(passes: Passes, example: Example, traced: Trace) -> tuple[str, ...]:
    notes = [example.note] if example.note else []
    if passes.on_meta:
        notes.append("built without memory: by shapes alone, which no real forward pass confirms")
    if traced.real:
        notes.append("measured on real tensors: shapes alone were not enough")
    if traced.bounds:
        notes.append(f"sizes that depend on data were bounded: {', '.join(sorted(traced.bounds))}")
    return tuple(notes)


def _outputs(traced: Trace) -> Iterable[tuple[str, int]]:
    return zip(traced.output_names, traced.outputs, strict=True)


def _unused_costs(passes: Passes, traces: Sequence[Trace]) -> tuple[str, ...]:
    """Say which costs are stated of operators that no operation of these traces is."""
    ran = {event.op for trace in traces for event in trace.events}
    unused = [name for name in passes.costs if name not in ran]
    return (f"`costs` states what does not run by itself: {', '.join(unused)}",) if unused else ()


def _cost(traced: Trace, ops: Sequence[Op], training: Trace | None, step: int | None) -> Cost:
    return Cost(
        macs=sum(op.macs for op in ops),
        fvcore_flops=sum(op.flops for op in ops),
        peak_activation_bytes=traced.peak_bytes,
        activations=activations_of(ops),
        uncounted=tuple(sorted(traced.uncounted)),
        bounds=tuple(sorted(traced.bounds)),
        training_macs=step,
        training_uncounted=tuple(sorted(training.uncounted)) if training else (),
    )
