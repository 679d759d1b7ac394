"""Small networks for MNIST, from 325 to 4,858 parameters, and what trainings of them measured.

`record-NAME.json` is the evidence of a network, and `archcheck.toml` the contract that all of them are held to.
"""

from collections.abc import Callable, Mapping

from torch import nn

from reference_models.mnist.frontier.pyramid import pyramid_3081, pyramid_4858
from reference_models.mnist.frontier.separable import (
    separable_325,
    separable_482,
    separable_688,
    separable_1042,
    separable_1912,
)

_MAKERS: tuple[Callable[[], nn.Module], ...] = (
    separable_325,
    separable_482,
    separable_688,
    separable_1042,
    separable_1912,
    pyramid_3081,
    pyramid_4858,
)

NETWORKS: Mapping[str, Callable[[], nn.Module]] = {maker.__name__: maker for maker in _MAKERS}
"""The networks by name, the smallest first; a name ends in the number of parameters."""
