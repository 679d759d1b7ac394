"""Real installations: what is installed is not the subject's, and what is the subject's is not installed.

Each layout is made for real around this environment: torch stays where it is, and hypothesis, which looks at
referrers while a rule searches input sizes, is where the layout has it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import hypothesis
import pytest

import archcheck
from archcheck.foundation.installed_packages import Installed
from tests.support.cli_samples import environment

PACKAGES = Path(hypothesis.__file__).parents[1]
OURS = Path(archcheck.__file__).parents[1]
BASE = sys._base_executable
SITE = f"python{sys.version_info.major}.{sys.version_info.minor}/site-packages"

NET = """
import torch.nn as nn
import hypothesis
print("from", hypothesis.__file__)
{looks}
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
    def forward(self, x):
        return self.conv(x)
"""
CONTRACT = """
[subjects.net]
model = "{model}"
input = [1, 1, 8, 8]
rules.accepts = {{ height = [3, 64], width = [3, 64] }}
"""
LOOKS = "import gc\ngc.get_referrers(nn)"


def venv(folder, *lines, options=()):
    """Make a virtual environment whose `.pth` file holds `lines`; return its Python and its folder of packages."""
    subprocess.run([BASE, "-m", "venv", "--without-pip", *options, str(folder)], check=True)
    packages = folder / "lib" / SITE
    (packages / "more.pth").write_text("".join(f"{line}\n" for line in lines))
    return str(folder / "bin" / "python"), packages


def install(into, *, make=shutil.copytree):
    """Install hypothesis into a folder, as its distribution says."""
    into.mkdir(parents=True, exist_ok=True)
    tops = {line.partition("/")[0] for line in _record().read_text().splitlines() if not line.startswith("..")}
    for top in tops - {"__pycache__"}:
        source = PACKAGES / top.partition(",")[0]
        (make if source.is_dir() else shutil.copy)(source, into / source.name)
    return into


def _record():
    (found,) = PACKAGES.glob("hypothesis-*.dist-info/RECORD")
    return found


def user(folder):
    base = folder / "user"
    asked = subprocess.run(
        [BASE, "-m", "site", "--user-site"], env=environment(PYTHONUSERBASE=str(base)), capture_output=True, text=True
    )
    place = install(Path(asked.stdout.strip()))
    (place / "more.pth").write_text(f"{PACKAGES}\n{OURS}\n")
    return BASE, {"PYTHONUSERBASE": str(base)}, place


def system(folder):
    """`python -m venv --system-site-packages`, which sees the packages of the user, too."""
    _, changes, place = user(folder)
    python, _ = venv(folder / "venv", options=["--system-site-packages"])
    return python, changes, place


def pth(folder):
    python, _ = venv(folder / "venv", install(folder / "other" / "site-packages"), PACKAGES, OURS)
    return python, {}, folder / "other"


def overlay(folder):
    """`uv run --with`: a fresh environment that adds the packages of another."""
    install(folder / ".venv" / "lib" / SITE)
    place = folder / ".venv" / "lib" / SITE
    python, _ = venv(folder / "fresh", f"import site; site.addsitedir({str(place)!r})", PACKAGES, OURS)
    return python, {}, place


def linked(folder):
    """`uv pip install --link-mode symlink`: packages are links into a store."""
    python, packages = venv(folder / "venv", PACKAGES, OURS)
    store = install(folder / "store")
    for each in store.iterdir():
        (packages / each.name).symlink_to(each)
    return python, {}, packages


def target(folder):
    """`pip install --target vendor` within the project."""
    return sys.executable, {"PYTHONPATH": "vendor"}, install(folder / "project" / "vendor")


def check(
    folder,
    python=sys.executable,
    *,
    model="net.py:Net",
    text=NET,
    looks="",
    name="project",
    options=("--no-cache",),
    **changes,
):
    project = folder / name
    project.mkdir(parents=True, exist_ok=True)
    (project / ".git").mkdir(exist_ok=True)
    if text:
        (project / "net.py").write_text(text.format(looks=looks))
    (project / "archcheck.toml").write_text(CONTRACT.format(model=model))
    command = [python, "-m", "archcheck", "check", "--format", "concise", *options]
    return subprocess.run(
        command, cwd=project, env=environment(**changes), capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("layout", [user, system, pth, overlay, linked, target])
def test_what_is_installed_is_not_the_subject(layout, tmp_path):
    python, changes, place = layout(tmp_path)
    done = check(tmp_path, python, **changes)
    assert f"from {place}" in done.stderr.replace("from vendor", f"from {place}")
    assert (done.returncode, " kept accepts " in done.stdout) == (0, True), done.stderr


def test_what_is_installed_in_an_archive_is_not_the_subject(tmp_path):
    with zipfile.ZipFile(tmp_path / "packages.zip", "w") as file:
        file.writestr("looker/__init__.py", LOOKS.replace("nn", "gc"))
    done = check(tmp_path, looks="import looker", PYTHONPATH=str(tmp_path / "packages.zip"))
    assert done.returncode == 0, done.stderr


def beside_packages(folder):
    """A project in a folder called `site-packages` that is on `sys.path`."""
    return {"name": "site-packages", "PYTHONPATH": "."}


def below_packages(folder):
    return {"name": "site-packages/project", "PYTHONPATH": str(folder / "site-packages")}


def forged(folder):
    """A project that lists itself as installed."""
    (folder / "project" / "net-1.0.dist-info").mkdir(parents=True)
    (folder / "project" / "net-1.0.dist-info" / "RECORD").write_text("net.py,,\n")
    return {"PYTHONPATH": "."}


def editable(folder):
    """An editable installation, and it lists itself as installed, too."""
    source = folder / "project" / "src"
    (source / "nets").mkdir(parents=True)
    (source / "nets" / "__init__.py").write_text(NET.format(looks=LOOKS))
    (source / "nets-1.0.dist-info").mkdir()
    (source / "nets-1.0.dist-info" / "RECORD").write_text("nets/__init__.py,,\n")
    python, _ = venv(folder / "venv", PACKAGES, OURS, source)
    return {"python": python, "model": "nets:Net", "text": ""}


def named(folder):
    """A file that has the name of an installed package."""
    (folder / "project").mkdir()
    (folder / "project" / "attr.py").write_text("import torch.nn as nn\n" + LOOKS)
    return {"looks": "import attr"}


def without_a_file(folder):
    return {"looks": f"exec({LOOKS!r})"}


def under_another_name(folder):
    return {"looks": f"exec(compile({LOOKS!r}, nn.__file__, 'exec'))"}


def as_python(folder):
    return {"looks": f"exec(compile({LOOKS!r}, '<frozen importlib._bootstrap>', 'exec'))"}


@pytest.mark.parametrize(
    "layout", [beside_packages, below_packages, forged, editable, named, without_a_file, under_another_name, as_python]
)
def test_what_is_the_subjects_is_not_installed(layout, tmp_path):
    done = check(tmp_path, **{"looks": LOOKS, **layout(tmp_path)})
    assert done.returncode == 2, done.stdout
    assert "looks at what measures it: `gc.get_referrers`" in done.stderr


PLANTS = {
    "writes": "open(there, 'w').write(open(here).read())",
    "copies": "import shutil\nshutil.copy(here, there)",
    "links": "import os\nos.link(here, there)",
    "moves": "import os, shutil\nshutil.copy(here, here + '.py')\nos.rename(here + '.py', there)",
    "starts": "import subprocess\n(lambda: subprocess.run(['cp', here, there]))()",
    "overwrites": "import mine\nopen(there, 'w').write(open(here).read())\nimport importlib\nimportlib.reload(mine)",
}


@pytest.mark.parametrize("how", PLANTS)
def test_what_a_subject_puts_among_packages_stays_its_own(how, tmp_path):
    python, packages = venv(tmp_path / "venv", PACKAGES, OURS)
    (tmp_path / "project").mkdir()
    planted = tmp_path / "project" / "planted.txt"
    planted.write_text("import torch.nn as nn\n" + LOOKS)
    if how == "overwrites":
        (packages / "mine.py").write_text("")
    lines = f"here, there = {str(planted)!r}, {str(packages / 'mine.py')!r}\n{PLANTS[how]}\nimport mine"
    done = check(tmp_path, python, looks=lines)
    assert done.returncode == 2, done.stdout
    assert "looks at what measures it: `gc.get_referrers` in mine.py" in done.stderr


def test_a_package_that_its_user_links_to_is_the_subjects_where_it_is_the_project(tmp_path):
    """`flit install --symlink`."""
    python, packages = venv(tmp_path / "venv", PACKAGES, OURS)
    done = check(tmp_path, python, looks=LOOKS)  # makes the file
    (packages / "net.py").symlink_to(tmp_path / "project" / "net.py")
    done = check(tmp_path, python, model="net:Net", looks=LOOKS)
    assert "looks at what measures it" in done.stderr


BROKEN = """
try:
    import outer.inner.part
except ImportError:
    pass
"""


def test_a_namespace_within_a_package_that_fails_to_import(tmp_path):
    inner = tmp_path / "site-packages" / "outer" / "inner"
    inner.mkdir(parents=True)
    (inner.parent / "__init__.py").write_text("import outer.inner.part\nraise ImportError('no luck')\n")
    (inner / "part.py").write_text("")
    done = check(tmp_path, looks=BROKEN, options=(), PYTHONPATH=str(inner.parents[1]))
    assert done.returncode == 0, done.stderr


def null_bytes(listing):
    listing.write_bytes(b"pk\0g/__init__.py,,\nnet.py,,\n")


def huge(listing):
    with listing.open("wb") as file:
        file.truncate(1 << 42)


ODD = {
    "null bytes": null_bytes,
    "a pipe": os.mkfifo,
    "endless": lambda listing: listing.symlink_to("/dev/zero"),
    "huge": huge,
    "a folder": Path.mkdir,
    "binary": lambda listing: listing.write_bytes(b"\xff\xfe\0"),
    "one long field": lambda listing: listing.write_text("n" * 1_000_000),
    "elsewhere": lambda listing: listing.write_text("/etc/x,,\n../../x,,\na/../../x,,\n,,\n\n.,,\n"),
}


@pytest.mark.parametrize("name", ["x.dist-info/RECORD", "x.egg-info/installed-files.txt"])
@pytest.mark.parametrize("odd", ODD)
def test_a_list_of_files_that_is_none_lists_nothing(tmp_path, odd, name):
    listing = tmp_path / name
    listing.parent.mkdir()
    ODD[odd](listing)
    found = Installed((str(tmp_path),)).recorded
    assert list(found) == ([str(tmp_path / "net.py")] if odd == "null bytes" else [])


@pytest.mark.parametrize("odd", ["null bytes", "a pipe", "endless"])
def test_a_damaged_list_of_files_breaks_no_run(tmp_path, odd):
    (tmp_path / "there" / "x.dist-info").mkdir(parents=True)
    ODD[odd](tmp_path / "there" / "x.dist-info" / "RECORD")
    done = check(tmp_path, options=(), PYTHONPATH=str(tmp_path / "there"))
    assert done.returncode == 0, done.stderr
