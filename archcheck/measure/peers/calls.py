"""Records what other counters watch of a forward pass: calls of layers, of functions of torch and of operators."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any

import torch

from archcheck.facts.calls import Call, Calls, Module
from archcheck.foundation.errors import described
from archcheck.measure.loading.example import Example
from archcheck.measure.operators.meta import to_meta, without_memory
from archcheck.measure.passes.forward import Passes
from archcheck.measure.passes.modes import set_mode
from archcheck.measure.passes.random_state import seed_all
from archcheck.measure.peers.outlines import modules_of, outline
from archcheck.measure.peers.watches import closed, followed, hooked, replaced
from archcheck.measure.shapes.dispatch_mode import Dispatch

_KERNELS = frozenset(
    {
        "mm", "addmm", "bmm", "baddbmm", "_scaled_mm", "convolution", "_convolution", "cudnn_convolution",
        "_slow_conv2d_forward", "convolution_overrideable", "_scaled_dot_product_efficient_attention",
        "_scaled_dot_product_flash_attention", "_scaled_dot_product_cudnn_attention",
    }
)  # fmt: skip
"""Operators below autograd for which a counter has a formula."""

_OPERATORS = frozenset(
    {
        "linear", "addmm", "mm", "bmm", "matmul", "einsum", "conv1d", "conv2d", "conv3d", "convolution", "_convolution",
        "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "lstm_cell", "gru_cell", "rnn_tanh_cell",
        "rnn_relu_cell", "batch_norm", "group_norm", "layer_norm", "instance_norm", "upsample_nearest2d",
        "upsample_bilinear2d", "adaptive_avg_pool2d", "grid_sampler",
    }
)  # fmt: skip
"""Operators as the code asks for them for which a counter has a formula."""
_BY_WORD = "padding"
"""The overload of convolutions whose padding is a word: no counter knows it, and `"valid"` would not be seen in it."""


def recorded_calls(passes: Passes, example: Example, *, affordable: bool) -> Calls:
    """Return the calls of forward passes on `example`.

    Only shapes are computed where the arithmetic is not `affordable`, unless the code looks at values. Raises whatever
    the model raises.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not affordable and not passes.on_meta:
            with suppress(Exception):  # whatever the subject raises where there are no numbers
                return _recorded(passes, example, affordable=False)
        return _recorded(passes, example, affordable=True)


def _recorded(passes: Passes, example: Example, *, affordable: bool) -> Calls:
    """Return the calls of forward passes on `example`.

    Counters differ in what they run under, which decides what attention becomes: gradients and hooks keep it from its
    fast path. So each record has a pass of its own.
    """
    run = _Run(passes, example, affordable)
    failure, unseen, kernels, operators = None, None, list[Call](), list[Call]()
    try:
        layers, functions = run.python_calls(torch.enable_grad())
        kernels = run.kernels()
    except Exception as error:  # code that cannot run with gradients
        failure = described(error)
        layers, functions = run.python_calls(torch.no_grad())
    try:
        operators = run.operators()
    except Exception as error:  # code that differentiates in its forward pass
        unseen = described(error)
    return Calls(
        modules=tuple(run.modules),
        layers=tuple(layers),
        functions=tuple(functions),
        kernels=tuple(kernels),
        operators=tuple(operators),
        positional=not example.kwargs,
        failure=failure,
        unseen=unseen,
        untraceable=_untraceable(passes),
    )


def _untraceable(passes: Passes) -> str | None:
    """Return the name of a part of the state that is no tensor, at which torch's tracer fails."""
    with passes.untouched(values=False):
        state = passes.model.state_dict(keep_vars=True)
        return next((name for name, value in state.items() if not isinstance(value, torch.Tensor)), None)


class _Run:
    """Forward passes of one model on one example, each under what one kind of counter runs it."""

    def __init__(self, passes: Passes, example: Example, affordable: bool) -> None:
        self._passes = passes
        self._example = example
        self._affordable = affordable
        self._given = example
        self.modules: list[Module] = []

    def python_calls(self, gradients: AbstractContextManager[Any]) -> tuple[list[Call], list[Call]]:
        """Return the calls of layers and of functions, with hooks on every layer."""
        layers, functions, stack = list[Call](), list[Call](), [""]
        shapes = self._passes.on_meta or not self._affordable
        with self._ready(), gradients, self._hooked(stack, layers), replaced(functions, stack, by_shapes=shapes):
            self._forward()
            self.modules = list(modules_of(self._passes.tree))  # a lazy layer has weights now
        return layers, functions

    def kernels(self) -> list[Call]:
        """Return the operators below autograd, with gradients and without a hook on any layer."""
        stack, calls = [""], list[Call]()
        with self._ready(), torch.enable_grad(), followed(self._passes, stack), _Kernels(calls, stack):
            self._forward()
        return calls

    def operators(self) -> list[Call]:
        """Return the operators that the code asks for, as torch's tracer sees them."""
        stack, calls, mode = [""], list[Call](), torch.inference_mode()
        with self._ready(), mode, self._hooked(stack, []), closed() as inside, _Operators(calls, stack, inside):
            self._forward()
        return calls

    @contextmanager
    def _ready(self) -> Iterator[None]:
        """Set the model to evaluation, with the fast path of attention where gradients do not keep counters from it.

        What stands in for numbers comes before the modes that watch, which are asked first then.
        """
        before = torch.backends.mha.get_fastpath_enabled()
        with self._passes.untouched(values=True), self._memory() as self._given:
            set_mode(self._passes.tree, training=False)
            trained = any(tensor.requires_grad for _, tensor in self._passes.tree.parameters())
            torch.backends.mha.set_fastpath_enabled(not trained)
            try:
                yield
            finally:
                torch.backends.mha.set_fastpath_enabled(before)

    @contextmanager
    def _memory(self) -> Iterator[Example]:
        """Give the inputs: with numbers, or with shapes alone and without memory for what the model makes."""
        if self._passes.on_meta:
            with without_memory():
                yield self._example.mapped(to_meta)
        elif self._affordable:
            yield self._example.copied()
        else:
            from torch._subclasses.fake_tensor import FakeTensorMode

            with FakeTensorMode(allow_non_fake_inputs=True) as fake:
                yield self._example.mapped(fake.from_tensor)

    def _forward(self) -> None:
        seed_all(0)
        self._passes.model(*self._given.args, **self._given.kwargs)

    @contextmanager
    def _hooked(self, stack: list[str], layers: list[Call]) -> Iterator[None]:
        with ExitStack() as hooks:
            for node in self._passes.tree.nodes:
                if not isinstance(node.module, torch.jit.ScriptModule):
                    hooks.enter_context(hooked(node, stack, layers))
            yield


class _Mode(Dispatch):
    """Notes operators; a subclass says which ones."""

    names: frozenset[str] = frozenset()

    def __init__(self, calls: list[Call], stack: list[str], inside: Sequence[None] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls = calls
        self.stack = stack
        self.inside = inside

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not isinstance(func, torch._ops.OpOverload):
            return self.higher_order(func, args, kwargs)
        inputs = tuple(map(outline, args))  # before it runs: an operator may resize what it is given
        output = func(*args, **kwargs)
        name = func._overloadpacket.__name__
        if name in self.names and not self.inside and func.namespace == "aten" and func._overloadname != _BY_WORD:
            told = {key: outline(value) for key, value in kwargs.items()}
            self.calls.append(
                Call(layer=self.stack[-1], function=name, inputs=inputs, keywords=told, output=outline(output))
            )
        return output


class _Operators(_Mode):  # type: ignore[no-untyped-call]
    names = _OPERATORS


class _Kernels(_Mode):  # type: ignore[no-untyped-call]
    names = _KERNELS

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if isinstance(func, torch._ops.OpOverload) and func.namespace != "prim":  # that asks for a device
            with self:
                parts = func.decompose(*args, **(kwargs or {}))
            if parts is not NotImplemented:
                return parts
        return super().__torch_dispatch__(func, types, args, kwargs)
