"""The writer of stdio: every message leaves whole, and a client that reads nothing stops nobody else."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import anyio
import pytest
from anyio import to_thread

from mcp_llama.server.stdio import WireWriter
from tests.gate import PATIENCE_S


@dataclass(frozen=True)
class Pipe:
    reader: int
    writer: int

    def fill(self) -> int:
        """Write until it takes no more; how many bytes."""
        os.set_blocking(self.writer, False)
        count = 0
        try:
            while True:
                count += os.write(self.writer, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(self.writer, True)
            return count

    def read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += os.read(self.reader, count - len(data))
        return data


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reader, writer = os.pipe()
    yield Pipe(reader, writer)
    os.close(reader)
    os.close(writer)


async def send(writer: WireWriter, text: str) -> None:
    await writer.write(text)
    await writer.flush()


async def test_a_message_that_fits_takes_no_thread(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a thread was asked for")

    monkeypatch.setattr(to_thread, "run_sync", refuse)
    await send(WireWriter(pipe.writer), "{}é\n")
    assert os.read(pipe.reader, 100) == "{}é\n".encode()


async def test_a_full_pipe_holds_up_nobody_else_and_loses_nothing(pipe: Pipe) -> None:
    filled = pipe.fill()
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, WireWriter(pipe.writer), "late\n")
            await anyio.lowlevel.checkpoint()
            received = await to_thread.run_sync(pipe.read, filled + len("late\n"))
            assert received[filled:] == b"late\n"


async def test_a_message_longer_than_the_pipe_arrives_whole(pipe: Pipe) -> None:
    text = "0123456789" * 50_000
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, WireWriter(pipe.writer), text)
            assert await to_thread.run_sync(pipe.read, len(text)) == text.encode()


async def test_a_request_is_answered_when_its_response_has_left(pipe: Pipe) -> None:
    writer = WireWriter(pipe.writer)
    writer.unanswered |= {1, "two"}
    await send(writer, '{"jsonrpc":"2.0","method":"notifications/progress"}\n')
    await writer.write('{"jsonrpc":"2.0","id":1,"result":{}}\n')
    assert writer.unanswered == {1, "two"}
    await writer.flush()
    assert writer.unanswered == {"two"}


async def test_a_client_that_is_gone_is_an_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        await send(WireWriter(writer), "{}\n")
    os.close(writer)
