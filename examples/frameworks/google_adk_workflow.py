# /// script
# requires-python = ">=3.11"
# dependencies = ["google-adk[mcp]>=2.13,<3"]
# ///
"""Google ADK: a tool of the server as a node of a workflow, with its tokens through a callback.

mcp-llama serve
uv run examples/frameworks/google_adk_workflow.py http://127.0.0.1:8080/mcp "Why is the sky blue?"

An agent takes `tools=[toolset]`.
"""

import asyncio
import sys
from typing import Any

from google.adk.runners import InMemoryRunner
from google.adk.tools.mcp_tool import McpToolset, StreamableHTTPConnectionParams
from google.adk.workflow import START, Workflow


async def show(progress: float, total: float | None, message: str | None) -> None:
    print(message or "", end="", flush=True)


def ask(node_input: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": node_input}], "max_tokens": 80}


async def main(url: str, question: str) -> None:
    toolset = McpToolset(
        connection_params=StreamableHTTPConnectionParams(url=url),
        tool_filter=["chat"],
        progress_callback=show,
    )
    (chat,) = await toolset.get_tools()
    workflow = Workflow(name="local_model", edges=[(START, ask, chat)])
    runner = InMemoryRunner(node=workflow)
    events = await runner.run_debug(question, quiet=True)
    await toolset.close()
    print()
    print(events[-1].output, file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
