"""Build the network that a published configuration describes, without its weights and without a network.

The library that wrote the configuration builds it: transformers, timm or diffusers. Its parameters have shapes and
dtypes, and neither memory nor numbers.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import torch

from archcheck.foundation.errors import SubjectError, described
from archcheck.foundation.model_configurations import ADAPTER, PIPELINE, library_of, read_configuration
from archcheck.foundation.words import listed, nearest
from archcheck.measure.loading.stubs import install
from archcheck.measure.operators.meta import without_memory

OwnCode = Callable[[Path, str], Any]
"""Loads a class, by its file and name, from a file beside the configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A configuration of a network: its file, how users name it, and its table.

    `own_code` loads classes from files beside it, if those may run: the user gave the folder.
    """

    file: Path
    shown: str
    table: Mapping[str, Any] = field(repr=False)
    own_code: OwnCode | None = None

    def refuse(self, what: str, kind: str = "construct") -> NoReturn:
        """Raise a `SubjectError` that says what is wrong with the configuration."""
        raise SubjectError(kind, f"`{self.shown}` {what}")


def configuration(file: Path, shown: str, own_code: OwnCode | None = None) -> Configuration:
    """Return the configuration in a file. `shown` is what users call it.

    Raises:
        SubjectError: it cannot be read, or describes no single network.
    """
    try:
        table = read_configuration(file)
    except OSError as error:
        raise SubjectError("not-found", f"`{shown}` cannot be read: {error.strerror}; check its permissions") from None
    except ValueError as error:
        raise SubjectError("artifact", f"`{shown}` is {error}; download or save it again") from None
    found = Configuration(file=file, shown=shown, table=table, own_code=own_code)
    if file.name == ADAPTER:
        base = table.get("base_model_name_or_path") or "its base model"
        found.refuse(f"is an adapter, which is no network of its own; name the folder of `{base}`", "no-model")
    if file.name == PIPELINE:
        folders = sorted(each.parent.name for each in file.parent.glob("*/config.json"))
        one = f"one of {listed(folders)} in it" if folders else "the folder of one"
        found.refuse(f"is a pipeline of several networks; name {one}", "no-model")
    return found


def built(found: Configuration, args: Mapping[str, Any]) -> tuple[torch.nn.Module, tuple[str, ...]]:
    """Return the network that a configuration describes, on the meta device, and notes about it.

    `args` replace values of the configuration.

    Raises:
        SubjectError: its library is missing or does not know the network. The message says which, and what to do.
    """
    library = library_of(found.table)
    if library is None:
        found.refuse(
            "is no configuration of transformers, timm or diffusers: it has none of the keys `architectures`, "
            "`model_type`, `architecture` and `_class_name`",
            "no-model",
        )
    build = {"transformers": _of_transformers, "timm": _of_timm, "diffusers": _of_diffusers}[library]
    package = _imported(library, found)
    try:
        with without_memory():
            model, *notes = build(package, found, args)
    except SubjectError:
        raise
    except Exception as error:  # whatever the library raises
        found.refuse(f"could not be built by {library} {package.__version__}: {described(error)}")
    return model, (f"built as {found.shown} says, by {library}, without weights", *notes)


def offline() -> None:
    """Make libraries that this process imports later take everything from the disk."""
    for name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        os.environ.setdefault(name, "1")


def _imported(library: str, found: Configuration) -> Any:
    offline()
    try:
        package = importlib.import_module(library)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        found.refuse(f"is a configuration of {library}, {install(library)}", "import")
    return package


def _of_transformers(package: Any, found: Configuration, args: Mapping[str, Any]) -> tuple[Any, ...]:
    """Build as `AutoModel.from_config` does, with the class that the key `architectures` names."""
    names = found.table.get("architectures") or []
    name = str(names[0]) if isinstance(names, list) and names else None
    auto = found.table.get("auto_map") or {}
    known = getattr(package, name, None) if name else None
    if known is None and isinstance(auto, dict) and auto:
        return (_own_model(found, name, auto, args),)
    if name and known is None:
        found.refuse(
            f"names the class `{name}`, which transformers {package.__version__} does not have; install a version "
            f"that has it{_written_by(found)}",
            "no-model",
        )
    config = configuration_object(package, found, args, getattr(known, "config_class", None))
    if known is not None:
        return (known._from_config(config),)
    return package.AutoModel.from_config(config), "it names no `architectures`: built as `AutoModel` builds it"


def _written_by(found: Configuration) -> str:
    version = found.table.get("transformers_version")
    return f": it was written by {version}" if isinstance(version, str) else ""


def configuration_object(
    package: Any, found: Configuration, args: Mapping[str, Any] = {}, preferred: Any = None
) -> Any:
    """Return the configuration as an object of transformers, with values that `args` replace.

    `preferred` is the class for a configuration without a known `model_type`.
    """
    kind = found.table.get("model_type")
    if kind not in package.CONFIG_MAPPING and preferred is None:
        said = f"has the `model_type` `{kind}`, which" if kind else "has no `model_type`, so"
        found.refuse(
            f"{said} transformers {package.__version__} does not know; install a version that does", "no-model"
        )
    # Its `get` finds nothing: it imports a class only when that is subscripted.
    config_class = package.CONFIG_MAPPING[kind] if kind in package.CONFIG_MAPPING else preferred  # noqa: SIM401
    return _with_values(found, config_class, args)


def _with_values(found: Configuration, config_class: Any, args: Mapping[str, Any]) -> Any:
    config, unused = config_class.from_dict(dict(found.table), return_unused_kwargs=True, **args)
    if unknown := [each for each in args if each in unused]:
        match = nearest(unknown[0], [each for each in config.to_dict() if not each.startswith("_")])
        hint = f"; did you mean `{match}`?" if match else ""
        found.refuse(f"has no value `{unknown[0]}` to replace{hint}")
    return config


def _own_model(found: Configuration, name: str | None, auto: Mapping[str, Any], args: Mapping[str, Any]) -> Any:
    """Build a class whose code lies beside the configuration."""
    names = [each for key, each in auto.items() if key.startswith("AutoModel") and isinstance(each, str)]
    reference = next((each for each in names if name and each.endswith(f".{name}")), names[0] if names else "")
    repository, there, reference = reference.rpartition("--")
    module, _, called = reference.rpartition(".")
    file = found.file.parent / f"{module}.py"
    if there or not module.isidentifier() or not file.is_file():
        of = f" of `{repository}`" if there else ""
        found.refuse(
            f"needs the code `{reference or name}`{of}, which is not in its folder, and no code is downloaded; put "
            f"`{module or 'its file'}.py` there",
            "no-model",
        )
    if found.own_code is None:
        found.refuse(
            f"needs the code in `{file.name}` of its folder, which was downloaded and is not run; copy the folder "
            "beside your file and name it there",
            "no-model",
        )
    model_class = found.own_code(file, called)
    config_class = getattr(model_class, "config_class", None)
    if config_class is None:
        found.refuse(f"builds `{called}`, which states no `config_class`; name a function that builds it")
    return model_class(_with_values(found, config_class, args))


def _of_timm(package: Any, found: Configuration, args: Mapping[str, Any]) -> tuple[Any, ...]:
    name = str(found.table["architecture"])
    if not package.is_model(name):
        match = nearest(name, package.list_models())
        hint = f"; did you mean `{match}`?" if match else ""
        found.refuse(f"names `{name}`, which timm {package.__version__} does not have{hint}", "no-model")
    stated = {key: found.table[key] for key in ("num_classes", "in_chans") if isinstance(found.table.get(key), int)}
    more = found.table.get("model_args")
    given = {**stated, **(more if isinstance(more, dict) else {}), **args}
    return (package.create_model(name, pretrained=False, **given),)


def _of_diffusers(package: Any, found: Configuration, args: Mapping[str, Any]) -> tuple[Any, ...]:
    name = str(found.table["_class_name"])
    known = getattr(package, name, None)
    if known is None:
        found.refuse(f"names the class `{name}`, which diffusers {package.__version__} does not have", "no-model")
    if not issubclass(known, torch.nn.Module):
        found.refuse(f"describes a `{name}`, which is no network", "no-model")
    return (known.from_config({**found.table, **args}),)
