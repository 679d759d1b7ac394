"""Optimisers that do not import the compiler; in processes of their own, as nothing takes an import back."""

import subprocess
import sys
from textwrap import dedent

import pytest

BEGIN = """
    import sys, torch
    from archcheck.measure.evidence.uncompiled_optimisers import uncompiled_optimisers

    def train(make):
        torch.manual_seed(0)
        net = torch.nn.Linear(3, 2)
        optimizer = make(net.parameters())
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        for _ in range(3):
            optimizer.zero_grad()
            net(torch.ones(4, 3)).sum().backward()
            optimizer.step()
            schedule.step()
        optimizer.load_state_dict(optimizer.state_dict())
        return [value.tolist() for value in net.parameters()]

    def compiler():
        return "torch._dynamo.utils" in sys.modules
"""
MAKE = {
    "SGD": "lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9)",
    "AdamW": "lambda parameters: torch.optim.AdamW(parameters)",
    "Adam": "lambda parameters: torch.optim.Adam(parameters, foreach=False)",
    "LBFGS": "lambda parameters: type('L', (torch.optim.RMSprop,), {})(parameters)",
}


def said(script: str) -> list[str]:
    code = dedent(BEGIN) + dedent(script)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize("name", MAKE)
def test_training_gives_the_same_and_imports_no_compiler(name: str) -> None:
    lines = said(f"""
        with uncompiled_optimisers():
            plain = train({MAKE[name]})
        print(compiler(), "torch._dynamo" in sys.modules, hasattr(torch.optim, "SGD"))
        print(plain == train({MAKE[name]}))
    """)
    assert lines == ["False False True", "True"]


@pytest.mark.parametrize(
    "use",
    [
        "import torch._dynamo; torch._dynamo.reset()",
        "import torch._dynamo.config",
        "from torch._dynamo import config",
        "import torch._dynamo as d; assert d.config.verbose is not None",
        "torch._dynamo.config.suppress_errors = True",
        "torch.compile(torch.nn.Linear(3, 2), backend='eager')(torch.ones(1, 3))",
        "torch.compiler.reset()",
    ],
)
def test_other_code_can_import_the_compiler(use: str) -> None:
    lines = said(f"""
        with uncompiled_optimisers():
            train({MAKE["SGD"]})
            before = compiler()
            {use}
            print(before, compiler())
            train({MAKE["SGD"]})
        import torch._dynamo
        print(torch._dynamo is sys.modules["torch._dynamo"], torch._dynamo.__spec__ is not None)
        print(torch.compile(torch.nn.Linear(3, 2), backend="eager")(torch.ones(1, 3)).shape[1])
    """)
    assert lines == ["False True", "True True", "2"]


def test_an_imported_compiler_stays() -> None:
    lines = said("""
        import torch._dynamo
        before = sys.modules["torch._dynamo"]
        with uncompiled_optimisers():
            print(sys.modules["torch._dynamo"] is before)
        print(sys.modules["torch._dynamo"] is before)
    """)
    assert lines == ["True", "True"]


def test_inspecting_all_modules_does_not_import_the_compiler() -> None:
    lines = said("""
        import inspect
        with uncompiled_optimisers():
            inspect.getmodule(train)
            [getattr(module, "__file__", None) for module in list(sys.modules.values())]
            print(compiler())
    """)
    assert lines == ["False"]
