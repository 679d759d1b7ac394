"""Lists what acts as a weight and is no parameter: each once, with its name, its size and the line that uses it.

`external_numbers` finds where numbers come from; `distinct_numbers` counts them. This module merges sources that are
the same tensor: one that two modes read, that several layers read, or that `forward` makes again in each pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch

from archcheck.facts.records import MUCH, NUMBER_BYTES, Hidden
from archcheck.measure.passes.saved_values import content_of
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.shapes.arrays import address_of
from archcheck.measure.structure.distinct_numbers import TRIVIAL, Size, size_of, width_of
from archcheck.measure.structure.external_numbers import (
    NONE_CHOSEN,
    ChosenNumbers,
    ExternalNumbers,
    Source,
    acting_by,
    statistics_of,
)
from archcheck.measure.structure.formulas import Formulas
from archcheck.measure.structure.numbers_used import Use, most_used, worth_of
from archcheck.measure.structure.packed_weights import hidden_packed
from archcheck.measure.structure.reachable_memory import reachable_memory
from archcheck.measure.subject.module_tree import Tree, join

_DENSE = 2
"""Elements per number up to which the numbers of a tensor count as chosen one by one."""
_WIDTH = 32
"""Bits of a number."""
_FEW = 4
"""Numbers of a tensor up to which its formula is not sought."""
_LARGE = 1 << 18
"""Elements beyond which a description by content takes long."""
_SETTING = 8
"""Numbers of a tensor up to which it counts as a setting."""


def hidden_weights(
    tree: Tree, traces: Sequence[Trace], root: str, made: ChosenNumbers, formulas: Formulas
) -> tuple[tuple[Hidden, ...], tuple[Hidden, ...]]:
    """Return what acts beside inputs, parameters and statistics: hidden weights, and what holds few numbers.

    `made` is what the first pass makes itself and somebody may have chosen, `formulas` are those of the construction.
    """
    statistics = statistics_of(traces, tree)
    passes = [ExternalNumbers(traces[0], tree, statistics, made)]
    passes += [ExternalNumbers(trace, tree, statistics, NONE_CHOSEN) for trace in traces[1:]]
    names = _plain_names(tree)
    found = _tensors(names, passes, root, formulas)
    for trace in traces:
        found.update(
            (entry.name, entry) for entry in (*_packed(trace, tree, root), *reachable_memory(trace, tree, root))
        )
    entries = [*found.values(), *_numbers(_uses(names, traces, passes), "numbers in Python", root)]
    entries += _numbers(made.integers, "integers in Python", root)
    many = _is_much(sum(entry.numbers for entry in entries), sum(entry.content_bytes for entry in entries))
    hidden = tuple(entry for entry in entries if _is_weight(entry, many))
    return hidden, tuple(entry for entry in entries if not _is_weight(entry, many) and entry.numbers)


def _is_weight(entry: Hidden, many: bool) -> bool:
    """Whether numbers were chosen one by one, or are many: they are no mask, no table of positions and no setting.

    A few numbers, such as the mean of each colour, are a setting unless there are `many` in total.
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
    names: Mapping[int, str], passes: Sequence[ExternalNumbers], root: str, formulas: Formulas
) -> dict[object, Hidden]:
    """Return each tensor that acts once, by what identifies it.

    A tensor that both modes read counts once. Equal tensors that `forward` makes again on the same line count once, in
    both modes together. A table that several layers hold counts its numbers once.
    """
    found, known = dict[object, Hidden](), set[object]()
    tables, values = set[object](), set[complex]()
    for each in passes:
        alike: dict[object, dict[object, int]] = {}
        own: set[object] = set()
        for source in each.sources:
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
    """Whether a tensor is a Python number: `x[0] = 0.3`, `torch.tensor(0.3)`."""
    tensor = source.tensor
    plain = source.origin == "constant" and not source.name and not source.trainable
    return (
        plain and tensor is not None and tensor.device.type != "meta" and not tensor.dim() and id(tensor) not in names
    )


def _uses(names: Mapping[int, str], traces: Sequence[Trace], passes: Sequence[ExternalNumbers]) -> list[Use]:
    """Return the Python numbers of all passes in evaluation; of the first alone if Python draws some itself."""
    uses: list[Use] = []
    for place, (trace, each) in enumerate(zip(traces, passes, strict=True)):
        if not place or not (trace.training or trace.chance):
            uses += each.numbers()
            lifted = (source for source in each.sources if _is_lifted(source, names))
            given = [(source.tensor.item(), source.user) for source in lifted if source.tensor is not None]
            told = _by_float32(uses) if given else {}
            uses += [(told.get(number, number), user) for number, user in given]
    return uses


def _by_float32(uses: Sequence[Use]) -> dict[float, complex]:
    """Return the real numbers by their value as float32."""
    real = list(dict.fromkeys(number for number, _ in uses if number.imag == 0))
    held = torch.tensor([number.real for number in real], dtype=torch.float64, device="cpu").float().tolist()
    return dict(zip(held, real, strict=True))


def _numbers(uses: Sequence[Use], name: str, root: str) -> Iterator[Hidden]:
    """Yield one entry for the different Python numbers: their values and the order of their use may hold much."""
    different = len({number for number, _ in uses} - TRIVIAL)
    if not different:
        return
    most, size = most_used(uses), worth_of(uses)
    yield acting_by(
        most, root, name=name, shape=(different,), elements=different, origin="numbers",
        numbers=size.numbers, bits=64, content_bytes=size.bytes,
    )  # fmt: skip


def _packed(trace: Trace, tree: Tree, root: str) -> Iterator[Hidden]:
    """Yield the packed weights of quantised layers that are not torch's own: no state dict holds them."""
    for user, name, tensor in hidden_packed(trace, tree):
        yield acting_by(
            user, root, name=name, shape=tuple(tensor.shape), elements=tensor.numel(), origin="packed",
            numbers=tensor.numel(), bits=8 * tensor.element_size(),
        )  # fmt: skip


def _identity(source: Source) -> object:
    """Return what identifies a tensor that outlives a pass; `None` for one that the pass makes."""
    if source.origin in ("buffer", "parameter"):
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
    """Return by identity the names of tensors in plain attributes, lists and dictionaries of modules."""
    names: dict[int, str] = {}
    for node in tree.nodes:
        for name, value in vars(node.module).items():
            if isinstance(value, torch.Tensor):
                names.setdefault(id(value), join(node.path, name))
            elif isinstance(value, list | tuple):
                _name_tensors(names, join(node.path, name), enumerate(value))
            elif isinstance(value, dict) and name not in ("_parameters", "_buffers", "_modules"):
                _name_tensors(names, join(node.path, name), value.items())
    return names


def _name_tensors(names: dict[int, str], holder: str, items: Iterable[tuple[object, object]]) -> None:
    for key, item in items:
        if isinstance(item, torch.Tensor):
            names.setdefault(id(item), f"{holder}[{key!r}]")


def _entry(source: Source, names: Mapping[int, str], root: str, formulas: Formulas, values: set[complex]) -> Hidden:
    """Return the entry of a source; `values` are the Python numbers of formulas that are counted already."""
    tensor = source.tensor
    elements, size = _sizes(source, formulas, values)
    name = source.name or names.get(id(tensor), "")
    bits = _WIDTH
    if tensor is not None and tensor.device.type != "meta" and source.origin != "parameter" and elements:
        bits = 8 * tensor.numel() * tensor.element_size() // elements  # as `nbytes`, which sparse tensors refuse
    return acting_by(
        source.user,
        root,
        name=f"{name} (unpacked)" if source.origin == "parameter" else name,
        shape=source.shape,
        elements=elements,
        buffer=source.origin == "buffer",
        origin=source.origin,
        numbers=size.numbers,
        content_bytes=size.bytes,
        bits=bits,
        trainable=source.trainable and source.origin == "constant",
    )


def _sizes(source: Source, formulas: Formulas, values: set[complex]) -> tuple[int, Size]:
    """Return how many elements of a source act, and how many numbers describe them."""
    tensor, elements = source.tensor, torch.Size(source.shape).numel()
    if source.origin == "parameter":
        more = source.unpacked - elements
        return more, Size(more, 0)
    if tensor is None or source.trainable or tensor.numel() < elements:
        return elements, Size(elements, elements * NUMBER_BYTES)
    size = _size(tensor, formulas, values) if source.unpacked <= elements else size_of(tensor)
    if source.unpacked > elements and size.numbers * _DENSE >= elements:
        return source.unpacked, Size(source.unpacked, size.bytes)
    return elements, size


def _size(tensor: torch.Tensor, formulas: Formulas, values: set[complex]) -> Size:
    """Return the size of a tensor by its content, or by its formula if that is less."""
    if tensor.device.type == "meta":  # without memory it has no numbers
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
