"""The second measurement of a model: on real numbers, with other batch sizes, and without any sign of measuring.

The measurement by shapes has to describe what users get. So the model runs again in each mode, with two samples: once
with nothing of archcheck in sight, and once watched operation by operation. Both runs must return the same numbers, and
the watched run must execute the graph of the first measurement, except for the size of the batch. Passes by shapes with
one sample, with many, and with call counters set to a million must give the same graph, too.

The result lists the operations whose results leave no trace on real numbers (see `unobserved_values`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from archcheck.facts.selectors import GROUPS
from archcheck.foundation.errors import SubjectError, described
from archcheck.foundation.source_place import Where
from archcheck.measure.loading.example import Example
from archcheck.measure.passes import plain_run
from archcheck.measure.passes.axes import Varied, choose
from archcheck.measure.passes.forward import AFFORDABLE, Passes
from archcheck.measure.passes.modes import set_mode
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.second_look.call_counters import after_many_calls
from archcheck.measure.second_look.interventions import OTHER_PARAMETERS, ineffective
from archcheck.measure.second_look.marked_operations import NOTHING, Identities, SecondLook, WithoutEffect
from archcheck.measure.second_look.operation_calls import NORMS, PARAMETER, USING, place_of
from archcheck.measure.second_look.other_examples import batch_of, varied
from archcheck.measure.second_look.pass_comparison import (
    APART,
    Faults,
    are_close,
    constants,
    dead_in,
    faults_of,
    identities_of,
    identity_of,
    is_setup_alone,
    largest_difference,
    named,
    not_among,
    on_parameters_alone,
)
from archcheck.measure.second_look.perturbed_parameters import perturbed, redrawn
from archcheck.measure.second_look.replacements import Statistics
from archcheck.measure.shapes.containers import map_tensors
from archcheck.measure.structure.graph import build
from archcheck.measure.subject.source_places import relative

ALLOWANCE = 5 * AFFORDABLE
"""Multiply-accumulates up to which the model runs again on real numbers: about five seconds of one core."""
_RUNS = 10
"""Samples that pass through the model in that time."""
_STEP = 500_000
"""Multiply-accumulates that take as long as an operation that has none."""
_REPLACED = 40
"""Passes with a replaced operation that even a large model gets."""
TRIES = 12
"""Passes on other numbers in all of which an operation must be without effect; most models need only one."""
_FED = frozenset({*NORMS, *GROUPS["global_pool"]})
"""Kinds that are without effect if the input does not reach them."""
MANY = 257
"""Samples of the pass by shapes that looks for code which depends on the batch size."""


def measure_again(passes: Passes, example: Example, evaluation: Trace, training: Trace | None, root: str) -> SecondLook:
    """Measure a model again and compare with the traces of both modes.

    Raises:
        SubjectError: the model behaves differently when it is measured again.
    """
    if passes.on_meta:
        return NOTHING
    traces = {False: evaluation} | ({True: training} if training else {})
    again = SecondMeasurement(passes, example, traces, root)
    again.compare_batches()
    if _RUNS * sum(event.macs for event in traces[False].events) > ALLOWANCE:
        note = "too large to be run a second time on real numbers: its structure is confirmed by shapes"
        return SecondLook({}, (note,))
    again.compare_after_many_calls()
    without_effect, covered = dict[bool, WithoutEffect](), dict[bool, Identities]()
    for mode in traces:
        without_effect[mode], covered[mode] = again.compare_on_real_numbers(mode), again.covered
    return SecondLook(without_effect, tuple(dict.fromkeys(again.notes)), covered)


class SecondMeasurement:
    """Repeats the passes of both modes of a model and compares them with their traces."""

    def __init__(self, passes: Passes, example: Example, traces: dict[bool, Trace], root: str) -> None:
        self._passes, self._example, self._traces, self._root = passes, example, traces, root
        self._identities = {training: identities_of(trace) for training, trace in traces.items()}
        self.notes: list[str] = []
        self._statistics: Statistics = []
        self.covered: Identities = frozenset()
        """What the last comparison on real numbers executed."""

    def compare_batches(self) -> None:
        """Compare with passes by shapes of one and of many samples."""
        for training, trace in self._traces.items():
            for count in (1, MANY) if not trace.real else ():
                other = self._other(count, training, values=False)
                if other is not None:
                    found, error = self._passes.try_shapes(other, training=training)
                    if error is None:
                        self._demand_same(training, found, f"with a batch of {count}")

    def compare_after_many_calls(self) -> None:
        """Compare with a pass whose call counters are set to a million calls."""
        if any(trace.real for trace in self._traces.values()):
            return
        with after_many_calls(self._passes, self._example) as counter:
            for training in self._traces if counter else ():
                found, error = self._passes.try_shapes(self._example.in_mode(training), training=training)
                if error is None:
                    self._demand_same(training, found, f"after many calls, as `{counter}` counts them,", later=True)

    def compare_on_real_numbers(self, training: bool, *examples: Example) -> WithoutEffect:
        """Compare with passes on real numbers, by default with another batch size; return what is without effect."""
        self.covered = frozenset()
        own = self._example.in_mode(training)
        other = None if examples else self._other(3 if batch_of(own) == 2 else 2, training, values=True)
        for example in examples or (other, varied(own)):
            if example is None:
                continue
            try:
                given = self._alone(example, training)
            except Exception as error:
                failure = error
                continue
            return self._compare_real(example, training, given)
        self._demand_the_same_failure(training, failure)
        mode = _mode(training)
        self.notes.append(f"not confirmed on real numbers in {mode}, where it failed: {described(failure)}")
        return WithoutEffect()

    def _compare_real(self, example: Example, training: bool, given: Any) -> WithoutEffect:
        trace, output = self._follow(example, training)
        self.covered = frozenset(identities_of(trace))
        if not are_close(given, output):
            if are_close(given, self._alone(example, training)):
                raise _differs(training, "returns other numbers when archcheck is hidden from it")
            self.notes.append(f"its numbers in {_mode(training)} differ from run to run: structure alone is confirmed")
        if trace.foreign:
            where = relative(trace.foreign[0], self._root)
            raise _differs(training, f"something other than torch writes to a tensor, read{_at(where)}")
        self._demand_same(training, trace, f"on real numbers, with a batch of {batch_of(example)}")
        self._demand_constants(trace, example, training)
        assert trace.silence is not None
        dead = self._still_dead(dead_in(trace), example, training, faults_of(output))
        without = self._ineffective(trace, example, training)
        return replace(without, dead=dead | without.dead)

    def _follow(self, example: Example, training: bool, seed: int = 0, parameters: int = 0) -> tuple[Trace, Any]:
        """Return the trace of a pass on real numbers, and its output.

        If the pass fails, it is repeated with autograd: the forward pass may differentiate. `parameters` is the seed of
        other parameters, 0 for those of the model.
        """
        for differentiable in (False, True):
            try:
                with redrawn(self._passes, parameters) if parameters else perturbed(self._passes):
                    return self._passes.follow(example, training=training, seed=seed, differentiable=differentiable)
            except SubjectError:
                raise
            except Exception as error:  # whatever the subject raises
                failure = error
        raise _differs(training, f"it fails when its operations are watched: {described(failure)}") from failure

    def _ineffective(self, trace: Trace, example: Example, training: bool) -> WithoutEffect:
        """Return the live operations without effect, of the kinds that can be judged."""
        ops = list(zip(build(trace, self._root).ops, trace.events, strict=True))
        layers = {node.path: node.module for node in self._passes.tree.nodes}
        places = {
            identity_of(event): {place}
            for op, event in ops
            if op.live and (place := place_of(op, event.where, layers.get(op.layer)))
        }
        for each, names in on_parameters_alone(trace, self._passes.tree).items():
            places.setdefault(each, set()).update((PARAMETER, name, None) for name in names)
        if not places:
            return WithoutEffect()
        cost = max(sum(event.macs for event in trace.events), len(trace.events) * _STEP)
        effect, work = ineffective(
            *(self._passes, example, partial(varied, example), frozenset().union(*places.values())),
            training=training,
            allowed=max(_REPLACED, AFFORDABLE // cost),
            statistics=self._statistics,
        )
        without = {each: of for each, of in places.items() if of <= effect}
        unfed = {identity_of(event) for op, event in ops if op.live and op.kind in _FED and not trace.fed[event.index]}
        return WithoutEffect(
            dead=frozenset(each for each, of in without.items() if all(kind in USING for kind, *_ in of)),
            ineffective=frozenset(without) | unfed,
            idle=frozenset(each for each, of in places.items() if of <= work),
        )

    def _still_dead(self, dead: Identities, example: Example, training: bool, faults: Faults) -> Identities:
        """Return what is dead with other numbers and parameters, too: a branch may be dropped, or not chosen."""
        for seed in range(1, TRIES + OTHER_PARAMETERS):
            if not dead:
                break
            # A pass that fails on random numbers, or returns NaN, proves nothing.
            with contextlib.suppress(Exception):
                trace, output = self._follow(varied(example, seed), training, seed, max(0, seed - TRIES + 1))
                if faults_of(output) <= faults:
                    ran = {identity_of(event) for event, live in zip(trace.events, trace.live, strict=True) if live}
                    dead -= ran - dead_in(trace)  # what did not run may still be dead
        return dead

    def _alone(self, example: Example, training: bool, outputs: Callable[..., Any] = plain_run.outputs) -> Any:
        with perturbed(self._passes):
            set_mode(self._passes.tree, training)
            return map_tensors(torch.clone, outputs(self._passes.model, example))

    def _demand_the_same_failure(self, training: bool, failure: Exception) -> None:
        """Refuse a model that runs while archcheck is visible to it, and fails otherwise."""
        try:
            self._alone(self._example.in_mode(training), training, plain_run.in_sight)
        except Exception:
            return
        try:
            self._alone(self._example.in_mode(training), training)
        except Exception as error:
            raise _differs(training, f"it fails when archcheck is hidden from it: {described(error)}") from failure

    def _demand_same(self, training: bool, found: Trace, how: str, *, later: bool = False) -> None:
        expected, seen = self._identities[training], identities_of(found)
        missing, more = not_among(expected, seen), not_among(seen, expected)
        if not missing and not more:
            return
        says = " and ".join(
            f"{verb} {named(signs, self._root)}" for verb, signs in (("leaves out", missing), ("adds", more)) if signs
        )
        trace = self._traces[training]
        if later and is_setup_alone(missing, more):
            self.notes.append(f"its graph depends on how often it was called: {how} it {says} in {_mode(training)}")
            return
        if trace.real or trace.bounds or found.bounds:
            self.notes.append(f"its graph depends on the input: {how} it {says} in {_mode(training)}")
            return
        raise _differs(training, f"{how} it {says}")

    def _demand_constants(self, trace: Trace, example: Example, training: bool) -> None:
        """Refuse constants that change with the input: something other than torch computed them from it."""
        if not constants(trace):
            return
        try:
            others, _ = self._follow(varied(example), training)
            again, _ = self._follow(example, training)
        except SubjectError:  # the model need not accept these numbers
            self.notes.append(f"not confirmed on other numbers in {_mode(training)}, where it failed")
            return
        for event, other, same in zip(*map(constants, (trace, others, again)), strict=False):
            if largest_difference(event.source, other.source) > APART * largest_difference(event.source, same.source):
                where = relative(event.where, self._root)
                spot = f"read{_at(where)}" if where else "which is no tensor itself"
                raise _differs(training, f"something other than torch computes a part of the output, {spot}")

    def _other(self, count: int, training: bool, *, values: bool) -> Example | None:
        """Return the example with `count` samples, `None` if it is unknown which axis counts them."""
        example = self._example.in_mode(training)
        try:
            chosen = choose(example, None, self._traces[example is not self._example], self._passes.tree)
        except ValueError:
            return None
        if chosen.batch is None or chosen.tensor.shape[chosen.batch] == count:
            return None
        found = Varied(chosen, (chosen.batch,)).example_at(example, (count,), values=values)
        return varied(found) if values else found


def _at(where: Where | None) -> str:
    return f" at {where}" if where else ""


def _mode(training: bool) -> str:
    return "training" if training else "evaluation"


def _differs(training: bool, what: str) -> SubjectError:
    return SubjectError(
        "differs", f"is not what it seems in {_mode(training)} mode: {what}; `--no-paranoid` leaves out the second look"
    )
