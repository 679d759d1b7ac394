"""`archcheck lsp` and `archcheck mcp`: serve an editor or an agent."""

from __future__ import annotations

import os
import signal
from argparse import Namespace
from typing import NoReturn

from archcheck.cli.output import published_pages
from archcheck.cli.worker_options import worker_of
from archcheck.foundation.garbage_collection import collection_paused
from archcheck.foundation.platform_support import demand_extra
from archcheck.workers.worker_process import Worker


def lsp(options: Namespace) -> int:
    """Serve an editor over standard input and output until it leaves."""
    demand_extra("pygls", "lsp", "`archcheck lsp`")
    with collection_paused():
        from archcheck.integrations.language_server import serve

    with worker_of(options) as worker:
        _end_by_signals(worker)
        serve(worker, published_pages())
    return 0


def mcp(options: Namespace) -> int:
    """Serve an agent over standard input and output until it leaves."""
    demand_extra("mcp", "mcp", "`archcheck mcp`")
    with collection_paused():
        from archcheck.cli.agent_tools import AgentTools
        from archcheck.integrations.agent_server import serve

    with worker_of(options) as worker:
        _end_by_signals(worker)
        tools = AgentTools(worker)
        serve((tools.report, tools.check, tools.explain, tools.diff, tools.init))
    return 0


def _end_by_signals(worker: Worker) -> None:
    """Let a signal end the worker and this process at once.

    An exception would not: a thread of the server waits for standard input, and Python waits for that thread.
    """

    def end(number: int, frame: object) -> NoReturn:
        worker.cancel()
        try:
            worker.close()
        finally:
            os._exit(128 + number)

    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if number := getattr(signal, name, None):  # Windows has no SIGHUP
            signal.signal(number, end)
