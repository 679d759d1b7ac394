"""What an error is due to: the input, or something that is not on this machine."""

import socket
import urllib.error

import pytest
import torch

from archcheck.measure.loading.causes import cause_of, is_due_to_input

here = pytest.mark.skipif(torch.accelerator.is_available(), reason="the device is here")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("image size 64 is expected on this device"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (1x8 and 4x2)"),
        NotImplementedError("Input Error: Only 3D, 4D and 5D input Tensors supported (got 2D)"),
        AssertionError("height and width must be divisible by the patch size"),
        TypeError("'NoneType' object is not callable"),
        KeyError("pixel_values"),
        UnboundLocalError("x"),
        MemoryError(),
    ],
)
def test_an_input_may_mend_it(error):
    assert is_due_to_input(error)
    assert cause_of(error) is None


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError("No module named 'timm'", name="timm"), "it needs `timm`, which is not installed here"),
        (ImportError("install apex"), None),
        (NameError("name 'width' is not defined", name="width"), None),
        (urllib.error.URLError(socket.gaierror("Name or service not known")), "it asks for a download"),
        (ConnectionRefusedError("Connection refused"), "it asks for a download"),
        (RuntimeError("It looks like there is no internet connection"), "it asks for a download"),
        (FileNotFoundError(2, "No such file", "mean.pt"), "the file is not here"),
        (NotImplementedError('Module [Net] is missing the required "forward" function'), None),
        pytest.param(RuntimeError("0 active drivers ([])."), "this machine lacks the device", marks=here),
        pytest.param(NotImplementedError("CPU is not supported"), "this machine lacks the device", marks=here),
        pytest.param(AssertionError("Torch not compiled with CUDA enabled"), "this machine lacks", marks=here),
    ],
)
def test_no_input_mends_it(error, said):
    assert not is_due_to_input(error)
    why = cause_of(error)
    assert why is None if said is None else str(why).startswith(said)


def test_the_cause_of_an_error_tells():
    error = RuntimeError("the backbone could not be built")
    error.__cause__ = ModuleNotFoundError("No module named 'timm'", name="timm")
    assert str(cause_of(error)).startswith("it needs `timm`")
    assert not is_due_to_input(error)
