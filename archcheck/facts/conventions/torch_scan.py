"""torch-scan's MACs: a formula for each class of layer, subclasses included, of every layer without layers inside.

The formulas follow `torchscan/modules/macs.py` and `torchscan/crawler.py` of torch-scan 0.2.0. Where a formula fails,
torch-scan leaves the layer out and calls its total partial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from archcheck.facts.calls import Calls, Module, first_shape
from archcheck.facts.conventions.counting import Convention, Entry, Refused, demand_hooks, elements, layer_entry

Shape = tuple[int, ...]


def entries(calls: Calls) -> Iterator[Entry]:
    """Yield the entry of every call of a layer whose class torch-scan knows."""
    if "Transformer" in calls.by_path[""].names:
        return
    demand_hooks(calls, "torch-scan")
    seen = False
    for call in calls.layers:
        module = calls.by_path[call.layer]
        if not module.leaf and "MultiheadAttention" not in module.names:
            continue
        formula = next((each for name, each in _FORMULAS if name in module.names), None)
        given, out = first_shape([*call.inputs, *call.keywords.values()]), first_shape(call.output)
        if given is None or out is None:
            continue
        try:
            amount, reason = formula(module, given, out) if formula else (0, "")
        except (IndexError, KeyError, TypeError, ZeroDivisionError):
            continue  # torch-scan notes the failure and goes on
        seen = True
        yield layer_entry(module, amount, reason)
    if not seen:
        raise Refused("torch-scan finds no call of a layer without parts, and calls its total unavailable")


Counted = tuple[int, str]


def _linear(module: Module, given: Shape, out: Shape) -> Counted:
    return int(module.settings["in_features"]) * elements(out), ""


def _conv(module: Module, given: Shape, out: Shape) -> Counted:
    channels = given[1] // module.settings["groups"]
    return elements(out) * channels * elements(module.settings["kernel_size"]), ""


def _conv_transpose(module: Module, given: Shape, out: Shape) -> Counted:
    amount, _ = _conv(module, given, out)
    reason = "a transposed convolution counts by its output positions, and 4 for each axis"
    return amount + 4 * len(module.settings["kernel_size"]), reason


def _batch_norm(module: Module, given: Shape, out: Shape) -> Counted:
    each = 2 if module.settings["affine"] else 1
    return each * elements(given), f"BatchNorm counts {each} an element"


def _kernel(module: Module) -> int:
    size = module.settings["kernel_size"]
    return elements(size) if isinstance(size, list) else int(size)


def _max_pool(module: Module, given: Shape, out: Shape) -> Counted:
    return elements(out) * (_kernel(module) - 1), "a pooling counts its comparisons, of a window given as one number"


def _avg_pool(module: Module, given: Shape, out: Shape) -> Counted:
    return elements(out) * (_kernel(module) - 1 + len(given) - 2), "a pooling counts its sums"


def _window(given: Shape, out: Shape) -> list[int]:
    pairs = zip(given[2:], out[2:], strict=False)
    return [size // result if size % result == 0 else size % result + 1 for size, result in pairs]


def _adaptive_max_pool(module: Module, given: Shape, out: Shape) -> Counted:
    return elements(out) * (elements(_window(given, out)) - 1), "a pooling counts its comparisons"


def _adaptive_avg_pool(module: Module, given: Shape, out: Shape) -> Counted:
    window = _window(given, out)
    return elements(out) * (elements(window) - 1 + len(window)), "a pooling counts its sums"


def _nothing(module: Module, given: Shape, out: Shape) -> Counted:
    return 0, ""


_FORMULAS: tuple[tuple[str, Callable[[Module, Shape, Shape], Counted]], ...] = (
    ("Linear", _linear),
    *((name, _nothing) for name in ("Identity", "ReLU", "ELU", "LeakyReLU", "ReLU6", "Tanh", "Sigmoid", "Flatten")),
    ("_ConvTransposeNd", _conv_transpose),
    ("_ConvNd", _conv),
    ("_BatchNorm", _batch_norm),
    ("_MaxPoolNd", _max_pool),
    ("_AvgPoolNd", _avg_pool),
    ("_AdaptiveMaxPoolNd", _adaptive_max_pool),
    ("_AdaptiveAvgPoolNd", _adaptive_avg_pool),
)
"""In the order in which torch-scan asks."""


def missed(module: Module | None, operator: str) -> str:
    """Say why an operator in a layer counts nothing."""
    if module is None or not module.leaf:
        where = "a function" if module is None else f"`{module.type}`, which has layers inside"
        return f"torch-scan counts calls of layers without layers inside, and this runs in the code of {where}"
    return f"torch-scan has no formula for `{module.type}`"


CONVENTION = Convention(
    name="torch-scan",
    unit="MACs",
    version="0.2.0",
    command='torchscan.crawl_module(model, args=(x,))["totals"]["macs"]',
    counts="convolutions and Linear without bias, subclasses as well; BatchNorm 2 an element; pooling",
    misses="functional calls, attention, RNNs, embeddings, every norm but BatchNorm",
    entries=entries,
    missed=missed,
)
