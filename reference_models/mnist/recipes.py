"""The two documented training recipes and two of our own, as plain data.

Values that the documents leave open are torch's defaults, written out, so that the digest covers them.

`sprint` is recipe A in three epochs, of which the second and third take the 35 % of the images that had the largest
losses so far: 1.7 passes over the images. Half the batch gives twice the steps, Muon orthogonalises the moves of the
convolutions, and there is no dropout. It was chosen on the validation images, with seeds 100 to 103, which its record
does not hold (its ten come to 9933.5); correct of 10,000, the mean of the seeds, and CPU seconds without validation:

    passes       batch  rate of Muon  otherwise                              correct  seconds  seeds
    1+0.35+0.35  64     0.08          (`sprint`)                              9936.0     27.0      4
    1+0.5        64     0.04                                                  9933.0     23.9      2
    2            64     0.06-0.11     one matrix after another                9933.0     33.6      3
    1+0.3+0.3    64     0.05                                                  9931.0     29.5      2
    1+0.5        64     0.08                                                  9930.5     23.7      2
    1+0.5        64     0.15                                                  9930.5     24.3      2
    2            128    0.08                                                  9930.0     29.3      2
    1+0.4+0.5    64     none, Adam                                            9928.7     28.8      3
    2            64     none, Adam    dropout 0.008                           9925.7     31.1      3
    2            64     none, Adam                                            9924.7     29.7      3

Moving averages of the weights and statistics over the last 400 steps, 0.95 and 0.98, moved these by 3 images at
most, down as often as up. An earlier `sprint` had three whole epochs of Adam. This is what was tried for it, with
dropout 0.008 and three seeds:

    epochs  batch  rate   otherwise                                         correct  seconds
    3       64     0.01   (the earlier `sprint`)                             9936.0     39.5
    3       64     0.01   moving average of the weights, 0.95                9935.3     39.5
    3       128    0.01                                                      9931.0     37.8
    2       64     0.01                                                      9928.0     28.2
    2       128    0.01                                                      9926.0     25.2
    2       64     0.02                                                      9926.0     24.9
    2       128    0.03                                                      9925.7     24.9
    2       128    0.02   moving average of the weights, 0.9                 9925.0     25.1
    2       128    0.02   shifts by up to a pixel                            9923.0     31.0
    2       128    0.02   label smoothing 0.1                                9922.7     27.3
    2       128    0.02                                                      9921.7     30.2
    3       128    0.02   the first 3/4 on the central 24x24                 9921.3     26.5
    2       128    0.02   the first half on the central 24x24                9920.3     21.3
    2       64     0.01   orthogonal first weights, rise of 30 %             9917.7     33.6
    2       256    0.02                                                      9916.7     29.9
    3       64     0.01   the first 3/4 on the central 24x24                 9914.0     29.2
    3       64     0.01   the same, label smoothing 0.1                      9912.7     29.1
    3       64     0.01   the same, shifts by up to a pixel                  9912.0     28.2

Three seeds leave an error of about three images in each mean, two seeds one of four, and the seconds vary by a
fifth with what else the computer does. Convolutions in bfloat16 take a third off the seconds where the processor has
instructions for them, and cost six times as much where it has not; so all recipes compute in float32.

`frontier` trains the small networks of `reference_models/mnist/frontier`, all of them alike. They learn nine tenths
from the answers of the flagship's committed checkpoint, which was trained on the same 50,000 images, and the rest from
the labels. There is no dropout, no weight decay and no rotation, which small networks do not need, and `soap.Soap`
follows directions that Adam is slow in. `archcheck/pages/frontier.md` says what else was tried.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from reference_models.mnist import data, digest
from reference_models.mnist.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Adam:
    """Adam with L2 weight decay; `learning_rate` only counts where no schedule sets another."""

    kind: str = "adam"
    learning_rate: float
    weight_decay: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Sgd:
    """Stochastic gradient descent with momentum."""

    kind: str = "sgd"
    learning_rate: float
    momentum: float
    weight_decay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MuonAdam:
    """Muon for the weights of convolutions, with `iterations` of orthogonalisation a step, and Adam for `others`.

    A schedule keeps the ratio of the two learning rates.
    """

    kind: str = "muon"
    learning_rate: float
    momentum: float = 0.9
    iterations: int = 3
    others: Adam


@dataclass(frozen=True, slots=True, kw_only=True)
class SoapAdam:
    """Adam in the eigenvectors of the gradients' second moments; `soap.Soap` says what the numbers are."""

    kind: str = "soap"
    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.99)
    factor_beta: float = 0.99
    every: int = 20
    whole: int = 1100


@dataclass(frozen=True, slots=True, kw_only=True)
class Distillation:
    """Learning from what a trained flagship answers: `teacher` is the SHA-256 of its checkpoint.

    Of the loss, `share` is the divergence from the teacher's probabilities at `temperature`, the rest that from the
    labels (G. Hinton and others, "Distilling the Knowledge in a Neural Network", 2015).
    """

    teacher: str
    share: float
    temperature: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OneCycle:
    """One cycle over all steps: from `max / div` up to `max`, down to `max / div / final_div`.

    The first momentum (Adam's first beta) moves the other way, between `max_momentum` and `base_momentum`.
    """

    kind: str = "one_cycle"
    max_learning_rate: float
    pct_start: float
    anneal_strategy: Literal["cos", "linear"]
    div_factor: float
    final_div_factor: float
    base_momentum: float = 0.85
    max_momentum: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Plateau:
    """Multiply the learning rate by `factor` after `patience` epochs without a better validation loss."""

    kind: str = "reduce_on_plateau"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that decides a run besides the network, the data and the seed.

    `rotation_degrees` is the largest angle, either way; `mean` and `std` are what `data.normalised` uses. `hardest` is
    the share of the training images, those with the largest losses so far, in every epoch but the first; None is all.
    """

    name: str
    epochs: int = 15
    batch_size: int = 128
    loss: str = "nll"
    rotation_degrees: float = 7.0
    mean: float = data.MEAN
    std: float = data.STD
    dropout: float
    optimizer: Adam | Sgd | MuonAdam | SoapAdam
    schedule: OneCycle | Plateau
    hardest: float | None = None
    distillation: Distillation | None = None

    def lasting(self, epochs: int | None) -> "Recipe":
        """Return this recipe over `epochs`, its own number for None; raises `UsageError` below 1."""
        if epochs is not None and epochs < 1:
            raise UsageError(f"`--epochs {epochs}` is no training; pass 1 or more (recipe default: {self.epochs})")
        return self if epochs is None else replace(self, epochs=epochs)

    def images(self, epoch: int, size: int) -> int:
        """Return how many of `size` training images `epoch`, from 1, takes."""
        return size if epoch == 1 or self.hardest is None else max(1, round(self.hardest * size))

    def settings(self) -> Mapping[str, Any]:
        """Return every setting but the name, as JSON holds it; what only some recipes have, where it is one of them."""
        settings = asdict(self)
        del settings["name"]
        for some in ("hardest", "distillation"):
            if settings[some] is None:
                del settings[some]
        return settings

    def sha256(self) -> str:
        """Return the digest of the settings' canonical JSON."""
        return digest.of_json(self.settings())


_CYCLE = OneCycle(
    max_learning_rate=0.003,
    pct_start=0.2,
    anneal_strategy="cos",
    div_factor=25.0,
    final_div_factor=1000.0,
)
A = Recipe(name="A", dropout=0.008, optimizer=Adam(learning_rate=0.001, weight_decay=5e-5), schedule=_CYCLE)
SPRINT = replace(
    A,
    name="sprint",
    epochs=3,
    batch_size=64,
    dropout=0.0,
    optimizer=MuonAdam(learning_rate=0.08, others=Adam(learning_rate=0.01, weight_decay=5e-5)),
    schedule=replace(_CYCLE, max_learning_rate=0.01),
    hardest=0.35,
)
B = Recipe(name="B", dropout=0.1, optimizer=Sgd(learning_rate=0.01, momentum=0.9), schedule=Plateau())
FRONTIER = replace(
    A,
    name="frontier",
    epochs=10,
    rotation_degrees=0.0,
    dropout=0.0,
    optimizer=SoapAdam(learning_rate=0.1),
    schedule=replace(_CYCLE, max_learning_rate=0.1),
    distillation=Distillation(
        teacher="240668d2e8ad6fa048beaa4f9816855ee3bf41e94430a3b4d4bcdfac2852a256",
        share=0.9,
        temperature=2.0,
    ),
)

RECIPES = {recipe.name: recipe for recipe in (A, B, SPRINT, FRONTIER)}


def find(name: str) -> Recipe:
    """Return the recipe called `name`; raises `UsageError` with the known names."""
    if name not in RECIPES:
        known = ", ".join(f"`{known}`" for known in RECIPES)
        raise UsageError(f"`{name}` is not a recipe; pass one of {known}")
    return RECIPES[name]
