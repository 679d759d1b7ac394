"""Factories that replace what measuring relies on before they return a network."""

import builtins
import contextlib
import gc
import json
import os
import sys
import types
from dataclasses import replace

import torch
from honest import Honest, Large
from torch import nn


def ours(name):
    """Return a module of the measuring."""
    return sys.modules[f"archcheck.measure.{name}"]


def small(parameters):
    """Leave out the parameters of the large layers."""
    return [each for each in parameters if not each[0].startswith(("wide", "more"))]


def batch_norm():
    torch.nn.functional.batch_norm = lambda x, *args, **kwargs: x
    return Honest()


def batch_norm_forward():
    nn.BatchNorm2d.forward = lambda self, x: x
    return Honest()


def numel():
    torch.Tensor.numel = lambda self: 1
    return Large()


def build():
    graph = ours("graph")
    honest = graph.build
    graph.build = lambda trace, *args, **kwargs: honest(trace, *args, **kwargs)
    return Honest()


def ledger():
    ledger = ours("ledger")
    honest = ledger.params
    ledger.params = lambda *args: replace(honest(*args), total=98, sizes={"conv.weight": 98})
    return Large()


def ledger_code():
    ledger = ours("ledger")
    ledger._by_dtype.__code__ = (lambda tensors: {}).__code__
    return Large()


def tree_method():
    Tree = ours("tree").Tree
    honest = Tree.parameters
    Tree.parameters = lambda self: small(honest(self))
    return Large()


def shadowed_builtin():
    ledger = ours("ledger")
    ledger.sum = lambda values: 98
    return Large()


def isinstance_():
    honest = builtins.isinstance
    builtins.isinstance = lambda value, kind: honest(value, kind)
    return Honest()


def length():
    honest = builtins.len
    builtins.len = lambda value: min(honest(value), 10**6)
    return Honest()


def sum_():
    honest = builtins.sum
    builtins.sum = lambda values, start=0: min(honest(values, start), 98)
    return Large()


def json_dumps():
    honest = json.dumps

    def lying(value, **options):
        if isinstance(value, dict) and "answer" in value:
            value["answer"]["params"] |= {"total": 98, "sizes": {"conv.weight": 98}}
        return honest(value, **options)

    json.dumps = lying
    return Large()


def json_encoder():
    honest = json.JSONEncoder.encode
    json.JSONEncoder.encode = lambda self, value: honest(self, value).replace('"total": 4908', '"total": 98')
    return Large()


def os_write():
    honest = os.write
    os.write = lambda descriptor, data: (honest(descriptor, bytes(data).replace(b"4908", b"98")), len(data))[1]
    return Large()


def poisoned_module():
    honest = sys.modules["archcheck.facts.records"]
    fake = types.ModuleType("archcheck.facts.records")
    fake.__dict__.update(vars(honest))
    sys.modules["archcheck.facts.records"] = fake
    return Honest()


def poisoned_record():
    """Puts a module in place of one that is not imported yet."""
    for name in ("archcheck.measure.evidence.short_training", "archcheck.measure.second_look.second_measurement"):
        sys.modules[name] = types.ModuleType(name)
    return Honest()


def known_answers():
    """Teaches the measuring that adding one is a batch normalisation."""
    answers = ours("answers")
    honest = answers.KNOWN.get

    class Known(dict):
        def get(self, look, default=None):
            return honest(look, default)

    answers.KNOWN = Known(answers.KNOWN)
    ours("trace").KNOWN = answers.KNOWN
    return Honest()


def kinds():
    """Teaches the measuring that an identity is a batch normalisation."""
    ours("vocabulary").KINDS["relu"] = "batch_norm"
    net = Honest()
    net.norm = nn.ReLU()
    net.extra = nn.Parameter(torch.ones(1))
    return net


class Searching(Large):
    """Looks for what measures it, and takes the weights out of it."""

    def forward(self, x):
        for each in gc.get_objects():
            if type(each).__name__ == "Tree":
                each._parameters[:] = small(each._parameters)
        return super().forward(x)


class Climbing(Large):
    """Climbs the stack to what measures it, and takes the weights out of it."""

    def forward(self, x):
        frame = sys._getframe()
        while frame is not None:
            tree = getattr(frame.f_locals.get("self"), "tree", None)
            if hasattr(tree, "_parameters"):
                tree._parameters[:] = small(tree._parameters)
            frame = frame.f_back
        return super().forward(x)


class Writing(Large):
    """Writes the answer of another network to whatever pipe there is."""

    def __init__(self):
        super().__init__()
        measured = sys.modules["archcheck.measure"].measure_model(Honest(), example=torch.zeros(1, 1, 8, 8))
        self.answer = replace(measured, subject=replace(measured.subject, name="writing")).to_json()

    def forward(self, x):
        for number in range(1, 200):
            line = json.dumps({"id": number, "answer": self.answer, "read": None}).encode() + b"\n"
            for descriptor in range(3, 32):
                with contextlib.suppress(OSError):
                    os.write(descriptor, line)
        return super().forward(x)


def sitecustomize():
    """Leaves a hook that changes what is imported later."""

    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name.startswith("archcheck."):
                raise ModuleNotFoundError(name)

    sys.meta_path.insert(0, Finder())
    ledger = ours("ledger")
    ledger.__dict__["_tied"] = lambda named: ()
    return Large()


def traced_by_profile():
    """Takes the weights away whenever the ledger begins."""

    def watch(frame, event, argument):
        if event == "call" and frame.f_code.co_name == "params":
            tree = frame.f_locals.get("tree")
            if hasattr(tree, "_parameters"):
                tree._parameters[:] = small(tree._parameters)

    sys.setprofile(watch)
    return Large()


def audited():
    """Swaps the weights while the trace reads its own frames."""

    def hear(event, arguments):
        if event == "sys._getframe":
            frame = arguments[0]
            tree = getattr(frame.f_locals.get("self"), "tree", None)
            if hasattr(tree, "_parameters"):
                tree._parameters[:] = small(tree._parameters)

    sys.addaudithook(hear)
    return Large()


def exit_hook():
    """Prints nothing, changes the exit."""
    import atexit

    atexit.register(lambda: os._exit(0))
    sys.exit(0)
