"""What a child output arrives at standard error, as much of it as anybody would read."""

from __future__ import annotations

import os
import select

import pytest

from archcheck.measure.process.captured_output import OutputPipe


@pytest.mark.parametrize("endless", [False, True])
def test_long_output_is_cut_except_for_a_trainer(endless, capfdbinary):
    output = OutputPipe(endless=endless)
    child = os.fork()
    if not child:
        output.redirect()
        for _ in range(64):
            os.write(1, b"x" * 50_000)
        os._exit(0)
    output.close_write_end()
    while not os.waitpid(child, os.WNOHANG)[0]:
        ready, _, _ = select.select(list(output.readable_ends()), [], [], 0.05)
        output.forward(ready)
    output.close()
    said = capfdbinary.readouterr().err
    if endless:
        assert said == b"x" * 3_200_000
    else:
        assert 1 << 20 <= said.count(b"x") <= (1 << 20) + 4096
        assert said.endswith(b"archcheck: the subject printed more than 1 MB; the rest is left out\n")
