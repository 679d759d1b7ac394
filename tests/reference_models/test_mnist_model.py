import pytest
import torch

from reference_models.mnist.model import Net

STAGES = {
    "initial": ((10, 26, 26), 100 + 20),
    "block1": ((16, 24, 24), 1456 + 32),
    "transition1": ((16, 12, 12), 0),
    "block2": ((16, 10, 10), 2320 + 32),
    "block3": ((20, 8, 8), 2900 + 40),
    "transition2": ((20, 4, 4), 0),
    "final": ((32, 2, 2), 5792 + 64),
    "head": ((10,), 330),
}
LAYERS = {
    "initial": "Conv2d BatchNorm2d ReLU",
    "block1": "Conv2d BatchNorm2d ReLU",
    "transition1": "MaxPool2d Dropout",
    "block2": "Conv2d BatchNorm2d ReLU",
    "block3": "Conv2d BatchNorm2d ReLU",
    "transition2": "MaxPool2d Dropout",
    "final": "Conv2d BatchNorm2d ReLU",
    "head": "AdaptiveAvgPool2d Flatten Dropout Linear LogSoftmax",
}


def executed(net, images):
    """Return the modules that ran, by name, in order, with the shape of what they returned."""
    ran = {}

    def note(name):
        def hook(_module, _inputs, output):
            ran[name] = tuple(output.shape)

        return hook

    for name, module in net.named_modules():
        module.register_forward_hook(note(name))
    net(images)
    return ran


def test_parameters_are_the_documented_13086():
    assert sum(parameter.numel() for parameter in Net().parameters()) == 13_086


@pytest.mark.parametrize("name", STAGES)
def test_each_stage_has_the_documented_shape_and_parameters(name):
    net = Net()
    shape, parameters = STAGES[name]
    assert executed(net, torch.zeros(3, 1, 28, 28))[name] == (3, *shape)
    assert sum(parameter.numel() for parameter in net.get_submodule(name).parameters()) == parameters


def test_the_stages_run_in_the_documented_order():
    ran = executed(Net(), torch.zeros(1, 1, 28, 28))
    assert [name for name in ran if "." not in name and name] == list(STAGES)


@pytest.mark.parametrize("name", LAYERS)
def test_each_stage_is_made_of_the_documented_layers(name):
    assert [type(layer).__name__ for layer in Net().get_submodule(name)] == LAYERS[name].split()


def test_global_average_pooling_averages_2x2_maps():
    net = Net().eval()
    ran = executed(net, torch.zeros(1, 1, 28, 28))
    assert (ran["final"], ran["head.0"]) == ((1, 32, 2, 2), (1, 32, 1, 1))


def test_output_is_log_probabilities():
    with torch.no_grad():
        out = Net().eval()(torch.randn(4, 1, 28, 28))
    assert torch.allclose(out.exp().sum(dim=1), torch.ones(4), atol=1e-5)


def test_dropout_reaches_all_three_layers():
    rates = [module.p for module in Net(dropout=0.1).modules() if isinstance(module, torch.nn.Dropout)]
    assert rates == [0.1] * 3
    assert [module.p for module in Net().modules() if isinstance(module, torch.nn.Dropout)] == [0.008] * 3
