"""The words of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from archcheck.cli.option_values import argument_of, format_of, input_of, output_of, positive, shard_of, whole_of
from archcheck.cli.output import write
from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.words import did_you_mean, quote

_PARANOID = "look at each model a second time, on real numbers and unwatched: does it do what was measured?"

Command = Callable[[argparse.Namespace], int]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of a command; `run` is the function that carries it out.

    Raises `ArchcheckError` for arguments that are no command of archcheck.
    """
    parser, commands = _parser()
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    if chosen is not None and chosen not in commands:
        hint = did_you_mean(chosen, commands, f"the commands are {', '.join(commands)}")
        raise ArchcheckError(f"{quote(chosen)} is not a command{hint}")
    return parser.parse_args(arguments)


class _Parser(argparse.ArgumentParser):
    """Mistakes become `ArchcheckError`, with the command whose help describes them."""

    def error(self, message: str) -> NoReturn:
        raise ArchcheckError(f"{message}; see `{self.prog} --help`")


class _Version(argparse.Action):
    """Looks the versions up only when they are asked for, and imports nothing for that."""

    def __init__(self, option_strings: Sequence[str], dest: str, **settings: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **settings)

    def __call__(self, parser: argparse.ArgumentParser, *given: Any) -> None:
        import platform

        import archcheck
        from archcheck.foundation.installed_packages import version_of

        torch = version_of("torch")
        beside = f"torch {torch}" if torch else "torch is not installed"
        write(f"archcheck {archcheck.__version__} ({beside}, Python {platform.python_version()})\n")
        parser.exit()


def _parser() -> tuple[_Parser, tuple[str, ...]]:
    from archcheck.cli import commands

    parser = _Parser(prog="archcheck", description="Hold neural networks to their promises.", allow_abbrev=False)
    parser.add_argument(
        "--version", action=_Version, help="show the versions of archcheck, torch and Python, and leave"
    )
    adder = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_report(adder, commands.report)
    _add_check(adder, commands.check)
    _add_merge(adder, commands.merge)
    _add_train(adder)
    _add_kept(adder)
    explain = _add(adder, "explain", commands.explain, "show a page of the manual: of a topic, a rule or a kind")
    explain.add_argument(
        "topic", nargs="?", metavar="TOPIC", help="a topic (tutorial), a rule (max-params) or a kind (conv); none: list"
    )
    _add_config(explain)
    _add_config(_add(adder, "rules", commands.rules, "list the rules, those of the contract's plugins included"))
    return parser, tuple(adder.choices)


def _add(adder: Any, name: str, run: Command, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = adder.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False
    )
    parser.set_defaults(run=run)
    return parser


def _add_report(adder: Any, run: Command) -> None:
    parser = _add(adder, "report", run, "show what a model is, executes and costs; never a gate")
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="file.py, notebook.ipynb, file.py:Class, pkg.mod:Class, model.pt2, weights.safetensors, a subject, "
        "or a saved JSON report",
    )
    parser.add_argument(
        "--input",
        action="append",
        type=input_of,
        metavar="SHAPE[:DTYPE]",
        help="the shape of an input, 1,1,28,28 or 1,16:int64; once for each input; inferred by default",
    )
    parser.add_argument(
        "--args",
        action="extend",
        nargs="+",
        type=argument_of,
        metavar="NAME=VALUE",
        help="arguments of the model's constructor, width=16",
    )
    parser.add_argument(
        "--weights", metavar="FILE", help="judge the architecture with the tensors of this .safetensors or .pt file"
    )
    parser.add_argument(
        "--depth", type=whole_of, default=3, metavar="N", help="show layers down to this depth of the module tree"
    )
    parser.add_argument(
        "--cross-check", action="store_true", help="let fvcore count, too, and say where and why it counts otherwise"
    )
    parser.add_argument("--paranoid", action="store_true", help=_PARANOID)
    _add_common(parser)


def _add_check(adder: Any, run: Command) -> None:
    parser = _add(adder, "check", run, "judge the subjects of the contract: the gate")
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help="names of subjects; all by default")
    parser.add_argument(
        "--jobs", type=positive(int), default=1, metavar="N", help="measure N subjects at a time; each takes a torch"
    )
    parser.add_argument(
        "--shard", type=shard_of, metavar="I/N", help="judge part I of N, counted from 1; `archcheck merge` joins them"
    )
    parser.add_argument(
        "--no-paranoid", dest="paranoid", action="store_false", help="leave out the second look on real numbers"
    )
    parser.add_argument("--paranoid", action="store_true", default=True, help=f"{_PARANOID}; the default")
    _add_common(parser)


def _add_merge(adder: Any, run: Command) -> None:
    parser = _add(adder, "merge", run, "join the JSON reports of shards, and end as the whole run would")
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT", help="a saved JSON report")
    _add_format(parser, "json")


def _add_train(adder: Any) -> None:
    from archcheck.cli import train

    parser = _add(adder, "train", train.train, "train a subject as its contract says and record the evidence")
    train.add_train(parser)
    _add_timeouts(parser, "seconds that one request to the trainer may take; a day by default")
    _add_config(parser)


def _add_kept(adder: Any) -> None:
    """Add the commands that keep measures, compare them and promise them."""
    from archcheck.cli import snapshot_options

    snapshot = _add(
        adder, "snapshot", snapshot_options.snapshot, "write the measures of subjects into a file to be committed"
    )
    snapshot_options.add_snapshot(snapshot)
    _add_config(snapshot)
    snapshot_options.add_diff(
        _add(adder, "diff", snapshot_options.diff, "show what differs between two saved reports or snapshots")
    )
    init = _add(adder, "init", snapshot_options.init, "print a first contract of what a model is today, with headroom")
    snapshot_options.add_init(init)
    sync = _add(
        adder, "sync", snapshot_options.sync, "write what is measured between the markers of texts, and into badges"
    )
    snapshot_options.add_sync(sync)
    _add_config(sync)
    for parser in (snapshot, init, sync):
        _add_timeouts(parser, "seconds that a subject may take; 120 by default")
        parser.add_argument("--no-cache", action="store_true", help="measure anew, and keep no answer")


def _add_common(parser: argparse.ArgumentParser) -> None:
    _add_format(parser, "text")
    _add_timeouts(parser, "seconds that a subject may take; 120 by default")
    parser.add_argument(
        "--meta", action="store_true", help="build models without memory: by shapes alone, however large they are"
    )
    parser.add_argument(
        "--unsafe", action="store_true", help="read models out of pickles and TorchScript, which runs the code in them"
    )
    parser.add_argument(
        "--no-cache", action="store_true", help="measure anew what is known from before, and keep no answer"
    )
    parser.add_argument(
        "--sandbox",
        action="store_true",
        help="measure without a network, where nothing can be written; needs bubblewrap",
    )
    _add_config(parser)


def _add_format(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--format",
        type=format_of,
        default=default,
        metavar="FORMAT",
        help="text, concise, json, markdown, github, sarif or html",
    )
    parser.add_argument("--output", type=output_of, metavar="FILE", help="write the report there")


def _add_timeouts(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--timeout", type=positive(float), metavar="S", help=text)
    parser.add_argument(
        "--import-timeout",
        type=positive(float),
        metavar="S",
        help="seconds of CPU time that a subject's own code may take to import, without what packages take; 10 by "
        "default; a file that takes more is loaded by its definitions only",
    )


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the contract; by default the nearest archcheck.toml or pyproject.toml with [tool.archcheck]",
    )
