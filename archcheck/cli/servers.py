"""`archcheck lsp` and `archcheck mcp`: serve an editor or an agent."""

from __future__ import annotations

from argparse import Namespace

from archcheck.cli.output import published_pages
from archcheck.cli.worker_options import worker_of
from archcheck.foundation.garbage_collection import collection_paused
from archcheck.foundation.platform_support import demand_extra


def lsp(options: Namespace) -> int:
    """Serve an editor over standard input and output until it leaves."""
    demand_extra("pygls", "lsp", "`archcheck lsp`")
    with collection_paused():
        from archcheck.integrations.language_server import serve

    with worker_of(options) as worker:
        serve(worker, published_pages())
    return 0


def mcp(options: Namespace) -> int:
    """Serve an agent over standard input and output until it leaves."""
    demand_extra("mcp", "mcp", "`archcheck mcp`")
    with collection_paused():
        from archcheck.cli.agent_tools import AgentTools
        from archcheck.integrations.agent_server import serve

    with worker_of(options) as worker:
        tools = AgentTools(worker)
        serve((tools.report, tools.check, tools.explain, tools.diff, tools.init))
    return 0
