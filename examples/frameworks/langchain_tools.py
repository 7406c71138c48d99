# /// script
# requires-python = ">=3.11"
# dependencies = ["langchain-mcp-adapters>=0.3.2,<0.4"]
# ///
"""LangChain: the server's tools as LangChain's own, and their tokens through a callback.

mcp-llama serve
uv run examples/frameworks/langchain_tools.py http://127.0.0.1:8080/mcp "Why is the sky blue?"

An agent takes `tools=tools`.
"""

import asyncio
import sys

from langchain_mcp_adapters.callbacks import CallbackContext, Callbacks
from langchain_mcp_adapters.client import MultiServerMCPClient


async def show(progress: float, total: float | None, message: str | None, context: CallbackContext) -> None:
    print(message or "", end="", flush=True)


async def main(url: str, question: str) -> None:
    client = MultiServerMCPClient(
        {"llama": {"transport": "streamable_http", "url": url}},
        callbacks=Callbacks(on_progress=show),
    )
    tools = await client.get_tools()
    chat = next(tool for tool in tools if tool.name == "chat")
    call = {
        "type": "tool_call",
        "id": "1",
        "name": "chat",
        "args": {"messages": [{"role": "user", "content": question}], "max_tokens": 80},
    }
    message = await chat.ainvoke(call)
    print()
    print(message.artifact or message.text, file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
