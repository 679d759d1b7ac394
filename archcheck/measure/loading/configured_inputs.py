"""Make example inputs for networks that carry a configuration: those of transformers, timm and diffusers.

The configuration tells the vocabulary, the size of images and the bands of a spectrogram. What it does not tell is
named by the argument of `forward`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from archcheck.foundation.errors import SubjectError
from archcheck.measure.shapes.noise import integers, normal

_TOKENS = 16
_SAMPLES = 16_000
"""A second of sound at the rate that speech is usually sampled with."""
_IMAGE = 224
_FRAMES = 1001
"""Windows of a spectrogram of ten seconds."""
_PARTS = ("vision_config", "audio_config", "text_config", "encoder", "decoder", "backbone_config", "speech_encoder")
"""The keys under which a configuration holds those of its parts."""

Inputs = Mapping[str, torch.Tensor]


def configured_inputs(model: torch.nn.Module) -> Iterator[tuple[Inputs, str]]:
    """Yield inputs by keyword with a note on each, the most likely first; none if no configuration tells any.

    Raises:
        SubjectError: `forward` needs arguments that the configuration does not tell. The message names them.
    """
    owner = next((each for each in model.modules() if _is_configured(each)), None)
    if owner is None:
        return
    names, required = _parameters(model)
    inputs = _Inputs(owner, names)
    if owner is not model and len(required) == 1:
        inputs.makers.setdefault(required[0], inputs.main)
    if owner is not model and not (required and all(name in inputs.makers for name in required)):
        return  # code of the user's own around it, whose arguments have names of their own
    for wanted in inputs.choices(required, whole=owner is model):
        unknown = [name for name in wanted if name not in inputs.makers]
        if unknown and not type(model).__module__.startswith("transformers."):
            return
        if unknown:
            shown = ", ".join(f"`{name}`" for name in unknown)
            raise SubjectError(
                "input",
                f"`{type(model).__name__}.forward` needs {shown}, which its configuration does not tell; give every "
                'input by a function in a contract, `input = "inputs.py:example"`',
            )
        made = {name: inputs.makers[name]() for name in wanted}
        shown = ", ".join(f"{name} {'x'.join(map(str, tensor.shape))}" for name, tensor in made.items())
        left = [name for name in inputs.images if name not in wanted]
        without = f", without `{left[0]}`: the image part does not run" if left else ""
        yield made, f"input {shown}, as the configuration of {type(owner).__name__} has it{without}"


def _is_configured(module: torch.nn.Module) -> bool:
    """Whether a network of transformers or diffusers, or a timm one, tells its inputs."""
    if isinstance(cfg := getattr(module, "pretrained_cfg", None), dict):
        return "input_size" in cfg
    config = getattr(module, "config", None)
    if hasattr(module, "main_input_name"):
        return hasattr(config, "to_dict")
    return hasattr(config, "sample_size") and any(
        each.__module__.startswith("diffusers.") for each in type(module).__mro__
    )


def _parameters(model: torch.nn.Module) -> tuple[list[str], list[str]]:
    """Return the names of the arguments of `forward`, and of those without a default."""
    try:
        found = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return [], []
    named = [each for each in found if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    return [each.name for each in named], [each.name for each in named if each.default is each.empty]


class _Inputs:
    """What the configuration of a network tells about its inputs."""

    def __init__(self, model: torch.nn.Module, names: Sequence[str]) -> None:
        self._model: Any = model
        self._names = names
        self._config: Any = getattr(model, "config", None)
        self._generator = torch.Generator().manual_seed(0)
        self.makers: dict[str, Callable[[], torch.Tensor]] = {
            "input_ids": self._tokens,
            "decoder_input_ids": self._decoder_tokens,
            "attention_mask": lambda: torch.ones(1, _TOKENS, dtype=torch.int64),
            "token_type_ids": lambda: torch.zeros(1, _TOKENS, dtype=torch.int64),
            "pixel_values": self._pixels,
            "input_features": self._features,
            "input_values": self._sound,
            "past_values": lambda: self._normal(self._of("context_length", 64), self._of("num_input_channels", 1)),
            "bbox": lambda: torch.zeros(1, _TOKENS, 4, dtype=torch.int64),
            "sample": self._sample,
            "timestep": lambda: torch.ones(1, dtype=torch.int64),
            "encoder_hidden_states": lambda: self._normal(77, _whole(self._of("cross_attention_dim", 768))),
        }

    def main(self) -> torch.Tensor:
        """Return the input that the network is made for."""
        return self.makers.get(getattr(self._model, "main_input_name", ""), self._pixels)()

    @property
    def images(self) -> list[str]:
        """The arguments for images that stand between the tokens of a text."""
        return ["pixel_values"] if self._of("image_token_id", self._of("image_token_index", None)) is not None else []

    def choices(self, required: Sequence[str], *, whole: bool) -> Iterator[list[str]]:
        """Yield the arguments to give: all that the network is made for, then fewer."""
        if not whole:
            yield [*required]
            return
        if not hasattr(self._model, "main_input_name"):
            if "x" in self._names:  # of timm
                self.makers["x"] = self._pixels
            yield [*required]
            return
        main = self._model.main_input_name
        wanted = [*([main] if main in self._names else []), *(name for name in required if name != main)]
        if self._of("is_encoder_decoder", False) and "decoder_input_ids" in self._names:
            wanted.append("decoder_input_ids")
        both = {"input_ids", "pixel_values"} <= {*self._names}
        if both and not self.images and self._part("vision_config") and self._part("text_config"):
            wanted += ["input_ids", "pixel_values"]
        if "input_features" in self._names and self._of("spec_size", None):
            wanted.append("input_features")
        wanted = [*dict.fromkeys(wanted)]
        if both and self.images:
            yield [*dict.fromkeys([*wanted, "pixel_values"])]
        yield wanted

    def _of(self, name: str, default: Any) -> Any:
        """Return a value of the configuration or of one of its parts."""
        for config in (self._config, *(self._part(part) for part in _PARTS)):
            value = getattr(config, name, None) if config is not None else None
            if value is not None:
                return value
        return default

    def _part(self, name: str) -> Any:
        return getattr(self._config, name, None)

    def _normal(self, *shape: int) -> torch.Tensor:
        return normal((1, *shape), self._generator).to(self._dtype())

    def _dtype(self) -> torch.dtype:
        floating = (each.dtype for each in self._model.parameters() if each.dtype.is_floating_point)
        return next(floating, torch.get_default_dtype())

    def _tokens(self) -> torch.Tensor:
        tokens = self._ids(self._vocabulary())
        image = self._of("image_token_id", self._of("image_token_index", None))
        if image is not None and (count := self._image_tokens()):
            tokens = torch.cat([tokens[:, :1], torch.full((1, count), image), tokens[:, 1:]], 1)
        if self._of("is_encoder_decoder", False) and isinstance(self._of("eos_token_id", None), int):
            tokens[:, -1] = self._of("eos_token_id", 0)  # some heads read the state of the last token
        return tokens

    def _decoder_tokens(self) -> torch.Tensor:
        decoder = self._part("decoder")
        return self._ids(getattr(decoder, "vocab_size", None) or self._vocabulary())

    def _vocabulary(self) -> int:
        """Return the number of rows in the table of token embeddings."""
        try:
            return int(self._model.get_input_embeddings().num_embeddings)
        except (AttributeError, NotImplementedError, TypeError):
            return int(self._of("vocab_size", 2))

    def _ids(self, vocabulary: int) -> torch.Tensor:
        """Return tokens of the vocabulary that mean nothing special, such as an image or the end of a text."""
        special = {value for value in _special(self._config.to_dict()) if value < vocabulary}
        usual = [value for value in range(min(vocabulary, 1000 + len(special))) if value not in special]
        most = _whole(self._of("max_position_embeddings", _TOKENS))
        length = min(_TOKENS, most) if most > 0 else _TOKENS  # some write -1 for no limit
        drawn = integers(0, max(len(usual), 1), (1, length), self._generator)
        return torch.tensor(usual or [0])[drawn]

    def _pixels(self) -> torch.Tensor:
        if isinstance(cfg := getattr(self._model, "pretrained_cfg", None), dict):
            return self._normal(*cfg["input_size"])
        size = (self._of("num_channels", self._of("in_channels", 3)), *_size(self._of("image_size", _IMAGE)))
        frames = self._of("num_frames", None)
        return self._normal(frames, *size) if isinstance(frames, int) else self._normal(*size)

    def _image_tokens(self) -> int:
        """Return how many tokens stand for an image."""
        if count := self._of("mm_tokens_per_image", 0):
            return int(count)
        vision = self._part("vision_config")
        side, patch = getattr(vision, "image_size", None), getattr(vision, "patch_size", None)
        if not isinstance(side, int) or not isinstance(patch, int):
            return 0
        extra: bool = self._of("vision_feature_select_strategy", "default") == "full"
        return (side // patch) ** 2 + int(extra)

    def _features(self) -> torch.Tensor:
        bands = self._of("num_mel_bins", None)
        if bands and self._of("spec_size", None):
            return self._normal(1, _FRAMES, bands)
        if bands:
            return self._normal(bands, 2 * self._of("max_source_positions", 1500))
        width = self._of("feature_projection_input_dim", None) or self._of("input_feat_per_channel", 80)
        return self._normal(64, _whole(width))

    def _sound(self) -> torch.Tensor:
        if bands := self._of("num_mel_bins", None):
            return self._normal(self._of("max_length", 1024), bands)
        channels = self._of("audio_channels", None)
        return self._normal(*([channels] if channels else []), _SAMPLES)

    def _sample(self) -> torch.Tensor:
        return self._normal(self._of("in_channels", 4), *_size(self._of("sample_size", 64)))


def _size(value: Any) -> tuple[int, int]:
    """Return height and width of a number, a pair, or a table with both."""
    if isinstance(value, Mapping):
        value = [value.get("height", _IMAGE), value.get("width", _IMAGE)]
    sides = [int(each) for each in value] if isinstance(value, list | tuple) else [int(value)] * 2
    return sides[0], sides[-1]


def _whole(value: Any) -> int:
    return int(value[0]) if isinstance(value, list | tuple) else int(value)


def _special(table: Any) -> Iterator[int]:
    """Yield the numbers of tokens with a meaning of their own, at any depth of a configuration."""
    for key, value in table.items() if isinstance(table, Mapping) else ():
        if isinstance(value, Mapping):
            yield from _special(value)
        elif str(key).endswith(("_token_id", "_token_index", "_token_ids")):
            values = value if isinstance(value, list | tuple) else [value]
            yield from (each for each in values if type(each) is int and each >= 0)
