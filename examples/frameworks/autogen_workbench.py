# /// script
# requires-python = ">=3.11"
# # autogen-ext 0.7 cannot be imported with mcp 2.
# dependencies = ["autogen-ext[mcp]>=0.7.5,<0.8", "mcp<2"]
# ///
"""AutoGen: the server as a workbench.

mcp-llama serve
uv run examples/frameworks/autogen_workbench.py http://127.0.0.1:8080/mcp "Why is the sky blue?"

An agent takes `workbench=workbench`.
"""

import asyncio
import sys

from autogen_ext.tools.mcp import McpWorkbench, StreamableHttpServerParams


async def main(url: str, question: str) -> None:
    arguments = {"messages": [{"role": "user", "content": question}], "max_tokens": 80}
    async with McpWorkbench(StreamableHttpServerParams(url=url)) as workbench:
        result = await workbench.call_tool("chat", arguments)
    print(result.to_text())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
