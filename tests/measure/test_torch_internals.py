"""What archcheck takes from torch beside its public functions is still there, and means what it meant.

When one of these tests fails on a new release of torch, torch has changed: the message names the module that relies
on it, and other tests that fail with it are consequences.
"""

import inspect
import re
import subprocess
import sys
from textwrap import dedent

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils import _device

from archcheck.measure.operators import cost
from archcheck.measure.operators.schema import _decomposes
from archcheck.measure.passes.relaxations import any_batch
from archcheck.measure.shapes.operator_shapes import RULES
from archcheck.measure.shapes.unknown_sizes import BOUNDS
from tests.support.cli_samples import environment

TABLES = {
    "archcheck.measure.shapes.operator_shapes": RULES,
    "archcheck.measure.shapes.unknown_sizes": BOUNDS,
    "archcheck.measure.operators.cost": cost.FORMULAS,
}


def test_a_module_asks_for_its_compiled_form_first_and_from_one_frame():
    callers = []

    def compiled(x):
        callers.append(sys._getframe(2).f_code.co_name)
        return x

    layer = nn.Linear(1, 1)
    layer.__dict__["_compiled_call_impl"] = compiled
    layer(torch.zeros(1))
    caller = test_a_module_asks_for_its_compiled_form_first_and_from_one_frame.__name__
    assert callers == [caller], (
        "torch calls layers in another way: archcheck.measure.passes.layer_calls takes `_compiled_call_impl` for what "
        "`nn.Module.__call__` asks first, and the frame above `_wrapped_call_impl` for the caller"
    )


def test_the_function_behind_an_operator_of_the_subject_is_found():
    @torch.library.custom_op("archcheck_internals::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    made = torch._library.custom_ops.OPDEFS.get("archcheck_internals::twice")
    assert getattr(made, "_init_fn", None).__name__ == "twice", (
        "torch keeps the functions of custom operators elsewhere: archcheck.measure.operators.schema looks into them "
        "through `torch._library.custom_ops.OPDEFS`"
    )


def test_the_compiler_leaves_modules_alone_where_it_believes_to_have_patched_them():
    code = """
        import torch
        from archcheck.measure.subject.compiled import without_compiler
        names = ("__init__", "__setstate__", "__setattr__", "__delattr__", "__setitem__")
        before = {name: getattr(torch.nn.Module, name, None) for name in names}
        without_compiler()
        from torch._dynamo import mutation_guard
        mutation_guard.install_generation_tagging_init()
        mutation_guard.ensure_patched(torch.nn.Module)
        print([name for name in names if getattr(torch.nn.Module, name, None) is not before[name]])
    """
    done = subprocess.run([sys.executable, "-c", dedent(code)], env=environment(), capture_output=True, text=True)
    assert done.stdout == "[]\n", (
        "torch tells in another way whether it has patched modules: archcheck.measure.subject.compiled sets the marks, "
        f"and the seal takes what torch does to `nn.Module` for tampering {done.stderr}"
    )


def test_functions_that_make_tensors_on_a_device_are_listed():
    listed = _device._device_constructors()
    assert {torch.empty, torch.zeros, torch.ones, torch.rand, torch.full, torch.tensor, torch.arange} <= set(listed), (
        "torch lists what makes tensors elsewhere: archcheck.measure.operators.meta takes `_device_constructors` for it"
    )


def test_what_torch_composes_of_other_operators_is_known():
    aten = torch.ops.aten
    composed = {name: _decomposes(getattr(aten, name).default) for name in ("conv2d", "linear", "einsum", "mm", "relu")}
    assert composed == {"conv2d": True, "linear": True, "einsum": True, "mm": False, "relu": False}, (
        "torch registers compositions elsewhere: archcheck.measure.operators.schema decides by it what to look into"
    )


def test_batch_norm_takes_a_single_value_where_it_is_given_leeway():
    with any_batch():
        assert nn.BatchNorm1d(2)(torch.zeros(1, 2)).shape == (1, 2), (
            "torch checks the batch of BatchNorm elsewhere: archcheck.measure.passes.relaxations replaces "
            "`torch.nn.functional._verify_batch_size`"
        )
    with pytest.raises(ValueError):  # noqa: PT011 - in whatever words
        F.batch_norm(torch.zeros(1, 2), None, None, training=True)


@pytest.mark.parametrize("module", TABLES)
def test_every_argument_that_is_read_has_the_name_of_the_schema(module):
    wrong = {
        f"{name}: {argument}"
        for name, function in TABLES[module].items()
        if hasattr(torch.ops.aten, name)
        for argument in arguments_read(function) - arguments_known(getattr(torch.ops.aten, name))
    }
    assert not wrong, f"torch names arguments of operators otherwise than {module} reads them"


def arguments_read(function):
    """Return the names of the arguments that a function cannot do without."""
    source = inspect.getsource(inspect.unwrap(function))
    optional = set(re.findall(r'"(\w+)" (?:not )?in call\b', source)) | set(re.findall(r'call\.get\("(\w+)"', source))
    return set(re.findall(r'call\["(\w+)"\]', source)) - optional


def arguments_known(packet):
    """Return the names of the arguments of all overloads of an operator."""
    overloads = (getattr(packet, name) for name in packet.overloads())
    return {argument.name for overload in overloads for argument in overload._schema.arguments}
