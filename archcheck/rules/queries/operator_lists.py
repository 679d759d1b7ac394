"""Lists of the operators that targets have, kept as data beside the rules in `targets/`.

`inventory` are the operators of the target itself, from its package. `operators` say what an operator of torch becomes
there, `lacks` why one has no counterpart, and `only-as` which kind and attribute one has to have. With `same-names`, an
operator of torch that the inventory has under the same name, or with `_copy`, is on the list as well.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from archcheck.facts.records import Op

_FUSED = ("_relu", "_leaky_relu", "_tanh", "_add", "_dynamic", "_fp16", "_scalar")
"""What follows the name of an operator on packed weights: what is computed with it, and how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorList:
    """What a target has: see the module. `release` is the package that the inventory was read from, on `date`."""

    title: str
    source: str
    release: str
    date: str
    inventory: frozenset[str]
    operators: Mapping[str, tuple[str, ...]]
    lacks: Mapping[str, str]
    only_as: Mapping[str, str]
    same_names: bool

    def counterparts(self, op: Op) -> tuple[str, ...]:
        """Return the operators of the target that an operation becomes; empty if the target lacks it."""
        name = self.listed_name(op)
        if name in self.lacks or not _is_so(self.only_as.get(name, ""), op):
            return ()
        same = self.inventory & {name, f"{name}_copy"} if self.same_names else ()
        return self.operators.get(name) or tuple(sorted(same))

    def listed_name(self, op: Op) -> str:
        """Return the name to look up. An operator on packed int8 weights counts as that in float."""
        name = out_of_place(op.op)
        if not name.startswith("quantized::"):
            return name
        plain = name.removeprefix("quantized::")
        while plain not in self.operators and plain not in self.lacks and plain.endswith(_FUSED):
            plain = plain.rpartition("_")[0]
        return plain if plain in self.operators or plain in self.lacks else op.kind

    def why_not(self, op: Op) -> str:
        """Return why the target lacks an operation, or that its list does not name it."""
        name = self.listed_name(op)
        if name in self.only_as:
            return f"it has {self.only_as[name].replace(' ', ' with ')} only"
        return self.lacks.get(name, "it is not on the list")


def _is_so(wanted: str, op: Op) -> bool:
    """Whether an operation has the kind and the attributes that are wanted, if any are."""
    kind, _, attributes = wanted.partition(" ")
    return not wanted or (op.kind == kind and all(op.attributes.get(each) for each in attributes.split()))


def out_of_place(operator: str) -> str:
    """Return the name of an operator without the underscore of its in-place form: `relu_` -> `relu`."""
    return operator if operator.endswith("__") else operator.removesuffix("_")


@cache
def operator_list(target: str) -> OperatorList:
    """Read the list of a target."""
    told = tomllib.loads(files("archcheck.rules").joinpath(f"targets/{target}.toml").read_text(encoding="utf-8"))
    return OperatorList(
        title=told["title"],
        source=told["source"],
        release=told["release"],
        date=told["date"],
        inventory=frozenset(told["inventory"]),
        operators={name: tuple(each.split()) for names, each in told["operators"].items() for name in names.split()},
        lacks={name: why for names, why in told["lacks"].items() for name in names.split()},
        only_as={name: kind for names, kind in told["only-as"].items() for name in names.split()},
        same_names=told["same-names"],
    )
