# /// script
# requires-python = ">=3.11"
# # The adapter that smolagents uses cannot be imported with mcp 2.
# dependencies = ["smolagents[mcp]>=1.26,<2", "mcp[ws]<2"]
# ///
"""smolagents: the server's tools as smolagents' own.

mcp-llama serve
uv run examples/frameworks/smolagents_tools.py http://127.0.0.1:8080/mcp "Why is the sky blue?"

An agent takes `tools=tools`.
"""

import sys

from smolagents import MCPClient


def main(url: str, question: str) -> None:
    with MCPClient({"url": url, "transport": "streamable-http"}, structured_output=False) as tools:
        chat = next(tool for tool in tools if tool.name == "chat")
        print(chat(messages=[{"role": "user", "content": question}], max_tokens=80))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
