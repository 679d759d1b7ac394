"""Switches a model to training or evaluation."""

from __future__ import annotations

import inspect

import torch

from archcheck.measure.subject.module_tree import Tree


def _is_plain(module: torch.nn.Module) -> bool:
    """Whether a module has torch's own `train` and keeps its mode in `training`; TorchScript keeps its own."""
    return type(module).train is torch.nn.Module.train and not isinstance(module, torch.jit.ScriptModule)


def set_mode(tree: Tree, training: bool) -> None:
    """Switch to training or evaluation by the model's own `train(mode)`, which often keeps frozen BatchNorm frozen.

    A `train` of another purpose, such as a training loop or a setting, is not called.
    """
    model = tree.model
    if all(_is_plain(node.module) for node in tree.nodes):
        for node in tree.nodes:
            node.module.__dict__["training"] = training
        return
    method = type(model).train
    if callable(method) and "mode" in inspect.signature(method).parameters:
        try:
            model.train(training)
        except TypeError:  # a child's method has another purpose
            pass
        else:
            return
    for node in tree.nodes:
        node.module.training = training
