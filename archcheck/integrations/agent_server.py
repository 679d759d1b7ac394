"""`archcheck mcp`: tools for agents over standard input and output, by the Model Context Protocol's own Python SDK."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from archcheck.foundation.errors import ArchcheckError, described, name_too_long, one_line
from archcheck.foundation.installed_packages import own_version
from archcheck.foundation.words import did_you_mean, listed, quote

_INSTRUCTIONS = (
    "archcheck measures what a torch.nn.Module executes and judges it by a contract. Call `check` after each change of "
    "a model, and mend the model: a weaker contract, a new waiver or a changed test is no repair. `explain` with the "
    "topic `agents` says how to read a finding and how to prove your work."
)
_EXPECTED = {"string_type": "a text", "sequence_str": "a list of texts", "is_instance_of": "a list of texts"}
"""What an argument must be, by pydantic's word for the mistake."""
_LONGEST = 80
"""Characters of a wrong value that a message shows."""


class _Server(MCPServer):
    """A server whose errors are one line, those of wrong arguments included. Unknown arguments are refused."""

    async def call_tool(self, name: str, arguments: dict[str, Any], *more: Any, **named: Any) -> Any:
        """Call a tool. Raises `ToolError` with a message of one line."""
        known = {tool.name: list(tool.input_schema["properties"]) for tool in await self.list_tools()}
        for word in arguments if name in known else ():
            if word not in known[name]:
                hint = did_you_mean(word, known[name], f"it takes {listed(known[name])}")
                raise ToolError(f"{quote(word)} is not an argument of {name}{hint}")
        try:
            return await super().call_tool(name, arguments, *more, **named)
        except ToolError as error:
            raise ToolError(_mistakes(name, error.__cause__) or one_line(str(error))) from None


def _failure(error: BaseException) -> str:
    return f"archcheck itself failed: {described(error)}"


def _mistakes(tool: str, error: BaseException | None) -> str:
    """Return what is wrong with the arguments on one line, without the addresses that pydantic adds; else nothing."""
    find: Callable[[], list[dict[str, Any]]] = getattr(error, "errors", list)
    return "; ".join(_mistake(tool, ".".join(map(str, each["loc"])), each) for each in find())


def _mistake(tool: str, place: str, found: Mapping[str, Any]) -> str:
    if found["type"] == "missing":
        return f"{tool} needs {quote(place)}"
    value = one_line(repr(found["input"]))[:_LONGEST]
    return f"{quote(place)} must be {_EXPECTED.get(found['type'], 'valid')}, found {value}"


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
        except OSError as error:
            raise ToolError(name_too_long(error) or _failure(error)) from None
        except Exception as error:  # the agent should learn of it, and the server go on
            raise ToolError(_failure(error)) from None

    return call
