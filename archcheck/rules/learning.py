"""Lessons: the loss that training starts from, and a batch learned by heart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from archcheck.facts.facts import Facts
from archcheck.facts.probe_names import need
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.words import amount
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.probe_answers import check_tolerance, probed


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialLoss(Rule):
    """A network that has not been trained starts from the loss of a guess, the logarithm of the number of classes.

    A loss well above it says that the last layers are badly scaled, so that the first epochs unlearn what the
    initialisation claims; one that is not a loss of this output at all, that a softmax is missing or taken twice. The
    first output is taken in training mode on noise, and the loss as its mean over all classes instead of drawn labels:
    for `cross-entropy`, which log-probabilities suit as well as scores, it is never below the logarithm, and
    exceeds it by about half the variance of the scores. `nll` expects log-probabilities and fails without.

    `tolerance` bounds the distance from the logarithm, in nats. Half a nat is the default: the usual initialisations
    of a last layer stay below 0.3. Rounding is a ten-thousandth of that in any dtype but bfloat16. The class axis is
    `axis`, 1 by default; `classes` says how many there must be.

    Example, kept:
        rule = initial-loss = true
        model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 4))
        input = [2, 3]

    Example, broken:
        rule = initial-loss = true
        model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 4), nn.Softmax(dim=1))
        input = [2, 3]
        says = the output is probabilities already

    Example, broken:
        rule = initial-loss = true
        model =
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(3, 4)
                nn.init.normal_(self.fc.weight, std=10.0)

            def forward(self, x):
                return self.fc(x)
        input = [2, 3]
        says = where a guess among 4 classes costs 1.386
    """

    narrows = False
    tolerance: float = 0.5
    classes: int | None = None
    axis: int | None = None
    loss: Literal["cross-entropy", "nll"] = "cross-entropy"

    def __post_init__(self) -> None:
        """Refuse a tolerance below zero, and fewer than two classes."""
        Rule.__post_init__(self)
        check_tolerance(self.tolerance)
        if self.classes is not None and self.classes < 2:
            raise ValueError(f"`classes` must be two or more, found {self.classes}")

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The probe, with the loss and the axis."""
        return (need("initial-loss", loss=self.loss, axis=self.axis),)

    def check(self, facts: Facts) -> Result:
        """Compare the measured loss with that of a guess."""
        measured = probed(self, facts)
        classes, found = measured["classes"], measured["loss"]
        if classes < 2:
            raise NotMeasured(f"the class axis {measured['axis']} has one entry: name another with `axis`")
        guess = math.log(classes)
        message, fix = self._fault(measured, guess)
        where = facts.subject.where
        mode = "in evaluation: in training the forward pass takes other inputs"
        return Result(
            examined=1,
            findings=(Finding(message=message, layer="", where=where, fix=fix),) if message else (),
            found=found,
            limit=guess + self.tolerance,
            unit="nats",
            kept=f"{found or 0:.3f} nats, where a guess among {classes:,} classes costs {guess:.3f}",
            notes=(f"measured {mode}",) if measured["mode"] == "eval" else (),
        )

    def _fault(self, measured: Mapping[str, Any], guess: float) -> tuple[str | None, str]:
        classes, found = measured["classes"], measured["loss"]
        if self.classes not in (None, classes):
            fix = "make the last layer as wide as there are classes, or name the axis"
            return f"the output has {classes:,} classes along axis {measured['axis']}, not {self.classes:,}", fix
        if measured["probabilities"]:
            fix = "return the scores themselves: `nn.CrossEntropyLoss` takes a softmax of its own"
            return "the output is probabilities already, of which the loss takes a softmax again", fix
        if found is not None and abs(found - guess) <= self.tolerance:
            return None, ""
        fix = "scale the last layer down, or end in `nn.LogSoftmax` where the loss is `nll`"
        loss = "no number" if found is None else f"{found:.3f} nats"
        return f"the first loss is {loss}, where a guess among {classes:,} classes costs {guess:.3f}", fix


@dataclass(frozen=True, slots=True, kw_only=True)
class OverfitsOneBatch(Rule):
    """A few steps of Adam on one small batch bring the loss down to the share `limit` of what blind guessing leaves.

    What cannot learn a few samples of noise by heart learns nothing: a block is frozen, a gradient is cut, a softmax is
    taken twice, the input does not reach the output. Eight samples of noise get classes in turn, or, in a model of
    tokens that scores every position, each its own number; `mse` sets random numbers between 0.1 and 0.9 as targets of
    the first output. Learning rates of 0.0003, 0.003 and 0.03 are tried in this order, for `steps` steps each, from
    the model as it is; dropout drops nothing meanwhile. BatchNorm takes the statistics of the batch.

    Blind guessing gives every sample the same: its least loss is the entropy of the labels, or the variance of the
    targets; of a single sample it is the first loss. There is no tolerance beside `limit`: what learns goes far below
    a tenth, and what ignores its input never goes below one.

    The steps are counted, and so is what they cost: expensive networks get fewer samples, two at least, and a batch
    that is not learned for three trillion multiply-accumulates is an error, no verdict. So is one that takes 100
    seconds: a busy machine can cost the answer, but never turns it.

    Example, kept:
        rule = overfits-one-batch = true
        model = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 4))
        input = [2, 12]

    Example, broken:
        rule = overfits-one-batch = true
        model = nn.Sequential(nn.Linear(12, 4), nn.Softmax(dim=1), nn.Softmax(dim=1))
        input = [2, 12]
        says = 100 steps of Adam bring the loss of 8 samples from
    """

    narrows = False
    limit: float = 0.1
    steps: int = 100
    loss: Literal["cross-entropy", "nll", "mse"] = "cross-entropy"
    axis: int | None = None

    def __post_init__(self) -> None:
        """Refuse a share that is none, and steps that nobody takes."""
        Rule.__post_init__(self)
        if not 0 < self.limit < 1:
            raise ValueError(f"`limit` is a share between 0 and 1, found {self.limit:g}")
        if not 1 <= self.steps <= 10_000:
            raise ValueError(f"`steps` must be between 1 and 10,000, found {self.steps:,}")

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The probe, with all that it depends on."""
        parameters = {"loss": self.loss, "axis": self.axis, "steps": self.steps, "share": self.limit}
        return (need("overfits-one-batch", **parameters),)

    def check(self, facts: Facts) -> Result:
        """Look at what the best learning rate has reached."""
        measured = probed(self, facts)
        if not measured["trained"]:
            return Result(examined=0, unit="parameters to train")
        rates, blind = measured["rates"], measured["blind"]
        if not blind:
            raise NotMeasured("to guess blindly costs nothing, as there is one class: name another with `axis`")
        best = min(rates, key=lambda each: math.inf if each["least"] is None else each["least"])
        least = best["least"]
        told = f"{amount(best['steps'], 'steps')} of Adam bring the loss of {amount(measured['samples'], 'samples')} "
        told += f"from {_nats(best['first'])} to {_nats(least)}, where blind guessing leaves {blind:.3g}"
        reached = least is not None and best["first"] is not None and least <= self.limit * blind
        fix = "look for what is frozen, cut off or squashed: gradients-reach and initial-loss name some of it"
        finding = Finding(message=f"{told}, limit {self.limit:g} of that", layer="", where=facts.subject.where, fix=fix)
        return Result(
            examined=1,
            findings=() if reached else (finding,),
            found=None if least is None else least / blind,
            limit=self.limit,
            unit="of the loss of blind guessing",
            kept=f"{told}, at a learning rate of {best['rate']:g}",
        )


def _nats(loss: float | None) -> str:
    return "no number" if loss is None else f"{loss:.3g}"
