"""What a report says, in the words of a student: nothing about the contract, its rules or the command line.

Messages and fixes are written for the author of a contract, too: `remove 12 parameters, or raise max-params`. Each
clause of them that only the author of the contract can follow is left out here.
"""

from __future__ import annotations

import re

from archcheck.rules import BuiltinRules
from archcheck.rules.findings import Verdict

_CLAUSE = re.compile(r"; |, or | or (?=raise |change |drop |narrow |accept )")
_QUOTED = re.compile(r"`[^`]*`")
_NAMES = sorted(name for name in BuiltinRules() if "-" in name)
_COMMANDS = re.compile(
    r"archcheck|(?<!\w)--[a-z]|\bcontract\b|\bwaive|\brules?\b|\.toml\b|\bpath relative\b|\bexample input\b"
)
"""Words for the author of the contract, outside quotes."""
_CHANGES = re.compile(
    rf"\bsnapshot\b|\bsay so\b|\bexempt it\b|\bproves it\b|\bthe formula\b|\binstall\b|\b(?:{'|'.join(_NAMES)})\b"
)
"""Words of next steps that change the contract, outside quotes."""
_QUOTED_COMMANDS = re.compile(
    r"`(?:--|archcheck |pip |(?:on|args|limit|costs|output|free|take|per|ignore|needs|at-most|allow-empty)(?:`| =)"
    r"|[a-z-]+ = [\[{\"])"
)
"""Quoted words for the author. Other quoted words are names in the student's model."""

_STEPS = {
    Verdict.BROKEN: "Change your model so that it does what is asked.",
    Verdict.VACUOUS: "Your model holds nothing that this is about: add what is asked.",
    Verdict.ERROR: "Mend what is said here. If it is not about your model, ask your teacher.",
}
_REASONS = {
    "not-found": ("A file is missing", "Hand in the file, under the name that the assignment gives it."),
    "no-model": ("No model was found", "Define the model as a class derived from `torch.nn.Module`, as asked."),
    "syntax": ("Python cannot read the file", "Run the file with Python, and mend the line that it names."),
    "import": ("The file cannot be imported", "Import the file in a new Python session, and mend what fails there."),
    "construct": ("The model cannot be built", "Build the model in a new Python session, and mend what fails there."),
    "forward": ("The forward pass fails", "Call the model on an input of the asked shape, and mend what fails there."),
    "output": ("The output cannot be used", "Return a tensor from `forward`."),
    "timeout": ("It takes too long", "Leave training and endless loops out of the file and of `forward`."),
    "memory": ("It takes too much memory", "Make the model smaller, or keep no large tensors."),
    "crash": ("The process ended", "Make the model smaller, or leave out what ends the process (`exit()`)."),
    "tampering": ("The file changes what measures it", "Leave out what changes Python or torch itself."),
    "thread": ("It goes on running", "Leave out threads and processes."),
}
_ASK = "Your teacher sees this reason, too. Ask if you do not know what to change."


def said(text: str, rule: str) -> str:
    """Return a message as a sentence, without what only the author of the contract understands; empty if that is all.

    >>> said("was not done after 120 s; raise `--timeout` if it needs more", "max-params")
    'Was not done after 120 s.'
    """
    return _sentence("; ".join(clause for clause in text.split("; ") if not _for_author(clause, rule)))


def advice(fix: str | None, rule: str) -> str:
    """Return the next step of a finding for a student; empty if only the author of the contract can take it.

    >>> advice("remove 12 parameters, or raise max-params", "max-params")
    'Remove 12 parameters.'
    """
    return _sentence(", or ".join(filter(None, (_step(clause, rule) for clause in _CLAUSE.split(fix or "")))))


def next_step(verdict: Verdict) -> str:
    """Return the next step where a finding names none."""
    return _STEPS.get(verdict, "")


def reason_of(kind: str, message: str) -> tuple[str, str]:
    """Return why a submission could not be measured, and what to do. `kind` is that of a `SubjectError`.

    What follows the first semicolon of such a message is a next step for the command line.
    """
    short, todo = _REASONS.get(kind, ("It cannot be measured", _ASK))
    first = message.partition("; ")[0]
    return f"{short}." if _for_author(first, "") else f"{short}: {first}", todo


def _step(clause: str, rule: str) -> str:
    """Return a clause of a fix without what is for the author: all of it, what stands before a colon, or nothing."""
    parts = (clause, clause.partition(": ")[0])
    return next((part for part in parts if not (_for_author(part, rule) or _CHANGES.search(_plain(part)))), "")


def _for_author(clause: str, rule: str) -> bool:
    if _QUOTED_COMMANDS.search(clause) or _COMMANDS.search(_plain(clause)):
        return True
    changed = rf"\b(?:raise|lower|change|drop|narrow|mend|out of|\w+ to) `?{re.escape(rule)}\b"
    return bool(rule) and re.search(changed, clause) is not None


def _plain(clause: str) -> str:
    """Return a clause without quoted words, which may be any names of a model."""
    return _QUOTED.sub("", clause)


def _sentence(text: str) -> str:
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?…" else ".")
