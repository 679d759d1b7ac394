"""Build a class of transformers: with the configuration that `args` name, or with the default one of the class."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archcheck.foundation.errors import SubjectError
from archcheck.foundation.model_configurations import configuration_file
from archcheck.measure.loading.configurations import Configuration, configuration, configuration_object, offline
from archcheck.measure.loading.hub_folders import hub_folder
from archcheck.measure.loading.signatures import missing_arguments, parameters_of

_PACKAGE = "transformers"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredClass:
    """A function that builds a class of transformers without arguments, and a note on its configuration.

    A class of the package itself is `published`: it is built without memory, as its weights are elsewhere.
    """

    build: Callable[[], Any]
    note: str
    published: bool


def configured_class(value: Any, target: str, args: Mapping[str, Any], root: str) -> ConfiguredClass | None:
    """Return how to build a class of transformers, `None` for any other value, or one that takes no configuration.

    The argument `config` names a folder or file, or is a table. Other arguments replace values of the configuration,
    unless the constructor takes them.

    Raises:
        SubjectError: there is no configuration, or it is another class's. The message says what to give.
    """
    if not isinstance(value, type) or not (hasattr(value, "_model_mapping") or _is_model(value)):
        return None
    is_auto = hasattr(value, "_model_mapping")
    published = value.__module__.startswith(f"{_PACKAGE}.")
    config_class = getattr(value, "config_class", None)
    name = next((each.name for each in parameters_of(value)), "config")
    given = args.get("config")
    if not published and (config_class is None or (given is None and name not in missing_arguments(value, args))):
        return None
    if not published and given is not None and not isinstance(given, str | Mapping):
        return None
    offline()
    package = importlib.import_module(_PACKAGE)
    taken = () if is_auto else tuple(each.name for each in parameters_of(value))
    rest = {key: each for key, each in args.items() if key != "config"}
    values = {key: each for key, each in rest.items() if key not in taken}
    if given is None and (is_auto or config_class is None):
        raise SubjectError(
            "construct",
            f"`{target}` needs a configuration; give its folder or file, `--args config=FOLDER`, in a contract "
            '`args = { config = "FOLDER" }`',
        )
    found, note = _found(given, value, target, root)
    config = configuration_object(package, found, values, config_class)
    if config_class is not None and not isinstance(config, config_class):
        found.refuse(
            f"is a configuration of `{type(config).__name__}`, where `{target}` takes `{config_class.__name__}`"
        )
    arguments = {key: each for key, each in rest.items() if key in taken}
    make: Callable[..., Any] = getattr(value, "from_config" if is_auto else "_from_config")
    return ConfiguredClass(build=lambda: make(config, **arguments), note=note, published=published)


def _is_model(value: type) -> bool:
    return any(each.__module__ == "transformers.modeling_utils" for each in value.__mro__)


def _found(given: Any, value: Any, target: str, root: str) -> tuple[Configuration, str]:
    """Return the configuration that `config` gives, or that the class has without one, and a note on it."""
    config_class = getattr(value, "config_class", None)
    if given is None or isinstance(given, Mapping):
        kind = {"model_type": config_class.model_type} if config_class is not None and config_class.model_type else {}
        table = {**kind, **(given or {})}
        default = "the default values of" if given is None else "the values given for"
        name = config_class.__name__ if config_class is not None else "its configuration"
        note = f"built with {default} `{name}`; `--args config=FOLDER` gives others"
        return Configuration(file=Path(root), shown=target, table=table), note
    file = configuration_file(Path(root, str(given)))
    folder = None if file else hub_folder(str(given), Path(root))
    if file is None and folder is None:
        raise SubjectError(
            "not-found", f"`{target}`: `config` names `{given}`, which is no folder or file with a configuration here"
        )
    path = file or Path(folder.path if folder else "", "config.json")
    return configuration(path, str(given)), f"built with the configuration of {folder.shown if folder else given}"
