"""Look into a wheel: it must hold `archcheck`, with every file that is no module, and nothing else."""

import sys
import zipfile
from pathlib import Path

names = set(zipfile.ZipFile(sys.argv[1]).namelist())
tops = {name.partition("/")[0] for name in names}
strange = {top for top in tops if top != "archcheck" and not top.endswith(".dist-info")}
if strange or "archcheck/py.typed" not in names:
    sys.exit(f"not what the wheel should hold: {sorted(tops)}")
source = Path(__file__).parents[1]
files = {file.relative_to(source).as_posix() for file in (source / "archcheck").rglob("*") if file.is_file()}
if missing := {file for file in files if "__pycache__" not in file} - names:
    sys.exit(f"not in the wheel: {sorted(missing)}")
