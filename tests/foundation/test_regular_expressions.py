"""Patterns are matched here where that takes a moment, and in another process where it takes longer."""

import signal
import subprocess
import threading

import pytest

from archcheck.foundation import regular_expressions
from archcheck.foundation.regular_expressions import MOST, Unmatched, matches

TEXT = "a 13,086\nb 17 %\nc none\nd 4,4,4,\n" + "é\U0001f600 5\n" * 3
PATTERNS = [r"^\w (\d+)", r"([\d,]+)", r"(x)", r"c (\d)?", r"(?<=\n)\w (?P<n>\d+(?: %)?)$", r"()", r"(\d)(?=\D)"]
SLOW = r"(a+)+b"
"""Takes twice as long for each further `a`."""


def handler(number, frame):
    raise AssertionError("a signal that nobody asked for")


@pytest.fixture
def here_only(monkeypatch):
    def refuse(*given, **named):
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "run", refuse)


def in_a_thread(work):
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_quick_pattern_starts_no_process_and_finds_the_same(pattern, here_only):
    """The process has the same matches, because both ask Python for them."""
    found = matches(pattern, TEXT, 10)
    for (start, first, last), match in zip(found, regular_expressions.re.finditer(pattern, TEXT, 8), strict=True):
        assert (start, (first, last)) == (match.start(), match.span(1))


def test_a_thread_gets_no_signal_so_its_patterns_are_matched_elsewhere(monkeypatch):
    expected = matches(PATTERNS[0], TEXT, 10)
    assert expected == [(0, 2, 4), (9, 11, 13), (23, 25, 26)]
    asked = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *given, **named: asked.append(given) or run(*given, **named))
    assert in_a_thread(lambda: matches(PATTERNS[0], TEXT, 10)) == expected
    assert len(asked) == 1


def test_a_slow_pattern_is_stopped_and_nothing_is_left_behind():
    before = signal.signal(signal.SIGVTALRM, handler)
    try:
        with pytest.raises(Unmatched, match=r"was still being matched after 0\.2 s"):
            matches(SLOW, "a" * 60, 0.2)
        assert signal.getsignal(signal.SIGVTALRM) is handler
        assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)
    finally:
        signal.signal(signal.SIGVTALRM, before)


def test_a_pattern_that_takes_longer_than_a_moment_is_still_matched(monkeypatch):
    monkeypatch.setattr(regular_expressions, "_MOMENT", 0.01)
    text = "a" * 19 + "c"
    assert matches(SLOW + "|(?:c)", text, 20) == [(19, -1, -1)]


def test_a_timer_that_somebody_else_uses_is_left_alone(monkeypatch):
    before = signal.signal(signal.SIGVTALRM, handler)
    signal.setitimer(signal.ITIMER_VIRTUAL, 50)
    try:
        assert matches(PATTERNS[2], TEXT, 10) == []
        assert signal.getsignal(signal.SIGVTALRM) is handler
        assert 40 < signal.getitimer(signal.ITIMER_VIRTUAL)[0] < 60
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def test_too_many_matches_are_refused_here_too(here_only):
    with pytest.raises(Unmatched, match=r"matches more than 10,000 places"):
        matches("(a)", "a" * (MOST + 1), 10)
    assert len(matches("(a)", "a" * MOST, 10)) == MOST
