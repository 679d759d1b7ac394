"""Find arguments for a constructor: those of a call in its file, else usual values. The report names them."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from argparse import Namespace
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from archcheck.foundation.words import nearest
from archcheck.measure.loading.execution import RUNS
from archcheck.measure.loading.import_side_effects import dotted
from archcheck.measure.loading.parser_defaults import defaults, evaluate
from archcheck.measure.subject.source_text import place

_USUAL: Mapping[str, Any] = {
    name: value
    for names, value in (
        ("numclasses nclasses nbclasses classes numclass nclass classnum classcount numlabels nlabels outputdim", 10),
        ("outputsize outdim noutputs numoutputs outputs outfeatures nout outsize outputfeatures", 10),
        ("inchannels inchannel inputchannels inputchannel inputnc inchans channels nchannels numchannels inch inc", 3),
        ("imgchannels imagechannels channelsimg nc channelsin cin colordim", 3),
        ("outchannels outchannel outputchannels outch outc channelsout cout planes filters numfilters", 16),
        ("inputdim inputsize infeatures indim ninputs numinputs nfeatures numfeatures inputfeatures insize nin", 32),
        ("hiddendim hiddensize nhidden hidden hiddenunits numhidden hiddenfeatures hidsize hiddenchannels", 64),
        ("numlayers nlayers nlayer layersnum numblocks nblocks", 2),
        ("vocabsize nvocab numembeddings ntoken ntokens ntokensvocab vocab vocablen inputvocabsize", 1000),
        ("srcvocabsize tgtvocabsize trgvocabsize sourcevocabsize targetvocabsize srcvocab tgtvocab", 1000),
        ("embeddingdim embeddim embedsize embdim embsize dmodel dim nembd ninp modeldim embed embeddingsize", 64),
        ("numheads nheads nhead heads nhead headsnum", 4),
        ("dropout dropoutp dropoutrate dropoutprob droprate dropprob dropp pdrop pdropout", 0.1),
        ("maxlen maxlength seqlen seqlength blocksize contextlength maxseqlen sequencelength contextsize", 128),
        ("dimfeedforward dff ffndim nhid feedforwarddim mlpdim ffdim dinner", 128),
        ("latentdim zdim nz latentsize noisedim codedim zsize", 32),
        ("imagesize imgsize imsize", 32),
        ("patchsize", 4),
        ("ngf ndf basechannels features basewidth", 32),
        ("statedim statesize obsdim obssize nobservations numstates nstates observationdim", 8),
        ("actiondim actionsize nactions numactions actdim actsize actionspace", 4),
        ("kernelsize kernel ksize", 3),
        ("stride", 1),
        ("paddingidx padidx padtoken padidxsrc srcpadidx trgpadidx", 0),
        ("pretrained bidirectional", False),
        ("weights", None),
        ("device", "cpu"),
    )
    for name in names.split()
}
_OF_TYPE: Mapping[Any, Any] = {int: 16, float: 0.1, bool: False, "int": 16, "float": 0.1, "bool": False}
_SETTINGS = frozenset({
    "config", "configs", "cfg", "conf", "args", "arg", "opt", "opts", "option", "options", "hparams", "hp", "params",
    "hyperparams",
})  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Guess:
    """Guessed arguments, and the report's notes about them."""

    args: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def missing_arguments(value: Any, args: Mapping[str, Any]) -> list[str]:
    """Return the parameters of a class or function that have no default and are not given."""
    return [
        parameter.name
        for parameter in _parameters(value)
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY, parameter.POSITIONAL_ONLY)
        and parameter.name not in args
    ]


def unknown_argument(value: Any, args: Mapping[str, Any]) -> str | None:
    """Return a message about the first of `args` that a class or function does not take; `None` if it takes all."""
    parameters = _parameters(value)
    known = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    unknown = [name for name in args if name not in known]
    if not unknown or _signature(value) is None or any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    match = nearest(unknown[0], known)
    takes = f"it takes {', '.join(f'`{name}`' for name in known)}" if known else "it takes none"
    return f"takes no argument `{unknown[0]}`; " + (f"did you mean `{match}`?" if match else takes)


def guess(value: Any, module: ModuleType, args: Mapping[str, Any]) -> Guess:
    """Return arguments for the missing parameters: those of a call in the file, its settings, or usual values.

    A parameter for which there is none of these stays missing.
    """
    missing = missing_arguments(value, args)
    if not missing:
        return Guess({})
    found = called(value, module, args)
    if found is not None:
        return found
    given: dict[str, Any] = {}
    notes, usual = [], []
    for parameter in _parameters(value):
        if parameter.name not in missing:
            continue
        settings = _settings(parameter, module)
        if settings is not None:
            given[parameter.name] = settings[0]
            notes.append(f"`{parameter.name}` is {settings[1]}")
        elif (known := _usual(parameter)) is not None:
            given[parameter.name] = known[0]
            usual.append(f"{parameter.name}={known[0]!r}")
    if usual:
        notes.insert(0, f"built with {', '.join(usual)}: usual values, guessed; `--args` gives others")
    return Guess(given, tuple(notes))


def _signature(value: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(value)
    except (TypeError, ValueError):  # of compiled code
        return None


def _parameters(value: Any) -> list[inspect.Parameter]:
    signature = _signature(value)
    return list(signature.parameters.values()) if signature else []


def called(value: Any, module: ModuleType, args: Mapping[str, Any] = {}) -> Guess | None:
    """Return the arguments of the first call in the file that has values for all missing parameters."""
    missing = missing_arguments(value, args)
    name = getattr(value, "__name__", "")
    for file, call, names in _calls(module, name):
        bound = _bound(value, call, names)
        if bound is not None and all(each in bound for each in missing):
            chosen = {key: each for key, each in bound.items() if key in missing or not args}
            text = " ".join(ast.unparse(call).split())
            shown = text if len(text) <= 60 else f"{text[:57]}..."
            return Guess(chosen, (f"built as at {place(file, call.lineno)}: `{shown}`",))
    return None


def _calls(module: ModuleType, name: str) -> Iterator[tuple[str, ast.Call, Mapping[str, Any]]]:
    """Yield the calls of `name` outside of its definition: the file, the call, and the names that are known there."""
    run = RUNS.get(module.__name__)
    for file, tree in zip(run.read_files, run.trees, strict=True) if run else ():
        for statement in tree.body:
            if getattr(statement, "name", None) == name:
                continue
            found = [n for n in ast.walk(statement) if isinstance(n, ast.Call) and dotted(n.func) == name]
            local = _constants(statement, vars(module)) if found else {}
            yield from ((file, call, {**vars(module), **local}) for call in found)


def _constants(statement: ast.stmt, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names that a statement assigns to known values, each with its first value."""
    known: dict[str, Any] = {}
    for node in ast.walk(statement):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            value, told = evaluate(node.value, {**names, **known})
            if told:
                known.setdefault(node.targets[0].id, value)
    return known


def _bound(value: Any, call: ast.Call, names: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the arguments of a call by parameter name, `None` if one of them is not known."""
    positional = [evaluate(each, names) for each in call.args]
    keywords = [(each.arg, evaluate(each.value, names)) for each in call.keywords]
    if not all(known for _, known in positional) or not all(arg and told[1] for arg, told in keywords):
        return None
    try:
        bound = inspect.signature(value).bind(*(each for each, _ in positional), **{str(k): v[0] for k, v in keywords})
    except (TypeError, ValueError):
        return None
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
    plain = all(bound.signature.parameters[name].kind not in kinds for name in bound.arguments)
    return dict(bound.arguments) if plain else None


def _settings(parameter: inspect.Parameter, module: ModuleType) -> tuple[Any, str] | None:
    """Return settings for a parameter and their description: an object or class of the file, or parser defaults."""
    named = parameter.name.lower().strip("_") in _SETTINGS
    names = vars(module)
    annotated = names.get(parameter.annotation) if isinstance(parameter.annotation, str) else parameter.annotation
    if _is_settings_class(annotated, module, strict=False) and (made := _made(annotated)):
        return made
    if not named:
        return None
    if parameter.name in names and not callable(names[parameter.name]):
        return names[parameter.name], f"that of {RUNS[module.__name__].shown}" if module.__name__ in RUNS else "its own"
    for value in names.values():
        if _is_settings_class(value, module, strict=True) and (made := _made(value)):
            return made
    run = RUNS.get(module.__name__)
    read = defaults(run.trees, names) if run else None
    return (Namespace(**vars(read)), "the defaults of the argument parser of this file") if read else None


def _made(settings: Any) -> tuple[Any, str] | None:
    """Return an object of a settings class and its description; `None` if the class cannot be called."""
    try:
        return settings(), f"{settings.__name__}() of this file"
    except Exception:  # whatever the subject raises
        return None


def _is_settings_class(value: Any, module: ModuleType, *, strict: bool) -> bool:
    """Whether a class of the file holds settings and needs no arguments. With `strict`, it must be a dataclass or have
    a name that says so.
    """
    if not isinstance(value, type) or value.__module__ != module.__name__ or missing_arguments(value, {}):
        return False
    if dataclasses.is_dataclass(value):
        return True
    plain = value.__bases__ == (object,) and "forward" not in vars(value)
    return plain and (not strict or value.__name__.lower().endswith((*_SETTINGS, "parameters", "settings")))


def _usual(parameter: inspect.Parameter) -> tuple[Any] | None:
    """Return the usual value for a parameter's name or type, in a tuple; `None` if there is none."""
    key = parameter.name.lower().replace("_", "")
    if key in _USUAL:
        return (_USUAL[key],)
    found = _OF_TYPE.get(parameter.annotation) if isinstance(parameter.annotation, type | str) else None
    return None if found is None else (found,)
