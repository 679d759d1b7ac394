"""A compiled network has the facts of the network that was compiled, and nothing compiles it."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from importlib.util import find_spec
from textwrap import dedent

import pytest
import torch
from networks import Apply, zeros
from torch import nn

from archcheck import check, rules
from archcheck.facts.records import PARANOID
from archcheck.measure import measure_model
from archcheck.measure.subject.compiled import original
from tests.support.cli_samples import environment

# --- in a file: the same file twice, once with `torch.compile`, once with something that does nothing ----------------

COMPILED = "compiled, mark, optimize = torch.compile, torch.compiler, lambda f: torch._dynamo.optimize(forbidden)(f)"
PLAIN = "compiled, mark, optimize = nothing, Nothing(), lambda f: f"
NETWORKS = """
    import sys
    import torch
    from torch import nn

    def nothing(f=None, *args, **options):
        return (lambda g: g) if f is None else f

    class Nothing:
        disable = allow_in_graph = assume_constant_result = staticmethod(nothing)
        def is_compiling(self):
            return False
        def __getattr__(self, name):
            return lambda *args, **options: None

    def forbidden(graph, inputs):
        raise AssertionError("a compiler ran")

    {first}
    untouched = "torch._dynamo" not in sys.modules

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.1))
            self.head = nn.Linear(6, 3)
        def forward(self, x):
            assert not untouched or "torch._dynamo" not in sys.modules
            return self.head(self.body(x))

    def Whole():
        return compiled(Net())
    def Tuned():
        return compiled(Net(), mode="max-autotune", dynamic=True)
    def Told():
        return compiled(Net(), fullgraph=True, backend=forbidden, options={{"trace.enabled": False}})
    def Twice():
        return compiled(compiled(Net()), backend="eager")
    def Within():
        model = Net()
        model.body = compiled(model.body)
        model.body.train()
        return model
    def Layers():
        return nn.Sequential(*nn.ModuleList(compiled(each) for each in (nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))))
    def InPlace():
        model = Net()
        model.body[0].compile() if "{kind}" == "compiled" else None
        model.compile(backend=forbidden) if "{kind}" == "compiled" else None
        return model
    def Loaded():
        model = compiled(Net())
        assert len(compiled(nn.Sequential(nn.ReLU()))) == 1
        model.load_state_dict({{name: each + 1 for name, each in model.state_dict().items()}})
        return model
    def Frozen():
        model = compiled(Net())
        for each in getattr(model, "_orig_mod", model).body.parameters():
            each.requires_grad = False
        model.note = "set on what is compiled"
        assert getattr(model, "_orig_mod", model).note and not model.eval().head.training
        return model.train()

    @compiled
    def gate(x):
        return torch.sigmoid(x) * x
    @compiled(fullgraph=True, dynamic=False, backend=forbidden)
    def twice(x):
        return x + x
    @mark.disable
    def once(x):
        return x + 1
    @mark.disable(recursive=False)
    def again(x):
        return x * 2
    @mark.allow_in_graph
    def known(x):
        return x - 1

    class Functions(Net):
        def forward(self, x):
            x = known(again(once(twice(gate(self.body(x))))))
            return self.head(x) if not mark.is_compiling() else x
    class Decorated(Net):
        @compiled
        def forward(self, x):
            return super().forward(x)
    class WithArguments(Net):
        @compiled(mode="reduce-overhead")
        def forward(self, x):
            return super().forward(x)
    class Reassigned(Net):
        def __init__(self):
            super().__init__()
            self.forward = compiled(self.forward)
            self.head.forward = compiled(self.head.forward, dynamic=True)
    class Method(Net):
        def __init__(self):
            super().__init__()
            self.step = compiled(self.two)
        def two(self, x):
            return self.head(self.body(x))
        def forward(self, x):
            mark.cudagraph_mark_step_begin()
            return self.step(x)
    class InForward(Net):
        def forward(self, x):
            return compiled(self.head)(compiled(self.body, backend=forbidden)(x)) + compiled(lambda y: y * 2)(x).mean()
    class Static(Net):
        @staticmethod
        @compiled
        def square(x):
            return x * x
        def forward(self, x):
            return self.square(super().forward(x))
    @compiled
    class Class(Net):
        pass
    class Parts(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleList(compiled(nn.Linear(4, 4), backend=forbidden) for _ in range(3))
            self.kept = [compiled(nn.ReLU())]
        def forward(self, x):
            for part in self.parts:
                x = self.kept[0](part(x))
            return x
    class Tied(Net):
        def __init__(self):
            super().__init__()
            self.head = compiled(nn.Linear(6, 6))
            self.tail = compiled(nn.Linear(6, 6, bias=False))
            self.tail.weight = getattr(self.head, "_orig_mod", self.head).weight
        def forward(self, x):
            return self.tail(super().forward(x))
    AtImport = compiled(Net(), backend=forbidden)
    AtImport(torch.zeros(3, 4))

    def Optimized():
        model = Net()
        globals()["untouched"] = False
        return optimize(model)
    def Configured():
        globals()["untouched"] = False
        import torch._dynamo
        torch._dynamo.config.suppress_errors = True
        getattr(mark, "set_stance", print)("default")  # which came later
        mark.reset()
        return compiled(Net(), backend=forbidden)
    def Flexible():
        globals()["untouched"] = False
        from torch.nn.attention.flex_attention import flex_attention
        flex = compiled(flex_attention, dynamic=False)
        class Attention(nn.Module):
            def __init__(self):
                super().__init__()
                self.key = nn.Linear(16, 16)
            def forward(self, x):
                x = self.key(x.repeat(1, 8).view(-1, 2, 1, 16))
                return flex(x, x, x)
        return Attention()
    def Watched():
        globals()["untouched"] = False
        from torch._dynamo import mutation_guard
        mutation_guard.install_generation_tagging_init()
        mutation_guard.ensure_patched(nn.Module)
        return compiled(Net())
"""
SUBJECTS = [
    *("Whole", "Tuned", "Told", "Twice", "Within", "Layers", "InPlace", "Loaded", "Frozen", "Functions", "Decorated"),
    *("WithArguments", "Reassigned", "Method", "InForward", "Static", "Class", "Parts", "Tied", "AtImport"),
    *("Optimized", "Configured", "Watched"),
    *(["Flexible"] if find_spec("torch.nn.attention.flex_attention") else []),  # which came later
]
RULES = """
    max-params = 1
    gradients-reach = true
    state-dict-round-trip = true
    deterministic-in-eval = true
    no-unused-layers = true
"""
DEAR_RULES = """
    overfits-one-batch = true
    accepts = { batch = [1, 4] }
"""
TRAINED = ["Whole", "Within", "Layers", "InForward"]
"""The subjects that are trained and run on other batches, too: one for each place where the compiler may be."""


def judged(folder, source, names, rules, *options):
    """Return the reports of one run on the subjects of a file."""
    (folder / "networks.py").write_text(source)
    parts = [
        f'[subjects.{name}]\nmodel = "networks.py:{name}"\ninput = [2, 4]\n[subjects.{name}.rules]\n{dedent(rules)}'
        for name in names
    ]
    (folder / "archcheck.toml").write_text("\n".join(parts))
    command = [sys.executable, "-m", "archcheck", "check", *options, "--no-cache", "--format", "json"]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    return {report["subject"]: report for report in json.loads(done.stdout)["reports"]}


def test_compiled_networks_in_a_file_are_the_networks_that_were_compiled(tmp_path):
    found = {}
    for kind, first in (("compiled", COMPILED), ("plain", PLAIN)):
        (tmp_path / kind).mkdir()
        source = dedent(NETWORKS).format(first=first, kind=kind)
        found[kind] = judged(tmp_path / kind, source, SUBJECTS, RULES, "--paranoid")
        trained = judged(tmp_path / kind, source, TRAINED, DEAR_RULES)
        found[kind] |= {f"{name}, trained": report for name, report in trained.items()}
    assert len(found["plain"]) == len(SUBJECTS) + len(TRAINED)
    assert [name for name, report in found["plain"].items() if report["facts"] is None] == []
    for name, report in found["plain"].items():
        assert found["compiled"][name] == report, name
    parts = (*found["compiled"]["Whole"]["outcomes"], *found["compiled"]["Whole, trained"]["outcomes"])
    verdicts = {each["rule"]: each["verdict"] for each in parts}
    assert verdicts.pop("max-params") == "broken"
    assert set(verdicts.values()) == {"kept"}


HIDING = """
    import functools
    import torch
    from torch import nn
    from torch._dynamo import mutation_guard

    def Plain():
        def patched_init(self, *args, **kwargs):
            init(self, *args, **kwargs)
        init, nn.Module.__init__ = nn.Module.__init__, patched_init
        return nn.Linear(4, 4)
    def Named():
        init = nn.Module.__init__
        def patched_init(self, *args, **kwargs):
            init(self, *args, **kwargs)
        patched_init.__module__ = "torch._dynamo.mutation_guard"
        patched_init.__qualname__ = "install_generation_tagging_init.<locals>.patched_init"
        nn.Module.__init__ = patched_init
        return nn.Linear(4, 4)
    def Around():
        mutation_guard.install_generation_tagging_init()
        init = nn.Module.__init__
        @functools.wraps(init)
        def around(self, *args, **kwargs):
            init(self, *args, **kwargs)
        nn.Module.__init__ = around
        return nn.Linear(4, 4)
    def Under():
        nn.Module.___needs_generation_tag_patch = True
        vars(nn.Module).get("___has_generation_tag_patch") and delattr(nn.Module, "___has_generation_tag_patch")
        tracker = mutation_guard.GenerationTracker
        tracker = tracker if isinstance(tracker, type) else type(tracker)
        tag = tracker.tag
        tracker.tag = lambda *given: tag(*given)
        mutation_guard.install_generation_tagging_init()
        return nn.Linear(4, 4)
    def Attribute():
        nn.Module.___needs_mutation_patch = True
        mutation_guard.ensure_patched(nn.Module)
        setattribute = nn.Module.__setattr__
        nn.Module.__setattr__ = lambda self, name, value: setattribute(self, name, value)
        return nn.Linear(4, 4)
    def State():
        setstate = nn.Module.__setstate__
        nn.Module.__setstate__ = lambda self, state: setstate(self, state)
        return nn.Linear(4, 4)
"""


def test_methods_disguised_as_the_compilers_are_found(tmp_path):
    names = ["Plain", "Named", "Around", "Under", "Attribute", "State"]
    reports = judged(tmp_path, dedent(HIDING), names, "max-params = 20")
    assert {name: report["error"]["kind"] for name, report in reports.items()} == dict.fromkeys(names, "tampering")


HUNG_ON = """
    import functools
    import torch
    from torch import nn

    def big():
        return nn.Sequential(nn.Linear(4, 40), nn.ReLU(), nn.Linear(40, 3))
    def hung(name, thing, how=object.__setattr__):
        def build():
            model = torch.compile(nn.Linear(4, 3))
            how(model, name, thing())
            return model
        return build

    Call = hung("_call_impl", big)
    Set = hung("_call_impl", lambda: lambda *a, net=big(), **k: net(*a, **k), setattr)
    Forward = hung("forward", lambda: functools.partial(big()))
    def Later():
        model = hung("_compiled", lambda: [big()])()
        object.__setattr__(model, "_options", {})
        return model
    Hook = hung("_modules", lambda: {"_orig_mod": big(), "more": nn.Linear(4, 4)})
    class Dict(dict):
        net = big()
        def __getitem__(self, key):
            return self.net
    Getting = hung("_modules", lambda: Dict(_orig_mod=nn.Linear(4, 3)))
"""


def test_additions_to_a_compiled_module_in_a_file_are_measured(tmp_path):
    names = ["Call", "Set", "Forward", "Later", "Hook", "Getting"]
    reports = judged(tmp_path, dedent(HUNG_ON), names, "max-params = 20", "--paranoid")
    assert {name: reports[name]["outcomes"][0]["verdict"] for name in names} == dict.fromkeys(names, "broken")


ASKING = """
    import copy
    import pickle
    import torch
    from torch import nn

    def Package():
        model = torch.compile(nn.Linear(4, 3))
        assert isinstance(model, torch._dynamo.OptimizedModule) and isinstance(model, nn.Module)
        return copy.deepcopy(model)
    def Module():
        from torch._dynamo.eval_frame import OptimizedModule
        model = torch.compile(mode="reduce-overhead")(nn.Linear(4, 3))
        assert not isinstance(nn.Linear(1, 1), OptimizedModule)
        return model._orig_mod if isinstance(model, OptimizedModule) else nn.Linear(4, 300)
    def Pickled():
        import torch._dynamo
        return pickle.loads(pickle.dumps(torch.compile(nn.Linear(4, 3))))
    def Names():
        for name in ("disable", "reset", "allow_in_graph", "assume_constant_result"):
            mark = getattr(torch.compiler, name)
            assert (mark.__name__, mark.__qualname__, mark.__module__) == (name, name, "torch.compiler")
            assert mark.__doc__
        assert (torch.compile.__name__, torch.compile.__module__) == ("compile", "torch") and torch.compile.__doc__
        return nn.Linear(4, 3)
"""


def test_replacements_behave_like_torchs_functions(tmp_path):
    names = ["Package", "Module", "Pickled", "Names"]
    reports = judged(tmp_path, dedent(ASKING), names, "max-params = 20")
    assert {name: report.get("error") for name, report in reports.items()} == dict.fromkeys(names)
    assert {name: report["facts"]["params"]["total"] for name, report in reports.items()} == dict.fromkeys(names, 15)


# --- in the process of the caller --------------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.body(x))


def seen(model):
    facts = measure_model(model, example=torch.ones(2, 4), needs=[PARANOID])
    return facts.params, facts.layers, facts.ops, facts.train_ops, facts.cost, facts.unused_layers, facts.subject.notes


def never(graph, inputs):
    raise AssertionError("a compiler ran")


def within(compiled):
    model = Net()
    model.body = compiled(model.body)
    return model


def in_place(compiled):
    model = Net()
    model.head.forward = compiled(model.head.forward)
    return model


def by_method(compiled):
    model = Net()
    if compiled is not nothing:
        model.compile(backend=never)
        model.head.compile(backend=never)
    return model


def nothing(thing):
    return thing


def compiled(thing):
    return torch.compile(thing, backend=never)


BUILDS = [lambda compiled: compiled(Net()), within, in_place, by_method]


@pytest.mark.parametrize("build", BUILDS)
def test_a_model_that_was_compiled_by_its_user_is_the_network_that_was_compiled(build):
    assert seen(build(compiled)) == seen(build(nothing))


@pytest.mark.filterwarnings("ignore")
def test_a_model_that_has_run_compiled_is_measured_as_it_is_and_runs_compiled_again():
    runs = []

    def counting(graph, inputs):
        def run(*args):
            runs.append(1)
            return graph.forward(*args)

        return run

    model = torch.compile(Net().eval(), backend=counting)
    before = model(zeros(2, 4))
    count = len(runs)
    assert count
    assert seen(model) == seen(Net().eval())
    assert len(runs) == count
    assert torch.equal(model(zeros(2, 4)), before)
    assert len(runs) > count


@pytest.mark.parametrize("judged", [rules.Exports(), rules.StateDictRoundTrip(), rules.OverfitsOneBatch()])
@pytest.mark.parametrize("build", BUILDS)
def test_a_model_that_was_compiled_by_its_user_behaves_as_it_does(build, judged):
    found, expected = (
        [*check(build(how), example=torch.ones(2, 4), rules=[judged]).outcomes] for how in (compiled, nothing)
    )
    assert [each.verdict for each in found] == [each.verdict for each in expected]


def test_code_compiled_in_a_measured_forward_pass_compiles_later():
    kept, graphs = [], []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    def forward(self, x):
        if not kept:
            kept.extend(torch.compile(each, backend=backend) for each in (self.a, lambda y: y + 1))
        return kept[1](kept[0](x))

    model = Apply(forward, a=nn.Linear(3, 3))
    facts = measure_model(model, example=zeros(2, 3))
    assert (facts.cost.macs, facts.params.total, facts.params.hidden_total) == (18, 12, 0)
    assert not graphs
    assert torch.equal(model(torch.ones(2, 3)), model.a(torch.ones(2, 3)) + 1)
    assert len(graphs) == 2
    assert torch.equal(copy.deepcopy(kept[0])(torch.ones(2, 3)), model.a(torch.ones(2, 3)))


def test_torch_is_as_it_was_afterwards():
    before = torch.compile, torch.nn.Module.__init__
    measure_model(torch.compile(nn.Linear(3, 3)), example=zeros(2, 3))
    assert before == (torch.compile, torch.nn.Module.__init__)


def test_a_compiled_model_with_another_forward_is_a_layer():
    model = torch.compile(nn.Linear(3, 3), backend=never)
    more = nn.Linear(3, 3)
    model.forward = lambda x: more(model._orig_mod(x))
    facts = measure_model(model, example=zeros(2, 3))
    assert (facts.params.total, facts.params.hidden_total, facts.cost.macs) == (12, 12, 36)


@pytest.mark.parametrize("where", ["forward", "_call_impl"])
@pytest.mark.parametrize("how", [object.__setattr__, setattr])
@pytest.mark.parametrize("disguise", [lambda call: lambda *args: call(*args), compiled, torch._dynamo.disable])
def test_additions_to_a_compiled_model_run(where, how, disguise):
    model, more = torch.compile(nn.Linear(3, 3), backend=never), nn.Linear(3, 3)
    how(model, where, disguise(more.forward))
    facts = measure_model(model, example=zeros(2, 3))
    on_the_model = where in model.__dict__
    assert facts.params.hidden_total == (12 if on_the_model else 0)


@pytest.mark.parametrize("build", [lambda: nn.Linear(3, 3), Net, lambda: nn.LazyLinear(3)])
@pytest.mark.parametrize("by", [compiled, torch._dynamo.disable, torch._dynamo.run, torch._dynamo.optimize("eager")])
def test_a_model_is_what_was_compiled_however_torch_wraps_it(build, by):
    model = build()
    wrapped = by(model).eval().train()
    wrapped.note = "set on what is compiled"
    assert original(wrapped) is model
    assert type(original(copy.deepcopy(wrapped))) is type(model)


def test_a_layer_that_is_compiled_runs_on_the_line_that_calls_it():
    model = Apply(lambda self, x: self.a(x), a=compiled(nn.Linear(3, 3)))
    plain = Apply(lambda self, x: self.a(x), a=nn.Linear(3, 3))
    there, here = (measure_model(each, example=zeros(2, 3)).ops[1].where for each in (model, plain))
    assert there is not None
    assert here is not None
    assert (there.file, there.line + 1) == (here.file, here.line)
