"""Small networks for MNIST, from 316 to 4,858 parameters, and what trainings of them measured.

`record-NAME.json` is the evidence of a network, and `archcheck.toml` the contract that all of them are held to.
"""

from collections.abc import Callable, Mapping

from torch import nn

from reference_models.mnist.frontier.pyramid import pyramid_1956, pyramid_4858
from reference_models.mnist.frontier.separable import separable_316, separable_496, separable_681
from reference_models.mnist.frontier.shared import shared_1200, shared_2778, shared_4588

_MAKERS: tuple[Callable[[], nn.Module], ...] = (
    separable_316,
    separable_496,
    separable_681,
    shared_1200,
    pyramid_1956,
    shared_2778,
    shared_4588,
    pyramid_4858,
)

NETWORKS: Mapping[str, Callable[[], nn.Module]] = {maker.__name__: maker for maker in _MAKERS}
"""The networks by name, the smallest first; a name ends in the number of parameters."""
