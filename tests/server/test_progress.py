"""What a client hears of a call that comes to its end."""

from dataclasses import replace
from itertools import pairwise

import anyio
from mcp_types import JSONRPCResponse

from mcp_llama.server.progress import PHASE_KEY
from mcp_llama.server.results import TIMINGS_KEY
from mcp_llama.server.settings import ServerLimits
from tests.gate import PATIENCE_S
from tests.server.client import Era, ToolCall, task_group, text_of
from tests.server.scene import SPEECH, Scene, split_bytes
from tests.server.serving import Door, every_door, every_era, opened

SPEAK = {"prompt": "Speak", "max_tokens": 300, "seed": 7}
TOTAL = len("Speak") + 1 + 300
SCENE = Scene(scripts={"Speak": split_bytes(SPEECH, 1)}, n_batch=4)


def progress_of(call: ToolCall) -> list[float]:
    return [notification["progress"] for notification in call.notifications]


def phases_of(call: ToolCall) -> list[str]:
    return [notification["_meta"][PHASE_KEY] for notification in call.notifications]


def check_contract(call: ToolCall, text: str, total: int) -> None:
    """The whole contract of progress and result, for a call that was answered with `text`."""
    assert text_of(call.result) == text
    assert call.result.structured_content is not None
    assert call.result.structured_content["text"] == text
    *notifications, end = call.answers
    assert isinstance(end, JSONRPCResponse), "nothing comes after the result"
    assert notifications == call.notifications
    assert call.messages == text
    assert all(one.get("message") != "" for one in call.notifications)
    progress = progress_of(call)
    assert all(earlier < later for earlier, later in pairwise(progress)), progress
    assert progress[-1] <= total
    assert {one["total"] for one in call.notifications if "total" in one} == {total}
    assert all("message" not in one for one in call.notifications if one["_meta"][PHASE_KEY] != "decode")


@every_door
async def test_joined_messages_are_the_text_of_the_result(door: Door) -> None:
    async with opened(door, SCENE) as server:
        call = await server.client.call("generate", SPEAK)
    check_contract(call, SPEECH, TOTAL)
    assert call.result.structured_content == {
        "text": SPEECH,
        "finish_reason": "stop",
        "model": "fake",
        "usage": {"prompt_tokens": 6, "completion_tokens": len(SPEECH.encode())},
    }


@every_door
async def test_chat_streams_under_the_same_contract(door: Door) -> None:
    async with opened(door, Scene(scripts={"<user>Speak\n<assistant>": split_bytes(SPEECH, 7)})) as server:
        messages = [{"role": "user", "content": "Speak"}]
        call = await server.client.call("chat", {"messages": messages, "max_tokens": 200})
    check_contract(call, SPEECH, total=len("<user>Speak\n<assistant>") + 1 + 200)


@every_door
async def test_phases_are_told_in_their_order_and_the_prompt_advances_by_chunks(door: Door) -> None:
    async with opened(door, SCENE) as server:
        # Each decode waits until its predecessor's news is out, so that no two are merged.
        await server.stage.shut()
        call = server.client.tool_call("generate", {**SPEAK, "max_tokens": 3})
        async with task_group() as tasks:
            tasks.start_soon(call.run)
            await call.heard(lambda news: len(news) == 2)
            for computed in (4, 6 + 1, 6 + 2):
                await server.stage.held()
                await server.stage.step()
                await call.heard(lambda news, least=computed: bool(news) and news[-1]["progress"] >= least)
            await server.stage.open()
    # The third token is half a character, which nobody sees.
    assert progress_of(call) == [0, 0.5, 4, 7, 8]
    assert phases_of(call)[1:] == ["prefill", "prefill", "decode", "decode"]
    assert [one.get("message") for one in call.notifications] == [None, None, None, "G", "r"]
    assert call.text == "Gr"


@every_door
async def test_the_first_notification_comes_before_anything_is_computed(door: Door) -> None:
    async with opened(door, replace(SCENE, server=ServerLimits(heartbeat_s=3600))) as server:
        await server.stage.shut()
        call = server.client.tool_call("generate", SPEAK)
        async with task_group() as tasks:
            tasks.start_soon(call.run)
            await call.heard(bool)
            assert progress_of(call)[0] < 1
            assert "message" not in call.notifications[0]
            assert call.outcome is None
            await server.stage.open()
    check_contract(call, SPEECH, TOTAL)


@every_era
async def test_a_loaded_model_is_never_said_to_load(era: Era) -> None:
    async with opened(Door("http", era), SCENE) as server:
        await server.client.call("generate", {"prompt": "first", "max_tokens": 1})
        call = await server.client.call("generate", SPEAK)
    assert set(phases_of(call)) <= {"queue", "prefill", "decode"}


@every_era
async def test_result_carries_the_timings_beside_what_the_agent_reads(era: Era) -> None:
    asked = {**SPEAK, "prompt": "A long prompt. " * 3, "max_tokens": 20}
    async with opened(Door("http", era), SCENE) as server:
        call = await server.client.call("generate", asked)
        again = await server.client.call("generate", asked)
    assert call.result.meta is not None
    assert again.result.meta is not None
    timings = call.result.meta[TIMINGS_KEY]
    assert 0 <= timings["queue_ms"] <= timings["ttft_ms"] <= timings["total_ms"]
    assert timings["tokens_per_second"] > 0
    assert timings["seed"] == 7
    assert timings["cached_tokens"] == 0
    assert again.result.meta[TIMINGS_KEY]["cached_tokens"] == 45, "all but the last token of the prompt"


@every_door
async def test_without_a_progress_token_nothing_but_the_result_comes(door: Door) -> None:
    async with opened(door, replace(SCENE, server=ServerLimits(heartbeat_s=0.02))) as server:
        call = await server.client.call("generate", SPEAK, progress=False)
        received = server.client.record.received
    assert call.text == SPEECH
    (answer,) = call.answers
    assert isinstance(answer, JSONRPCResponse)
    assert "notifications/progress" not in [getattr(message, "method", None) for message in received]


@every_door
async def test_calls_on_one_connection_keep_their_texts_apart(door: Door) -> None:
    prompts = [f"prompt {number}" for number in range(6)]
    scene = Scene(scripts={prompt: split_bytes(f"{prompt}: {SPEECH}", 3) for prompt in prompts}, n_slots=3)
    async with opened(door, scene) as server:
        calls = [server.client.tool_call("generate", {"prompt": prompt, "max_tokens": 200}) for prompt in prompts]
        with anyio.fail_after(PATIENCE_S):
            async with task_group() as tasks:
                for call in calls:
                    tasks.start_soon(call.run)
    for prompt, call in zip(prompts, calls, strict=True):
        check_contract(call, f"{prompt}: {SPEECH}", total=len(prompt) + 1 + 200)


@every_door
async def test_a_waiting_call_advances_by_fractions_and_then_by_tokens(door: Door) -> None:
    scene = replace(SCENE, n_slots=1, server=ServerLimits(heartbeat_s=0.02))
    async with opened(door, scene) as server:
        await server.stage.shut()
        ahead = server.client.tool_call("generate", {"prompt": "ahead", "max_tokens": 5})
        call = server.client.tool_call("generate", SPEAK)
        async with task_group() as tasks:
            tasks.start_soon(ahead.run)
            await server.stage.held()
            tasks.start_soon(call.run)
            await call.heard(lambda news: len(news) >= 6)
            waiting = list(call.notifications)
            await server.stage.open()
    assert all(one["progress"] < 1 for one in waiting)
    assert all("message" not in one for one in waiting)
    assert {one["_meta"][PHASE_KEY] for one in waiting[1:]} == {"queue"}
    check_contract(call, SPEECH, TOTAL)


@every_door
async def test_a_long_pause_between_tokens_is_bridged_without_a_message(door: Door) -> None:
    async with opened(door, replace(SCENE, server=ServerLimits(heartbeat_s=0.02))) as server:
        await server.stage.shut()
        call = server.client.tool_call("generate", SPEAK)
        async with task_group() as tasks:
            tasks.start_soon(call.run)
            await server.stage.held()
            await server.stage.step()
            await server.stage.held()
            await server.stage.step()
            await call.heard(lambda news: bool(news) and news[-1]["progress"] > 7)
            beats = len(call.notifications)
            await call.heard(lambda news: len(news) >= beats + 3)
            assert call.messages == "G"
            assert 7 < progress_of(call)[-1] < 8
            await server.stage.open()
    check_contract(call, SPEECH, TOTAL)


@every_era
async def test_text_that_was_held_back_for_a_stop_string_is_told_at_the_end(era: Era) -> None:
    async with opened(Door("http", era), Scene(scripts={"Speak": split_bytes("The EN", 1)})) as server:
        await server.stage.shut()
        call = server.client.tool_call("generate", {**SPEAK, "stop": ["END"]})
        async with task_group() as tasks:
            tasks.start_soon(call.run)
            for computed in range(7, 7 + len("The EN")):
                await server.stage.held()
                await server.stage.step()
                await call.heard(lambda news, least=computed: bool(news) and news[-1]["progress"] >= least)
            await server.stage.open()
    check_contract(call, "The EN", TOTAL)
    assert call.notifications[-1]["message"] == "EN"
