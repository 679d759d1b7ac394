"""Load a subject with those published weights that a request wants: none, those on this machine, or all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeVar

import torch

from archcheck.foundation.errors import SubjectError
from archcheck.measure.loading import absent_processors
from archcheck.measure.loading.configurations import OwnCode
from archcheck.measure.loading.hub_folders import hub_folder
from archcheck.measure.loading.import_hooks import changed_modules
from archcheck.measure.loading.pretrained import REPLACED, without_downloads
from archcheck.measure.loading.pretrained_models import PretrainedModels, Weights, absent_error, calling_line
from archcheck.measure.operators.meta import needs_numbers

T = TypeVar("T")


@contextmanager
def published_weights(weights: Weights, own_code: OwnCode | None = None) -> Iterator[PretrainedModels]:
    """Load only these published weights, and yield the object that notes which others were not loaded.

    `own_code` loads classes from files beside a configuration that is in a folder of the user's.
    """
    models = PretrainedModels(weights=weights, own_code=own_code)
    notes = models.notes
    changes = models.changes()
    if weights is Weights.ALL:
        with changed_modules(changes), _kept_on_meta():
            yield models
        return
    changes |= absent_processors.changes()
    changes |= {"timm.models._builder": _timm_weights(notes), "timm.models._factory": _timm_names}
    with without_downloads() as models.downloads, changed_modules(changes), _kept_on_meta():
        yield models


def with_numbers(build: Callable[[], T], published: PretrainedModels, *, again: bool) -> T:
    """Return what `build` makes, if it must `again` with random numbers in place of weights that are not there."""
    try:
        return build()
    except SubjectError as error:
        if not (published.absent and not published.random and needs_numbers(error)):
            raise
        if not again:
            raise SubjectError(error.kind, "; ".join([error.message, *published.notes])) from error
    published.random = True
    published.notes.clear()
    return build()


def _timm_weights(notes: list[str]) -> Callable[[ModuleType], Iterator[tuple[Any, str, Any]]]:
    def load(model: Any, pretrained_cfg: Any = None, *args: Any, **kwargs: Any) -> None:
        config = pretrained_cfg or getattr(model, "pretrained_cfg", None) or {}
        name = config.get("architecture") if isinstance(config, dict) else None
        notes.append(f"{REPLACED}: {name or type(model).__name__} of timm{calling_line()[0]}")

    def changes(module: ModuleType) -> Iterator[tuple[Any, str, Any]]:
        yield module, "load_pretrained", load

    return changes


def _timm_names(module: ModuleType) -> Iterator[tuple[Any, str, Any]]:
    """Take the configuration of `hf-hub:NAME` from this machine."""

    def load(name: str, *args: Any, **kwargs: Any) -> Any:
        at, beside = calling_line()
        repository, _, revision = name.partition("@")
        folder = hub_folder(repository, *beside, revision=revision or None)
        if folder is None:
            raise absent_error(f'timm.create_model("hf-hub:{name}")', at, repository)
        return module.load_model_config_from_path(str(folder.path))

    if hasattr(module, "load_model_config_from_hf") and hasattr(module, "load_model_config_from_path"):
        yield module, "load_model_config_from_hf", load


@contextmanager
def _kept_on_meta() -> Iterator[None]:
    """Leave tensors without numbers where they are when code moves a model to a device."""
    original: Callable[..., Any] = torch.nn.Module._apply

    def apply(self: torch.nn.Module, change: Callable[[Any], Any], *args: Any, **kwargs: Any) -> Any:
        def tried(tensor: torch.Tensor) -> torch.Tensor:
            try:
                return change(tensor)  # type: ignore[no-any-return]
            except NotImplementedError:
                if tensor.is_meta:
                    return tensor
                raise

        return original(self, tried, *args, **kwargs)

    torch.nn.Module._apply = apply  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        torch.nn.Module._apply = original  # type: ignore[method-assign]
