"""What each command does. Everything heavy is imported when it is needed."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from archcheck.cli.contract_file import contract_of, known_rules_of
from archcheck.cli.option_values import refuse_given
from archcheck.cli.output import Progress, note, print_error, show, write
from archcheck.facts.records import PARANOID
from archcheck.foundation.errors import ArchcheckError, NotMeasured
from archcheck.foundation.model_configurations import configuration_file
from archcheck.foundation.words import amount, quote, visible

if TYPE_CHECKING:
    from archcheck.judging.shards import Part
    from archcheck.rules.base import Rule
    from archcheck.rules.findings import Report


def report(options: Namespace) -> int:
    """Show what targets are. The exit code is 2 only if nothing was measured of one, or not its main model."""
    if not all(target.strip() for target in options.targets):
        raise ArchcheckError("the target is empty; name a file such as model.py, or a subject of the contract")
    file = next((Path(each) for each in options.targets if _is_saved(Path(each))), None)
    saved = file is not None
    if file is not None:
        if len(options.targets) > 1:
            raise ArchcheckError(f"{file} is a saved report, which is shown alone; `archcheck merge` joins several")
        # A saved report is shown as it was measured, so these would have no effect.
        why = f"needs the model itself, and {file} is a saved report; name the model's file, or leave the "
        refuse_given(
            options, ("input", "call", "args", "weights", "cross_check", "paranoid", "meta"), f"{why}option out"
        )
        reports, main_failed = read_reports(file), False
    else:
        from archcheck.cli.targets import reports_of

        reports, main_failed = reports_of(options)
    if options.tool:
        reports = _counted(reports, options.tool)
    bill = {} if saved else _bill(reports, options)
    show(reports, options.format, options.output, saved=saved, depth=options.depth, **bill)
    return 0 if any(one.facts or one.weights for one in reports) and not main_failed else 2


def _bill(reports: Sequence[Report], options: Namespace) -> dict[str, Any]:
    """Return what a bill of materials says beside the reports: the digests of files that were measured now."""
    if options.format != "cyclonedx":
        return {}
    from archcheck.cli.weight_hashes import hashes_of

    return {"hashes": hashes_of(reports, options)}


def _is_saved(file: Path) -> bool:
    """Whether a target is a saved report, and not the configuration of a network."""
    return file.suffix == ".json" and file.exists() and not configuration_file(file)


def _counted(reports: Sequence[Report], tool: str) -> tuple[Report, ...]:
    """Return reports with the number that a tool prints."""
    from archcheck.facts.conventions.comparison import counted_as

    found = []
    for each in reports:
        if each.facts is None:
            found.append(each)
            continue
        try:
            count = counted_as(each.facts, tool)
        except NotMeasured as error:
            raise ArchcheckError(f"{each.subject}: {error}; {error.fix}") from None
        others = tuple(known for known in each.facts.tool_counts if known.tool != tool)
        found.append(replace(each, facts=replace(each.facts, tool_counts=(*others, count))))
    return tuple(found)


def read_reports(file: Path) -> tuple[Report, ...]:
    """Read a saved JSON report."""
    reports = _read_part(file).reports
    if not reports:
        raise ArchcheckError(f"{file}: holds no report of any subject; `archcheck check --format json` writes one each")
    return reports


def _read_part(file: Path) -> Part:
    from archcheck.facts.snapshot import is_snapshot
    from archcheck.foundation.json_documents import read_json
    from archcheck.judging.shards import read_part

    repair = "`archcheck check --format json --output FILE` writes a report"
    document = read_json(file, str(file), repair, streams=True)
    if is_snapshot(document):
        raise ArchcheckError(f"{file} is a snapshot, not a report; compare it with a report by `archcheck diff`")
    try:
        return read_part(str(file), document)
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise ArchcheckError(f"{file} is not a report that can be shown: {reason}; {repair}") from None


def check(options: Namespace) -> int:
    """Judge the subjects of the contract, or of its shard."""
    if options.watch:
        from archcheck.cli.watch import watch

        return watch(options)
    from archcheck.cli.worker_options import workers_of
    from archcheck.judging.engine import chosen_entries, exit_code
    from archcheck.judging.jobs import check_many

    contract = contract_of(options)
    entries = chosen_entries(contract, options.subjects)
    shard = options.shard and replace(options.shard, subjects=tuple(entry.name for entry in entries))
    if shard:
        entries = tuple(shard.share(entries))
        if not entries:
            note(f"shard {shard} of {amount(len(shard.subjects), 'subjects')} has nothing to judge")
    entries = tuple(replace(entry, meta=entry.meta or options.meta, unsafe=options.unsafe) for entry in entries)
    needs = [PARANOID] if options.paranoid else []
    with workers_of(options, len(entries)) as workers, Progress(len(entries)) as progress:
        reports = tuple(map(progress.count, check_many(contract, entries, workers, needs=needs)))
    show(reports, options.format, options.output, outcomes_only=True, shard=shard, **_bill(reports, options))
    return exit_code(reports)


def merge(options: Namespace) -> int:
    """Join the reports of several shards. The exit code is that of the whole run."""
    from archcheck.judging import shards
    from archcheck.judging.engine import exit_code

    reports = shards.merge([_read_part(file) for file in options.reports])
    show(reports, options.format, options.output, saved=True, outcomes_only=True)
    return exit_code(reports)


def explain(options: Namespace) -> int:
    """Show the page of a topic, a rule or a kind; without a name, list them."""
    _write_page(explanation(options))
    return 0


def explanation(options: Namespace) -> str:
    """Return the page that is asked for, or the list of all."""
    return _list_of_topics() if options.topic is None else _page_of(options)


def _write_page(text: str) -> None:
    write("".join(f"{visible(line)}\n" for line in text.expandtabs().splitlines()))


def _list_of_topics() -> str:
    from archcheck.facts.selectors import GROUPS, KINDS
    from archcheck.judging.topic_pages import topics

    pages = topics()
    width = max(len(topic.name) for topic in pages)
    parts = [
        "\n".join([group, *(f"  {topic.name:<{width}}  {topic.summary}" for topic in members)])
        for group, members in groupby(pages, key=lambda topic: topic.group)
    ]
    for title, names in (("Kinds of operations", KINDS), ("Groups of kinds", GROUPS)):
        parts.append(f"{title}\n" + fill(", ".join(sorted(names)), 100, initial_indent="  ", subsequent_indent="  "))
    parts.append("`archcheck explain NAME` shows the page of a topic, kind or rule; `archcheck rules` lists rules.")
    return "\n\n".join(parts) + "\n"


def _page_of(options: Namespace) -> str:
    """Return the page that is asked for. What comes with archcheck needs no contract."""
    from archcheck.judging.rule_pages import page
    from archcheck.judging.topic_pages import text_of
    from archcheck.rules import find

    rule = find(options.topic)
    if rule is None and (text := text_of(options.topic)):
        return text
    rule = rule or _rule_of_contract(options)
    try:
        return page(rule)
    except ValueError as error:  # the documentation of a rule that somebody else wrote
        raise ArchcheckError(f"the documentation of {rule.__module__}.{error}; mend its docstring") from None


def rules(options: Namespace) -> int:
    """List the rules by group, then those of the project and of installed packages by their module.

    Problems with plugins are printed after the rules.
    """
    from archcheck.judging.rule_pages import promise
    from archcheck.rules.base import rule_name

    known, problems = known_rules_of(options)
    width = max(map(len, known))
    for group, members in groupby(known.values(), key=_group):
        lines = [visible(f"  {rule_name(rule):<{width}}  {promise(rule)}".rstrip()) + "\n" for rule in members]
        write(f"{group}\n{''.join(lines)}\n")
    write("`archcheck explain RULE` shows parameters and examples.\n")
    for problem in problems:
        print_error(problem)
    return 2 if problems else 0


def _group(rule: type[Rule]) -> str:
    return rule.__module__.removeprefix("archcheck.rules.")


def _rule_of_contract(options: Namespace) -> type[Rule]:
    from archcheck.judging.topic_pages import near, topics_about

    known: Mapping[str, type[Rule]] = {}
    try:
        known, problems = known_rules_of(options)
    except ArchcheckError as error:  # a contract that cannot be read
        problems = [str(error)]
    if options.topic in known:
        return known[options.topic]
    names = near(options.topic, known)
    if options.topic.lower() not in names and (about := topics_about(options.topic)):
        hint = "see " + " or ".join(f"`archcheck explain {topic}`" for topic in about)
    elif problems:  # one of them may hide the rule that is meant
        raise ArchcheckError("\n".join(problems))
    elif names:
        hint = f"did you mean {' or '.join(map(quote, names))}?"
    else:
        hint = "`archcheck explain` and `archcheck rules` list them"
    raise ArchcheckError(f"{quote(options.topic)} is not a topic, a rule or a kind; {hint}")
