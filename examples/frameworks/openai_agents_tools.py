# /// script
# requires-python = ">=3.11"
# dependencies = ["openai-agents>=0.24,<1"]
# ///
"""OpenAI Agents SDK: a server whose calls may take their time.

mcp-llama serve
uv run examples/frameworks/openai_agents_tools.py http://127.0.0.1:8080/mcp "Why is the sky blue?"

An agent takes `mcp_servers=[server]`.
"""

import asyncio
import sys

from agents.mcp import MCPServerStreamableHttp


async def main(url: str, question: str) -> None:
    arguments = {"messages": [{"role": "user", "content": question}], "max_tokens": 80}
    # The SDK gives up after 5 s by default, which few answers of a local model keep to; mcp-llama's own limit is 55 s.
    async with MCPServerStreamableHttp({"url": url}, client_session_timeout_seconds=60) as server:
        result = await server.call_tool("chat", arguments)
    print(result.structured_content or result.content)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
