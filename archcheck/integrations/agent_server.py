"""`archcheck mcp`: tools for agents over standard input and output, by the Model Context Protocol's own Python SDK."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from archcheck.foundation.errors import ArchcheckError, described, one_line
from archcheck.foundation.installed_packages import own_version

_INSTRUCTIONS = (
    "archcheck measures what a torch.nn.Module executes and judges it by a contract. Call `check` after each change of "
    "a model, and mend the model: a weaker contract, a new waiver or a changed test is no repair. `explain` with the "
    "topic `agents` says how to read a finding and how to prove your work."
)


class _Server(MCPServer):
    """A server whose errors are one line, those of wrong arguments included."""

    async def call_tool(self, *given: Any, **named: Any) -> Any:
        """Call a tool. Raises `ToolError` with a message of one line."""
        try:
            return await super().call_tool(*given, **named)
        except ToolError as error:
            raise ToolError(one_line(str(error))) from None


def serve(tools: Sequence[Callable[..., Any]]) -> None:
    """Serve one agent until it leaves. The names, annotations and docstrings of `tools` become their schemas."""
    server = _Server("archcheck", instructions=_INSTRUCTIONS, version=own_version(), log_level="ERROR")
    for tool in tools:
        server.add_tool(_with_plain_errors(tool), structured_output=True)
    server.run("stdio")


def _with_plain_errors(tool: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(tool)
    def call(*given: Any, **named: Any) -> Any:
        try:
            return tool(*given, **named)
        except ArchcheckError as error:
            raise ToolError(one_line(str(error))) from None
        except Exception as error:  # the agent should learn of it, and the server go on
            raise ToolError(f"archcheck itself failed: {described(error)}") from None

    return call
