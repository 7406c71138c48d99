"""The suite's prompts."""

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp_types import InputRequiredResult

from mcp_llama.server.mcp import LlamaServer
from tests.node.conformance.blocks import embedded, image
from tests.node.conformance.questions import answer, asked, form


def add_prompts(server: LlamaServer) -> None:
    server.prompt("test_simple_prompt", description="A text.")(_simple)
    server.prompt("test_prompt_with_arguments", description="A text with two holes.")(_with_arguments)
    server.prompt("test_prompt_with_embedded_resource", description="A resource and a text.")(_with_resource)
    server.prompt("test_prompt_with_image", description="A picture and a text.")(_with_image)
    server.prompt("test_input_required_result_prompt", description="A text that the user is asked for.")(_asking)


def _simple() -> str:
    return "This is a simple prompt for testing."


def _with_arguments(arg1: str, arg2: str) -> str:
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


def _with_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803
    resource = embedded(resourceUri, "Embedded resource content for testing.")
    return [UserMessage(resource), UserMessage("Please process the embedded resource above.")]


def _with_image() -> list[UserMessage]:
    return [UserMessage(image()), UserMessage("Please analyze the image above.")]


def _asking(context: Context) -> str | InputRequiredResult:
    found = answer(context, "user_context")
    if found is None:
        return asked(user_context=form("What context should the prompt use?", context="string"))
    return f"Use this context: {found['context']}"
