"""A dozen of torchvision's models that differ, against the parameters and operations that torchvision publishes."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from networks import zeros
from torchvision.models import get_model, get_model_weights

from archcheck.measure import measure_model

IMAGE = (1, 3, 224, 224)

# name: inputs, parameters as published, billions of multiply-accumulates as published
ZOO = {
    "resnet18": ([IMAGE], 11_689_512, 1.814),
    "mobilenet_v3_small": ([IMAGE], 2_542_856, 0.057),
    "efficientnet_b0": ([IMAGE], 5_288_548, 0.386),
    "vit_b_16": ([IMAGE], 86_567_656, 17.564),
    "swin_t": ([IMAGE], 28_288_354, 4.491),
    "swin_v2_t": ([(1, 3, 256, 256)], 28_351_570, 5.94),
    "convnext_tiny": ([IMAGE], 28_589_128, 4.456),
    "maxvit_t": ([IMAGE], 30_919_624, 5.558),
    "shufflenet_v2_x0_5": ([IMAGE], 1_366_792, 0.04),
    "densenet121": ([IMAGE], 7_978_856, 2.834),
    "inception_v3": ([(1, 3, 299, 299)], 27_161_264, 5.713),
    "lraspp_mobilenet_v3_large": ([(1, 3, 520, 520)], 3_221_538, 2.086),
    "r3d_18": ([(1, 3, 16, 112, 112)], 33_371_472, 40.697),
    "raft_small": ([(1, 3, 512, 512)] * 2, 990_162, 47.655),
    "ssdlite320_mobilenet_v3_large": ("images", 3_440_060, 0.583),
}


def build(name, **options):
    if name.startswith(("ssd", "lraspp")):
        options["weights_backbone"] = None
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    with torch.device("meta" if name in ("vit_b_16", "convnext_tiny", "r3d_18") else "cpu"):
        return get_model(name, weights=None, **options)


@cache
def measured(name):
    shapes = ZOO[name][0]
    inputs = ([zeros(3, 320, 320)],) if shapes == "images" else tuple(zeros(*shape) for shape in shapes)
    return measure_model(build(name), example=inputs)


@pytest.mark.parametrize("name", ZOO)
def test_parameters_are_those_that_are_published(name):
    assert measured(name).params.total == ZOO[name][1] == get_model_weights(name).DEFAULT.meta["num_params"]


@pytest.mark.parametrize("name", ZOO)
def test_multiply_accumulates_are_those_that_are_published(name):
    # Published counts leave sampling on a grid out, which looks up the correlations of optical flow.
    macs = sum(op.macs for op in measured(name).ops if not op.op.startswith("grid_sampler"))
    assert round(macs / 1e9, 3) == ZOO[name][2] == get_model_weights(name).DEFAULT.meta["_ops"]


@pytest.mark.parametrize("name", ZOO)
def test_every_operation_is_counted_and_shapes_alone_are_enough(name):
    facts = measured(name)
    assert facts.cost.uncounted == ()
    assert "measured on real tensors: shapes alone were not enough" not in facts.subject.notes


@pytest.mark.parametrize("name", ZOO)
def test_no_weight_is_hidden_and_none_is_unused(name):
    assert measured(name).params.hidden == ()
    assert measured(name).params.unused == ()


def test_detection_says_what_was_bounded_and_that_it_needs_targets_to_train():
    facts = measured("ssdlite320_mobilenet_v3_large")
    assert "torchvision::nms" in facts.cost.bounds
    assert "targets" in facts.unmeasured[0]


def test_the_classifiers_of_googlenet_that_only_training_uses_count_and_are_used():
    facts = measure_model(build("googlenet", aux_logits=True), example=zeros(*IMAGE))
    # A 1x1 convolution to 128 channels with BatchNorm, then 2048 to 1024 to 1000 features; two of them.
    head = 2 * 128 + 2048 * 1024 + 1024 + 1024 * 1000 + 1000
    published = get_model_weights("googlenet").DEFAULT.meta
    assert published["num_params"] == 6_624_904
    assert facts.params.total == 6_624_904 + 512 * 128 + 528 * 128 + 2 * head
    assert facts.params.unused == ()
    assert round(facts.cost.macs / 1e9, 3) == published["_ops"] == 1.498


@pytest.mark.filterwarnings("ignore")  # torch announces that its quantisation moves to another package
@pytest.mark.parametrize(("name", "giga"), [("mobilenet_v2", 0.301), ("shufflenet_v2_x0_5", 0.04)])
def test_quantised_models_take_as_many_products_as_the_models_they_are_made_of(name, giga):
    from torchvision.models import quantization

    model = getattr(quantization, name)(weights=None, quantize=True)
    cost = measure_model(model, example=zeros(*IMAGE)).cost
    assert cost.uncounted == ()
    assert round(cost.macs / 1e9, 3) == giga == get_model_weights(f"quantized_{name}").DEFAULT.meta["_ops"]
    assert cost.macs == measure_model(get_model(name, weights=None), example=zeros(*IMAGE)).cost.macs
