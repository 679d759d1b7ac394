"""Judge `no-hidden-weights` on well-known networks, and print the numbers that act beside their parameters.

    python tests/benchmarks/numbers_beside.py torchvision|timm|transformers [--limit 150] [--only PREFIX ...]

A line is a network: verdict, how many numbers act beside the parameters, seconds of this process, and what the largest
of them are. Constructors are followed, as the command line does. The last line counts the alarms. Weights are random,
nothing is fetched. timm's networks are taken in turn from each of its files, the small ones first; those of
transformers are built small, by their configuration, and left out where they do not run on tokens, pixels or samples
of sound alone. timm and transformers are not installed with archcheck.
"""

from __future__ import annotations

import argparse
import inspect
import logging
import time
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from archcheck.facts.facts import Facts
from archcheck.foundation.errors import SubjectError
from archcheck.measure import measure_model
from archcheck.measure.loading.construction_trace import Construction
from archcheck.rules import NoHiddenWeights

Network = tuple[str, torch.nn.Module, Construction, Any]
"""Name, module, how it was built, example input."""

LARGE = 150_000_000
"""Parameters above which a network is left out."""
SMALL_WORDS = ("tiny", "atto", "femto", "pico", "nano", "small", "mini", "_xxs", "_xs", "_s", "b0", "t0", "18")
SMALL_SIZES = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "emb_dim"), 64),
    **dict.fromkeys(("num_hidden_layers", "num_layers", "n_layer", "n_layers", "encoder_layers", "decoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "num_heads", "n_head", "n_heads", "num_experts", "num_local_experts"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("intermediate_size", "encoder_ffn_dim", "decoder_ffn_dim", "ffn_dim", "d_ff"), 128),
    "num_key_value_heads": 2,
    "d_kv": 16,
    "head_dim": 16,
    "vocab_size": 500,
    "image_size": 64,
    "moe_intermediate_size": 32,
    "num_decoder_layers": 2,
}


def of_torchvision() -> Iterator[Network]:
    import zoo
    from torchvision import models

    for name in models.list_models():
        try:
            with Construction() as built:
                model = zoo.build(name).eval()
        except Exception as error:  # whatever a package raises for what it cannot build here
            print(f"{name:<44}cannot be built here: {type(error).__name__}", flush=True)
            continue
        yield name, model, built, zoo.example(name)


def of_timm() -> Iterator[Network]:
    import timm

    files: dict[str, list[str]] = {}
    for name in timm.list_models():
        files.setdefault(timm.models.model_entrypoint(name).__module__, []).append(name)
    ordered = [sorted(names, key=lambda name: (not _is_small(name), len(name))) for _, names in sorted(files.items())]
    for turn in range(max(map(len, ordered))):
        for names in ordered:
            if turn < len(names):
                with Construction() as built:
                    model = timm.create_model(names[turn], pretrained=False).eval()
                yield names[turn], model, built, torch.rand(1, *model.pretrained_cfg.get("input_size", (3, 224, 224)))


def _is_small(name: str) -> bool:
    return any(word in name for word in SMALL_WORDS)


def of_transformers() -> Iterator[Network]:
    from transformers import AutoConfig, AutoModel
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    logging.disable(logging.WARNING)
    for name in sorted(MODEL_MAPPING_NAMES):
        try:
            usual = AutoConfig.for_model(name)
            config = type(usual)(**{key: size for key, size in SMALL_SIZES.items() if hasattr(usual, key)})
            for key in ("pad_token_id", "bos_token_id", "eos_token_id"):
                setattr(config, key, 1)
            with torch.device("meta"):
                if _parameters(AutoModel.from_config(config)) > LARGE:
                    continue
            with Construction() as built:
                model = AutoModel.from_config(config).eval()
                inputs = _inputs(model, config)
                model(**inputs)  # which may keep tables for the next time
        except Exception:  # another size, another input, another package: not a network for these sizes
            continue
        yield name, model, built, inputs


def _inputs(model: torch.nn.Module, config: Any) -> dict[str, torch.Tensor]:
    size = getattr(config, "image_size", 64)
    made = {
        "input_ids": torch.randint(5, 400, (1, 16)),
        "decoder_input_ids": torch.randint(5, 400, (1, 8)),
        "pixel_values": torch.rand(1, getattr(config, "num_channels", 3), size, size),
        "input_values": torch.rand(1, 8000),
    }
    taken = inspect.signature(model.forward).parameters
    return {name: tensor for name, tensor in made.items() if name in taken}


def _parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def judged(model: torch.nn.Module, built: Construction, inputs: Any) -> tuple[str, Facts]:
    facts = measure_model(model, example=inputs, confirm=False, construction=built)
    return "alarm" if NoHiddenWeights().check(facts).findings else "kept", facts


def largest(facts: Facts) -> str:
    found = sorted((*facts.params.hidden, *facts.params.beside), key=lambda each: -each.numbers)
    return ", ".join(f"{each.name or each.used_by} {each.numbers}" for each in found[:3] if each.numbers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", choices=("torchvision", "timm", "transformers"))
    parser.add_argument("--limit", type=int, help="how many networks at most")
    parser.add_argument("--only", nargs="*", default=[""])
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    networks = {"torchvision": of_torchvision, "timm": of_timm, "transformers": of_transformers}[options.package]()
    done, alarms = 0, []
    for name, model, built, inputs in networks:
        if not name.startswith(tuple(options.only)) or _parameters(model) > LARGE:
            continue
        start = time.process_time()
        try:
            verdict, facts = judged(model, built, inputs)
        except SubjectError as error:
            print(f"{name:<44}{error}", flush=True)
            continue
        seconds = time.process_time() - start
        print(f"{name:<44}{verdict:<8}{facts.params.numbers_beside:>7}{seconds:>8.2f}s  {largest(facts)}", flush=True)
        done += 1
        if verdict != "kept":
            alarms.append(name)
        if done == options.limit:
            break
    print(f"judged {done}, alarms: {alarms or 'none'}")


if __name__ == "__main__":
    main()
