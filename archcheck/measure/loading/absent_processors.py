"""Stand in for tokenizers and image processors that are not on this machine: a network can be measured without them."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any, NoReturn

from archcheck.foundation.errors import SubjectError
from archcheck.measure.loading.hub_folders import hub_folder
from archcheck.measure.loading.import_hooks import Change
from archcheck.measure.loading.pretrained_models import OF_THE_HUB, calling_line

_FILES = ("tokenizer", "vocab", "merges", "spiece", "sentencepiece", "preprocessor_config", "processor_config")
"""How the names of the files begin that a tokenizer or processor is made of."""


class AbsentProcessor:
    """A tokenizer or processor that was not downloaded. It can be passed on; each use is an error that names it."""

    def __init__(self, call: str) -> None:
        self._call = call

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise SubjectError("construct", f"`{self._call}` is not on this machine, and the model needs it to be built")

    __call__ = __len__ = __iter__ = __getitem__ = __contains__ = _refuse

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()


def changes() -> dict[str, Change]:
    """Return the changes to the modules of transformers that load tokenizers and processors."""
    auto = "transformers.models.auto"
    return {
        f"{auto}.tokenization_auto": lambda module: _changed(module, "AutoTokenizer"),
        f"{auto}.processing_auto": lambda module: _changed(module, "AutoProcessor"),
        f"{auto}.image_processing_auto": lambda module: _changed(module, "AutoImageProcessor"),
        f"{auto}.feature_extraction_auto": lambda module: _changed(module, "AutoFeatureExtractor"),
        "transformers.tokenization_utils_base": lambda module: _changed(module, "PreTrainedTokenizerBase"),
    }


def _changed(module: ModuleType, name: str) -> Iterator[tuple[Any, str, Any]]:
    owner = getattr(module, name)
    original = owner.from_pretrained.__func__

    def from_pretrained(cls: Any, /, source: Any, *args: Any, **kwargs: Any) -> Any:
        folder = hub_folder(str(source), *calling_line()[1], revision=kwargs.get("revision"))
        # Without its files, transformers would make a tokenizer of no words.
        if folder is not None and any(each.name.startswith(_FILES) for each in folder.path.iterdir()):
            local = {key: value for key, value in kwargs.items() if key not in OF_THE_HUB}
            return original(cls, str(folder.path), *args, **local, local_files_only=True)
        return AbsentProcessor(f'{cls.__name__}.from_pretrained("{source}")')

    yield owner, "from_pretrained", classmethod(from_pretrained)
