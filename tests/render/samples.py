"""Small hand-made facts and reports for the tests of the renderers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from archcheck.facts.cross_checks import UNEXPLAINED, CrossCheck, Difference
from archcheck.facts.facts import Facts
from archcheck.facts.records import Cost, Hidden, Layer, Op, Params, Shape, Shapes, Subject, Tensor, Training
from archcheck.foundation.source_place import Where
from archcheck.rules.findings import Finding, MeasurementFailure, Outcome, Report, Verdict

MODEL = "model.py"
CONTRACT = "pyproject.toml"


def cost(macs: int, **values: Any) -> Cost:
    return Cost(macs=macs, fvcore_flops=macs + 1_152, **{"uncounted": (), **values})


def layer(path: str, kind: str, output: Shape | None = None, **values: object) -> Layer:
    """A layer that is called once and reaches the output, unless it has no output."""
    called = output is not None
    defaults: dict[str, object] = {
        "params": 0, "own_params": values.get("params", 0), "calls": int(called), "order": 0 if called else None,
        "live": called, "input_shapes": (), "output_shapes": (output,) if called else (), "macs": 0, "where": None,
    }  # fmt: skip
    return Layer(path=path, type=kind, **{**defaults, **values})


def op(kind: str, layer: str = "", **values: object) -> Op:
    defaults: dict[str, object] = {
        "index": 0, "op": kind, "inputs": (), "shapes": (), "dtype": "float32", "attributes": {}, "params": (),
        "macs": 0, "live": True,
    }  # fmt: skip
    return Op(kind=kind, layer=layer, **{**defaults, **values})


def params(total: int, **values: object) -> Params:
    defaults: dict[str, object] = {
        "trainable": total, "frozen": 0, "buffers": 0, "bytes": 4 * total, "tied": (), "hidden": (), "unused": (),
        "sizes": {},
    }  # fmt: skip
    return Params(total=total, **{**defaults, **values})


def facts(*layers: Layer, name: str = "net", given: Shape = (1, 1, 8, 8), **values: object) -> Facts:
    """Facts of a network whose first layer is the model itself."""
    root = layers[0]
    outputs = tuple(Tensor(shape=shape, dtype="float32") for shape in root.output_shapes)
    defaults: dict[str, object] = {
        "subject": Subject(
            name=name, target=f"{MODEL}:{root.type}", fingerprint="0", environment={}, where=Where(file=MODEL, line=5)
        ),
        "params": params(root.params),
        "ops": (op("input"),),
        "train_ops": (),
        "train_length": 1,
        "cost": cost(root.macs, activations=2_944, peak_activation_bytes=4_864),
        "shape": Shapes(
            inputs=(Tensor(shape=given, dtype="float32"),), outputs=outputs, output_ops=(), receptive_field=None
        ),
    }  # fmt: skip
    return Facts(layers=layers, **{**defaults, **values})


def where(line: int, file: str = MODEL) -> Where:
    return Where(file=file, line=line)


def plain_net() -> Facts:
    """A small network with nothing to complain about."""
    net = facts(
        layer("", "Net", (1, 10), params=1_290, macs=13_760),
        layer("features", "Sequential", (1, 16, 6, 6), params=192, macs=5_184, where=where(8)),
        layer("features.0", "Conv2d", (1, 16, 6, 6), params=160, macs=5_184, where=where(9)),
        layer("features.1", "BatchNorm2d", (1, 16, 6, 6), params=32, where=where(10)),
        layer("features.2", "ReLU", (1, 16, 6, 6), calls=2, where=where(11)),
        layer("drop", "Dropout", (1, 16), where=where(13)),
        layer("fc", "Linear", (1, 10), params=1_098, macs=8_576, where=where(14)),
        ops=(
            op("global_avg_pool", attributes={"coverage": "real"}),
            op("linear", "fc", index=1, inputs=(0,), params=("fc.weight", "fc.bias")),
        ),
        train_ops=(
            op("dropout", "drop", attributes={"p": 0.008, "training": True}),
            op("dropout", "fc", index=1, attributes={"p": 0.0, "training": True}),
        ),
        train_length=2,
    )
    notes = ("input inferred from features.0",)
    seen = replace(net.shape, receptive_field=(3, 3), output_ops=(1,))
    return replace(net, subject=replace(net.subject, notes=notes), shape=seen)


def troubled_net() -> Facts:
    """A network with everything in its ledger."""
    hidden = Hidden(
        name="stages[0].weight", shape=(8, 8, 3, 3), elements=576, used_by="conv2d", layer="", where=where(22)
    )
    kernel = Hidden(
        name="blur.kernel", shape=(1, 1, 3, 3), elements=9, used_by="conv2d", layer="", where=where(23), buffer=True
    )
    return facts(
        layer("", "Odd", (1, 4), params=500, macs=4_000),
        layer("stem", "Conv2d", (1, 8, 8, 8), params=80, macs=4_000, where=where(7)),
        layer("aside", "BatchNorm2d", (1, 8, 8, 8), params=16, live=False, where=where(8)),
        layer("spare", "Sequential", params=404, own_params=0, where=where(9)),
        layer("spare.0", "Linear", params=404, where=where(10)),
        layer("spare.1", "Dropout", where=where(11)),
        layer("blocks", "ModuleList"),
        layer("blocks.0", "ReLU", (1, 8, 8, 8)),
        params=params(
            500, trainable=420, frozen=80, buffers=17, hidden=(hidden, kernel), tied=(("stem.weight", "again.weight"),),
            unused=("spare.0.weight", "spare.0.bias"), sizes={"spare.0.weight": 400, "spare.0.bias": 4},
            bytes_by_dtype={"float32": 1_992, "int64": 8},
        ),
        unused_layers=("aside", "spare"),
        ops=(op("input"), op("batch_norm", "aside", index=1, inputs=(0,), live=False)),
        cost=cost(
            4_000,
            activations=512,
            peak_activation_bytes=2_048,
            uncounted=("aten.erfinv", "aten.topk"),
            bounds=("nonzero",),
        ),
        train_length=0,
        unmeasured=("the forward pass in training mode failed",),
        training=Training(
            record_file="record.json", record={}, mismatches=("the record is of another model",),
            checkpoint_file="best.pt", correct=9_950, total=10_000,
        ),
    )  # fmt: skip


def differences() -> tuple[Difference, ...]:
    """Attention in three layers that differ in their number, and something that nobody knows the reason of."""
    unknown = "fvcore does not know this operator and counts nothing"
    attention = [
        Difference(layer=f"blocks.{number}.attention", op="scaled_dot_product_attention", ours=1_536, fvcore=0,
                   reason=unknown)
        for number in range(3)
    ]  # fmt: skip
    odd = Difference(layer="", op="linear", ours=640, fvcore=1_280, reason=UNEXPLAINED)
    outputs = replace(attention[0], quantity="activations", ours=704, reason="fvcore does not count the outputs")
    return (*attention, odd, outputs)


def cross_checked(*found: Difference, **values: Any) -> Facts:
    """A small network that fvcore counted, too; the totals of the counts follow from the differences."""
    net = plain_net()
    fewer = {quantity: sum(each.ours - each.fvcore for each in found if each.quantity == quantity)
             for quantity in ("flops", "activations")}  # fmt: skip
    check = CrossCheck(
        total_ours=net.cost.fvcore_flops,
        total_fvcore=net.cost.fvcore_flops - fewer["flops"],
        activations_ours=net.cost.activations,
        activations_fvcore=net.cost.activations - fewer["activations"],
        compared=3,
        differences=found,
        version="0.1.5",
    )
    return replace(net, cross_check=replace(check, **values))


def block(path: str, width: int, extra: bool = False) -> list[Layer]:
    """A residual block of three convolutions; the first of a stage has a shortcut."""
    shape = (1, width, 7, 7)
    names = ["conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "relu"]
    inside = [
        layer(f"{path}.{name}", "Conv2d" if "conv" in name else "BatchNorm2d" if "bn" in name else "ReLU", shape,
              params=width, macs=width * 49)
        for name in names
    ]  # fmt: skip
    if extra:
        inside.append(layer(f"{path}.downsample", "Sequential", shape, params=2 * width))
        inside.append(layer(f"{path}.downsample.0", "Conv2d", shape, params=width))
        inside.append(layer(f"{path}.downsample.1", "BatchNorm2d", shape, params=width))
    total = (9 if extra else 7) * width
    return [layer(path, "Bottleneck", shape, params=total, macs=total * 49), *inside]


def residual_net() -> Facts:
    """A network of the make of ResNet-50: four stages of 3, 4, 6 and 3 blocks."""
    layers = [layer("", "ResNet", (1, 1_000), params=25_557_032, macs=4_089_184_256)]
    layers += [layer("conv1", "Conv2d", (1, 64, 112, 112), params=9_408, macs=118_013_952)]
    for stage, (blocks, width) in enumerate([(3, 256), (4, 512), (6, 1_024), (3, 2_048)], 1):
        layers.append(layer(f"layer{stage}", "Sequential", (1, width, 7, 7), params=blocks * width * 7))
        for index in range(blocks):
            layers += block(f"layer{stage}.{index}", width, extra=index == 0)
    layers += [layer("avgpool", "AdaptiveAvgPool2d", (1, 2_048, 1, 1))]
    layers += [layer("fc", "Linear", (1, 1_000), params=2_049_000, macs=2_048_000)]
    return facts(*layers, name="resnet50", given=(1, 3, 224, 224))


def outcome(rule: str, verdict: Verdict = Verdict.KEPT, **values: object) -> Outcome:
    values.setdefault("instance", rule)
    return Outcome(rule=rule, verdict=verdict, **values)


def outcomes() -> tuple[Outcome, ...]:
    """One of every verdict, the broken one with several findings."""
    missing = [
        Finding(
            message=f"{path} is not followed by batch_norm",
            layer=path,
            where=where(line) if line != 9 else None,
            fix=f"put a BatchNorm2d after {path}",
        )
        for path, line in [("features.0", 9), ("features.3", 18), ("features.6", 27)]
    ]
    return (
        outcome("requires", found=["dropout", "batch_norm"], notes=("dropout runs in training only",)),
        outcome(
            "max-params", Verdict.BROKEN, found=1_290, limit=1_000, unit="parameters", because="must fit the badge",
            findings=(Finding(message="1,290 parameters, limit 1,000 (+290, +29.0 %)", fix="remove 290 parameters"),),
            most=("fc  Linear 32->10  1,098  85.1 %  model.py:14", "features.0  Conv2d 1->16 3x3  160  12.4 %"),
            contract=where(58, CONTRACT),
        ),
        outcome("followed-by", Verdict.BROKEN, instance="followed-by-2", findings=tuple(missing),
                contract=where(60, CONTRACT)),
        outcome("no-padding", Verdict.WAIVED, waived=(Finding(message="features.0 pads by 1"),), waiver="as published"),
        outcome("dropout-rate", Verdict.VACUOUS, contract=where(62, CONTRACT)),
        outcome("min-accuracy", Verdict.ERROR, contract=where(63, CONTRACT),
                findings=(Finding(message="there is no record of a training run"),)),
    )  # fmt: skip


def judged() -> Report:
    return Report(subject="net", facts=plain_net(), outcomes=outcomes())


def kept() -> Report:
    good = outcome("max-params", found=1_290, limit=19_999, unit="parameters", contract=where(58, CONTRACT))
    return Report(subject="net", facts=plain_net(), outcomes=(good, outcome("no-padding")))


def graded() -> Report:
    """Rules that are worth something: one kept, one waived in part and so broken, one that carries no points."""
    worth = {"max-params": (2.5, 2.5), "followed-by": (1, 0)}
    partly = {"waived": (Finding(message="features.9 is not followed by batch_norm"),), "waiver": "as published"}
    chosen = (*kept().outcomes, outcomes()[2])
    scored = [
        replace(each, points=worth[each.rule][0], earned=worth[each.rule][1]) if each.rule in worth else each
        for each in chosen
    ]
    scored[-1] = replace(scored[-1], **partly)
    return Report(subject="net", facts=plain_net(), outcomes=tuple(scored), points=3.5, earned=2.5)


def failed() -> Report:
    return Report(subject="lost", error=MeasurementFailure(kind="import", message="no module named `timm`; install it"))
