"""The second measurement of a model: on real numbers, with other batch sizes, and without any sign of measuring.

What was measured by shapes has to be what a user gets. So the model runs once more in each mode, with two samples:
unwatched, with nothing of ours in sight; and watched, operation by operation. Both must give the same numbers, and
what the watched pass executes must be what the graph by shapes says, but for the extent of the batch. A pass by shapes
with one sample, one with many, and one as if after a million calls must say so, too.

It returns the operations whose results leave no trace on real numbers (see `unobserved_values`).
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
from archcheck.measure.second_look.call_counters import run_on
from archcheck.measure.second_look.interventions import OTHER_PARAMETERS, unfelt
from archcheck.measure.second_look.operation_calls import NORMS, PARAMETER, USING, place_of
from archcheck.measure.second_look.other_examples import batch_of, varied
from archcheck.measure.second_look.pass_comparison import (
    APART,
    Faults,
    apart,
    are_close,
    beyond,
    constants,
    faults_of,
    named,
    on_parameters_alone,
    only_begins,
    quiet_in,
    sign,
    signs,
)
from archcheck.measure.second_look.perturbed_parameters import jittered, redrawn
from archcheck.measure.second_look.replacements import Statistics
from archcheck.measure.second_look.without_effect import NOTHING, Second, Signs, Silent
from archcheck.measure.shapes.containers import map_tensors
from archcheck.measure.structure.graph import build
from archcheck.measure.subject.source_places import relative

ALLOWANCE = 5 * AFFORDABLE
"""Multiply-accumulates up to which a second look is taken on real numbers: about five seconds of one core."""
_RUNS = 10
"""Samples that pass through the model then."""
_STEP = 500_000
"""Multiply-accumulates that take as long as an operation does without any."""
_REPLACED = 40
"""Passes in which an operation is replaced that even a large model may take."""
TRIES = 12
"""Passes on other numbers in all of which an operation has to say nothing; most models need a single one."""
_FED = frozenset({*NORMS, *GROUPS["global_pool"]})
"""Kinds that are there for the numbers of an input."""
MANY = 257
"""Samples of the pass by shapes that looks for code which minds how many there are."""


def look(passes: Passes, example: Example, evaluation: Trace, training: Trace | None, root: str) -> Second:
    """Take a second look at what the traces of both modes say of a model.

    Raises:
        SubjectError: it does something else when it is looked at again.
    """
    if passes.on_meta:
        return NOTHING
    traces = {False: evaluation} | ({True: training} if training else {})
    seeker = Look(passes, example, traces, root)
    seeker.look_at_batches()
    if _RUNS * sum(event.macs for event in traces[False].events) > ALLOWANCE:
        return Second({}, ("too large to be run a second time on real numbers: its structure is confirmed by shapes",))
    seeker.look_after_many_calls()
    silent, followed = dict[bool, Silent](), dict[bool, Signs]()
    for mode in traces:
        silent[mode], followed[mode] = seeker.look_for_real(mode), seeker.followed
    return Second(silent, tuple(dict.fromkeys(seeker.notes)), followed)


class Look:
    """One who looks at the traces of both modes of a model again."""

    def __init__(self, passes: Passes, example: Example, traces: dict[bool, Trace], root: str) -> None:
        self._passes, self._example, self._traces, self._root = passes, example, traces, root
        self._signs = {training: signs(trace) for training, trace in traces.items()}
        self.notes: list[str] = []
        self._statistics: Statistics = []
        self.followed: Signs = frozenset()
        """What the last look on real numbers came across."""

    def look_at_batches(self) -> None:
        """Compare with passes of one and of many samples, by shapes."""
        for training, trace in self._traces.items():
            for count in (1, MANY) if not trace.real else ():
                other = self._other(count, values=False)
                if other is not None:
                    found, error = self._passes.try_shapes(other, training=training)
                    if error is None:
                        self._demand_same(training, found, f"with a batch of {count}")

    def look_after_many_calls(self) -> None:
        """Compare with a pass that takes place as if after a million others."""
        if any(trace.real for trace in self._traces.values()):
            return
        with run_on(self._passes, self._example) as counter:
            for training in self._traces if counter else ():
                found, error = self._passes.try_shapes(self._example, training=training)
                if error is None:
                    self._demand_same(training, found, f"after many calls, as `{counter}` counts them,", later=True)

    def look_for_real(self, training: bool, *examples: Example) -> Silent:
        """Compare with passes on real numbers, by default in another batch; return what says nothing there."""
        self.followed = frozenset()
        other = None if examples else self._other(3 if batch_of(self._example) == 2 else 2, values=True)
        for example in examples or (other, varied(self._example)):
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
        return Silent()

    def _compare_real(self, example: Example, training: bool, given: Any) -> Silent:
        trace, output = self._follow(example, training)
        self.followed = frozenset(signs(trace))
        if not are_close(given, output):
            if are_close(given, self._alone(example, training)):
                raise _differs(training, "gives other numbers when nobody watches it")
            self.notes.append(f"its numbers in {_mode(training)} differ from run to run: structure alone is confirmed")
        if trace.foreign:
            where = relative(trace.foreign[0], self._root)
            raise _differs(training, f"something else than torch writes to a tensor, read{_at(where)}")
        self._demand_same(training, trace, f"on real numbers, with a batch of {batch_of(example)}")
        self._demand_constants(trace, example, training)
        assert trace.silence is not None
        quiet = self._still_quiet(quiet_in(trace), example, training, faults_of(output))
        without = self._unfelt(trace, example, training)
        return replace(without, quiet=quiet | without.quiet)

    def _follow(self, example: Example, training: bool, seed: int = 0, parameters: int = 0) -> tuple[Trace, Any]:
        """Look at each operation's numbers; code that differentiates inside its forward pass may do so at the end.

        `parameters` is the seed of other ones.
        """
        for differentiable in (False, True):
            try:
                with redrawn(self._passes, parameters) if parameters else jittered(self._passes):
                    return self._passes.follow(example, training=training, seed=seed, differentiable=differentiable)
            except SubjectError:
                raise
            except Exception as error:  # whatever the subject raises
                failure = error
        raise _differs(training, f"it fails when its operations are watched: {described(failure)}") from failure

    def _unfelt(self, trace: Trace, example: Example, training: bool) -> Silent:
        """Return the operations on the way to an output that are without effect, of the kinds that can be told."""
        ops = list(zip(build(trace, self._root).ops, trace.events, strict=True))
        layers = {node.path: node.module for node in self._passes.tree.nodes}
        places = {
            sign(event): {place}
            for op, event in ops
            if op.live and (place := place_of(op, event.where, layers.get(op.layer)))
        }
        for each, names in on_parameters_alone(trace, self._passes.tree).items():
            places.setdefault(each, set()).update((PARAMETER, name, None) for name in names)
        if not places:
            return Silent()
        cost = max(sum(event.macs for event in trace.events), len(trace.events) * _STEP)
        effect, work = unfelt(
            *(self._passes, example, partial(varied, example), frozenset().union(*places.values())),
            training=training,
            allowed=max(_REPLACED, AFFORDABLE // cost),
            statistics=self._statistics,
        )
        unheard = {each: of for each, of in places.items() if of <= effect}
        unfed = {sign(event) for op, event in ops if op.live and op.kind in _FED and not trace.fed[event.index]}
        return Silent(
            quiet=frozenset(each for each, of in unheard.items() if all(kind in USING for kind, *_ in of)),
            unfelt=frozenset(unheard) | unfed,
            idle=frozenset(each for each, of in places.items() if of <= work),
        )

    def _still_quiet(self, quiet: Signs, example: Example, training: bool, faults: Faults) -> Signs:
        """Return what says nothing with other numbers and parameters either: a branch may be dropped, or not chosen."""
        for seed in range(1, TRIES + OTHER_PARAMETERS):
            if not quiet:
                break
            # What fails on strange numbers, or gives none, tells nothing.
            with contextlib.suppress(Exception):
                trace, output = self._follow(varied(example, seed), training, seed, max(0, seed - TRIES + 1))
                if faults_of(output) <= faults:
                    ran = {sign(event) for event, live in zip(trace.events, trace.live, strict=True) if live}
                    quiet -= ran - quiet_in(trace)  # what did not run tells nothing
        return quiet

    def _alone(self, example: Example, training: bool, outputs: Callable[..., Any] = plain_run.outputs) -> Any:
        with jittered(self._passes):
            set_mode(self._passes.tree, training)
            return map_tensors(torch.clone, outputs(self._passes.model, example))

    def _demand_the_same_failure(self, training: bool, failure: Exception) -> None:
        """Refuse a model that runs as long as it sees who asks, and fails where it does not."""
        try:
            self._alone(self._example, training, plain_run.in_sight)
        except Exception:
            return
        try:
            self._alone(self._example, training)
        except Exception as error:
            raise _differs(training, f"it fails when nobody watches it: {described(error)}") from failure

    def _demand_same(self, training: bool, found: Trace, how: str, *, later: bool = False) -> None:
        expected, seen = self._signs[training], signs(found)
        missing, more = beyond(expected, seen), beyond(seen, expected)
        if not missing and not more:
            return
        says = " and ".join(
            f"{verb} {named(signs, self._root)}" for verb, signs in (("leaves out", missing), ("adds", more)) if signs
        )
        trace = self._traces[training]
        if later and only_begins(missing, more):
            self.notes.append(f"its graph depends on how often it was called: {how} it {says} in {_mode(training)}")
            return
        if trace.real or trace.bounds or found.bounds:
            self.notes.append(f"its graph depends on the input: {how} it {says} in {_mode(training)}")
            return
        raise _differs(training, f"{how} it {says}")

    def _demand_constants(self, trace: Trace, example: Example, training: bool) -> None:
        """Refuse numbers that come from nowhere and follow the input: something else than torch made them of it."""
        if not constants(trace):
            return
        try:
            others, _ = self._follow(varied(example), training)
            again, _ = self._follow(example, training)
        except SubjectError:  # on numbers that nobody promised to give it
            self.notes.append(f"not confirmed on other numbers in {_mode(training)}, where it failed")
            return
        for event, other, same in zip(*map(constants, (trace, others, again)), strict=False):
            if apart(event.source, other.source) > APART * apart(event.source, same.source):
                where = relative(event.where, self._root)
                spot = f"read{_at(where)}" if where else "which is no tensor itself"
                raise _differs(training, f"something else than torch computes a part of the output, {spot}")

    def _other(self, count: int, *, values: bool) -> Example | None:
        """Return the example with `count` samples, `None` where it is not known what counts them."""
        try:
            chosen = choose(self._example, None, self._traces[False], self._passes.tree)
        except ValueError:
            return None
        if chosen.batch is None or chosen.tensor.shape[chosen.batch] == count:
            return None
        found = Varied(chosen, (chosen.batch,)).example_at(self._example, (count,), values=values)
        return varied(found) if values else found


def _at(where: Where | None) -> str:
    return f" at {where}" if where else ""


def _mode(training: bool) -> str:
    return "training" if training else "evaluation"


def _differs(training: bool, what: str) -> SubjectError:
    return SubjectError(
        "differs", f"is not what it seems in {_mode(training)} mode: {what}; `--no-paranoid` takes no second look"
    )
