"""The FLOPs of torch's own `FlopCounterMode`: two for each multiply-add of the operators that products become.

It watches operators below autograd on the machine that runs them. What becomes of attention and of recurrent layers
there depends on the device: on a CPU, fused ones count nothing. The formulas follow `torch/utils/flop_counter.py` of
torch 2.14, for a forward pass with gradients.
"""

from __future__ import annotations

from collections.abc import Iterator

from archcheck.facts.calls import Call, Calls, Module
from archcheck.facts.conventions.counting import Convention, Entry, Refused, demand_shape, elements, family


def entries(calls: Calls) -> Iterator[Entry]:
    """Yield the entry of every operator below autograd that it has a formula for."""
    if calls.failure is not None:
        raise Refused(f"the counter watches a pass with gradients, and there the model fails: {calls.failure}")
    for call in calls.kernels:
        yield Entry(layer=call.layer, operator=family(call.function), amount=2 * _macs(call), reason=_reason(call))


def _macs(call: Call) -> int:
    name, given = call.function, call.inputs
    if name in ("mm", "_scaled_mm", "bmm"):
        return elements(demand_shape(given[0])) * demand_shape(given[1])[-1]
    if name in ("addmm", "baddbmm"):
        return elements(demand_shape(given[1])) * demand_shape(given[2])[-1]
    if name.startswith("_scaled_dot_product"):
        query, key, value = (demand_shape(each) for each in given[:3])
        return elements(query[:3]) * key[2] * (query[3] + value[3])
    inputs, weight, out = demand_shape(given[0]), demand_shape(given[1]), demand_shape(call.output)
    transposed = len(given) > 6 and bool(given[6])
    return inputs[0] * elements(weight) * elements((inputs if transposed else out)[2:])


def _reason(call: Call) -> str:
    if call.function == "bmm":
        return "products of batches run as one, and a masked half counts in full"
    return ""


def missed(module: Module | None, operator: str) -> str:
    """Say why an operator in a layer counts nothing."""
    return f"the counter has no formula for what `{operator}` becomes on this device"


CONVENTION = Convention(
    name="flop-counter",
    unit="FLOPs",
    version="torch 2.14",
    command="with FlopCounterMode(display=False) as counter: model(x); counter.get_total_flops()",
    counts="2 for each multiply-add of convolutions and matrix products, wherever they are called",
    misses="on a CPU: fused attention, LSTM; quantised products",
    entries=entries,
    missed=missed,
    per_mac=2,
)
