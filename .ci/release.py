"""Refuse a tag that is not the version in pyproject.toml, or whose release has no day in CHANGELOG.md."""

import re
import sys
import tomllib
from pathlib import Path

root, tag = Path(__file__).parents[1], sys.argv[1]
version = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
if tag != f"v{version}":
    sys.exit(f"the tag is {tag}, and pyproject.toml says {version}; tag v{version}, or change the version")
heading = re.compile(rf"^## \[?{re.escape(version)}\]? - \d{{4}}-\d\d-\d\d$", re.MULTILINE)
if not heading.search((root / "CHANGELOG.md").read_text(encoding="utf-8")):
    sys.exit(f"CHANGELOG.md has no line `## [{version}] - YYYY-MM-DD`; write the day of the release there")
