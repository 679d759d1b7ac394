"""Names of files for students, whose own names are text of strangers."""

from __future__ import annotations

import hashlib
import re

from archcheck.integrations.grades import Grade

_PLAIN = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,58}[a-z0-9])?")
_LIKE_A_DIGEST = re.compile(r".*-[0-9a-f]{16}")
_TAKEN = ("index", "con", "prn", "aux", "nul")
"""The page about the class, and names that Windows keeps for itself."""


def file_name(grade: Grade) -> str:
    """Return a name without an ending for the files of a student, which no other submission changes.

    A plain name of lower-case letters, digits, `_` and `-` is itself: `homework.ada`. Any other gets the SHA-256 of the
    subject, so that no two students share a name, on file systems that fold case, too.
    """
    parts = (grade.assignment, grade.student) if grade.assignment else (grade.student,)
    name = ".".join(parts)
    if all(map(_PLAIN.fullmatch, parts)) and parts[0] not in _TAKEN and not _LIKE_A_DIGEST.fullmatch(name):
        return name
    return f"{_short(name)}-{hashlib.sha256(grade.subject.encode(errors='surrogatepass')).hexdigest()[:16]}"


def _short(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "student"
