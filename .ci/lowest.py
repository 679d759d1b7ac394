"""Print the lowest release of each direct dependency, as constraints for pip: of archcheck and of its tests."""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = [project["optional-dependencies"][name] for name in ("html", "training", "reference", "suite")]
lists = (project["dependencies"], *extras)
others = [each for requirements in lists for each in requirements if not each.startswith(project["name"])]
stated = re.compile(r"([\w.-]+)(?:\[[\w,-]+\])?>=([\w.]+)")  # perhaps with extras
pins = {found[1]: found[2] for each in others if (found := stated.fullmatch(each))}
if len(pins) != len(set(others)):
    sys.exit(f"each dependency states its lowest release once, as `name>=release`: {sorted(others)}")
sys.stdout.writelines(f"{name}=={release}\n" for name, release in sorted(pins.items()))
