"""Show the call on the line of the subject's files that an error comes from."""

from __future__ import annotations

import ast
from traceback import walk_tb

from archcheck.foundation.words import cut
from archcheck.measure.subject.ownership import is_own
from archcheck.measure.subject.source_text import parse

_LONGEST = 80


def asked_by(error: BaseException) -> str:
    """Return ` (`requests.get(url)`)`, the outermost call on the innermost line of the subject, or an empty text."""
    lines = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    own = [(file, line) for file, line in lines if is_own(file)]
    tree = parse(own[-1][0]) if own else None
    if tree is None:
        return ""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.lineno == own[-1][1]]
    return f" (`{cut(' '.join(ast.unparse(calls[0]).split()), _LONGEST)}`)" if calls else ""
