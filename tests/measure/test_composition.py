"""Which models of a file are parts of others: those that are built, and not those that are only named."""

import ast

import pytest

from archcheck.measure.loading.composition import Composition

NAMED = """
class Net(Module):
    def forward(self, x): return x
class Other(Module):
    {0}
"""
ONLY_NAMED = [
    "def __init__(self): super(Net, self).__init__()",
    "def load(self, m):\n        if isinstance(m, Net): self.w = m.w",
    "def load(self, m):\n        if isinstance(m, (Net, Other)): self.w = m.w",
    "def load(self, m):\n        if type(m) is Net: self.w = m.w",
    "def load(self, m):\n        if type(m) in (Net, Other): self.w = m.w",
    "def load(self, m: Net) -> Net: return m",
    "def load(self, m: 'Net') -> list[Net]: return [m]",
    "def load(self, m):\n        n: Net = m\n        self.w = n.w",
    "def load(self, m): self.w = cast(Net, m).w",
    "def forward(self, x): return Net.forward(self, x)",
    "def __init__(self): self.width = 4 * Net.expansion",
    'def __init__(self):\n        """Like Net, or `Net()`."""',
    "def __init__(self): self.kind = 'Net'",
    "def smaller(self): return Net(2)",
    "def smaller(self):\n        net = Net(2)\n        net.w = self.w\n        return net",
    "def __init__(self, net): self.net = net",
    "def __init__(self):\n        Net = dict\n        self.c = Net()",
]
BUILT = [
    "def __init__(self): self.net = Net()",
    "def __init__(self): self.nets = ModuleList([Net() for _ in range(3)])",
    "def __init__(self): self.nets = ModuleList(each() for each in (Net, Sequential))",
    "def __init__(self):\n        net = Net()\n        self.add_module('net', net)",
    "def __init__(self): self.net = make(Net, 3)",
    "def __init__(self, block=Net): self.net = block()",
    "def __init__(self, net: Net): self.net = net",
    "block = Net",
    "def __init__(self): self.net = partial(Net, 3)()",
    "def __init__(self): self.build()\n    def build(self): self.net = Net()",
    "def __init__(self): self.net = self.build()\n    def build(self): return Net()",
    "def configure_model(self): self.net = Net()",
    "def __init__(self, kind): self.net = {'a': Net}[kind]()",
    "def __init__(self):\n        def one(): return Net()\n        self.net = one()",
    "def forward(self, x): return Net()(x)",
]


def parts(source):
    tree = ast.parse(source)
    models = [node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.bases]
    return Composition(tree, models).parts()


@pytest.mark.parametrize("code", ONLY_NAMED)
def test_a_class_that_another_one_only_names_is_no_part(code):
    assert parts(NAMED.format(code)) == set()


@pytest.mark.parametrize("code", BUILT)
def test_a_class_that_another_one_builds_is_a_part(code):
    assert parts(NAMED.format(code)) == {"Net"}


FAR = """
class A(Module): pass
class B(Module): pass
{0}
class Net(Module):
    def __init__(self, kind):
        {1}
"""


@pytest.mark.parametrize(
    ("between", "used", "found"),
    [
        ("def layer(n): return Sequential(*[A() for _ in range(n)])", "self.a = layer(3)", {"A"}),
        ("def one(): return A()\ndef layer(n): return one()", "self.a = layer(3)", {"A"}),
        ("BLOCKS = {'a': A, 'b': B}", "self.a = BLOCKS[kind]()", {"A", "B"}),
        ("BLOCKS = dict(a=A, b=B)\ndef build(k): return BLOCKS.get(k)()", "self.a = build(kind)", {"A", "B"}),
        ("BLOCKS = {}\nBLOCKS['a'] = A", "self.a = BLOCKS[kind]()", {"A"}),
        ("BLOCKS = []\nBLOCKS.append(A)", "self.a = BLOCKS[0]()", {"A"}),
        ("BLOCKS = Registry()\n@BLOCKS.register\nclass C(Module): pass", "self.a = BLOCKS.get(kind)()", {"C"}),
        (
            "BLOCKS = {}\ndef register(c):\n    BLOCKS[c.__name__] = c\n    return c\n@register\nclass C(Module): pass",
            "self.a = BLOCKS[kind]()",
            {"C"},
        ),
        ("class Choices:\n    first = A", "self.a = Choices.first()", {"A"}),
        ("if True:\n    Block = A\nelse:\n    Block = B", "self.a = Block()", {"A", "B"}),
        ("a = A()", "self.a = a", {"A"}),
        ("a = A()", "self.width = a.width", set()),
        ("BLOCKS = {'a': A}", "self.width = 3", set()),
        ("def init(m):\n    if isinstance(m, A): m.w.zero_()", "self.apply(init)", set()),
        ("class C(Module):\n    @classmethod\n    def small(cls): return cls()", "self.a = C.small()", {"C"}),
    ],
)
def test_a_part_that_functions_and_registries_pass_on(between, used, found):
    assert parts(FAR.format(between, used)) == found


FAMILY = """
class Base(Module): pass
class Wide(Base): pass
def main():
    {0}
if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize(("program", "found"), [("net = Wide()", {"Base"}), ("net = Base()", set())])
def test_a_class_that_others_extend_is_a_part_unless_the_program_builds_it(program, found):
    assert parts(FAMILY.format(program)) == found


def test_what_a_definition_uses_is_known_through_others():
    tree = ast.parse(FAR.format("def layer(): return A()", "self.a = layer()"))
    assert Composition(tree, ["A", "B", "Net"]).reached["Net"] == {"layer", "A"}
