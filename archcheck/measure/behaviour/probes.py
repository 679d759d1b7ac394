"""The probes by name, which run a model on real numbers. A probe runs only if a rule needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from archcheck.foundation.errors import SubjectError, described
from archcheck.measure.behaviour.evaluation import deterministic_in_eval, finite_output, independent_of_batch
from archcheck.measure.behaviour.export import exports
from archcheck.measure.behaviour.gradients import gradients_reach
from archcheck.measure.behaviour.input_axes import input_axis
from archcheck.measure.behaviour.learning import initial_loss, overfits_one_batch
from archcheck.measure.behaviour.look_ahead import look_ahead
from archcheck.measure.behaviour.outputs import keeps_batch, log_probabilities
from archcheck.measure.behaviour.padding import padded_maps
from archcheck.measure.behaviour.probe_context import ProbeContext
from archcheck.measure.behaviour.state_dict import state_dict_round_trip
from archcheck.measure.behaviour.state_size import state_bytes
from archcheck.measure.passes.forward_errors import failed_in

PROBES: Mapping[str, Callable[..., Mapping[str, Any]]] = {
    "keeps-batch": keeps_batch,
    "no-padding": padded_maps,
    "log-probabilities": log_probabilities,
    "finite-output": finite_output,
    "deterministic-in-eval": deterministic_in_eval,
    "independent-of-batch": independent_of_batch,
    "gradients-reach": gradients_reach,
    "initial-loss": initial_loss,
    "overfits-one-batch": overfits_one_batch,
    "state-dict-round-trip": state_dict_round_trip,
    "state-bytes": state_bytes,
    "look-ahead": look_ahead,
    "input-axis": input_axis,
    "exports": exports,
}
"""Name -> function of the context and the parameters of a rule, which returns JSON values."""

_IN_TRAINING = frozenset({"gradients-reach", "initial-loss", "overfits-one-batch"})
"""The probes that run the model in training mode, on the input that it gets there."""


def run_probe(name: str, context: ProbeContext, **parameters: Any) -> Mapping[str, Any]:
    """Return the result of one probe, run without gradients unless it enables them.

    If the probe fails, for example because the forward pass fails on real numbers, return the `problem`, and the next
    step as `fix` if it is known.
    """
    try:
        with torch.no_grad():
            return PROBES[name](context.in_mode(name in _IN_TRAINING), **parameters)
    except SubjectError as error:
        return {"problem": str(error), **({"fix": error.fix} if error.fix else {})}
    except Exception as error:  # whatever the subject raises
        failed = f"the forward pass failed on real numbers{failed_in(error, context.tree)}"
        return {"problem": f"{failed}: {described(error)}"}
