"""Models whose first measurement is timed: networks of a course, of torchvision and of transformers, all untrained."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable

import torch
from torch import nn

Made = tuple[nn.Module, torch.Tensor]
"""A model in evaluation mode and its input."""

IMAGES = {
    **dict.fromkeys(
        ["alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "maxvit_t", "mnasnet1_0"], 224
    ),
    **dict.fromkeys(["mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf", "resnet18", "resnet50", "resnet152"], 224),
    **dict.fromkeys(["resnext50_32x4d", "shufflenet_v2_x1_0", "squeezenet1_1", "swin_t", "vgg16", "vit_b_16"], 224),
    "inception_v3": 299,
    "efficientnet_v2_s": 384,
}
"""The networks of torchvision with the sides of their images."""


def _image(model: nn.Module, *shape: int) -> Made:
    return model.eval(), torch.rand(1, *shape)


def _lenet() -> Made:
    features = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU()]
    head = [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.Linear(84, 10)]
    return _image(nn.Sequential(*features, *head), 1, 28, 28)


def _perceptron() -> Made:
    return _image(nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10)), 1, 28, 28)


def _flagship() -> Made:
    from reference_models.mnist.model import Net

    return _image(Net(), 1, 28, 28)


def _encoder() -> Made:
    layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
    return _image(nn.TransformerEncoder(layer, 4, enable_nested_tensor=False), 16, 64)


def _recurrent(kind: type[nn.Module]) -> Callable[[], Made]:
    return lambda: _image(kind(32, 64, num_layers=2, batch_first=True), 20, 32)


def _convolutions(depth: int) -> Callable[[], Made]:
    """Return a builder of a plain network of as many blocks."""

    def build() -> Made:
        widths = [3, *[16] * depth]
        blocks = [
            nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU())
            for before, after in itertools.pairwise(widths)
        ]
        return _image(nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)), 3, 32, 32)

    return build


def _published(name: str, side: int) -> Callable[[], Made]:
    def build() -> Made:
        from torchvision.models import get_model

        options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        return _image(get_model(name, weights=None, **options), 3, side, side)

    return build


def _pretrained(name: str, **changes: int) -> Callable[[], Made]:
    """Return a builder of a class of transformers from a small configuration, on 16 tokens."""

    def build() -> Made:
        import transformers

        model = getattr(transformers, name)
        return model(model.config_class(**changes)).eval(), torch.randint(0, 100, (1, 16))

    return build


_SMALL = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
_DECODER = {**_SMALL, "num_key_value_heads": 2, "vocab_size": 1000}
_TRANSFORMERS = {
    "llama, 2 layers": _pretrained("LlamaModel", **_DECODER),
    "mistral, 2 layers": _pretrained("MistralModel", **_DECODER),
    "qwen3, 2 layers": _pretrained("Qwen3Model", **_DECODER, head_dim=16),
    "mixtral, 2 layers": _pretrained("MixtralModel", **_DECODER, num_local_experts=4),
    "bert, 2 layers": _pretrained("BertModel", **_SMALL),
    "roberta, 2 layers": _pretrained("RobertaModel", **_SMALL),
    "distilbert, 2 layers": _pretrained("DistilBertModel", dim=64, n_layers=2, n_heads=4, hidden_dim=128),
    "gpt2, 2 layers": _pretrained("GPT2Model", n_embd=64, n_layer=2, n_head=4),
    "t5 encoder": _pretrained("T5EncoderModel", d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4),
    "electra, 12 layers": _pretrained("ElectraModel"),
}
MODELS: dict[str, Callable[[], Made]] = {
    "flagship": _flagship,
    "lenet": _lenet,
    "perceptron": _perceptron,
    "encoder, 4 layers": _encoder,
    "lstm, 2 layers": _recurrent(nn.LSTM),
    "gru, 2 layers": _recurrent(nn.GRU),
    "4 convolutions": _convolutions(4),
    "16 convolutions": _convolutions(16),
    "64 convolutions": _convolutions(64),
    **{name: _published(name, side) for name, side in IMAGES.items()},
    **(_TRANSFORMERS if importlib.util.find_spec("transformers") else {}),
}
