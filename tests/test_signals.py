"""Signals that reach the event loop."""

import asyncio
import signal
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import anyio
import pytest
import uvloop

from mcp_llama.signals import calling

PATIENCE_S = 10
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class WindowsLoop(asyncio.SelectorEventLoop):
    """A loop that takes no signal handlers, as those of Windows."""

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> NoReturn:
        raise NotImplementedError


@pytest.mark.parametrize("factory", [asyncio.SelectorEventLoop, uvloop.new_event_loop, WindowsLoop])
def test_each_signal_calls_the_handler_on_the_loop(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> None:
        heard = asyncio.Queue[asyncio.AbstractEventLoop]()
        with calling(lambda: heard.put_nowait(asyncio.get_running_loop()), *SIGNALS):
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
                signal.raise_signal(number)
                with anyio.fail_after(PATIENCE_S):
                    assert await heard.get() is asyncio.get_running_loop()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


def test_afterwards_signals_do_what_they_did_before() -> None:
    async def main() -> None:
        before = [signal.getsignal(number) for number in SIGNALS]
        with calling(lambda: None, *SIGNALS):
            assert not set(before) & {signal.getsignal(number) for number in SIGNALS}
        assert [signal.getsignal(number) for number in SIGNALS] == before

    asyncio.run(main())


def test_in_another_thread_signals_stay_as_they_are() -> None:
    inside: list[object] = []

    async def main() -> None:
        with calling(lambda: None, *SIGNALS):
            inside.extend(signal.getsignal(number) for number in SIGNALS)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    thread.join(PATIENCE_S)
    assert inside == [signal.getsignal(number) for number in SIGNALS]
