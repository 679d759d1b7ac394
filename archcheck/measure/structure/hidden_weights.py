"""Lists what acts as a weight and is no parameter: each once, with its name, its size and the line that uses it.

`account` finds where numbers come from; `distinct_numbers` counts them. This module merges what is the same tensor: one
that two modes read, that several layers read, or that `forward` makes again in each pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch

from archcheck.facts.records import MUCH, NUMBER_BYTES, Hidden
from archcheck.measure.passes.saved_values import content_of
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.shapes.arrays import address_of
from archcheck.measure.structure.account import NOTHING_CHOSEN, Account, Chosen, Source, acting_by, statistics_of
from archcheck.measure.structure.distinct_numbers import TRIVIAL, Size, size_of, width_of
from archcheck.measure.structure.formulas import Formulas
from archcheck.measure.structure.numbers_used import Use, most_used, worth_of
from archcheck.measure.structure.packed_weights import hidden_packed
from archcheck.measure.structure.shared_storage import beyond
from archcheck.measure.subject.module_tree import Tree, join

_DENSE = 2
"""Elements for each number of a tensor up to which it is taken for numbers that were chosen one by one."""
_WIDTH = 32
"""Bits of a number."""
_FEW = 4
"""Numbers of a tensor up to which nobody asks what made it."""
_LARGE = 1 << 18
"""Elements from which it takes long to describe a tensor by its content."""
_SETTING = 8
"""Numbers of a tensor up to which it is taken for a setting."""


def beside(
    tree: Tree, traces: Sequence[Trace], root: str, made: Chosen, formulas: Formulas
) -> tuple[tuple[Hidden, ...], tuple[Hidden, ...]]:
    """Return what acts beside inputs, parameters and statistics: hidden weights, and what is worth few numbers.

    `made` is what the first pass makes itself and may have been chosen, `formulas` what made tensors before.
    """
    statistics = statistics_of(traces, tree)
    accounts = [Account(traces[0], tree, statistics, made)]
    accounts += [Account(trace, tree, statistics, NOTHING_CHOSEN) for trace in traces[1:]]
    names = _plain_names(tree)
    found = _tensors(names, accounts, root, formulas)
    for trace in traces:
        found.update((entry.name, entry) for entry in (*_packed(trace, tree, root), *beyond(trace, tree, root)))
    entries = [*found.values(), *_numbers(_uses(names, traces, accounts), "numbers in Python", root)]
    entries += _numbers(made.integers, "integers in Python", root)
    many = _is_much(sum(entry.numbers for entry in entries), sum(entry.content_bytes for entry in entries))
    hidden = tuple(entry for entry in entries if _is_weight(entry, many))
    return hidden, tuple(entry for entry in entries if not _is_weight(entry, many) and entry.numbers)


def _is_weight(entry: Hidden, many: bool) -> bool:
    """Whether numbers were chosen one by one, or are many: they are no mask, no table of positions and no setting.

    A few numbers, such as the mean of each colour, are a setting unless there are `many` in all.
    """
    dense = _is_dense(entry)
    stored = entry.trainable or entry.origin in ("packed", "memory", "parameter")
    much = _is_much(entry.numbers, entry.content_bytes)
    return stored or much or (dense and (many or entry.numbers > _SETTING))


def _is_much(numbers: int, content_bytes: int) -> bool:
    return numbers > MUCH or content_bytes > MUCH * NUMBER_BYTES


def _is_dense(entry: Hidden) -> bool:
    dense = entry.numbers * _DENSE * _WIDTH > entry.elements * min(entry.bits, _WIDTH)
    return dense and entry.origin != "numbers"


def _tensors(
    names: Mapping[int, str], accounts: Sequence[Account], root: str, formulas: Formulas
) -> dict[object, Hidden]:
    """Return tensors that act by what tells them apart, each once.

    A tensor that both modes read is one. Of those that `forward` makes again in each pass, equal ones of one line are
    one, and what one mode makes is what the other makes. A table that several layers hold is worth its numbers once.
    """
    found, known = dict[object, Hidden](), set[object]()
    tables, values = set[object](), set[complex]()
    for account in accounts:
        alike: dict[object, dict[object, int]] = {}
        own: set[object] = set()
        for source in account.sources:
            identity = _identity(source)
            if _is_lifted(source, names) or (identity is not None and identity in known | own):
                continue
            own |= {identity} if identity is not None else set()
            content = _digest(source.tensor) or source.index
            line = source.name, source.shape, source.user.where, source.user.layer
            of_line = alike.setdefault(line, {})
            number = of_line.setdefault(content, len(of_line))
            key = *line, number
            if key not in found:
                entry = found[key] = _entry(source, names, root, formulas, values)
                if content in tables and not _is_dense(entry):
                    found[key] = replace(entry, numbers=0, content_bytes=0)
                tables.add(content)
        known |= own
    return found


def _is_lifted(source: Source, names: Mapping[int, str]) -> bool:
    """Whether a tensor is a number of Python that an operation was given: `x[0] = 0.3`, `torch.tensor(0.3)`."""
    tensor = source.tensor
    plain = source.sort == "constant" and not source.name and not source.trainable
    return (
        plain and tensor is not None and tensor.device.type != "meta" and not tensor.dim() and id(tensor) not in names
    )


def _uses(names: Mapping[int, str], traces: Sequence[Trace], accounts: Sequence[Account]) -> list[Use]:
    """Return the numbers of Python of all evaluations; of the first alone where Python draws some itself."""
    uses: list[Use] = []
    for place, (trace, account) in enumerate(zip(traces, accounts, strict=True)):
        if not place or not (trace.training or trace.chance):
            uses += account.numbers()
            lifted = (source for source in account.sources if _is_lifted(source, names))
            given = [(source.tensor.item(), source.user) for source in lifted if source.tensor is not None]
            told = _by_float32(uses) if given else {}
            uses += [(told.get(number, number), user) for number, user in given]
    return uses


def _by_float32(uses: Sequence[Use]) -> dict[float, complex]:
    """Return the real numbers by what a tensor of floats holds of each."""
    real = list(dict.fromkeys(number for number, _ in uses if number.imag == 0))
    held = torch.tensor([number.real for number in real], dtype=torch.float64, device="cpu").float().tolist()
    return dict(zip(held, real, strict=True))


def _numbers(uses: Sequence[Use], name: str, root: str) -> Iterator[Hidden]:
    """Yield one entry for the different numbers of Python: which they are, and where each is used, may hold much."""
    different = len({number for number, _ in uses} - TRIVIAL)
    if not different:
        return
    most, size = most_used(uses), worth_of(uses)
    yield acting_by(
        most, root, name=name, shape=(different,), elements=different, origin="numbers",
        numbers=size.numbers, bits=64, content_bytes=size.bytes,
    )  # fmt: skip


def _packed(trace: Trace, tree: Tree, root: str) -> Iterator[Hidden]:
    """Yield the packed weights of quantised layers that are not torch's own, so that no state holds them."""
    for user, name, tensor in hidden_packed(trace, tree):
        yield acting_by(
            user, root, name=name, shape=tuple(tensor.shape), elements=tensor.numel(), origin="packed",
            numbers=tensor.numel(), bits=8 * tensor.element_size(),
        )  # fmt: skip


def _identity(source: Source) -> object:
    """Return what tells a tensor that lives on apart from others; `None` for what a pass makes again."""
    if source.sort in ("buffer", "parameter"):
        return source.name
    tensor = source.tensor
    if tensor is None:
        return None
    address = address_of(tensor)
    return (address, source.shape) if address else id(tensor)


def _digest(tensor: torch.Tensor | None) -> object:
    content = content_of(tensor)
    return None if content is None or tensor is None else (hash(content), tensor.dtype, len(content))


def _plain_names(tree: Tree) -> dict[int, str]:
    """Return the names of tensors that modules keep as plain attributes, in lists and in dictionaries."""
    names: dict[int, str] = {}
    for node in tree.nodes:
        for name, value in vars(node.module).items():
            items: list[tuple[str, object]] = [(name, value)]
            if isinstance(value, list | tuple):
                items = [(f"{name}[{number}]", item) for number, item in enumerate(value)]
            elif isinstance(value, dict) and name not in ("_parameters", "_buffers"):
                items = [(f"{name}[{key!r}]", item) for key, item in value.items()]
            for label, item in items:
                if isinstance(item, torch.Tensor):
                    names.setdefault(id(item), join(node.path, label))
    return names


def _entry(source: Source, names: Mapping[int, str], root: str, formulas: Formulas, values: set[complex]) -> Hidden:
    """Return what acts of a source; `values` are the numbers of Python in formulas that are counted already."""
    tensor = source.tensor
    elements, size = _sizes(source, formulas, values)
    name = source.name or names.get(id(tensor), "")
    bits = _WIDTH
    if tensor is not None and tensor.device.type != "meta" and source.sort != "parameter" and elements:
        bits = 8 * tensor.numel() * tensor.element_size() // elements  # as `nbytes`, which sparse tensors refuse
    return acting_by(
        source.user,
        root,
        name=f"{name} (unpacked)" if source.sort == "parameter" else name,
        shape=source.shape,
        elements=elements,
        buffer=source.sort == "buffer",
        origin=source.sort,
        numbers=size.numbers,
        content_bytes=size.bytes,
        bits=bits,
        trainable=source.trainable and source.sort == "constant",
    )


def _sizes(source: Source, formulas: Formulas, values: set[complex]) -> tuple[int, Size]:
    """Return how many elements act of a source, and how many numbers they are worth."""
    tensor, elements = source.tensor, torch.Size(source.shape).numel()
    if source.sort == "parameter":
        more = source.unpacked - elements
        return more, Size(more, 0)
    if tensor is None or source.trainable or tensor.numel() < elements:
        return elements, Size(elements, elements * NUMBER_BYTES)
    size = _size(tensor, formulas, values) if source.unpacked <= elements else size_of(tensor)
    if source.unpacked > elements and size.numbers * _DENSE >= elements:
        return source.unpacked, Size(source.unpacked, size.bytes)
    return elements, size


def _size(tensor: torch.Tensor, formulas: Formulas, values: set[complex]) -> Size:
    """Return what a tensor weighs by its content, or by its formula where that is less."""
    if tensor.device.type == "meta":  # built without memory, it has no numbers yet
        return Size(0, 0)
    large = tensor.numel() > _LARGE
    size = Size(tensor.numel(), tensor.numel() * tensor.element_size()) if large else size_of(tensor)
    formula = formulas.of(tensor) if size.numbers > _FEW else None
    if formula is not None:
        new = formula.values - values
        told = Size(formula.given.numbers + len(new), formula.given.bytes + sum(map(width_of, new)))
        if told < size and (not large or told.numbers <= _SETTING or told < size_of(tensor)):
            values |= new
            return told
    return size_of(tensor) if large else size
