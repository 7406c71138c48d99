"""Signals to a stdio server whose stdin stays open: every open call gets what it has so far, and the process ends."""

import signal

import anyio
import pytest

from tests.server.client import Era
from tests.server.heard import ENDLESS, PROMISED_S, Heard, every_signal
from tests.server.raw import Message, request, tool_call
from tests.server.raw_stdio import raw_stdio
from tests.server.scene import Scene
from tests.server.serving import Control, every_era


@pytest.mark.parametrize(("era", "sig"), [("modern", signal.SIGTERM), ("legacy", signal.SIGINT)])
async def test_a_real_stdio_server_answers_its_open_call_and_ends_though_stdin_stays_open(
    era: Era, sig: signal.Signals
) -> None:
    heard = Heard()
    async with raw_stdio(era) as client:
        await client.send(tool_call(era, 1, "generate", {**ENDLESS, "prompt": "Once upon a time"}))
        with anyio.fail_after(30):
            while not heard.text:
                heard.add(await client.receive())
        client.process.send_signal(sig)
        with anyio.fail_after(PROMISED_S):
            for message in await client.receive_rest():
                heard.add(message)
            assert await client.ended(PROMISED_S) == 0
    heard.check()


async def check_all_answered_at_a_signal(era: Era, sig: signal.Signals, *earlier: Message) -> None:
    """Many calls are open, and none is forgotten, whatever messages came before them."""
    calls = [Heard() for _ in range(8)]
    scene = Scene(scripts={None: ["word ".ljust(2000, ".")] * 900}, n_slots=6)
    with Control(scene) as control:
        async with raw_stdio(era, control.command, read_ahead=2**16) as client:
            for message in earlier:
                await client.send(message)
                await client.receive()
            await control.hands.shut()
            for number in range(8):
                arguments = {"prompt": f"call {number}", "max_tokens": 900}
                await client.send(tool_call(era, number + 1, "generate", arguments))
            await control.hands.made(8)
            await control.hands.advance_until(lambda rows: list(rows.values()) == [1] * 6)
            client.process.send_signal(sig)
            for message in await client.receive_rest():
                call_id: int = message.get("id") or message["params"]["progressToken"]
                calls[call_id - 1].add(message)
            assert await client.ended(PROMISED_S) == 0
    for heard in calls:
        heard.check()


@every_signal
@every_era
async def test_a_stdio_server_answers_all_of_many_calls_at_a_signal(era: Era, sig: signal.Signals) -> None:
    await check_all_answered_at_a_signal(era, sig)


@every_era
async def test_refused_requests_do_not_cost_later_calls_their_answers(era: Era) -> None:
    unknown = request(era, 100, "no/such/method", {})
    invalid = request(era, 101, "tools/call", {})
    bare: Message = {"jsonrpc": "2.0", "id": 102, "method": "tools/list", "params": {}}
    await check_all_answered_at_a_signal(era, signal.SIGTERM, *[unknown, invalid, bare] * 8)


@every_signal
@pytest.mark.parametrize("loading", [True, False], ids=["loading", "idle"])
async def test_a_stdio_server_without_calls_ends_at_a_signal(sig: signal.Signals, loading: bool) -> None:
    with Control(Scene(holds_load=loading)) as control:
        async with raw_stdio("legacy", control.command) as client:
            client.process.send_signal(sig)
            assert await client.ended(PROMISED_S) == 0


@every_signal
async def test_a_stdio_client_that_does_not_read_cannot_keep_the_server_from_ending(sig: signal.Signals) -> None:
    with Control(Scene(scripts={None: ["word ".ljust(2000, ".")] * 900})) as control:
        async with raw_stdio("modern", control.command, read_ahead=4096) as client:
            await client.send(tool_call("modern", 1, "generate", {"prompt": "x", "max_tokens": 900}))
            await control.hands.made(1)
            await control.hands.quiet()
            client.process.send_signal(sig)
            assert await client.ended(PROMISED_S) == 0
