"""Stubs for packages that are not installed, so that a class that does not need them can be measured.

While files are imported, a stub can be imported and passed on, such as `np.ndarray` in an annotation. Computing with it
raises `MissingPackage`: a call, a base class, a number and, once the files are imported, every attribute. The use is
remembered, so that a subject that catches the error is not measured either.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

from archcheck.measure.subject.source_text import parse

_DISTRIBUTIONS = {
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dotenv": "python-dotenv",
    "git": "gitpython",
    "mpl_toolkits": "matplotlib",
    "pytorch_lightning": "pytorch-lightning",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "torch_geometric": "torch-geometric",
    "yaml": "pyyaml",
} | {
    name: name
    for name in (
        *("albumentations", "captum", "datasets", "dgl", "einops", "fastai", "gym", "gymnasium", "h5py", "imageio"),
        *("keras", "kornia", "librosa", "lightning", "matplotlib", "monai", "mlflow", "networkx", "nltk", "numba"),
        *("numpy", "omegaconf", "optuna", "pandas", "plotly", "requests", "scipy", "seaborn", "spacy", "tensorboard"),
        *("tensorboardX", "tensorflow", "tiktoken", "timm", "tokenizers", "torchaudio", "torchinfo", "torchmetrics"),
        *("torchsummary", "torchtext", "torchviz", "torchvision", "tqdm", "transformers", "wandb", "yacs", "diffusers"),
    )
}
"""Imported name -> distribution to install. Other names get no advice, because a stranger may own them."""


class MissingPackage(ImportError):  # noqa: N818 - the state of an installation
    """Code tried to compute with a package that is not installed."""


@dataclass(slots=True)
class Stubs:
    """The stubbed packages, each with the place of its first import, and the first one that was needed."""

    places: dict[str, str] = field(default_factory=dict)
    sealed: bool = False
    needed: str | None = None

    def need(self, name: str) -> NoReturn:
        """Raise `MissingPackage`. If the files are imported already, remember that the package was needed."""
        if self.sealed:
            self.needed = self.needed or name
        raise MissingPackage(f"needs `{name}`, {install(name)}", name=name.partition(".")[0])


STUBS = Stubs()
"""The stubs of this process, which measures one subject."""


def install(name: str) -> str:
    """Return why a module is missing and what to do about it, as the end of a sentence."""
    package = name.partition(".")[0]
    known = sys.modules.get(package)
    if known is not None and not isinstance(known, StubModule):
        return f"which the `{package}` that is installed here has not; install the version that it is written for"
    if package == "google":
        return "which is there on Colab alone; leave it out of what the model needs"
    if package in _DISTRIBUTIONS:
        return f"which is not installed here; install it (`pip install {_DISTRIBUTIONS[package]}`) and try again"
    return "which is not installed here, nor a file beside it; install it and try again"


def _refusing(name: str) -> Any:
    def refuse(self: Stub, *args: Any, **kwargs: Any) -> NoReturn:
        STUBS.need(object.__getattribute__(self, "_name"))

    refuse.__name__ = name
    return refuse


class Stub:
    """An attribute of a package that is not installed."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Stub:
        return _attribute(self._name, name)

    def __getitem__(self, key: object) -> Stub:
        return _attribute(self._name, "__version__")

    def __or__(self, other: object) -> Stub:
        """`np.ndarray | None` in an annotation."""
        return self

    __ror__ = __or__

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<{self._name}, which is not installed>"


for _name in (
    *("call", "mro_entries", "instancecheck", "subclasscheck", "iter", "next", "len", "bool", "contains", "enter"),
    *("int", "float", "index", "complex", "eq", "ne", "lt", "le", "gt", "ge", "neg", "pos", "abs", "invert", "matmul"),
    *("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "floordiv", "rfloordiv", "mod", "rmod"),
    *("pow", "rpow", "rmatmul", "and", "rand", "xor", "array", "round", "str", "format", "setitem", "torch_function"),
):
    setattr(Stub, f"__{_name}__", _refusing(_name))


class StubModule(ModuleType):
    """A package that is not installed, or a part of one."""

    def __getattr__(self, name: str) -> Stub:
        return _attribute(self.__name__, name)


def _attribute(owner: str, name: str) -> Stub:
    if name.startswith("__") and name != "__version__":
        raise AttributeError(name)
    if STUBS.sealed:
        STUBS.need(f"{owner}.{name}")
    return Stub(f"{owner}.{name}")


class StubLoader:
    """Makes the module of a package that is not installed."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the stub. It is a package, because any part of it may be imported."""
        return StubModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing."""


def stub_spec(name: str, place: str) -> ModuleSpec:
    """Return the spec of a stub for `name`, and remember the stub."""
    STUBS.places.setdefault(name, place)
    spec = ModuleSpec(name, StubLoader(), is_package=True)  # type: ignore[arg-type]
    spec.submodule_search_locations = []
    return spec


def is_stub(name: str) -> bool:
    """Whether `name` is stubbed."""
    return name in STUBS.places


def may_be_stubbed(file: str, line: int) -> bool:
    """Whether the import at a line may be stubbed: it is outside of functions, and no code handles its failure."""
    tree = parse(file)
    return tree is not None and any(node.lineno <= line <= (node.end_lineno or 0) for node in _plain_imports(tree))


def _plain_imports(node: ast.AST) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif isinstance(child, ast.If | ast.For | ast.While | ast.ClassDef | ast.Module):
            yield from _plain_imports(child)


def forget() -> None:
    """Forget all stubs, and which of them were needed, before another subject is loaded."""
    for name in STUBS.places:
        sys.modules.pop(name, None)
    STUBS.places.clear()
    STUBS.needed = None


def first_of(file: str) -> tuple[str, str] | None:
    """Return the first stub that a file of this name imports, with its place; `None` if there is none."""
    return next((each for each in STUBS.places.items() if each[1].startswith(f"{file}:")), None)


def note() -> str | None:
    """Return the report's note about the stubbed packages, `None` if there are none."""
    names = [name for name in STUBS.places if name.rpartition(".")[0] not in STUBS.places]
    return f"not installed, and not needed to measure this: {', '.join(names)}" if names else None
