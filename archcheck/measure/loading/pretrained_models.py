"""Give `from_pretrained` of transformers the architecture of a network whose weights are not at hand.

A weight that is not there has a shape, a dtype and no number, so that no rule can judge a random one.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from archcheck.facts.option_words import NOT_LOADED
from archcheck.foundation.errors import SubjectError
from archcheck.foundation.model_configurations import CONFIGURATION
from archcheck.measure.loading.configurations import Configuration, OwnCode, built, configuration
from archcheck.measure.loading.hub_folders import HubFolder, hub_folder
from archcheck.measure.loading.import_hooks import Change
from archcheck.measure.loading.pretrained import Downloads
from archcheck.measure.operators.meta import without_memory
from archcheck.measure.subject.ownership import is_own
from archcheck.measure.subject.source_text import place


class Weights(Enum):
    """Which pretrained weights are loaded: none, those on this machine, or all, which may be downloaded."""

    NONE = "none"
    PRESENT = "present"
    ALL = "all"


OF_THE_HUB = (
    "cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token", "use_auth_token",
    "trust_remote_code", "code_revision", "resume_download",
)  # fmt: skip
"""Arguments of `from_pretrained` that only say how to download."""
_NOT_HERE = "which is not on this machine"


@dataclass(slots=True, kw_only=True)
class PretrainedModels:
    """Answers calls of `from_pretrained`, and notes which network was built without its weights.

    `absent` counts such networks. They have no numbers, or with `random` random ones. `downloads` are the
    files that were not downloaded.
    """

    weights: Weights
    own_code: OwnCode | None = None
    random: bool = False
    absent: int = 0
    notes: list[str] = field(default_factory=list)
    downloads: Downloads = field(default_factory=Downloads)
    outer: str | None = None
    """The call of the user's that a library answers by others of its own."""

    @property
    def said(self) -> tuple[str, ...]:
        """All notes for the report."""
        return (*dict.fromkeys(self.notes), *self.downloads.notes)

    def changes(self) -> dict[str, Change]:
        """Return the changes to the modules of transformers."""
        return {
            "transformers.configuration_utils": self._configurations,
            "transformers.modeling_utils": self._models,
            "transformers.models.auto.modeling_auto": self._auto_models,
        }

    def _configurations(self, module: ModuleType) -> Iterator[tuple[Any, str, Any]]:
        owner = getattr(module, "PreTrainedConfig", None) or module.PretrainedConfig
        original = owner._get_config_dict.__func__

        def get(cls: Any, /, name: Any, **kwargs: Any) -> Any:
            def read(folder: HubFolder) -> Any:
                local = {key: value for key, value in kwargs.items() if key not in OF_THE_HUB}
                return original(cls, str(folder.path), **local)

            return self._answer(cls, name, kwargs, lambda: original(cls, name, **kwargs), read)

        yield owner, "_get_config_dict", classmethod(get)

    def _models(self, module: ModuleType) -> Iterator[tuple[Any, str, Any]]:
        yield self._changed(module.PreTrainedModel)

    def _auto_models(self, module: ModuleType) -> Iterator[tuple[Any, str, Any]]:
        """Change each class of its own: transformers gives each one a copy of the method."""
        for owner in list(vars(module).values()):
            if isinstance(owner, type) and hasattr(owner, "_model_mapping") and "from_pretrained" in vars(owner):
                yield self._changed(owner)

    def _changed(self, owner: Any) -> tuple[Any, str, Any]:
        original = owner.from_pretrained.__func__

        def from_pretrained(cls: Any, /, name: Any, *args: Any, **kwargs: Any) -> Any:
            def load(folder: HubFolder) -> Any:
                local = {key: value for key, value in kwargs.items() if key not in OF_THE_HUB}
                if self.weights is not Weights.NONE and folder.has_weights:
                    return original(cls, str(folder.path), *args, **local, local_files_only=True)
                return self._architecture(cls, name, folder, args, local)

            if name is None or kwargs.get("state_dict") is not None:
                return original(cls, name, *args, **kwargs)
            return self._answer(cls, name, kwargs, lambda: original(cls, name, *args, **kwargs), load)

        return owner, "from_pretrained", classmethod(from_pretrained)

    def _answer(
        self, cls: Any, name: Any, kwargs: Any, download: Callable[[], Any], use: Callable[[HubFolder], Any]
    ) -> Any:
        """Return what is downloaded, if it may be and can be, else what is made of a folder at hand."""
        why = _NOT_HERE
        if self.weights is Weights.ALL:
            try:
                with self._within(cls, name):
                    return download()
            except (OSError, SubjectError):  # what transformers raises for a file that it does not get, and this does
                why = "which is neither on this machine nor could it be downloaded"
        at, beside = calling_line()
        folder = hub_folder(str(name), *beside, revision=kwargs.get("revision"))
        if folder is None and Path(str(name)).is_file():
            return download()
        if folder is None:
            raise absent_error(self._call(cls, name), at, str(name), why)
        return use(folder)

    def _call(self, cls: Any, name: Any) -> str:
        return self.outer or f'{cls.__name__}.from_pretrained("{name}")'

    @contextmanager
    def _within(self, cls: Any, name: Any) -> Iterator[None]:
        before, self.outer = self.outer, self._call(cls, name)
        try:
            yield
        finally:
            self.outer = before

    def _architecture(self, cls: Any, name: Any, folder: HubFolder, args: tuple[Any, ...], kwargs: Any) -> Any:
        """Return a network without its weights: with the class that is asked for, as its configuration has it."""
        own_code = self.own_code if folder.given else None
        found = configuration(folder.path / CONFIGURATION, folder.shown, own_code)
        at, _ = calling_line()
        call = f"`{self._call(cls, name)}`{at}"
        numbers = "random ones replace them" if self.random else "rules that need numbers cannot be judged"
        self.notes.append(f"{call} has the architecture of {folder.shown}; {NOT_LOADED}: {numbers}")
        self.absent += 1
        told: dict[str, list[str]] = {
            "missing_keys": [],
            "unexpected_keys": [],
            "mismatched_keys": [],
            "error_msgs": [],
        }
        informed = kwargs.pop("output_loading_info", False)
        with nullcontext() if self.random else without_memory():
            model = _without_weights(cls, found, args, kwargs).eval()
        return (model, told) if informed else model


def _without_weights(cls: Any, found: Configuration, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    package = sys.modules["transformers"]
    if found.table.get("model_type") not in package.CONFIG_MAPPING and found.own_code and "auto_map" in found.table:
        return built(found, {})[0]
    for key in ("dtype", "torch_dtype"):
        if kwargs.get(key) == "auto":
            del kwargs[key]
    config = kwargs.pop("config", None)
    if not hasattr(config, "to_dict"):
        auto = getattr(cls, "config_class", None) or package.AutoConfig
        config, kwargs = auto.from_pretrained(str(found.file.parent), return_unused_kwargs=True, **kwargs)
    if not hasattr(cls, "_from_config"):
        return cls.from_config(config)
    taken = {key: value for key, value in kwargs.items() if key in inspect.signature(cls.__init__).parameters}
    return cls(config, *args, **taken) if args else cls._from_config(config, **taken)


def absent_error(call: str, at: str, name: str, why: str = _NOT_HERE) -> SubjectError:
    """Return the error of a call that needs a configuration which is not at hand."""
    return SubjectError(
        "construct",
        f"`{call}`{at} needs the configuration of `{name}`, {why}; `hf download {name} config.json` gets it, or put "
        f"its `config.json` into a folder `{name}` beside the file",
    )


def calling_line() -> tuple[str, tuple[Path, ...]]:
    """Return ` at net.py:12`, the line of the subject's files that calls, and the folder of its file.

    The text is empty, and there is no folder, if no file of the subject calls.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if is_own(file):
            return f" at {place(file, frame.f_lineno)}", (Path(file).parent,)
        frame = frame.f_back
    return "", ()
