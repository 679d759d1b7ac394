"""Every network of `subjects`, and what each is judged by."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SUBJECTS = Path(__file__).parent / "subjects"
ROOTS = frozenset({"Honest", "Large", "Extra", "Sly", "Sequential"})
"""What networks derive from; the first two are honest, the others no networks of their own."""

RULES = """
max-params = 100
requires = ["batch_norm", "dropout"]
requires-any = ["global_avg_pool", "linear"]
no-hidden-weights = true
"""
"""What `honest.Honest` keeps, and nothing else here may be said to keep."""


def evasions(folder: Path = SUBJECTS) -> Iterator[tuple[str, str]]:
    """Yield the name of each subject that evades, and its target: classes by what they derive from, and factories."""
    for file in sorted(folder.glob("*.py")):
        if file.stem == "honest":
            continue
        for node in ast.parse(file.read_text()).body:
            if _is_network(node):
                yield f"{file.stem}-{node.name}", f"{file.name}:{node.name}"


def _is_network(node: ast.stmt) -> bool:
    if isinstance(node, ast.FunctionDef):
        return not node.decorator_list and not node.args.args
    if not isinstance(node, ast.ClassDef) or node.name in ROOTS:
        return False
    bases = {base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases}
    return bool(bases & ROOTS)


def contract(subjects: dict[str, str]) -> str:
    """Return the contract that judges `subjects`, targets by name, in their folder."""
    lines = ["[rules]", RULES]
    for name, target in subjects.items():
        lines += [f"[subjects.{name}]", f'model = "{target}"', "input = [1, 1, 8, 8]", ""]
    return "\n".join(lines)
