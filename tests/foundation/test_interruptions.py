"""An ending runs to its end, although Ctrl-C is pressed again."""

from __future__ import annotations

import signal
import threading

import pytest

from archcheck.foundation.interruptions import uninterrupted


def test_signals_are_ignored_inside_and_heard_again_afterwards():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with uninterrupted():
        for number in numbers:
            signal.raise_signal(number)
    assert [signal.getsignal(number) for number in numbers] == before
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_another_thread_may_use_it():
    done = []

    def end():
        with uninterrupted():
            done.append(True)

    thread = threading.Thread(target=end)
    thread.start()
    thread.join()
    assert done
