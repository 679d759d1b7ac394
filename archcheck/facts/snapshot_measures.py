"""From facts to the measures that a snapshot holds."""

from __future__ import annotations

from archcheck.facts.facts import Facts
from archcheck.facts.records import Layer
from archcheck.facts.snapshot import LayerMeasures, Snapshot, Totals
from archcheck.foundation.words import shape_text


def measures_of(facts: Facts) -> Snapshot:
    """Return the measures of `facts` that a snapshot holds."""
    params, cost, shape = facts.params, facts.cost, facts.shape
    totals = Totals(
        params=params.total,
        trainable=params.trainable,
        frozen=params.frozen,
        buffers=params.buffers,
        hidden=params.hidden_total,
        bytes=params.bytes,
        macs=cost.macs,
        fvcore_flops=cost.fvcore_flops,
        activations=cost.activations,
        peak_activation_bytes=cost.peak_activation_bytes,
        inputs=tuple(shape_text(tensor.shape) for tensor in shape.inputs),
        outputs=tuple(shape_text(tensor.shape) for tensor in shape.outputs),
        receptive_field=shape_text(shape.receptive_field) if shape.receptive_field else None,
        uncounted=tuple(sorted(cost.uncounted)),
    )
    return Snapshot(totals=totals, layers={layer.path: _layer(facts, layer) for layer in facts.layers})


def _layer(facts: Facts, layer: Layer) -> LayerMeasures:
    macs = max(sum(op.macs for op in one.ops_of(layer.path)) for one in facts.ways)
    outputs = tuple(map(shape_text, layer.output_shapes))
    return LayerMeasures(type=layer.type, params=layer.own_params, macs=macs, outputs=outputs)
