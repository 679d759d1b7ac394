"""Look into a wheel: it must hold `archcheck` and nothing else."""

import sys
import zipfile

names = zipfile.ZipFile(sys.argv[1]).namelist()
tops = {name.partition("/")[0] for name in names}
strange = {top for top in tops if top != "archcheck" and not top.endswith(".dist-info")}
if strange or "archcheck/py.typed" not in names:
    sys.exit(f"not what the wheel should hold: {sorted(tops)}")
