"""Broken projects for the fix texts of the rules, group by group."""

from tests.rules.fix_cases import (
    additions,
    budgets,
    costs,
    documents,
    evidence,
    learning,
    operations,
    presence,
    shapes,
    values,
    weights,
)

GROUPS = (additions, budgets, costs, documents, evidence, learning, operations, presence, shapes, values, weights)
CASES = [case for group in GROUPS for case in group.CASES]

_INSTALLS = "a test installs nothing"
UNTRIED = {
    "install what is missing: `pip install onnx onnxscript`": _INSTALLS,
    "install what is missing: `pip install onnxruntime`": _INSTALLS,
    "install it, or newer releases of the packages of this format": _INSTALLS,
    "install torch 2.5 or newer": _INSTALLS,
    "install the release of executorch for this torch": _INSTALLS,
    "use operators and dtypes that the runtime of ExecuTorch has": "the evaluator of onnx runs all that is written as "
    "ONNX, and ExecuTorch is not installed",
    "download its weights, so that the code of the file loads them": "a test downloads nothing",
    "a configuration has no numbers: judge a function of a file of yours that builds the model or loads it": "this is "
    "about models of transformers, which is installed for few tests",
    "give a shorter example input": "an input that is too long for all passes takes minutes",
}
"""Fix texts that no test can follow, and why."""
