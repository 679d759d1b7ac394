"""What a child prints arrives at standard error, as much of it as anybody would read."""

from __future__ import annotations

import os
import select

import pytest

from archcheck.measure.process.captured_output import Prints


@pytest.mark.parametrize("endless", [False, True])
def test_a_flood_is_cut_unless_a_trainer_makes_it(endless, capfdbinary):
    prints = Prints(endless=endless)
    child = os.fork()
    if not child:
        prints.speak()
        for _ in range(64):
            os.write(1, b"x" * 50_000)
        os._exit(0)
    prints.listen()
    while not os.waitpid(child, os.WNOHANG)[0]:
        ready, _, _ = select.select(list(prints.heard()), [], [], 0.05)
        prints.pass_on(ready)
    prints.close()
    said = capfdbinary.readouterr().err
    if endless:
        assert said == b"x" * 3_200_000
    else:
        assert 1 << 20 <= said.count(b"x") <= (1 << 20) + 4096
        assert said.endswith(b"archcheck: the subject printed more than 1 MB; the rest is left out\n")
