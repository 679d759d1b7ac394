"""Let the files of a subject import one another, whatever their names and working folder.

The subject finds its own files first; other code finds them last, so that a `random.py` beside the model does not
replace `random` for other packages. A file never imports itself by its own name. A module that is neither beside the
file nor installed is searched up to the root of the repository, and then replaced by a stub (see `stubs`).
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType, ModuleType

from archcheck.measure.loading import execution
from archcheck.measure.loading.stubs import is_stub, may_be_stubbed, stub_spec
from archcheck.measure.subject.ownership import is_own
from archcheck.measure.subject.source_text import parse, place, text_of

_RELATIVE = re.compile(r"\bfrom[\s\\]*\.")
"""What every relative import has in its text; a backslash may break the line."""


class SubjectLoader(SourceFileLoader):
    """Runs a file of the subject, or the cells of a notebook, as `execution` does. It writes no compiled file."""

    def __init__(self, name: str, path: str, sources: Sequence[str]) -> None:
        super().__init__(name, path)
        self._sources = sources

    def exec_module(self, module: ModuleType) -> None:
        """Run the file, or the cells in order."""
        execution.run(module, self._sources)

    def get_code(self, fullname: str) -> CodeType | None:
        """Return what the file was run as, and compile it only if it was not."""
        run = execution.RUNS.get(fullname)
        return run.codes[0] if run and run.files == (self.path,) and run.codes else super().get_code(fullname)


class _Beside:
    """Finds the subject's files for the subject, before anything else does."""

    def __init__(self) -> None:
        self.folders: list[str] = []

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """Return the spec of a file of the subject, with its loader."""
        if path is not None:
            return _own(PathFinder.find_spec(name, path)) if any(is_own(f"{each}/") for each in path) else None
        importer = _importer()
        if importer is None:
            return None
        asked = importer.f_code.co_filename
        spaces = None
        for folder in self.folders:
            spec = PathFinder.find_spec(name, [folder])
            if spec is not None and spec.origin is None:
                spaces = spaces or spec
            elif spec is not None and spec.origin != asked:
                return _own(spec) or spec
        installed = PathFinder.find_spec(name)
        if installed is None or installed.origin is None or installed.origin == asked:
            return spaces if name not in sys.builtin_module_names else None
        return _own(installed)


class _Missing:
    """Finds stubs for modules that no other finder finds."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """Return the spec of a stub, if the import is at the top of a file of the subject."""
        if is_stub(name.rpartition(".")[0]):
            return stub_spec(name, "")
        frame = _importer()
        if (
            frame is None
            or not execution.SETTINGS.running
            or not may_be_stubbed(frame.f_code.co_filename, frame.f_lineno)
        ):
            return None
        return stub_spec(name, place(frame.f_code.co_filename, frame.f_lineno))


_BESIDE, _MISSING = _Beside(), _Missing()


def search_first(folders: Iterable[str]) -> None:
    """Search these folders first for imports of the subject, and last for imports of other code."""
    if _BESIDE not in sys.meta_path:
        sys.meta_path.insert(0, _BESIDE)
        sys.meta_path.append(_MISSING)
    _BESIDE.folders[:0] = [folder for folder in dict.fromkeys(folders) if folder not in _BESIDE.folders]
    search_last(_BESIDE.folders)


def search_last(folders: Iterable[str]) -> None:
    """Search these folders last for all imports."""
    sys.path += [folder for folder in dict.fromkeys(folders) if folder not in sys.path]


def import_alone(name: str, path: Path, sources: Sequence[str], *, package: str = "") -> ModuleType:
    """Import a file, or the cells of a notebook, as the module `name`, or as a part of `package` if there is one."""
    name = f"{package}.{path.stem}" if package else name
    if name in sys.modules:
        return sys.modules[name]
    loader = SubjectLoader(name, str(path), sources)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def package_of(folder: Path, levels: int) -> str:
    """Make packages of a folder and its parents, `levels` in total, without running `__init__.py`; return the name."""
    folders = [folder, *folder.parents][: max(levels, 1)][::-1]
    name = ""
    for each in folders:
        name = f"{name}.{each.name}" if name else f"archcheck_package_{abs(hash(str(each))):x}"
        if name not in sys.modules:
            package = ModuleType(name)
            package.__path__ = [str(each)]
            sys.modules[name] = package
    return name


def dotted_name(path: Path) -> tuple[Path, str]:
    """Return the folder to import a file from, and its dotted name: the parents with an `__init__.py` are packages."""
    parts, folder = [path.stem] if path.stem != "__init__" else [], path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(parts)


def relative_levels(path: Path) -> int:
    """Return how many levels up the relative imports of a file reach, 0 if it has none."""
    if not _mentions_relative_import(str(path)):
        return 0
    tree = parse(str(path))
    nodes = ast.walk(tree) if tree else ()
    return max((node.level for node in nodes if isinstance(node, ast.ImportFrom)), default=0)


def _mentions_relative_import(file: str) -> bool:
    """Whether the text of a file may hold a relative import: most hold none, and need not be parsed for that."""
    try:
        return bool(_RELATIVE.search(text_of(file)))
    except (OSError, SyntaxError, ValueError):  # `parse` cannot read it either
        return False


def above(path: Path, root: str) -> list[str]:
    """Return the parents of a file's folder, up to the root of its repository, or up to `root` if it is in none."""
    parents = list(path.parent.parents)
    ends = [each for each in (path.parent, *parents) if (each / ".git").exists() or (each / "pyproject.toml").is_file()]
    end = ends[0] if ends else Path(root).resolve()
    return [str(each) for each in parents if each.is_relative_to(end)]


def _own(spec: ModuleSpec | None) -> ModuleSpec | None:
    """Return the spec of a Python file of the subject with our loader, `None` for any other file."""
    if spec is None or type(spec.loader) is not SourceFileLoader or not spec.origin or not is_own(spec.origin):
        return None
    spec.loader = SubjectLoader(spec.name, spec.origin, [spec.origin])
    return spec


def _importer() -> FrameType | None:
    """Return the frame that imports if it is the subject's or `load`'s, else `None`."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file == _TARGETS:
            return frame
        if not (file.startswith("<frozen importlib") or file.endswith("/importlib/__init__.py") or file == __file__):
            return frame if is_own(file) else None
        frame = frame.f_back
    return None


_TARGETS = str(Path(__file__).with_name("load.py"))
"""The file that imports targets; its imports count as the subject's."""
