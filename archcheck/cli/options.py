"""Define the commands and options of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from archcheck.cli import check_options
from archcheck.cli.late_imports import Command, imported_late
from archcheck.cli.option_values import (
    argument_of,
    format_of,
    input_of,
    method_of,
    output_of,
    positive,
    tool_of,
    whole_of,
)
from archcheck.cli.output import write
from archcheck.facts.cross_checks import TOOLS
from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.words import did_you_mean, nearest, quote

_SECONDS = "time limit of one subject in seconds; 120 by default"

_METHOD = "measure this method of the model instead of forward, for example training_step"
_AS = f"also show the number that this tool prints, and why it differs: {', '.join(TOOLS[:-1])} or {TOOLS[-1]}"
_NO_CACHE = "ignore the cache, and do not write to it"
_FORMATS = "text, concise, json, markdown, github, sarif, cyclonedx or html"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of a command; `run` is the function that carries it out.

    Raises `ArchcheckError` for arguments that are no command of archcheck.
    """
    parser, commands = _parser()
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    if chosen is not None and chosen not in commands:
        hint = did_you_mean(chosen, commands, f"the commands are {', '.join(commands)}")
        raise ArchcheckError(f"{quote(chosen)} is not a command{hint}")
    command = commands[chosen] if chosen else parser
    _refuse_unknown_options(command, arguments)
    options, extra = parser.parse_known_args(arguments)
    if extra:
        see = f"see `{command.prog} --help`"
        wrong = "is not an option of" if extra[0].startswith("-") else "is one argument too many for"
        raise ArchcheckError(f"{quote(extra[0])} {wrong} `{command.prog}`; {see}")
    return options


def _refuse_unknown_options(command: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Refuse unknown options, and suggest the nearest one.

    This runs before argparse, which would take the value of an unknown option for a target.
    """
    known = {name.removeprefix("--"): name for name in command._option_string_actions if name.startswith("--")}
    for word in arguments:
        name = word.partition("=")[0]
        if word == "--":
            return
        if name.startswith("--") and name not in known.values():
            near = nearest(name.removeprefix("--"), known)  # every option begins alike, which brings none nearer
            hint = f"did you mean {quote(known[near])}?" if near else f"see `{command.prog} --help`"
            raise ArchcheckError(f"{quote(name)} is not an option of `{command.prog}`; {hint}")


class _Parser(argparse.ArgumentParser):
    """A parser that raises `ArchcheckError` with the command whose help describes the arguments."""

    def error(self, message: str) -> NoReturn:
        raise ArchcheckError(f"{message}; see `{self.prog} --help`")


class _Version(argparse.Action):
    """Print the versions, which are looked up only then, without importing anything."""

    def __init__(self, option_strings: Sequence[str], dest: str, **settings: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **settings)

    def __call__(self, parser: argparse.ArgumentParser, *given: Any) -> None:
        import platform

        from archcheck.foundation.installed_packages import own_version, version_of

        torch = version_of("torch")
        beside = f"torch {torch}" if torch else "torch is not installed"
        write(f"archcheck {own_version()} ({beside}, Python {platform.python_version()})\n")
        parser.exit()


def _parser() -> tuple[_Parser, Mapping[str, argparse.ArgumentParser]]:
    from archcheck.cli import commands

    parser = _Parser(
        prog="archcheck",
        description="Check that neural networks are what a contract says they are.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, help="show the versions of archcheck, torch and Python, and exit")
    adder = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_report(adder, commands.report)
    _add_check(adder, commands.check)
    _add_grade(adder)
    _add_merge(adder, commands.merge)
    _add_train(adder)
    _add_kept(adder)
    explain = _add(adder, "explain", commands.explain, "show a page of the manual: of a topic, a rule or a kind")
    explain.add_argument(
        "topic", nargs="?", metavar="TOPIC", help="a topic (tutorial), a rule (max-params) or a kind (conv); none: list"
    )
    _add_config(explain)
    _add_config(_add(adder, "rules", commands.rules, "list all rules, with those of the contract's plugins"))
    return parser, adder.choices


def _add(adder: Any, name: str, run: Command, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = adder.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False
    )
    parser.set_defaults(run=run)
    return parser


def _add_report(adder: Any, run: Command) -> None:
    parser = _add(
        adder,
        "report",
        run,
        "show the layers, the executed operations and the costs of a model; a broken rule does not fail it",
    )
    parser.add_argument(
        "targets",
        nargs="+",
        metavar="TARGET",
        help="what to show: file.py, notebook.ipynb, file.py:Class, pkg.mod:Class, a folder of files, model.pt2, "
        "weights.safetensors, a subject of the contract, or a saved JSON report",
    )
    parser.add_argument(
        "--input",
        action="append",
        type=input_of,
        metavar="SHAPE[:DTYPE]",
        help="shape of an input, for example 1,1,28,28 or 1,16:int64; repeat it for each input; by default it is "
        "inferred from the layers that receive it",
    )
    parser.add_argument("--call", type=method_of, metavar="NAME", help=_METHOD)
    parser.add_argument(
        "--args",
        action="extend",
        nargs="+",
        type=argument_of,
        metavar="NAME=VALUE",
        help="arguments for the constructor of the model, for example width=16",
    )
    parser.add_argument(
        "--weights", metavar="FILE", help="load the parameters of the model from this .safetensors or .pt file"
    )
    parser.add_argument(
        "--depth",
        type=whole_of,
        default=3,
        metavar="N",
        help="show the layers down to depth N of the module tree; 3 by default",
    )
    parser.add_argument(
        "--cross-check", action="store_true", help="also count with fvcore, and explain each difference"
    )
    parser.add_argument("--as", dest="tool", type=tool_of, metavar="TOOL", help=_AS)
    parser.add_argument("--paranoid", action="store_true", help=check_options.PARANOID)
    _add_common(parser)


def _add_check(adder: Any, run: Command) -> None:
    parser = _add(adder, "check", run, "judge the subjects of the contract; the exit code is 1 when a rule is broken")
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help="the names of the subjects; all by default")
    check_options.add_judging(parser)
    parser.add_argument("--watch", action="store_true", help="judge again after each change of a file, until Ctrl-C")
    _add_common(parser)


def _add_grade(adder: Any) -> None:
    from archcheck.cli import grade_options

    text = "grade submissions for a course; the exit code is 0 when the grades were written, whatever they are"
    parser = _add(adder, "grade", imported_late("grade", "grade"), text)
    grade_options.add_grade(parser)
    _add_judged(parser)


def _add_merge(adder: Any, run: Command) -> None:
    parser = _add(adder, "merge", run, "join the JSON reports of all shards; the exit code is that of the whole run")
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT", help="a JSON report of one shard")
    _add_format(parser, "json")


def _add_train(adder: Any) -> None:
    from archcheck.cli import train

    parser = _add(
        adder, "train", train.train, "train a subject with the trainer of its contract, and write the training record"
    )
    train.add_train(parser)
    _add_timeouts(parser, "time limit of one training run in seconds; a day by default")
    _add_config(parser)


def _add_kept(adder: Any) -> None:
    """Add the commands that keep measures, compare them and promise them, and the servers."""
    from archcheck.cli import server_options, snapshot_options

    snapshot = _add(
        adder,
        "snapshot",
        imported_late("snapshot", "snapshot"),
        "write the measures of the subjects to the snapshot file, which you commit",
    )
    snapshot_options.add_snapshot(snapshot)
    _add_config(snapshot)
    text = "show the differences between two saved reports or snapshots"
    snapshot_options.add_diff(_add(adder, "diff", imported_late("snapshot", "diff"), text))
    text = "print a first contract that the model keeps today, with some headroom"
    init = _add(adder, "init", imported_late("init", "init"), text)
    snapshot_options.add_init(init)
    _add_config(init)
    sync = _add(
        adder,
        "sync",
        imported_late("sync", "sync"),
        "write the measured figures between the markers in text files, and into badges",
    )
    snapshot_options.add_sync(sync)
    _add_config(sync)
    for parser in (snapshot, init, sync, *server_options.add_servers(adder, _add)):
        _add_timeouts(parser, _SECONDS)
        parser.add_argument("--no-cache", action="store_true", help=_NO_CACHE)


def _add_common(parser: argparse.ArgumentParser) -> None:
    _add_format(parser, "text")
    _add_judged(parser)


def _add_judged(parser: argparse.ArgumentParser) -> None:
    _add_timeouts(parser, _SECONDS)
    parser.add_argument(
        "--meta",
        action="store_true",
        help="build the models on the meta device: with shapes and without memory, for models of any size",
    )
    parser.add_argument(
        "--unsafe",
        action="store_true",
        help="also load models from pickles and TorchScript; this runs the code in these files",
    )
    parser.add_argument("--no-cache", action="store_true", help=_NO_CACHE)
    parser.add_argument(
        "--sandbox",
        action="store_true",
        help="measure without network access and without write access; needs bubblewrap",
    )
    _add_config(parser)


def _add_format(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--format",
        type=format_of,
        default=default,
        metavar="FORMAT",
        help=f"{_FORMATS}; {default} by default",
    )
    parser.add_argument("--output", type=output_of, metavar="FILE", help="write the report to this file")


def _add_timeouts(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--timeout", type=positive(float), metavar="S", help=text)
    parser.add_argument(
        "--import-timeout",
        type=positive(float),
        metavar="S",
        help="limit for the import of a subject's own code, in seconds of CPU time without its packages; 10 by "
        "default; of a file that takes longer, only the definitions are loaded",
    )


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the contract; by default the nearest archcheck.toml, or pyproject.toml with [tool.archcheck]",
    )
