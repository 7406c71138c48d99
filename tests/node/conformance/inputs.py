"""The suite's tools that need an input of the client's before they can answer."""

from collections.abc import Callable

from mcp import MCPError
from mcp.server.mcpserver import Context
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolResult,
    ClientCapabilities,
    InputRequest,
    InputRequiredResult,
    ListRootsResult,
    MissingRequiredClientCapabilityErrorData,
    SamplingCapability,
)

from mcp_llama.server.mcp import LlamaServer
from tests.node.conformance.blocks import said
from tests.node.conformance.questions import ROOTS, answer, asked, form, sample, sampled

Outcome = CallToolResult | InputRequiredResult


def add_inputs(server: LlamaServer) -> None:
    tools: dict[str, Callable[[Context], Outcome]] = {
        "test_input_required_result_elicitation": _elicitation,
        "test_input_required_result_sampling": _sampling,
        "test_input_required_result_list_roots": _list_roots,
        "test_input_required_result_request_state": _request_state,
        "test_input_required_result_tampered_state": _request_state,
        "test_input_required_result_multiple_inputs": _multiple_inputs,
        "test_input_required_result_multi_round": _multi_round,
        "test_input_required_result_capabilities": _capabilities,
        "test_missing_capability": _missing_capability,
    }
    for name, tool in tools.items():
        server.add_tool(tool, name, description=name, structured_output=False)


def _elicitation(context: Context) -> Outcome:
    found = answer(context, "user_name")
    if found is None or "name" not in found:
        return asked(user_name=form("What is your name?", name="string"))
    return said(f"Hello, {found['name']}!")


def _sampling(context: Context) -> Outcome:
    found = sampled(context, "capital_question")
    return said(found) if found else asked(capital_question=sample("What is the capital of France?"))


def _list_roots(context: Context) -> Outcome:
    found = (context.input_responses or {}).get("client_roots")
    if not isinstance(found, ListRootsResult):
        return asked(client_roots=ROOTS)
    return said(", ".join(str(root.uri) for root in found.roots))


def _request_state(context: Context) -> Outcome:
    if answer(context, "confirm") is None or context.request_state != "asked":
        return asked("asked", confirm=form("Please confirm", ok="boolean"))
    return said("state-ok")


def _multiple_inputs(context: Context) -> Outcome:
    questions: dict[str, InputRequest] = {
        "user_name": form("What is your name?", name="string"),
        "greeting": sample("Generate a greeting", 50),
        "client_roots": ROOTS,
    }
    found = context.input_responses or {}
    return said(f"Got {', '.join(found)}.") if questions.keys() <= found.keys() else asked("asked", **questions)


def _multi_round(context: Context) -> Outcome:
    name, color = answer(context, "step1"), answer(context, "step2")
    if color is not None and context.request_state is not None:
        return said(f"{context.request_state} likes {color['color']}.")
    if name is not None:
        return asked(str(name["name"]), step2=form("Step 2: What is your favorite color?", color="string"))
    return asked("nobody", step1=form("Step 1: What is your name?", name="string"))


def _capabilities(context: Context) -> Outcome:
    has = context.client_capabilities
    questions: dict[str, InputRequest] = {}
    if has is not None and has.sampling is not None:
        questions["capital_question"] = sample("What is the capital of France?")
    if has is not None and has.elicitation is not None:
        questions["user_name"] = form("What is your name?", name="string")
    return asked("asked", **questions)


def _missing_capability(context: Context) -> CallToolResult:
    if context.client_capabilities is None or context.client_capabilities.sampling is None:
        needed = MissingRequiredClientCapabilityErrorData(
            required_capabilities=ClientCapabilities(sampling=SamplingCapability())
        )
        data = needed.model_dump(by_alias=True, exclude_none=True)
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "This needs sampling.", data)
    return said("The client can sample.")
