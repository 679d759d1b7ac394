"""What other counters watch of a forward pass: calls of layers, of functions of torch and of operators.

Most of them hook the calls of layers, some replace functions such as `torch.matmul`, and some watch the operators below
autograd. The executed graph alone does not tell these apart: `torch.add(x, y)` and `x + y` run one operator, and a
counter may see the first only.

A value is described by its outline: a tensor as `{"shape": [...]}`, a packed sequence as `{"packed": shape,
"batch": most, "steps": number}`, a mapping as `{"items": [...]}`, any other object as `{"type": name}`; lists, numbers
and texts as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

CALLS = "calls"
"""What a request needs for the facts to hold `Calls`."""

Outline = Any
"""A value as this module's docstring describes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A module of the tree as counters find it.

    `bases` are the classes of torch and of its companion libraries that it inherits from, nearest first, and `exact`
    says that its own class is the first of them. `settings` are its plain attributes. `tensors` are the shapes of its
    own tensors, and `weights` the elements of its own parameters; a parameter that `torch.nn.utils.prune` has masked
    stands there under its plain name, with the elements that are left. `parents` are the paths of the modules that
    hold it, empty for the model itself.
    """

    path: str
    type: str
    bases: tuple[str, ...]
    exact: bool
    leaf: bool
    scripted: bool
    settings: Mapping[str, Any]
    tensors: Mapping[str, tuple[int, ...]]
    weights: Mapping[str, int]
    parents: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of `bases` in `torch.nn`, without their modules; of other libraries the whole."""
        return tuple(base.rpartition(".")[2] if base.startswith("torch.") else base for base in self.bases)

    @property
    def exactly(self) -> str:
        """The name of its own class if that is one of `bases`, or an empty text."""
        return self.names[0] if self.exact else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call, in `layer`: of a module if `function` is empty, else of a function or an operator of that name."""

    layer: str
    function: str
    inputs: tuple[Any, ...]
    keywords: Mapping[str, Any] = field(default_factory=dict)
    output: Any = None


@dataclass(frozen=True, kw_only=True)  # no slots: the cached property needs a `__dict__`
class Calls:
    """The calls of one forward pass in evaluation mode.

    `layers` and `functions` are calls in Python. `kernels` are the operators that products become below autograd, and
    `operators` those that the code asks torch for. `positional` says that the example gives its inputs by position.
    `failure` is the error of a pass with gradients, where only one without them succeeds, and `unseen` that of the pass
    that records `operators`. `untraceable` names a part of the state that is no tensor.
    """

    modules: tuple[Module, ...]
    layers: tuple[Call, ...]
    functions: tuple[Call, ...]
    kernels: tuple[Call, ...]
    operators: tuple[Call, ...]
    positional: bool = True
    failure: str | None = None
    unseen: str | None = None
    untraceable: str | None = None

    @property
    def scripted(self) -> tuple[Module, ...]:
        """The modules that TorchScript runs."""
        return tuple(module for module in self.modules if module.scripted)

    @cached_property
    def by_path(self) -> Mapping[str, Module]:
        """The modules by their paths."""
        return {module.path: module for module in self.modules}


def shape_of(value: Outline) -> tuple[int, ...] | None:
    """Return the shape of a tensor's outline, `None` for any other."""
    return tuple(value["shape"]) if isinstance(value, Mapping) and "shape" in value else None


def first_shape(value: Outline) -> tuple[int, ...] | None:
    """Return the shape of the first tensor of an outline, however deep it lies."""
    if (shape := shape_of(value)) is not None:
        return shape
    if isinstance(value, Mapping) and "packed" in value:
        return tuple(value["packed"])
    parts = value.get("items", ()) if isinstance(value, Mapping) else value
    if isinstance(parts, Sequence) and not isinstance(parts, str):
        return next((found for part in parts if (found := first_shape(part)) is not None), None)
    return None


def path_of(modules: tuple[Module, ...]) -> str:
    """Return the path of the first of some modules, for a message."""
    return modules[0].path or modules[0].type
