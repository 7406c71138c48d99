# /// script
# requires-python = ">=3.11"
# dependencies = ["llama-index-tools-mcp>=0.6,<0.7"]
# ///
"""LlamaIndex: the tokens of a call as they arrive.

mcp-llama serve
uv run examples/frameworks/llama_index_tools.py http://127.0.0.1:8080/mcp "Why is the sky blue?"

An agent takes `await McpToolSpec(client).to_tool_list_async()`.
"""

import asyncio
import sys

from llama_index.tools.mcp import BasicMCPClient


async def show(progress: float, total: float | None, message: str | None) -> None:
    print(message or "", end="", flush=True)


async def main(url: str, question: str) -> None:
    # A call may take up to 55 s by the server's own default; the client would give up after 30.
    client = BasicMCPClient(url, timeout=60)
    arguments = {"messages": [{"role": "user", "content": question}], "max_tokens": 80}
    result = await client.call_tool("chat", arguments, progress_callback=show)
    print()
    print(result.structured_content or result.content, file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
