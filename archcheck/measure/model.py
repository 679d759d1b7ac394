"""Measures an instance of a model: returns its facts."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from archcheck.facts.calls import CALLS
from archcheck.facts.facts import Facts, diff_ops
from archcheck.facts.main_output import main_output
from archcheck.facts.operator_costs import Stated as StatedCost
from archcheck.facts.probe_names import parsed
from archcheck.facts.records import CROSS_CHECK, PARANOID, Shapes, Subject, Tensor, ValuePasses
from archcheck.foundation.errors import SubjectError, described
from archcheck.foundation.words import shape_text
from archcheck.measure.behaviour import accepted_inputs
from archcheck.measure.behaviour.probe_context import ProbeContext
from archcheck.measure.behaviour.probes import PROBES, run_probe
from archcheck.measure.behaviour.several_passes import Several, several
from archcheck.measure.behaviour.unused import settled
from archcheck.measure.loading.causes import is_due_to_input
from archcheck.measure.loading.construction_trace import Construction
from archcheck.measure.loading.errors import no_model_error
from archcheck.measure.loading.example import Example, given
from archcheck.measure.operators.operator_results import dtype_of
from archcheck.measure.operators.schema import VALUES
from archcheck.measure.passes.branches import plain_branches
from archcheck.measure.passes.forward import Passes
from archcheck.measure.passes.forward_errors import inputs_of
from archcheck.measure.passes.lazy import passes_of
from archcheck.measure.passes.modes import set_mode
from archcheck.measure.passes.restore import torch_state_kept
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.peers.calls import recorded_calls
from archcheck.measure.peers.cross_check import cross_check
from archcheck.measure.second_look.code_branches import branches_of, follow_branches
from archcheck.measure.second_look.marked_operations import NOTHING, SecondLook
from archcheck.measure.second_look.second_measurement import measure_again
from archcheck.measure.structure import graph, repeated_draws, unused_layers, weights
from archcheck.measure.structure.external_numbers import ChosenNumbers
from archcheck.measure.structure.formulas import Formulas
from archcheck.measure.structure.layers import layers_of
from archcheck.measure.structure.merged_passes import MergedPasses, merged
from archcheck.measure.structure.numbers_used import with_new_numbers
from archcheck.measure.structure.pass_cost import cost_of
from archcheck.measure.structure.receptive_field import receptive_field
from archcheck.measure.structure.training_cost import backward_macs
from archcheck.measure.structure.value_branches import choices
from archcheck.measure.subject.compiled import original, uncompiled
from archcheck.measure.subject.device_fallback import note_on, run_without_devices
from archcheck.measure.subject.kernel_cells import keep_kernel_cells
from archcheck.measure.subject.measured_method import FORWARD, method_of, redirect, redirected
from archcheck.measure.subject.memory_trimming import give_back
from archcheck.measure.subject.source_places import class_where, relative


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
    construction: Construction | None = None,
    call: str | None = None,
    training_example: Any = None,
) -> Facts:
    """Measure `model` in this process and leave it as it was.

    `example` is a tensor, a sequence of positional inputs, a mapping of keyword inputs, an `Example`, or
    `None` to infer the input from the first layer. `needs` names the probes to run; `cross-check` makes fvcore count,
    too. `root` is the folder that places in files are relative to. With `confirm`, a real forward pass in evaluation
    mode has to succeed and give the same shapes. `fresh` builds a new model, for probes that compare with an unused
    one. `construction` is the trace of how the model was built, if there is one. `costs` states by name what the
    subject's own operators cost. `call` names the method to measure instead of `forward`. `training_example` is the
    input of passes in training mode, in the same forms as `example`, if it is another one.

    Raises:
        SubjectError: `model` is not a module or has no method `call`, its forward pass failed, or its input could not
            be inferred.
    """
    if not isinstance(model, torch.nn.Module):
        raise no_model_error(model, target)
    chosen, training = _example(example), _example(training_example)
    keep_kernel_cells()
    model = original(model)
    target = target or f"{type(model).__module__}:{type(model).__qualname__}"

    def measured() -> Facts:
        return _measured(
            passes_of(model, chosen, costs), chosen, training, tuple(needs),
            confirm=confirm, target=target, root=root or str(Path.cwd()), construction=construction,
            fresh=fresh and (lambda: redirect(original(fresh()), call)),
        )  # fmt: skip

    with torch_state_kept(), uncompiled(), plain_branches(), redirected(model, call):
        facts, moves = run_without_devices(measured, problems=lambda facts: facts.unmeasured)
    if note := note_on(moves):
        facts = facts.noting(note)
    return replace(facts, subject=replace(facts.subject, name=name or type(model).__name__))


def _example(value: Any) -> Example | None:
    return value if isinstance(value, Example) or value is None else given(value)


def _measured(
    passes: Passes,
    example: Example | None,
    in_training: Example | None,
    needs: Sequence[str],
    *,
    confirm: bool,
    target: str,
    root: str,
    fresh: Callable[[], torch.nn.Module] | None,
    construction: Construction | None,
) -> Facts:
    """Return the facts. Everything else that measuring creates can be garbage-collected afterwards."""
    chosen, evaluation = passes.first(example)
    chosen = replace(chosen, training=in_training)
    if confirm:
        evaluation = passes.confirmed(chosen, evaluation)
    training, unmeasured = _training_trace(passes, chosen, real=evaluation.real)
    # A trace of shapes alone may have read values that it had to invent.
    if confirm and training and not training.real and VALUES & training.bounds and passes.affords(training):
        training, unmeasured = _training_trace(passes, chosen, real=True)
    context = ProbeContext(
        passes=passes, example=chosen, trace=evaluation, root=root, fresh=fresh, training_trace=training
    )
    behaviour = {need: told for need in needs if (told := _probe(context, need)) is not None}
    taken = several(context, training) if confirm else Several.of(evaluation, training)
    evaluation, training = taken.evaluation[0], taken.training[0] if taken.training else None
    give_back()
    second = measure_again(passes, chosen, evaluation, training, root) if PARANOID in needs else NOTHING
    modes = zip((taken.evaluation, taken.training), taken.examples, strict=True)
    second = follow_branches(second, passes, [branches_of(*each, root) for each in modes], root)
    made = repeated_draws.chosen_numbers(passes, chosen, evaluation)
    # The subject may have set another default device, and tensors of its own classes may answer for torch.
    with torch._C.DisableTorchFunction():
        facts = _facts(passes, chosen, taken, second, made, Formulas(construction), target=target, root=root)
    facts = settled(facts, context, taken, second.mark_dead)
    if CROSS_CHECK in needs:
        facts = replace(facts, cross_check=cross_check(passes, chosen, facts.in_pass(0)))
    if CALLS in needs:
        try:
            facts = replace(facts, calls=recorded_calls(passes, chosen, affordable=passes.affords(evaluation)))
        except Exception as error:  # of the subject's, such as one without memory whose code looks at values
            unmeasured += (f"{CALLS}: {described(error)}",)
    return replace(facts, behaviour=behaviour, unmeasured=unmeasured + taken.unmeasured)


def _facts(
    passes: Passes,
    example: Example,
    taken: Several,
    second: SecondLook,
    made: ChosenNumbers,
    formulas: Formulas,
    *,
    target: str,
    root: str,
) -> Facts:
    model, tree, evaluation = passes.model, passes.tree, taken.evaluation[0]
    in_evaluation = [graph.build(trace, root) for trace in taken.evaluation]
    in_training = [graph.build(trace, root, like=in_evaluation[0]) for trace in taken.training]
    union = merged([second.mark_ineffective(each, training=False) for each in in_evaluation])
    train_union = merged([second.mark_ineffective(each, training=True) for each in in_training])
    ops, train_ops = union.ops, train_union.ops
    using = (
        merged([second.mark_dead(each, training=False) for each in in_evaluation]).ops,
        merged([second.mark_dead(each, training=True) for each in in_training]).ops,
    )
    traces = taken.ordered(union.adding | with_new_numbers(taken.evaluation), train_union.adding)
    params = weights.params(tree, traces, using, root, made, formulas)
    unused = unused_layers.unused_layers(tree, taken.traces)
    return Facts(
        subject=Subject(
            name=type(model).__name__,
            target=target,
            fingerprint=graph.fingerprint(in_evaluation[0], in_training[0] if in_training else None, tree.shapes()),
            environment={"torch": str(torch.__version__), "python": platform.python_version()},
            where=relative(class_where(type(model)), root),
            notes=(*_notes(passes, example, evaluation), *_unused_costs(passes, traces), *second.notes),
            meta=passes.on_meta,
        ),
        params=params,
        layers=layers_of(tree, taken.evaluation, union.passes, train_ops, params.sizes, root),
        ops=ops,
        train_ops=diff_ops(ops, train_ops),
        train_length=len(train_ops),
        cost=cost_of(
            taken.evaluation,
            union.passes,
            taken.training,
            train_union,
            [backward_macs(each, tree) for each in in_training],
        ),
        shape=_shapes(example, evaluation, union),
        unused_layers=unused,
        passes=_value_passes(taken, union, train_union, root, everything=bool(unused or params.unused)),
    )


def _shapes(example: Example, evaluation: Trace, union: MergedPasses) -> Shapes:
    return Shapes(
        inputs=tuple(Tensor(shape=tuple(each.shape), dtype=dtype_of(each)) for each in inputs_of(example)),
        outputs=tuple(Tensor(shape=shape, dtype=dtype) for shape, dtype in evaluation.output_tensors),
        output_ops=union.outputs(0, evaluation),
        output_names=tuple(
            name for name, index in zip(evaluation.output_names, evaluation.outputs, strict=True) if index >= 0
        ),
        receptive_field=receptive_field(union.passes[0], evaluation),
    )


def _value_passes(
    taken: Several, evaluation: MergedPasses, training: MergedPasses, root: str, *, everything: bool
) -> ValuePasses | None:
    """Return how many passes ran because values decide what runs; `None` if values decide nothing.

    `everything` says that something is unused: then every line that reads a value may be the reason.
    """
    modes = [("evaluation", taken.evaluation, evaluation.ops), ("training", taken.training, training.ops)]
    found = choices(modes, taken.changed, root, everything=everything)
    decided = everything or found or taken.few or any(op.runs for _, _, ops in modes for op in ops)
    if not taken.decided or not decided:
        return None
    return ValuePasses(
        evaluation=len(taken.evaluation),
        training=len(taken.training),
        few=taken.few,
        choices=found,
        outputs=tuple(evaluation.outputs(number, trace) for number, trace in enumerate(taken.evaluation)),
    )


def _training_trace(passes: Passes, example: Example, *, real: bool) -> tuple[Trace | None, tuple[str, ...]]:
    """Trace in training mode. A model that needs more than its input there (targets) is measured in evaluation only.

    Raises:
        SubjectError: the input that was stated for training does not fit.
    """
    try:
        return passes.trace(example.in_mode(True), training=True, real=real), ()
    except SubjectError as error:
        mendable = error.__cause__ is not None and is_due_to_input(error.__cause__)
        if mendable and example.training is not None:  # which somebody stated, so that training would run
            raise SubjectError(error.kind, f"in training mode, on `training-input`: {error.message}") from error
        return None, (f"training mode: {error}{'; `training-input` gives it another one' if mendable else ''}",)


def _probe(context: ProbeContext, need: str) -> Mapping[str, Any] | None:
    """Return the result of a probe; `None` if `need` is no probe or the model has no numbers."""
    name, parameters = parsed(need)
    passes = context.passes
    if name == accepted_inputs.NAME:
        return accepted_inputs.accepted(context, **parameters)
    if name not in PROBES or passes.on_meta:
        return None
    with passes.untouched(values=True):
        set_mode(passes.tree, training=False)
        return run_probe(name, context, **parameters)


def _notes(passes: Passes, example: Example, traced: Trace) -> tuple[str, ...]:
    notes = [] if (method := method_of(passes.model)) == FORWARD else [f"measured `{method}` instead of `forward`"]
    notes += [example.note] if example.note else []
    if example.training is not None:
        shown = ", ".join(f"{shape_text(each.shape)} {dtype_of(each)}" for each in inputs_of(example.training))
        notes.append(f"input in training mode: {shown or 'no tensor'}")
    if passes.on_meta:
        notes.append("built without memory: by shapes alone, which no real forward pass confirms")
    if traced.real:
        notes.append("measured on real tensors: shapes alone were not enough")
    if (main := main_output([shape for shape, _ in traced.output_tensors])) > 0:
        name = traced.output_names[main]
        notes.append(
            f"rules judge the output `{name}`, because the first is a single number: `output` of `head` chooses another"
        )
    if traced.bounds:
        notes.append(f"sizes that depend on data were bounded: {', '.join(sorted(traced.bounds))}")
    return tuple(notes)


def _unused_costs(passes: Passes, traces: Sequence[Trace]) -> tuple[str, ...]:
    """Return a note on stated costs of operators that do not run in these traces."""
    ran = {event.op for trace in traces for event in trace.events}
    unused = [name for name in passes.costs if name not in ran]
    return (f"`costs` names operators that are not executed as one operation: {', '.join(unused)}",) if unused else ()
