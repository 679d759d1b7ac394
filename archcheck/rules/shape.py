"""Shapes: what goes in and what comes out."""

from __future__ import annotations

from dataclasses import dataclass

from archcheck.facts import Facts
from archcheck.findings import Finding, Result
from archcheck.rule import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputShape(Rule):
    """The first output has this shape; `"*"` stands for any extent.

    Example, kept:
        rule = output-shape = ["*", 4]
        model = nn.Linear(3, 4)
        input = [1, 3]

    Example, broken:
        rule = output-shape = [1, 10]
        model = nn.Linear(3, 4)
        input = [1, 3]
        says = the output has shape 1x4, not 1x10
    """

    narrows = False
    shape: tuple[int | str, ...]

    def __post_init__(self) -> None:
        """Refuse anything but extents and `"*"`."""
        Rule.__post_init__(self)
        for extent in self.shape:
            if isinstance(extent, str) and extent != "*":
                raise ValueError(f'`shape` takes integers and "*", found "{extent}"')

    def check(self, facts: Facts) -> Result:
        """Compare the shape of the first output."""
        outputs = facts.shape.outputs
        if not outputs:
            return Result(examined=0, limit=list(self.shape))
        found = outputs[0].shape
        wanted = "x".join(map(str, self.shape))
        findings: tuple[Finding, ...] = ()
        if not self._fits(found):
            message = f"the output has shape {'x'.join(map(str, found)) or 'scalar'}, not {wanted}"
            findings = (Finding(message=message, where=facts.subject.where),)
        kept = f"the output has shape {'x'.join(map(str, found)) or 'scalar'}"
        return Result(examined=1, findings=findings, found=list(found), limit=list(self.shape), kept=kept)

    def _fits(self, found: tuple[int, ...]) -> bool:
        return len(found) == len(self.shape) and all(
            want in ("*", size) for want, size in zip(self.shape, found, strict=True)
        )
