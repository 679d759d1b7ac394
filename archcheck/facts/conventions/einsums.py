"""numpy's estimate of the cost of an einsum, which counters print in place of the cost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import cache


def fvcore_macs(equation: str, shapes: Sequence[tuple[int, ...]]) -> int:
    """Return what fvcore counts of an einsum: exactly for two common products, else half of numpy's estimate."""
    terms, output = _parsed(equation, shapes)
    letters = {letter: chr(97 + index) for index, letter in enumerate(dict.fromkeys("".join((*terms, output))))}
    plain = ",".join("".join(map(letters.__getitem__, term)) for term in terms)
    plain = f"{plain}->{''.join(map(letters.__getitem__, output))}"
    if plain == "abc,abd->acd":
        return math.prod(shapes[0]) * shapes[-1][-1]
    if plain == "abc,adc->adb":
        return math.prod(shapes[0]) * shapes[-1][1]
    sizes = {
        letter: size
        for term, shape in zip(terms, shapes, strict=True)
        for letter, size in zip(term, shape, strict=True)
    }
    rounded = float(f"{_cost(tuple(map(frozenset, terms)), frozenset(output), sizes):.3e}")
    return math.floor(rounded / 2)


def _parsed(equation: str, shapes: Sequence[tuple[int, ...]]) -> tuple[list[str], str]:
    """Return the letters of each operand and of the result, with letters of their own for `...` and for no result."""
    left, arrow, output = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    spare = [chr(0x100 + index) for index in range(max(map(len, shapes)))]
    widest = ""
    for index, (term, shape) in enumerate(zip(terms, shapes, strict=True)):
        if "..." in term:
            axes = len(shape) - len(term.replace("...", ""))
            rest = "".join(spare[len(spare) - axes :])
            terms[index] = term.replace("...", rest)
            widest = max(widest, rest, key=len)
    if not arrow:
        joined = "".join(terms)
        output = widest + "".join(sorted(each for each in {*joined} - {*widest} if joined.count(each) == 1))
    return terms, output.replace("...", widest)


def _cost(terms: tuple[frozenset[str], ...], output: frozenset[str], sizes: Mapping[str, int]) -> int:
    """Return the least cost of contracting operands pair by pair, as numpy adds it up."""

    @cache
    def least(left: tuple[frozenset[str], ...]) -> int:
        if len(left) <= 2:
            return _step(left, output, sizes)
        costs = []
        for pair in itertools.combinations(range(len(left)), 2):
            rest = tuple(term for index, term in enumerate(left) if index not in pair)
            both = left[pair[0]] | left[pair[1]]
            kept = both & frozenset().union(output, *rest)
            costs.append(_step((left[pair[0]], left[pair[1]]), kept, sizes) + least((*rest, kept)))
        return min(costs)

    return least(terms)


def _step(terms: Sequence[frozenset[str]], kept: frozenset[str], sizes: Mapping[str, int]) -> int:
    involved = frozenset().union(*terms)
    factor = max(1, len(terms) - 1) + bool(involved - kept)
    return factor * math.prod(sizes[letter] for letter in involved)
