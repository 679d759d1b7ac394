"""The tools themselves: each function returns the number that one prints for a model, or raises what it raises."""

from __future__ import annotations

import contextlib
import inspect
import io
import warnings

import torch


def say(tool, model, inputs):
    """Return what a tool counts, `None` where it fails; nothing that it says reaches anybody."""
    torch.manual_seed(0)
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        try:
            return TOOLS[tool](model.eval(), inputs)
        except Exception:  # whatever a tool raises where its formulas do not fit
            return None


def _torchinfo(model, inputs):
    import torchinfo

    return torchinfo.summary(model, input_data=list(inputs), verbose=0).total_mult_adds


def _thop(model, inputs):
    import thop

    return int(thop.profile(model, inputs=inputs, verbose=False)[0])


def _ptflops(model, inputs):
    import ptflops

    given = (
        inputs[0] if len(inputs) == 1 else dict(zip(inspect.signature(model.forward).parameters, inputs, strict=False))
    )
    return ptflops.get_model_complexity_info(
        model, (1,), print_per_layer_stat=False, as_strings=False, input_constructor=lambda _: given
    )[0]


def _torch_scan(model, inputs):
    import torchscan

    return torchscan.crawl_module(model, args=tuple(inputs))["totals"]["macs"]["known_value"]


def _flop_counter(model, inputs):
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        model(*inputs)
    return counter.get_total_flops()


def _fvcore(model, inputs):
    from fvcore.nn import FlopCountAnalysis

    return int(FlopCountAnalysis(model, tuple(inputs)).total())


def _deepspeed(model, inputs):
    from deepspeed.profiling.flops_profiler import get_model_profile

    return get_model_profile(model, args=list(inputs), print_profile=False, as_string=False, warm_up=0)[1]


TOOLS = {
    "torchinfo": _torchinfo,
    "thop": _thop,
    "ptflops": _ptflops,
    "torch-scan": _torch_scan,
    "flop-counter": _flop_counter,
    "fvcore": _fvcore,
    "deepspeed": _deepspeed,
}
PACKAGES = {
    "torchinfo": "torchinfo", "thop": "thop", "ptflops": "ptflops", "torch-scan": "torchscan", "fvcore": "fvcore",
}  # fmt: skip
"""The tools with releases of their own that the tests ask -> what they are imported and installed as."""
