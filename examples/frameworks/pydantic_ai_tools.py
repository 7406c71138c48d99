# /// script
# requires-python = ">=3.11"
# dependencies = ["pydantic-ai-slim[mcp]>=2.68,<3"]
# ///
"""Pydantic AI: the tokens of a call as they arrive, and its result as an object.

mcp-llama serve
uv run examples/frameworks/pydantic_ai_tools.py http://127.0.0.1:8080/mcp "Why is the sky blue?"

An agent takes `toolsets=[toolset]`.
"""

import asyncio
import sys

from pydantic_ai.mcp import MCPToolset


async def show(progress: float, total: float | None, message: str | None) -> None:
    print(message or "", end="", flush=True)


async def main(url: str, question: str) -> None:
    arguments = {"messages": [{"role": "user", "content": question}], "max_tokens": 80}
    async with MCPToolset(url, progress_handler=show) as toolset:
        result = await toolset.direct_call_tool("chat", arguments)
    print()
    print(result, file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
