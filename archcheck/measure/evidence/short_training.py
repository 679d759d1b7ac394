"""Run a trial: two epochs of the subject's own trainer, and its evaluation, while the samples are watched.

The trainer gets a fresh model and, if it takes a `limit`, `limit=LIMIT`, so that a trial is cheap. Only counts are
kept. A trial answers what no record can: whether the training samples change from epoch to epoch, and whether the
trainer shows test samples to the model.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import torch

from archcheck.facts.records import HELD_OUT, TRIAL
from archcheck.foundation.errors import SubjectError, described
from archcheck.foundation.json_codec import encode
from archcheck.measure.evidence.sample_watch import Enough, Seen, Watch
from archcheck.measure.evidence.samples import Key, declared_keys
from archcheck.measure.evidence.uncompiled_optimisers import uncompiled_optimisers
from archcheck.measure.loading.load import load, load_object
from archcheck.measure.passes.restore import torch_state_kept
from archcheck.measure.subject.compiled import uncompiled
from archcheck.measure.subject.memory_trimming import give_back
from archcheck.measure.subject.source_places import class_where, relative

LIMIT = 512
"""Samples of a trial, if the trainer takes a `limit`."""
EPOCHS = 2
PATIENCE = 40.0
"""Seconds for all epochs of a trial, and again for the evaluation."""
FIRST = 5
"""How many positions of samples are reported."""

Facts = dict[str, Any]


def trial(request: Mapping[str, Any]) -> dict[str, Facts]:
    """Return the results of a trial under `trial` and, if the request needs it, `held-out`.

    If a part failed, its `problem` is the reason.
    """
    spec, root, asked = request.get("training") or {}, request["root"], request.get("needs") or ()
    watch = Watch()
    with torch_state_kept(), uncompiled(), uncompiled_optimisers():
        facts: dict[str, Facts] = {TRIAL: {"problem": None, "where": None, "limit": None, "epochs": []}}
        model = _with_problem(facts[TRIAL], lambda: _train(request, spec, root, watch, facts[TRIAL]))
        give_back()
        if HELD_OUT in asked:
            facts[HELD_OUT] = {"problem": facts[TRIAL]["problem"], "whole": False, "declared": None}
            if model is not None:
                _with_problem(facts[HELD_OUT], lambda: _hold_out(model, spec, root, watch, facts))
    return facts


def _with_problem(facts: Facts, run: Callable[[], Any]) -> Any:
    """Run code of the subject. Its error becomes the `problem` of `facts`."""
    try:
        return run()
    except SubjectError as error:
        facts["problem"] = str(error)
    except (Exception, SystemExit) as error:
        facts["problem"] = described(error)
    return None


def _train(request: Mapping[str, Any], spec: Mapping[str, Any], root: str, watch: Watch, facts: Facts) -> Any:
    """Train a fresh model for `EPOCHS` epochs; return it."""
    shown = spec.get("train")
    if not shown:
        raise SubjectError("training", "the contract names no `train`, so there is no trainer to watch")
    trainer = load_object(shown, root)
    model = _fresh(request, root)
    options = {"limit": LIMIT} if _takes_limit(trainer) else {}
    facts.update(limit=options.get("limit"), where=encode(relative(class_where(trainer), root)))
    epochs: list[Seen] = []
    try:
        with watch.on(model, PATIENCE):
            for _ in islice(trainer(model, seed=0, epochs=EPOCHS, **options), EPOCHS):
                epochs.append(watch.next_period())
    except Enough:
        epochs.append(watch.next_period())  # the samples of the unfinished epoch
        facts["problem"] = None if len(epochs) == EPOCHS else _too_slow(shown, options)
    except (Exception, SystemExit) as error:
        raise SubjectError("training", f"in a trial `{shown}` failed: {described(error)}") from error
    facts.update(_of_epochs(epochs))
    facts["problem"] = facts["problem"] or _unseen(shown, epochs, watch) or _stopped_early(shown, epochs)
    return model


def _fresh(request: Mapping[str, Any], root: str) -> torch.nn.Module:
    """Return a model that no other code refers to: a copy, because the file may have built the model itself."""
    torch.manual_seed(0)
    return copy.deepcopy(load(request["target"], root, request.get("args") or {}))


def _takes_limit(trainer: Any) -> bool:
    try:
        return "limit" in inspect.signature(trainer).parameters
    except (TypeError, ValueError):
        return False


def _too_slow(shown: str, options: Mapping[str, Any]) -> str:
    cut = "" if options else "; let it take `limit`, which cuts its sets to that many samples"
    return f"`{shown}` did not end its first epoch in {PATIENCE:g} s{cut}"


def _unseen(shown: str, epochs: Sequence[Seen], watch: Watch) -> str | None:
    """Return why the epochs show no training samples, `None` if they do."""
    if watch.unreadable:
        return f"what `{shown}` gives the model could not be read: its first argument with an axis holds no numbers"
    if not any(seen.passes for seen in epochs):
        never = f"`{shown}` never calls the model that it is given, so nothing is seen"
        return f"{never}: call `model(batch)`, not its parts or `forward`"
    if not any(seen.samples(trained=True) for seen in epochs):
        return f"`{shown}` never trains the model that it is given: no gradient comes back through its output"
    return None


def _stopped_early(shown: str, epochs: Sequence[Seen]) -> str | None:
    if len(epochs) == EPOCHS:
        return None
    return f"`{shown}` was asked for {EPOCHS} epochs and ended after {len(epochs)}"


def _of_epochs(epochs: Sequence[Seen]) -> Facts:
    """Return the counts of training samples for each epoch, and of those in the second that the first had, too."""
    trained = [seen.samples(trained=True) for seen in epochs]
    distinct = [set(samples) for samples in trained]
    counts = [{"samples": len(all_), "distinct": len(some)} for all_, some in zip(trained, distinct, strict=True)]
    again = len(distinct[0] & distinct[1]) if len(distinct) > 1 else 0
    return {"epochs": counts, "again": again, "evaluated": sum(len(seen.samples(trained=False)) for seen in epochs)}


def _hold_out(
    model: torch.nn.Module, spec: Mapping[str, Any], root: str, watch: Watch, facts: Mapping[str, Facts]
) -> None:
    """Add the samples of the evaluation, and how many of them training showed, to the facts about held-out samples."""
    found, shown = facts[HELD_OUT], spec.get("evaluate")
    if not shown:
        raise SubjectError("training", "the contract names no `evaluate`, so the test samples are unknown")
    trained = [key for seen in watch.seen for key in seen.keys(trained=True)]
    evaluated = [key for seen in watch.seen for key in seen.keys(trained=False)]
    tested, whole = _tested(model, load_object(shown, root), shown, watch)
    give_back()
    found.update(whole=whole, samples=len(tested), constant=tested.count(None))
    if not tested:
        raise SubjectError(
            "training", f"`{shown}` never calls the model that it is given, so the test samples are unknown"
        )
    found["trained"] = _among(tested, trained)
    found["evaluated"] = _among(tested, evaluated)
    if spec.get("data"):
        sets = declared_keys(load_object(spec["data"], root)(), spec["data"])
        found["declared"] = _of_declared(sets, tested, trained, evaluated)


def _tested(model: torch.nn.Module, evaluate: Any, shown: str, watch: Watch) -> tuple[list[Key], bool]:
    """Return the keys of the samples that `evaluate` shows to the model, and whether it finished."""
    watch.next_period()
    whole = True
    try:
        with watch.on(model, PATIENCE):
            evaluate(model)
    except Enough:
        whole = False
    except (Exception, SystemExit) as error:
        raise SubjectError("training", f"in a trial `{shown}` failed: {described(error)}") from error
    return watch.next_period().keys(), whole


def _of_declared(sets: Mapping[str, list[Key]], tested: list[Key], trained: list[Key], evaluated: list[Key]) -> Facts:
    """Return how the declared sets overlap, and how many seen samples are in none of them."""
    names = list(sets)
    everything = [key for keys in sets.values() for key in keys]
    pairs = [(a, b) for number, a in enumerate(names) for b in names[number + 1 :]]
    return {
        "sets": {name: {"samples": len(keys), "constant": keys.count(None)} for name, keys in sets.items()},
        "overlaps": [_overlap(a, b, sets) for a, b in pairs],
        "strange": {
            "test": _missing(tested, sets["test"]),
            "trained": _missing(trained, everything),
            "evaluated": _missing(evaluated, everything),
        },
    }


def _overlap(a: str, b: str, sets: Mapping[str, list[Key]]) -> Facts:
    """Return which samples of one set are in another. If one is the test set, its samples are reported."""
    of, among = (b, a) if b == "test" else (a, b)
    return {"of": of, "among": among, **_among(sets[of], sets[among])}


def _among(keys: Sequence[Key], others: Sequence[Key]) -> Facts:
    """Return the count and the first positions of the samples that are among others."""
    known = {*others} - {None}
    positions = [number for number, key in enumerate(keys) if key in known]
    return {"count": len(positions), "first": positions[:FIRST], "others": len(others)}


def _missing(keys: Sequence[Key], others: Sequence[Key]) -> Facts:
    """Return the count and the first positions of the samples that are not among others."""
    known = {*others, None}
    positions = [number for number, key in enumerate(keys) if key not in known]
    return {"count": len(positions), "first": positions[:FIRST], "of": len(keys)}
