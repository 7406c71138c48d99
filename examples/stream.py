"""Watch the tokens of one call arrive, one progress notification each.

mcp-llama serve
python examples/stream.py http://127.0.0.1:8080/mcp "Why is the sky blue?"
"""

import sys

import anyio
from mcp import Client


async def show(progress: float, total: float | None, message: str | None) -> None:
    print(message or "", end="", flush=True)


async def main(url: str, question: str) -> None:
    arguments = {"messages": [{"role": "user", "content": question}], "max_tokens": 80}
    async with Client(url) as client:
        result = await client.call_tool("chat", arguments, progress_callback=show)
    print()
    print(result.structured_content or result.content, result.meta, sep="\n", file=sys.stderr)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2])
