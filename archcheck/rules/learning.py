"""Learning: the loss before training, and a small batch that the network must learn by heart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from archcheck.facts.facts import Facts
from archcheck.facts.probe_names import need
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.words import amount
from archcheck.rules.base import Rule
from archcheck.rules.findings import Result
from archcheck.rules.queries.placed_findings import model_finding
from archcheck.rules.queries.probe_answers import probed


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialLoss(Rule):
    """The loss of an untrained network is the loss of guessing: the logarithm of the number of classes.

    A loss well above it shows that the last layers are badly scaled, and the first epochs are lost. A loss that does
    not fit the output at all shows that a softmax is missing or applied twice. The rule takes the first output in
    training mode on noise. The loss is its mean over all classes, in place of random labels. `cross-entropy` fits
    log-probabilities and scores. It is never below the logarithm, and it exceeds the logarithm by about half the
    variance of the scores. `nll` expects log-probabilities and fails without them.

    `tolerance` bounds the distance from the logarithm, in nats. The default is half a nat: the usual initialisations of
    a last layer stay below 0.3. Rounding is a ten-thousandth of that in any dtype but bfloat16. The class axis is
    `axis`, 1 by default. `classes` says how many classes there must be.

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
    tolerance: float = field(default=0.5, metadata={"least": 0})
    classes: int | None = None
    axis: int | None = None
    loss: Literal["cross-entropy", "nll"] = "cross-entropy"

    def __post_init__(self) -> None:
        """Refuse fewer than two classes."""
        Rule.__post_init__(self)
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
        mode = "in evaluation: in training the forward pass takes other inputs"
        return Result(
            examined=1,
            findings=(model_finding(facts, message, fix),) if message else (),
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
            return "the output is probabilities already, and the loss applies a softmax again", fix
        if found is not None and abs(found - guess) <= self.tolerance:
            return None, ""
        fix = "scale the last layer down, or end in `nn.LogSoftmax` where the loss is `nll`"
        loss = "no number" if found is None else f"{found:.3f} nats"
        return f"the first loss is {loss}, where a guess among {classes:,} classes costs {guess:.3f}", fix


@dataclass(frozen=True, slots=True, kw_only=True)
class OverfitsOneBatch(Rule):
    """A few steps of Adam on one small batch reduce the loss to the share `limit` of the loss of blind guessing.

    A network that cannot learn a few samples of noise by heart cannot learn anything: a block is frozen, a gradient is
    cut, a softmax is applied twice, or the input does not reach the output. Eight samples of noise get the classes in
    turn. In a model of tokens that scores every position, each sample gets its own number. With `mse`, random numbers
    between 0.1 and 0.9 are the targets of the first output. The rule tries the learning rates 0.0003, 0.003 and 0.03 in
    this order, each for `steps` steps, from the model as it is. Dropout drops nothing during this. BatchNorm uses the
    statistics of the batch.

    Blind guessing gives every sample the same answer. Its smallest loss is the entropy of the labels, or the variance
    of the targets. For a single sample it is the first loss. There is no tolerance beside `limit`: a network that
    learns goes far below a tenth, and a network that ignores its input never goes below one.

    The cost of the steps is limited. Expensive networks get fewer samples, at least two. The verdict is `error` if the
    batch is not learned within three trillion multiply-accumulates, or within 100 seconds. A busy machine can therefore
    prevent a verdict, but it cannot change one.

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
        """Refuse an invalid share and fewer than one step."""
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
        fix = "train what is frozen, connect what is cut off, and remove a softmax before the loss, or raise `limit`"
        return Result(
            examined=1,
            findings=() if reached else (model_finding(facts, f"{told}, limit {self.limit:g} of that", fix),),
            found=None if least is None else least / blind,
            limit=self.limit,
            unit="of the loss of blind guessing",
            kept=f"{told}, at a learning rate of {best['rate']:g}",
        )


def _nats(loss: float | None) -> str:
    return "no number" if loss is None else f"{loss:.3g}"
