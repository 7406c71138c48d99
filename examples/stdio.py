"""Start a server of one's own over stdin and stdout, as a desktop host does, and stop an answer half-way.

python examples/stdio.py
"""

import sys

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

SERVER = StdioServerParameters(command=sys.executable, args=["-m", "mcp_llama", "stdio"])
ENOUGH = 20


async def main() -> None:
    async with Client(stdio_client(SERVER)) as client:
        with anyio.CancelScope() as scope:

            async def show(progress: float, total: float | None, message: str | None) -> None:
                nonlocal left
                print(message or "", end="", flush=True)
                left -= 1
                if left == 0:
                    scope.cancel()

            left = ENOUGH
            await client.call_tool("generate", {"prompt": "Once upon a time"}, progress_callback=show)
        print("\nstopped" if scope.cancelled_caught else "\nfinished")


if __name__ == "__main__":
    anyio.run(main)
