"""Write a first contract: rules that the networks keep today, with headroom, as TOML.

Only rules that these facts keep are stated. A rule that is not kept becomes a comment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from archcheck.facts.facts import Facts
from archcheck.facts.main_output import main_output
from archcheck.facts.records import Tensor
from archcheck.facts.selectors import GROUPS, mistake_in
from archcheck.foundation.annotated_values import toml, toml_key
from archcheck.foundation.words import shape_text
from archcheck.judging.engine import judge, stated_in_python
from archcheck.rules.base import Rule, default_of, key_of, parameters, rule_name
from archcheck.rules.budget import MaxParams
from archcheck.rules.cost import MaxMacs, MaxPeakMemory
from archcheck.rules.findings import Outcome, Verdict
from archcheck.rules.presence import Requires
from archcheck.rules.queries.heads import head_of
from archcheck.rules.shape import OutputShape
from archcheck.rules.structure import Head
from archcheck.rules.weights import NoHiddenWeights, NoUnusedParams

HEADROOM = 10
"""Per cent between the figure of today and its bound, before rounding up."""
WIDTH = 100
"""Columns of a line with a comment."""
PROMISED = frozenset(kind for name in ("weights", "norm", "activation", "pool") for kind in GROUPS[name]) | {"dropout"}
"""The kinds that a first contract requires if the network has them."""
_HEADER = """\
# What {names} today, with {headroom} % of headroom: a start, to be changed into what must be.
# {place}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A subject of the new contract: its target, its constructor arguments, its facts, and the measured method."""

    name: str
    model: str
    facts: Facts
    args: Mapping[str, Any] = field(default_factory=dict)
    meta: bool = False
    call: str | None = None


def contract_text(drafts: Sequence[Draft], *, prefix: str = "", place: str = "") -> str:
    """Return the contract of `drafts`. `prefix` goes before the name of each table, `place` is the comment at the top.

    Raises `ArchcheckError` for an argument that TOML cannot hold.
    """
    names = f"{drafts[0].name} is" if len(drafts) == 1 else "these networks are"
    header = _HEADER.format(names=names, headroom=HEADROOM, place=place)
    return "\n".join([header, *("\n".join([*_subject(draft, prefix), ""]) for draft in drafts)])


def _subject(draft: Draft, prefix: str) -> Iterator[str]:
    table = f"{prefix}subjects.{toml_key(draft.name)}"
    yield f"[{table}]"
    yield f"model = {toml(draft.model)}"
    arguments = {name: value for name, value in draft.args.items() if value is not None}
    if arguments:
        yield f"args = {toml(arguments)}"
    for name in draft.args.keys() - arguments.keys():
        yield f"# `{name}` is left to its default: TOML has no None"
    if inputs := draft.facts.shape.inputs:
        yield f"input = {_inputs(inputs)}"
    if draft.call:
        yield f"call = {toml(draft.call)}"
    if draft.meta:
        yield "meta = true"
    yield f"\n[{table}.rules]"
    for rule, today in _candidates(draft.facts):
        yield _line(rule, today, _judged(rule, draft.facts))


def _inputs(inputs: Sequence[Tensor]) -> str:
    if len(inputs) == 1 and inputs[0].dtype == "float32":
        return str(list(inputs[0].shape))
    return toml([{"shape": list(tensor.shape), "dtype": tensor.dtype} for tensor in inputs])


def _line(rule: Rule, today: str, outcome: Outcome) -> str:
    if outcome.verdict is Verdict.KEPT:
        line = f"{rule_name(rule)} = {_stated(rule)}"
        return _commented(line, _comment(today)) if today else line
    state = "cannot be judged" if outcome.verdict is Verdict.ERROR else "does not hold today"
    return f"# {rule_name(rule)} {state}: {_comment(outcome.summary)}"


def _commented(line: str, comment: str) -> str:
    """Return a line with a comment after it, or above it if the line would be too long."""
    both = f"{line}  # {comment}"
    return both if len(both) <= WIDTH else f"# {comment}\n{line}"


def _comment(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _judged(rule: Rule, facts: Facts) -> Outcome:
    return judge(facts, [stated_in_python(rule)])[0]


def _candidates(facts: Facts) -> Iterator[tuple[Rule, str]]:
    """Yield the rules that may be stated, in the order of the catalogue, each with what was measured."""
    params = facts.params.total + facts.params.hidden_total
    macs, memory = facts.cost.macs, facts.cost.peak_activation_bytes
    yield MaxParams(limit=roomy(params)), f"{params:,} today"
    yield MaxMacs(limit=roomy(macs)), f"{macs:,} today"
    yield MaxPeakMemory(limit=roomy(memory)), f"{memory:,} bytes today"
    kinds = Counter(op.kind for op in facts.ops if op.live and op.kind in PROMISED)
    there = [kind for kind in kinds if _judged(Requires(kinds=(kind,)), facts).verdict is Verdict.KEPT]
    if there:
        yield Requires(kinds=tuple(there)), ", ".join(f"{kinds[kind]:,} {kind}" for kind in there)
    head = head_of(facts)
    if head and mistake_in(head[0]) is None:
        yield Head(kinds=head[:1]), f"it ends in {' after '.join(head)}"
    yield NoHiddenWeights(), ""
    yield NoUnusedParams(), ""
    if outputs := facts.shape.outputs:
        shape = outputs[main_output([each.shape for each in outputs])].shape
        yield OutputShape(shape=_free_batch(facts, shape)), f"{shape_text(shape)} today"


def _free_batch(facts: Facts, shape: tuple[int, ...]) -> tuple[int | str, ...]:
    """Return the shape of an output, with `"*"` for a batch like that of the first input."""
    batch = facts.shape.inputs[0].shape[:1] if facts.shape.inputs else ()
    return ("*", *shape[1:]) if len(shape) > 1 and shape[:1] == batch else shape


def roomy(number: int) -> int:
    """Return `number` with headroom, rounded up to two digits that people can read.

    >>> roomy(13_086), roomy(11_689_512), roomy(16), roomy(0)
    (15000, 13000000, 18, 0)
    """
    wanted = -(-number * (100 + HEADROOM) // 100)
    step: int = 10 ** max(0, len(str(wanted)) - 2)
    return -(-wanted // step) * step


def _stated(rule: Rule) -> str:
    """Return the value of a rule in a contract, by its first field or, if it has none, `true`."""
    names = [parameter.name for parameter in parameters(type(rule))]
    defaults = {each.name: default_of(each) for each in fields(rule)}
    given = {name: getattr(rule, name) for name in names if getattr(rule, name) != defaults[name]}
    if given and list(given) == names[:1]:
        return toml(given[names[0]])
    return toml({key_of(name): value for name, value in given.items()}) if given else "true"
