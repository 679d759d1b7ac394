"""Find signs that importing a file runs a program: it trains, downloads, reads arguments or shows plots."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_METHODS = {
    **dict.fromkeys(("parse_args", "parse_known_args", "parse_intermixed_args"), "reads the command line"),
    **dict.fromkeys(("fit", "fit_generator", "fit_one_cycle", "fine_tune", "backward", "train_model"), "trains"),
    **dict.fromkeys(("urlretrieve", "urlopen", "hf_hub_download", "snapshot_download", "load_dataset"), "downloads"),
    **dict.fromkeys(("savefig", "makedirs", "mkdir", "to_csv"), "writes files"),
    **dict.fromkeys(("init_process_group", "spawn"), "starts processes"),
}
_DOTTED = {
    **dict.fromkeys(("plt.show", "pyplot.show", "cv2.imshow", "cv2.waitKey"), "shows plots"),
    **dict.fromkeys(("requests.get", "wget.download", "gdown.download"), "downloads"),
    **dict.fromkeys(("torch.save", "np.save", "pickle.dump", "json.dump", "SummaryWriter"), "writes files"),
    **dict.fromkeys(("wandb.init", "wandb.login", "drive.mount", "mlflow.start_run"), "connects to a service"),
    **dict.fromkeys(("os.system", "subprocess.run", "subprocess.call", "subprocess.Popen"), "starts processes"),
    **dict.fromkeys(("input", "raw_input"), "asks for input"),
}
_CALLED = {"train": "trains", "train_model": "trains", "training": "trains", "fit": "trains", "train_loop": "trains"}
"""Names of functions that tell their effect wherever the function comes from, if the call's result is not used."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Functions = Mapping[str, Function]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """What a file does when it is imported, and on which line."""

    line: int
    what: str


def sign_in(tree: ast.Module, functions: Functions) -> Sign | None:
    """Return the first sign outside of functions and classes, or in the functions that are called there."""
    for statement in tree.body:
        if found := _sign(statement, functions, frozenset()):
            return Sign(line=statement.lineno, what=found)
    return None


def functions_of(tree: ast.Module) -> dict[str, Function]:
    """Return the functions of a file by name."""
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def is_main_guard(node: ast.AST) -> bool:
    """Whether a statement is `if __name__ == "__main__":`."""
    return isinstance(node, ast.If) and "__name__" in names_in(node.test)


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` for a name or attribute, `?.c` for an attribute of another expression, else an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value) or '?'}.{node.attr}"
    return ""


def names_in(code: ast.AST) -> list[str]:
    """Return the names in a piece of code."""
    return [each.id for each in ast.walk(code) if isinstance(each, ast.Name)]


def run_within(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run with a statement: all but functions, classes and code guarded by `__main__`."""
    pending = [node]
    while pending:
        each = pending.pop(0)
        if is_main_guard(each) or isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        yield each
        pending += ast.iter_child_nodes(each)


def _sign(statement: ast.AST, functions: Functions, within: frozenset[str]) -> str | None:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        name = dotted(statement.value.func)
        if name in _CALLED and name not in functions:
            return _CALLED[name]
    for node in run_within(statement):
        found = _loop(node) if isinstance(node, ast.For) else _call(node) if isinstance(node, ast.Call) else None
        if found:
            return found
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in within:
            found = _in_function(functions.get(node.func.id), functions, within | {node.func.id})
            if found:
                return found
    return None


def _in_function(function: ast.AST | None, functions: Functions, within: frozenset[str]) -> str | None:
    body = getattr(function, "body", ())
    return next((found for each in body if (found := _sign(each, functions, within))), None)


def _call(node: ast.Call) -> str | None:
    name = dotted(node.func)
    for keyword in node.keywords:
        if keyword.arg == "download" and isinstance(keyword.value, ast.Constant) and keyword.value.value is True:
            return "downloads"
    if "." in name and name.rpartition(".")[2] in _METHODS:
        return _METHODS[name.rpartition(".")[2]]
    last_two = ".".join(name.split(".")[-2:])
    return _DOTTED.get(last_two) or _DOTTED.get(name)


def _loop(node: ast.For) -> str | None:
    """Whether a loop looks like one over epochs or batches."""
    counters, iterated = (map(str.lower, names_in(part)) for part in (node.target, node.iter))
    is_training = any(name in ("ep", "epochs") or name.startswith("epoch") for name in counters)
    return "trains" if is_training or any(name.endswith(("loader", "_dl")) for name in iterated) else None
