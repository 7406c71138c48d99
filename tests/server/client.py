"""Connection: an SDK client over a transport that keeps a record of all that crosses it."""

from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, Literal

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream, TaskGroup
from mcp import Client, MCPError
from mcp.shared.message import SessionMessage
from mcp_types import CallToolResult, JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from tests.gate import PATIENCE_S

Era = Literal["modern", "legacy"]
Streams = tuple[Any, Any]
Transport = AbstractAsyncContextManager[Streams]


class Record:
    """Every message of a connection, in the order of the wire."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.received: list[Any] = []
        self._changed = anyio.Event()

    def add(self, message: Any) -> None:
        """A message came in."""
        self.received.append(message)
        self._changed.set()
        self._changed = anyio.Event()

    def clear(self) -> None:
        """Forget all so far."""
        self.sent.clear()
        self.received.clear()

    async def wait(self, arrived: Callable[[], bool]) -> None:
        """Wait until what came in satisfies a condition."""
        with anyio.fail_after(PATIENCE_S):
            while not arrived():
                await self._changed.wait()

    def call_id(self, arguments: Mapping[str, Any]) -> int | str | None:
        """The request id of the last tool call with these arguments."""
        for message in reversed(self.sent):
            if isinstance(message, JSONRPCRequest) and (message.params or {}).get("arguments") == arguments:
                return message.id
        return None

    def answers(self, call_id: int | str) -> list[dict[str, Any] | JSONRPCResponse | JSONRPCError]:
        """What came in for a call, in order: the parameters of its progress notifications, and its end."""
        found: list[dict[str, Any] | JSONRPCResponse | JSONRPCError] = []
        for message in self.received:
            if isinstance(message, JSONRPCNotification):
                params = message.params or {}
                if message.method == "notifications/progress" and params["progressToken"] == call_id:
                    found.append(params)
            elif isinstance(message, JSONRPCResponse | JSONRPCError) and message.id == call_id:
                found.append(message)
        return found


class ToolCall:
    """One call: what was heard of it, its result, and the scope that cancels it."""

    def __init__(self, connection: "Connection", tool: str, arguments: dict[str, Any], *, progress: bool) -> None:
        self.scope = anyio.CancelScope()
        self.outcome: CallToolResult | None = None
        self.error: MCPError | None = None
        self._connection = connection
        self._tool = tool
        self._arguments = arguments
        self._progress = progress

    async def run(self) -> None:
        """Make the call and keep its result or error; returns without either if the scope is cancelled."""
        with self.scope:
            try:
                self.outcome = await self._connection.client.call_tool(
                    self._tool, self._arguments, progress_callback=_ignore if self._progress else None
                )
            except MCPError as error:
                self.error = error

    @property
    def result(self) -> CallToolResult:
        """The result, which must be there."""
        assert self.outcome is not None, self.error or "the call has no result"
        return self.outcome

    @property
    def text(self) -> str:
        """The text of the result, which must be no error."""
        text = text_of(self.result)
        assert not self.result.is_error, text
        return text

    @property
    def id(self) -> int | str:
        """The id of the request, which must have been sent."""
        call_id = self._connection.record.call_id(self._arguments)
        assert call_id is not None, "the call was not sent"
        return call_id

    @property
    def answers(self) -> list[dict[str, Any] | JSONRPCResponse | JSONRPCError]:
        """What came in for it so far, in the order of the wire."""
        call_id = self._connection.record.call_id(self._arguments)
        return [] if call_id is None else self._connection.record.answers(call_id)

    @property
    def notifications(self) -> list[dict[str, Any]]:
        """The progress notifications that came in for it so far."""
        return [answer for answer in self.answers if isinstance(answer, dict)]

    @property
    def messages(self) -> str:
        """The messages of all notifications, joined."""
        return "".join(notification.get("message", "") for notification in self.notifications)

    async def heard(self, condition: Callable[[list[dict[str, Any]]], bool]) -> None:
        """Wait until the notifications that came in satisfy a condition."""
        await self._connection.record.wait(lambda: condition(self.notifications))


class Connection:
    """An SDK client and the record of its wire."""

    def __init__(self, client: Client, record: Record) -> None:
        self.client = client
        self.record = record

    def tool_call(self, tool: str, arguments: dict[str, Any], *, progress: bool = True) -> ToolCall:
        """A call that is ready to run. The arguments should differ from those of all other calls."""
        return ToolCall(self, tool, arguments, progress=progress)

    async def call(self, tool: str, arguments: dict[str, Any], *, progress: bool = True) -> ToolCall:
        """A call that has come to its end."""
        call = self.tool_call(tool, arguments, progress=progress)
        with anyio.fail_after(PATIENCE_S):
            await call.run()
        return call


def text_of(result: CallToolResult) -> str:
    """The text of a result's one content block."""
    (block,) = result.content
    assert block.type == "text"
    return block.text


@asynccontextmanager
async def task_group() -> AsyncGenerator[TaskGroup]:
    """A task group that raises what went wrong without wrapping it, and swallows nothing."""
    with unwrapped():
        async with anyio.create_task_group() as tasks:
            yield tasks


@contextmanager
def unwrapped() -> Generator[None]:
    """Raises the one exception inside nested groups of one, as the SDK's clients raise them."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise _innermost(group) from None


def _innermost(error: BaseException) -> BaseException:
    inner: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    return _innermost(inner[0]) if len(inner) == 1 else error


@asynccontextmanager
async def connected(transport: Transport, era: Era) -> AsyncGenerator[Connection]:
    """A client of an era on a transport."""
    record = Record()
    mode = "auto" if era == "modern" else "legacy"
    async with Client(_recorded(transport, record), mode=mode) as client:
        assert (client.protocol_version in MODERN_PROTOCOL_VERSIONS) == (era == "modern")
        yield Connection(client, record)


@asynccontextmanager
async def _recorded(transport: Transport, record: Record) -> AsyncGenerator[Streams]:
    async with transport as (read, write):
        writer, reader = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        async with writer, reader, anyio.create_task_group() as tasks:
            tasks.start_soon(_copy, read, writer, record)
            yield reader, _RecordedWriter(write, record)
            tasks.cancel_scope.cancel()


async def _copy(
    source: ObjectReceiveStream[SessionMessage | Exception],
    target: ObjectSendStream[SessionMessage | Exception],
    record: Record,
) -> None:
    async with target:
        async for item in source:
            record.add(item.message if isinstance(item, SessionMessage) else item)
            await target.send(item)


class _RecordedWriter:
    def __init__(self, inner: ObjectSendStream[SessionMessage], record: Record) -> None:
        self._inner = inner
        self._record = record

    async def send(self, item: SessionMessage, /) -> None:
        self._record.sent.append(item.message)
        await self._inner.send(item)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> "_RecordedWriter":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


async def _ignore(progress: float, total: float | None, message: str | None) -> None:
    del progress, total, message
