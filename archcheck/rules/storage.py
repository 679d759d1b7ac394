"""Budgets of how weights are stored: bytes, and how many of them are zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from archcheck.facts.facts import Facts
from archcheck.facts.storage import StoredTensor
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.words import quote
from archcheck.rules.base import Rule
from archcheck.rules.findings import Result
from archcheck.rules.queries.bounds import by_dtype, excess, hidden_bytes, percent, share_line
from archcheck.rules.queries.placed_findings import model_finding
from archcheck.rules.queries.probe_answers import probed
from archcheck.rules.queries.scope import params_on, stored_on

_UNITS = {
    None: "bytes of parameters and buffers",
    "parameters": "bytes of parameters",
    "buffers": "bytes of buffers",
    "state": "bytes of the saved state",
    "file": "bytes of the file",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxBytes(Rule):
    """At most `limit` bytes of parameters and buffers, each tensor counted once.

    Precision counts: a float16 network takes half the bytes of a float32 network, and an 8-bit network takes a quarter,
    plus the scales of its channels. Packed weights of quantised layers are parameters. Hidden weights count as well, at
    the precision of the operation that reads them.

    `of` says what counts:

    * not given: the numbers of parameters, packed weights and buffers as they lie in memory. A sparse tensor counts
      with its indices, and buffers that are not saved count, too. Names and file overhead do not count, so the result
      is what one computes by hand: 4 bytes for each float32.
    * `parameters`: only the parameters and packed weights. `buffers`: only the buffers.
    * `state`: the exact size of the file that `torch.save(model.state_dict(), …)` writes. It leaves out what is not
      saved. It adds about two hundred bytes for each tensor, which is much for a network of a few kilobytes.
    * `file`: the size on disk of the file that the weights came from: an exported program, or the file that `weights`
      names. Without `of`, the numbers in an exported program count like those of any other network.

    With `on`, only the parameters and buffers of the selected layers count.

    Example, kept:
        rule = max-bytes = "1 KiB"
        model = nn.BatchNorm1d(4)
        input = [2, 4]

    Example, broken:
        rule = max-bytes = 71
        model = nn.BatchNorm1d(4)
        input = [2, 4]
        says = 72 bytes of parameters and buffers, limit 71 (+1, +1.4 %)

    Example, broken:
        rule = max-bytes = { limit = 39, of = "buffers" }
        model = nn.BatchNorm1d(4)
        input = [2, 4]
        says = 40 bytes of buffers, limit 39 (+1, +2.6 %)

    Example, broken:
        rule = max-bytes = { limit = 60, of = "parameters", on = "1" }
        model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4))
        input = [1, 3]
        says = 80 bytes of parameters in `1`, limit 60 (+20, +33.3 %)

    Example, vacuous:
        rule = max-bytes = "1 KiB"
        model = nn.ReLU()
        input = [1, 3]
    """

    limit: int = field(metadata={"unit": "bytes", "least": 0})
    of: Literal["parameters", "buffers", "state", "file"] | None = None

    def __post_init__(self) -> None:
        """Refuse a part of a file."""
        Rule.__post_init__(self)
        if self.on is not None and self.of in ("state", "file"):
            raise ValueError(f"`on` selects no part of a file; leave out `of = {quote(self.of)}`")

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The probe that saves the state, where that is what counts."""
        return ("state-bytes",) if self.of == "state" else ()

    def check(self, facts: Facts) -> Result:
        """Compare the bytes of what counts with `limit`."""
        hidden = 0 if self.of in ("buffers", "file") else hidden_bytes(facts, self.on)
        sizes = self._sizes(facts, hidden)
        found, unit = sum(sizes.values()), _UNITS[self.of]
        ranked = sorted(sizes.items(), key=lambda item: item[1], reverse=True)
        return Result(
            examined=found,
            findings=excess(self, facts, found, self.limit, unit),
            found=found,
            limit=self.limit,
            unit=unit,
            most=tuple(share_line((name,), size, found) for name, size in ranked if size),
            notes=(f"of them {hidden:,} of hidden weights",) if hidden else (),
        )

    def _sizes(self, facts: Facts, hidden: int) -> Mapping[str, int]:
        """Return the bytes by dtype, or by what else takes them."""
        beside = {"hidden weights": hidden} if hidden else {}
        if self.of is None and self.on is None:
            return dict(by_dtype(facts, hidden))
        if self.of == "file":
            if facts.params.file_bytes is None:
                fix = "measure an exported program, or name the file of the weights with `weights`"
                raise NotMeasured("the weights come from no file", fix=fix)
            return {"the file": facts.params.file_bytes}
        if self.of == "state":
            told = probed(self, facts)
            counted = _by_dtype([each for each in facts.params.storage if each.saved])
            around = max(0, told["bytes"] - told["tensors"])
            return {**counted, "names and what is around the numbers": around, **beside} if counted else beside
        left_out = {"buffers": ("parameter", "packed"), "parameters": ("buffer",)}.get(self.of or "", ())
        return {**_by_dtype([each for each in stored_on(facts, self.on) if each.sort not in left_out]), **beside}


def _by_dtype(tensors: list[StoredTensor]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for tensor in tensors:
        totals[tensor.dtype] = totals.get(tensor.dtype, 0) + tensor.bytes
    return totals


def _is_code(tensor: StoredTensor, weights: int) -> bool:
    """Whether integers encode weights: several weights each, or one weight with a zero point other than 0."""
    return tensor.sort != "packed" and (weights > tensor.elements or tensor.dtype.startswith("uint"))


@dataclass(frozen=True, slots=True, kw_only=True)
class MinSparsity(Rule):
    """At least the share `limit` of the parameters is zero.

    Zeros count wherever they are kept: in a parameter, in a parameter that is zero through a mask of
    `torch.nn.utils.prune` or a parametrisation of the same shape, in a sparse layout, and in the packed weights of a
    quantised layer. Integers that a layer unpacks itself, or whose zero point is not 0, cannot be judged: the verdict
    is `error`. Biases count, too. `on = "conv"` or `on = "*.weight"` selects other parameters.

    Example, kept:
        rule = min-sparsity = "50 %"
        model =
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(4, 2, bias=False)
                self.fc.weight.data[0] = 0

            def forward(self, x):
                return self.fc(x)
        input = [1, 4]

    Example, broken:
        rule = min-sparsity = 0.5
        model = nn.Linear(4, 2)
        input = [1, 4]
        says = 0 % of the parameters are zero (0 of 10), at least 50 % are asked for

    Example, vacuous:
        rule = min-sparsity = 0.5
        model = nn.ReLU()
        input = [1, 4]
    """

    limit: float = field(metadata={"unit": "share"})

    def __post_init__(self) -> None:
        """Refuse a limit that is no share."""
        Rule.__post_init__(self)
        if not 0 < self.limit <= 1:
            raise ValueError(f'`limit` is a share between 0 and 1 (0.5, or "50 %"), found {self.limit:g}')

    def check(self, facts: Facts) -> Result:
        """Compare the share of zeros with `limit`."""
        facts.demand_numbers()
        names = params_on(facts, self.on)
        judged = [each for each in facts.params.storage if each.name in names]
        unknown = [each.name for each in judged if each.nonzero is None]
        if unknown:
            raise NotMeasured(f"how many numbers of `{unknown[0]}` are zero cannot be seen", where=facts.subject.where)
        packed = [each.name for each in judged if _is_code(each, facts.params.sizes[each.name])]
        if packed:
            told = f"which weights are zero cannot be seen in the integers of `{packed[0]}` that hold them"
            raise NotMeasured(told, where=facts.subject.where, fix="choose others with `on`, or drop min-sparsity")
        total = sum(each.elements for each in judged)
        zeros = total - sum(each.nonzero or 0 for each in judged)
        share = zeros / total if total else None
        told = f"{percent(share or 0.0)} of the parameters are zero ({zeros:,} of {total:,})"
        asked = f"{told}, at least {percent(self.limit)} are asked for"
        finding = model_finding(facts, asked, "prune more of them, or lower min-sparsity")
        dense = sorted(judged, key=lambda each: each.nonzero or 0, reverse=True)[:3]
        return Result(
            examined=total,
            findings=(finding,) if share is not None and share < self.limit else (),
            found=share,
            limit=self.limit,
            unit="of the parameters are zero",
            most=tuple(
                share_line((each.name, "not zero"), each.nonzero or 0, each.elements) for each in dense if total
            ),
            kept=asked,
        )
