"""The bundle of an autograder on Gradescope: two scripts and the contract, as a folder or a zip file.

`setup.sh` installs Python, torch and archcheck in the releases that are installed here, so that students get the
verdicts that their teacher sees. `run_autograder` grades a submission.
"""

from __future__ import annotations

import io
import re
import shlex
import shutil
import sys
import zipfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from archcheck.contract import Contract
from archcheck.contract.subject_patterns import home_of
from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.installed_packages import own_version, version_of
from archcheck.foundation.whole_files import write_whole
from archcheck.foundation.words import listed, quote

UV = "0.13.6"
"""The release of uv that brings Python."""
TIMEOUT = 300
"""Seconds of one submission: half a processor is slow, and Gradescope ends everything after ten minutes."""
SCRIPTS = ("setup.sh", "run_autograder")
_NAME_OF_SUBMISSION = "submission"
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)


def bundle_of(contract: Contract, file: Path, subject: str | None = None) -> dict[str, str]:
    """Return the text of each file of the bundle by its name. `file` is the contract.

    Raises `ArchcheckError` unless the contract has one subject or pattern, or `subject` names one, and when its model
    is none that a submission can be.
    """
    family = _family(contract, subject)
    model = contract.models[family]
    words = {
        "UV": UV,
        "PYTHON": ".".join(map(str, sys.version_info[:2])),
        "PACKAGE": _release("archcheck-torch", own_version()),
        "TORCH": _release("torch", version_of("torch") or ""),
        "HOME": shlex.quote(_home(model)),
        "SUBJECT": shlex.quote(family),
        "CONTRACT": shlex.quote(file.name),
        "TIMEOUT": str(TIMEOUT),
    }
    return {name: _filled(name, words) for name in SCRIPTS} | {file.name: file.read_text(encoding="utf-8")}


def write_bundle(texts: Mapping[str, str], output: Path) -> None:
    """Write the files as a zip file if `output` ends in `.zip`, else as a new folder; whole, or not at all.

    Raises `OSError` when they cannot be written.
    """
    if output.suffix == ".zip":
        write_whole(output, _zipped(texts))
        return
    output.mkdir()
    try:
        for name, text in texts.items():
            write_whole(output / name, text)
            (output / name).chmod(_mode(name))
    except BaseException:
        shutil.rmtree(output, ignore_errors=True)
        raise


def _family(contract: Contract, subject: str | None) -> str:
    entries = contract.named(subject) if subject else contract.subjects
    families = list(dict.fromkeys(entry.family or entry.name for entry in entries))
    if len(families) > 1:
        raise ArchcheckError(f"a bundle grades one subject, and {contract.file} has {listed(families)}; name one")
    if not families:
        raise ArchcheckError(f"{contract.file} has no subject to grade; add one with a model")
    return families[0]


def _home(model: str) -> str:
    try:
        return home_of(model, _NAME_OF_SUBMISSION)
    except ValueError as error:
        raise ArchcheckError(f"`model = {quote(model)}` {error}; write it as students hand it in: `model.py`") from None


def _release(package: str, version: str) -> str:
    """Return the requirement of this release; of any for a source tree or a build that nobody publishes."""
    public = version.partition("+")[0]
    return f"{package}=={public}" if re.fullmatch(r"\d+(\.\d+)+", public) else package


def _filled(name: str, words: Mapping[str, str]) -> str:
    text = files("archcheck.integrations.gradescope_bundle").joinpath(name).read_text(encoding="utf-8")
    return re.sub(r"@([A-Z]+)@", lambda found: words[found[1]], text)


def _zipped(texts: Mapping[str, str]) -> bytes:
    """Return a zip file in which the scripts may be run. The same texts give the same bytes."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            entry = zipfile.ZipInfo(name, _FIRST_DAY)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # a system like Unix, whose permissions are kept
            entry.external_attr = (0o100000 | _mode(name)) << 16
            archive.writestr(entry, text)
    return data.getvalue()


def _mode(name: str) -> int:
    return 0o755 if name in SCRIPTS else 0o644
