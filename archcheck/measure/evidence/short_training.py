"""A trial: two epochs of the subject's own trainer, and its evaluation, under a watch.

The trainer gets a fresh model and `limit=LIMIT` where it takes a `limit`, so that a trial is cheap. Nothing of it is
kept but counts. It answers what no record can: whether what reaches the model changes from epoch to epoch, and whether
the test samples are among what the trainer shows it.
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
from archcheck.measure.evidence.optimisers import uncompiled_optimisers
from archcheck.measure.evidence.sample_watch import Enough, Seen, Watch
from archcheck.measure.evidence.samples import Key, declared
from archcheck.measure.loading.load import load, load_object
from archcheck.measure.passes.restore import torch_state_kept
from archcheck.measure.subject.compiled import uncompiled
from archcheck.measure.subject.memory_trimming import give_back
from archcheck.measure.subject.source_places import class_where, relative

LIMIT = 512
"""Samples that a trial is cut to where the trainer can be told."""
EPOCHS = 2
PATIENCE = 40.0
"""Seconds that the epochs of a trial may take together, and again those that the evaluation may take."""
FIRST = 5
"""How many positions of samples are named."""

Facts = dict[str, Any]


def trial(request: Mapping[str, Any]) -> dict[str, Facts]:
    """Return what a trial shows, under the names `trial` and, if it is asked for, `held-out`.

    What keeps it from being seen is told under `problem`.
    """
    spec, root, asked = request.get("training") or {}, request["root"], request.get("needs") or ()
    watch = Watch()
    with torch_state_kept(), uncompiled(), uncompiled_optimisers():
        facts: dict[str, Facts] = {TRIAL: {"problem": None, "where": None, "limit": None, "epochs": []}}
        model = _told(facts[TRIAL], lambda: _train(request, spec, root, watch, facts[TRIAL]))
        give_back()
        if HELD_OUT in asked:
            facts[HELD_OUT] = {"problem": facts[TRIAL]["problem"], "whole": False, "declared": None}
            if model is not None:
                _told(facts[HELD_OUT], lambda: _hold_out(model, spec, root, watch, facts))
    return facts


def _told(facts: Facts, run: Callable[[], Any]) -> Any:
    """Run something of the subject's; whatever goes wrong becomes the `problem` of `facts`."""
    try:
        return run()
    except SubjectError as error:
        facts["problem"] = str(error)
    except (Exception, SystemExit) as error:
        facts["problem"] = described(error)
    return None


def _train(request: Mapping[str, Any], spec: Mapping[str, Any], root: str, watch: Watch, facts: Facts) -> Any:
    """Train a fresh model for two epochs; return it."""
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
                epochs.append(watch.turn())
    except Enough:
        epochs.append(watch.turn())  # what the last epoch has shown until now
        facts["problem"] = None if len(epochs) == EPOCHS else _too_slow(shown, options)
    except (Exception, SystemExit) as error:
        raise SubjectError("training", f"in a trial `{shown}` failed: {described(error)}") from error
    facts.update(_of_epochs(epochs))
    facts["problem"] = facts["problem"] or _unseen(shown, epochs, watch) or _short(shown, epochs)
    return model


def _fresh(request: Mapping[str, Any], root: str) -> torch.nn.Module:
    """Return a model that nobody else holds: one that its file has built already is copied."""
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
    """Return why the epochs show nothing."""
    if watch.unreadable:
        return f"what `{shown}` gives the model could not be read: its first argument with an axis holds no numbers"
    if not any(seen.passes for seen in epochs):
        never = f"`{shown}` never calls the model that it is given, so nothing is seen"
        return f"{never}: call `model(batch)`, not its parts or `forward`"
    if not any(seen.samples(trained=True) for seen in epochs):
        return f"`{shown}` never trains the model that it is given: no gradient comes back through its output"
    return None


def _short(shown: str, epochs: Sequence[Seen]) -> str | None:
    if len(epochs) == EPOCHS:
        return None
    return f"`{shown}` was asked for {EPOCHS} epochs and ended after {len(epochs)}"


def _of_epochs(epochs: Sequence[Seen]) -> Facts:
    """Count the samples that trained, epoch by epoch, and those of the second that the first has shown already."""
    trained = [seen.samples(trained=True) for seen in epochs]
    distinct = [set(samples) for samples in trained]
    counts = [{"samples": len(all_), "distinct": len(some)} for all_, some in zip(trained, distinct, strict=True)]
    again = len(distinct[0] & distinct[1]) if len(distinct) > 1 else 0
    return {"epochs": counts, "again": again, "evaluated": sum(len(seen.samples(trained=False)) for seen in epochs)}


def _hold_out(
    model: torch.nn.Module, spec: Mapping[str, Any], root: str, watch: Watch, facts: Mapping[str, Facts]
) -> None:
    """Add what the evaluation shows, and how much of it training has shown, to the facts about held-out samples."""
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
        sets = declared(load_object(spec["data"], root)(), spec["data"])
        found["declared"] = _of_declared(sets, tested, trained, evaluated)


def _tested(model: torch.nn.Module, evaluate: Any, shown: str, watch: Watch) -> tuple[list[Key], bool]:
    """Return the keys of the samples that `evaluate` shows, and whether it came to its end."""
    watch.turn()
    whole = True
    try:
        with watch.on(model, PATIENCE):
            evaluate(model)
    except Enough:
        whole = False
    except (Exception, SystemExit) as error:
        raise SubjectError("training", f"in a trial `{shown}` failed: {described(error)}") from error
    return watch.turn().keys(), whole


def _of_declared(sets: Mapping[str, list[Key]], tested: list[Key], trained: list[Key], evaluated: list[Key]) -> Facts:
    """Compare declared sets with one another, and what was seen with them."""
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
    """Tell which samples of one set are in another; of the test set, if it is one of them."""
    of, among = (b, a) if b == "test" else (a, b)
    return {"of": of, "among": among, **_among(sets[of], sets[among])}


def _among(keys: Sequence[Key], others: Sequence[Key]) -> Facts:
    """Count the samples that are among others, and name the first."""
    known = {*others} - {None}
    positions = [number for number, key in enumerate(keys) if key in known]
    return {"count": len(positions), "first": positions[:FIRST], "others": len(others)}


def _missing(keys: Sequence[Key], others: Sequence[Key]) -> Facts:
    """Count the samples that are not among others, and name the first."""
    known = {*others, None}
    positions = [number for number, key in enumerate(keys) if key not in known]
    return {"count": len(positions), "first": positions[:FIRST], "of": len(keys)}
