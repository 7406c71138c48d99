# /// script
# requires-python = ">=3.11"
# dependencies = ["fastmcp>=4.1,<5"]
# ///
"""FastMCP's client: the tokens of a call as they arrive, and its result as an object.

mcp-llama serve
uv run examples/frameworks/fastmcp_client.py http://127.0.0.1:8080/mcp "Why is the sky blue?"
"""

import asyncio
import sys

from fastmcp import Client


async def show(progress: float, total: float | None, message: str | None) -> None:
    print(message or "", end="", flush=True)


async def main(url: str, question: str) -> None:
    arguments = {"messages": [{"role": "user", "content": question}], "max_tokens": 80}
    async with Client(url, progress_handler=show) as client:
        result = await client.call_tool("chat", arguments)
    print()
    print(result.structured_content, file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
