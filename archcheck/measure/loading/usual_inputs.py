"""The usual inputs of layers, and of arguments by their names."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

LENGTH = 16
"""The extent of what no layer tells: the length of a sequence, the number of nodes of a graph."""
_STRIDED = (224, 32, 64, 96, 128, 299, 28)
_SIZES = {1: (28, 32, 64, 128, 224), 3: (32, 224, 64, 96, 128, 28, 299)}
"""The sizes of common data sets: MNIST has one channel, CIFAR and ImageNet have three."""
MORE_SIZES = (256, 512, 384, 299, 448, 84, 48, 112, 160, 192, 320, 331, 480, 600, 640, 768, 1024)
"""Sizes of images that are tried after those of common data sets."""
MORE_LENGTHS = (512, 128, 64, 32, 256, 77, 100, 1024, 2048, 8, 50, 1000, 8000, 16000, 22050, 44100)
"""Lengths of sequences and signals that are tried after those of the layer."""


class InputSpec(NamedTuple):
    """One input: its shape, its dtype (`None` is torch's default), the range of integers, and the axes of any size.

    `divided` says that it is joined with others, and that nobody tells how many of the features are its own.
    """

    shape: tuple[int, ...]
    dtype: str | None = None
    low: int | None = None
    high: int | None = None
    free: tuple[int, ...] = ()
    divided: bool = False

    @property
    def size(self) -> int:
        """The extent of the axes of any size, 0 if there are none."""
        return self.shape[self.free[-1]] if self.free else 0

    @property
    def channels(self) -> int:
        """The number of its channels, or of its features where no axis follows them; 0 if it has none."""
        return 0 if self._channel_axis is None else self.shape[self._channel_axis]

    @property
    def _channel_axis(self) -> int | None:
        axis = 1 if self.free and self.free[0] > 1 else len(self.shape) - 1
        return None if self.dtype is not None or axis in self.free else axis

    def resized(self, size: int) -> InputSpec:
        """Return the input with another extent on its axes of any size."""
        shape = tuple(size if axis in self.free else extent for axis, extent in enumerate(self.shape))
        return self._replace(shape=shape)

    def with_more(self, channels: int) -> InputSpec:
        """Return the input with so many more channels, or features where no axis follows them; fewer if negative."""
        axis = self._channel_axis
        if axis is None or self.shape[axis] + channels < 1:
            return self
        return self._replace(shape=(*self.shape[:axis], self.shape[axis] + channels, *self.shape[axis + 1 :]))

    def differs_in_size_alone(self, other: InputSpec) -> bool:
        """Whether another input is this one with another extent on its axes of any size."""
        return self.free == other.free and self.resized(1) == other.resized(1)

    def as_table(self) -> dict[str, Any]:
        """Return the input as a contract writes it."""
        return {"shape": self.shape, "dtype": self.dtype, "low": self.low, "high": self.high}


IDS = (InputSpec((1, LENGTH), "int64", free=(1,)), InputSpec((LENGTH,), "int64", free=(0,)))
"""Token ids of one sequence, in a batch or alone."""


def inputs_of_layer(module: nn.Module, *, nodes: bool = False) -> Sequence[InputSpec]:
    """Return the inputs that a layer of torch takes, the most usual first; none for other modules.

    With `nodes`, rows are the nodes of a graph, and there are several.
    """
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return _of_convolution(module)
    if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        axes = len(module.kernel_size)
        return [_field(module.in_channels, (size,) * axes) for size in (1, 4, 7, 8)]
    if isinstance(module, nn.Linear):
        images = [_field(channels, (size, size)) for channels, size in _images_of(module.in_features)]
        return [*_rows(module.in_features, nodes=nodes), *images]
    if isinstance(module, nn.Embedding):
        return IDS[1:] if nodes else IDS
    if isinstance(module, nn.LSTM | nn.GRU | nn.RNN):
        return [InputSpec((1, LENGTH, module.input_size), free=(1,))]
    if isinstance(module, nn.RNNCellBase):
        return [InputSpec((1, module.input_size)), InputSpec((1, module.hidden_size))]
    if isinstance(module, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
        return [InputSpec((1, LENGTH, module.self_attn.embed_dim), free=(1,))]
    if isinstance(module, nn.MultiheadAttention):
        return [InputSpec((1, LENGTH, module.embed_dim), free=(1,))]
    return _of_norm(module)


def _of_norm(module: nn.Module) -> Sequence[InputSpec]:
    if isinstance(module, nn.BatchNorm2d):
        return [_field(module.num_features, (size, size)) for size in (28, 32, 64, 224)]
    if isinstance(module, nn.BatchNorm1d):
        return [InputSpec((1, module.num_features)), _field(module.num_features, (128,))]
    if isinstance(module, nn.LayerNorm) and len(module.normalized_shape) == 1:
        return [InputSpec((1, LENGTH, *module.normalized_shape), free=(1,))]
    return []


def _field(channels: int, sizes: tuple[int, ...]) -> InputSpec:
    """Return an input of one sample with channels. Of three axes, the first is time, which stays."""
    free = tuple(range(2, 2 + len(sizes)))[-2:]
    return InputSpec((1, channels, *sizes), free=free)


def _rows(features: int, *, nodes: bool) -> list[InputSpec]:
    single = InputSpec((1, features))
    several = InputSpec((1, LENGTH, features), free=(1,))
    return [InputSpec((LENGTH, features), free=(0,)), several] if nodes else [single, several]


def _of_convolution(module: Any) -> list[InputSpec]:
    axes, channels = len(module.kernel_size), module.in_channels
    if axes == 1:
        return [_field(channels, (size,)) for size in (128, 1024, 16000)]
    if axes == 3:
        return [_field(channels, sizes) for sizes in ((16, 112, 112), (16, 32, 32))]
    strided = channels != 1 and (module.stride[0] > 1 or module.kernel_size[0] > 5)
    sizes = _STRIDED if strided else _SIZES.get(channels, _SIZES[3])
    return [_field(channels, (size, size)) for size in sizes]


def _images_of(features: int) -> list[tuple[int, int]]:
    """Return channels and sizes of images that flatten to `features`, or are cut into patches of so many numbers."""
    sizes = itertools.product((1, 3), (28, 32, 64, 96, 224, 8))
    whole = [(channels, size) for channels, size in sizes if channels * size * size == features]
    patches = [(channels, size) for channels in (3, 1) for size in (224, 32) if _is_patch(features, channels, size)]
    return whole + patches


def _is_patch(features: int, channels: int, size: int) -> bool:
    side = math.isqrt(features // channels)
    return 1 < side < size and side * side * channels == features and size % side == 0


def rearranged(spec: InputSpec) -> Iterator[InputSpec]:
    """Yield what code may rearrange to this input: the channels last, or no axis of channels where there is one."""
    rank = len(spec.shape)
    if spec.dtype is not None or rank < 3:
        return
    if 1 in spec.free and rank == 3:
        yield spec._replace(shape=(spec.shape[0], spec.shape[2], spec.shape[1]), free=(2,))
        return
    if 1 in spec.free:
        return
    if spec.shape[1] == 1:
        yield spec._replace(shape=(spec.shape[0], *spec.shape[2:]), free=tuple(axis - 1 for axis in spec.free))
    last = (spec.shape[0], *spec.shape[2:], spec.shape[1])
    yield spec._replace(shape=last, free=tuple(axis - 1 for axis in spec.free))


_MASKS = [
    InputSpec((1, LENGTH), "bool", free=(1,)),
    InputSpec((1, LENGTH), "int64", 1, 2, free=(1,)),
    InputSpec((LENGTH, LENGTH), "bool", free=(0, 1)),
    InputSpec((1, 1, LENGTH, LENGTH), "bool", free=(2, 3)),
    InputSpec((1, LENGTH), free=(1,)),
]
_TIMES = [InputSpec((1,), "int64"), InputSpec((1,)), InputSpec((1, 1))]
_LABELS = [InputSpec((1,), "int64"), InputSpec((1, 10))]
_ADJACENCIES = [InputSpec((LENGTH, LENGTH), free=(0, 1)), InputSpec((1, LENGTH, LENGTH), free=(1, 2))]
_EDGES = [InputSpec((2, LENGTH), "int64", free=(1,))]
_OF_EDGES = [InputSpec((LENGTH,), free=(0,)), InputSpec((LENGTH, 1), free=(0,))]
_GRAPH_OF_NODE = [InputSpec((LENGTH,), "int64", 0, 1, free=(0,))]
_LENGTHS = [InputSpec((1,), "int64", LENGTH, LENGTH + 1)]
_NAMED: Sequence[tuple[str, Sequence[InputSpec]]] = [
    (r"edge_?(attr|weight|feat)\w*", _OF_EDGES),
    (r"edge_?(index|indices|list)?|edges", _EDGES),
    (r"adj\w*|laplacian|a_hat", _ADJACENCIES),
    (r"batch|batch_index|batch_idx", _GRAPH_OF_NODE),
    (r"\w*(lengths?|lens?)", _LENGTHS),
    (r"t|\w*time_?steps?|\w*times?|sigmas?|noise_levels?", _TIMES),
    (r"\w*mask\d?", _MASKS),
    (r"y|labels?|class_?(ids?|labels?)?|classes", _LABELS),
    (r"\w*(ids?|tokens?|texts?|captions?|questions?|words?)", IDS),
]


def inputs_of_name(name: str) -> Sequence[InputSpec]:
    """Return the inputs that an argument of this name usually takes, none if the name says nothing."""
    return next((specs for pattern, specs in _NAMED if re.fullmatch(pattern, name.lower())), ())


def is_of_graph(name: str) -> bool:
    """Whether the argument describes a graph, so that the rows of the others are its nodes."""
    return inputs_of_name(name) in (_EDGES, _ADJACENCIES)


def extents_of(module: nn.Module) -> Iterator[tuple[str, int]]:
    """Yield the whole numbers that a module holds, such as `hidden_size` and `out_features`, with their names."""
    yield from ((name, value) for name, value in vars(module).items() if type(value) is int and value > 0)


def stated_sizes(modules: Sequence[nn.Module]) -> list[int]:
    """Return the whole numbers that modules hold under names such as `img_size` and `max_len`, each once."""
    found: dict[int, None] = {}
    for module in modules:
        for name, value in vars(module).items():
            if re.search(r"size|resolution|length|len$|height|width|frames|samples", name) and "kernel" not in name:
                values = value if isinstance(value, tuple | list | torch.Size) else (value,)
                found.update(dict.fromkeys(each for each in values if type(each) is int and 4 < each <= 1 << 16))
    return list(found)
