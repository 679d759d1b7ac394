"""What probes work on: a model with its example, run on real numbers and restored after every run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence, unpack_sequence

from archcheck.facts.main_output import main_output
from archcheck.foundation.errors import SubjectError
from archcheck.measure.loading.example import Example
from archcheck.measure.operators.operator_results import dtype_of
from archcheck.measure.passes.forward import Passes, inputs_of
from archcheck.measure.passes.modes import set_mode
from archcheck.measure.passes.random_state import seed_all
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.shapes.containers import named_tensors, tensors_in
from archcheck.measure.subject.module_tree import Tree

Outputs = dict[str, torch.Tensor]
"""The floating outputs of a pass by name, in the order in which they are returned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a probe is given. `fresh` builds the model again, `None` where only the instance is known.

    `known` is what one probe has found out and another wants to know, by name.
    """

    passes: Passes
    example: Example
    trace: Trace
    root: str
    fresh: Callable[[], torch.nn.Module] | None = None
    known: dict[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> torch.nn.Module:
        """The model itself."""
        return self.passes.model

    @property
    def tree(self) -> Tree:
        """Its layers and tensors."""
        return self.passes.tree

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one pass on the example, at least one."""
        return max(1, sum(event.macs for event in self.trace.events))

    def run(self, example: Example, *, training: bool = False, seed: int = 0) -> Outputs:
        """Return the floating outputs of one pass and put the model back as it was."""
        with self.passes.untouched(values=True):
            return self.call(example, training=training, seed=seed)

    def outputs(self, example: Example) -> Any:
        """Return whatever the model gives in evaluation, and put the model back as it was."""
        with self.passes.untouched(values=True):
            seed_all(0)
            set_mode(self.tree, training=False)
            return called(self.model, example)

    def call(self, example: Example, *, training: bool = False, seed: int = 0) -> Outputs:
        """Return the floating outputs of one pass, whose traces stay in the model."""
        seed_all(seed)
        set_mode(self.tree, training)
        return outputs_of(called(self.model, example))

    def dtype(self, outputs: Outputs) -> str:
        """Return the name of the coarsest floating dtype among parameters, buffers, inputs and outputs."""
        tensors = (*self.tree.tensors(), *inputs_of(self.example), *outputs.values())
        floating = [tensor for tensor in tensors if tensor.is_floating_point()]
        return dtype_of(max(floating, key=lambda tensor: torch.finfo(tensor.dtype).eps)) if floating else "float32"


def called(model: torch.nn.Module, example: Example) -> Any:
    """Return what a model gives for an example, whose tensors it may overwrite."""
    copied = example.copied()
    return model(*copied.args, **copied.kwargs)


def outputs_of(value: Any) -> Outputs:
    """Return the floating tensors of what a model gave: `""` for a tensor alone, else `logits`, `0.hidden` and so on.

    A packed sequence gives its sequences.

    Raises:
        SubjectError: there is none that has any values.
    """
    value = unpack_sequence(value) if isinstance(value, PackedSequence) else value
    found = {name: tensor for name, tensor in named_tensors(value) if _has_values(tensor)}
    if not found:
        raise SubjectError("forward", "the forward pass returned no floating numbers, so there are none to look at")
    return found


def main_in(value: Any) -> torch.Tensor | None:
    """Return the tensor in an output that is meant where nothing names one, `None` where there is none."""
    tensors = list(tensors_in(value))
    return tensors[main_output([each.shape for each in tensors])] if tensors else None


def _has_values(tensor: torch.Tensor) -> bool:
    return (tensor.is_floating_point() or tensor.is_complex()) and tensor.numel() > 0
