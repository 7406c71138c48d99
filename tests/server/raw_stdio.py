"""A server process with bare pipes, for what the SDK's client would never do to it."""

import json
import os
import sys
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import anyio

from tests.gate import PATIENCE_S
from tests.server.client import Era
from tests.server.raw import INITIALIZED, Message, initialize, request
from tests.server.serving import ROOT

REAL_SERVER = (sys.executable, "-m", "mcp_llama", "stdio")


class RawStdio:
    """A client that writes and reads lines."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self.lines: list[bytes] = []
        """What was read from stdout."""
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._stderr = process.stderr

    async def open_session(self, era: Era) -> None:
        """Begin, once the server is there to answer."""
        await self.send(initialize() if era == "legacy" else request(era, 0, "server/discover", {}, progress=False))
        assert "result" in await self.receive()
        if era == "legacy":
            await self.send(INITIALIZED)

    async def send(self, message: Message) -> None:
        """Write a message."""
        await self.send_line(json.dumps(message))

    async def send_line(self, line: str) -> None:
        """Write a line, whatever it holds."""
        self._stdin.write(line.encode() + b"\n")
        await self._stdin.drain()

    async def receive(self) -> Message:
        """Read the next message.

        Raises:
            EOFError: stdout ended.
        """
        with anyio.fail_after(PATIENCE_S):
            line = await self._stdout.readline()
        if not line:
            raise EOFError("stdout ended")
        self.lines.append(line)
        return json.loads(line)

    async def receive_text(self) -> str:
        """Read on until a message holds text; that text."""
        while True:
            params = (await self.receive()).get("params", {})
            if "message" in params:
                return params["message"]

    async def receive_rest(self) -> list[Message]:
        """All messages until stdout ends."""
        messages: list[Message] = []
        while True:
            try:
                messages.append(await self.receive())
            except EOFError:
                return messages

    def close_stdin(self) -> None:
        """End the session, as the protocol has it."""
        self._stdin.close()

    async def ended(self, seconds: float) -> int:
        """Wait for the process to end; its exit status."""
        # Process.wait also waits for the end of stdout, which nobody may be reading.
        with anyio.fail_after(seconds):
            while self.process.returncode is None:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        return self.process.returncode

    async def log(self) -> str:
        """What the process wrote to stderr until it ended."""
        with anyio.fail_after(PATIENCE_S):
            return (await self._stderr.read()).decode()


@asynccontextmanager
async def raw_stdio(
    era: Era, command: Sequence[str] = REAL_SERVER, *, read_ahead: int = 2**20
) -> AsyncGenerator[RawStdio]:
    """A server process that is ready for its first call; it is killed if it has not ended by itself.

    `read_ahead` bounds the bytes that are taken from its stdout before they are asked for, and a line.
    """
    process = await create_subprocess_exec(
        *command, cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=read_ahead, env={**os.environ, "COLUMNS": "300"}
    )
    client = RawStdio(process)
    try:
        await client.open_session(era)
        yield client
    finally:
        if process.returncode is None:
            process.kill()
        client.close_stdin()
        with anyio.CancelScope(shield=True):
            await process.communicate()
