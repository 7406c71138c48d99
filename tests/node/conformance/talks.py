"""The suite's tools that ask a legacy client something while they run."""

from mcp.server.mcpserver import Context
from mcp.shared.message import ServerMessageMetadata
from mcp_types import CallToolResult, CreateMessageResult, ElicitRequest, ElicitResult

from mcp_llama.server.mcp import LlamaServer
from tests.node.conformance.blocks import said
from tests.node.conformance.questions import Field, form, sample

_DEFAULTS: dict[str, Field] = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}
_PLAIN = {"type": "string", "enum": ["option1", "option2", "option3"]}
_TITLED = [{"const": f"value{number}", "title": f"Choice {number}"} for number in (1, 2, 3)]
_ENUMS: dict[str, Field] = {
    "untitledSingle": _PLAIN,
    "titledSingle": {"type": "string", "oneOf": _TITLED},
    "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["One", "Two", "Three"]},
    "untitledMulti": {"type": "array", "items": _PLAIN},
    "titledMulti": {"type": "array", "items": {"anyOf": _TITLED}},
}


def add_talks(server: LlamaServer) -> None:
    for name, tool in {
        "test_sampling": _sampling,
        "test_elicitation": _elicitation,
        "test_elicitation_sep1034_defaults": _defaults,
        "test_elicitation_sep1330_enums": _enums,
    }.items():
        server.add_tool(tool, name, description=name, structured_output=False)


async def _sampling(prompt: str, context: Context) -> CallToolResult:
    answer = await context.session.send_request(sample(prompt), CreateMessageResult, metadata=_of(context))
    return said(f"LLM response: {answer.content}")


async def _elicitation(message: str, context: Context) -> CallToolResult:
    return await _elicited(form(message, username="string", email="string"), context)


async def _defaults(context: Context) -> CallToolResult:
    return await _elicited(form("Are these right?", **_DEFAULTS), context)


async def _enums(context: Context) -> CallToolResult:
    return await _elicited(form("Choose.", **_ENUMS), context)


async def _elicited(request: ElicitRequest, context: Context) -> CallToolResult:
    answer = await context.session.send_request(request, ElicitResult, metadata=_of(context))
    return said(f"User response: action={answer.action}, content={answer.content}")


def _of(context: Context) -> ServerMessageMetadata:
    """The question belongs to the call: it goes out on its stream."""
    return ServerMessageMetadata(related_request_id=context.request_id)
