"""Messages of a chat, and what the model's template makes of them."""

from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.server.openai.clients import Play, ask, body_of, played
from tests.server.raw import plain_http
from tests.server.scene import MODEL_NAME, Scene
from tests.server.test_errors import PICKY_TEMPLATE

SCENE = Scene(
    scripts={
        "<user>Hi\n<assistant>": "plain",
        "<system>Be brief.\n<user>Hi\n<assistant>": "brief",
        "<user>Hi\n<assistant>plain\n<user>And?\n<assistant>": "more",
        "<user>Hi\n<assistant>pla": "in",
        "<user>\n<assistant>": "empty",
    }
)
HI: dict[str, Any] = {"role": "user", "content": "Hi"}
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 8}


async def answer(client: AsyncOpenAI, *messages: Any, **options: Any) -> str:
    return (await ask(client, "chat", messages=list(messages), **options)).text


TALKS: list[tuple[list[Any], str]] = [
    ([HI], "plain"),
    ([{"role": "user", "content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]}], "plain"),
    ([{"role": "user", "content": []}], "empty"),
    ([{"role": "user", "content": ""}], "empty"),
    ([{"role": "system", "content": "Be brief."}, HI], "brief"),
    ([{"role": "developer", "content": "Be brief."}, HI], "brief"),
    ([{"role": "system", "content": [{"type": "text", "text": "Be brief."}]}, HI], "brief"),
    ([HI, {"role": "assistant", "content": "plain"}, {"role": "user", "content": "And?"}], "more"),
    ([HI, {"role": "assistant", "content": "pla"}], "in"),
    ([HI, {"role": "assistant", "content": [{"type": "text", "text": "pla"}]}], "in"),
]


@pytest.mark.parametrize(
    ("messages", "text"),
    TALKS,
)
async def test_messages_reach_the_template(play: Play, messages: list[Any], text: str) -> None:
    assert await answer(play.client, *messages) == text


@pytest.mark.parametrize(
    "helper",
    [
        False,
        True,
    ],
    ids=["create", "stream helper"],
)
async def test_an_answer_can_be_sent_back_as_it_came(play: Play, helper: bool) -> None:
    if helper:
        async with play.client.chat.completions.stream(
            model=MODEL_NAME, messages=[{"role": "user", "content": "Hi"}]
        ) as stream:
            message = (await stream.get_final_completion()).choices[0].message
    else:
        message = (
            (await play.client.chat.completions.create(model=MODEL_NAME, messages=[{"role": "user", "content": "Hi"}]))
            .choices[0]
            .message
        )
    further = {"role": "user", "content": "And?"}
    assert await answer(play.client, HI, message, further) == "more"
    assert await answer(play.client, HI, message.model_dump(), further) == "more"
    assert await answer(play.client, HI, message.to_dict(), further) == "more"


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "tool", "tool_call_id": "1"}, "messages.1.content"),
        ({"role": "user", "content": "22 °C", "tool_call_id": "1"}, "messages.1.tool_call_id"),
        ({"role": "user", "content": "x", "reasoning_content": "Hm."}, "messages.1.reasoning_content"),
        ({"role": "user", "content": "x", "tool_calls": [CALL]}, "messages.1.tool_calls"),
        ({"role": "assistant", "content": None, "tool_calls": []}, "messages.1.content"),
        ({"role": "assistant", "content": "x", "annotations": ["x"]}, "messages.1.annotations"),
        ({"role": "function", "content": "22 °C", "name": "weather"}, "messages.1.role"),
        ({"role": "robot", "content": "x"}, "messages.1.role"),
        ({"content": "x"}, "messages.1.role"),
        ({"role": "user"}, "messages.1.content"),
        ({"role": "user", "content": None}, "messages.1.content"),
        ({"role": "user", "content": 7}, "messages.1.content"),
        ({"role": "user", "content": "x", "name": "Ann"}, "messages.1.name"),
        ({"role": "user", "content": "x", "mood": "good"}, "messages.1.mood"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]},
            "messages.1.content",
        ),
        (
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]},
            "messages.1.content",
        ),
        ({"role": "user", "content": [{"type": "file", "file": {"file_id": "1"}}]}, "messages.1.content"),
        ({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, "messages.1.content"),
        ({"role": "assistant", "content": "x", "refusal": "no"}, "messages.1.refusal"),
        ({"role": "assistant", "content": "x", "audio": {"id": "1"}}, "messages.1.audio"),
        ({"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}, "messages.1.tool_calls.0.function"),
        ({"role": "assistant", "content": "x", "tool_calls": [{"id": "1"}]}, "messages.1.tool_calls"),
        ({"role": "assistant", "content": "x", "function_call": {"name": "f"}}, "messages.1.function_call"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_a_message_may_not_say_is_refused_by_its_place(play: Play, message: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await answer(play.client, HI, message)
    assert (refused.value.param or "").startswith(param)
    place, _, field = param.rpartition(".")
    assert place in refused.value.message
    assert field in refused.value.message


async def test_a_chat_without_messages_is_refused(play: Play) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await answer(play.client)
    assert refused.value.param == "messages"


async def test_a_model_without_a_template_says_so() -> None:
    async with played(Scene(has_chat_template=False, scripts={None: "fine"})) as play:
        with pytest.raises(openai.BadRequestError, match="Model 'fake' has no chat template"):
            await answer(play.client, HI)
        assert (await ask(play.client, "completions")).text == "fine"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_template_that_refuses_the_messages_is_quoted(stream: bool) -> None:
    async with played(SCENE) as play:
        play.model.chat_template = PICKY_TEMPLATE
        with pytest.raises(openai.BadRequestError) as refused:
            await answer(play.client, HI, HI, stream=stream)
    expected = "The model's chat template refuses these messages: Roles must alternate user and assistant."
    assert body_of(refused.value)["message"] == expected


@pytest.mark.parametrize(
    "messages",
    [
        [HI],
        [{"role": "system", "content": "You are a pirate."}, HI],
        [HI, {"role": "assistant", "content": "Hello!"}, {"role": "user", "content": "What is 2 + 2?"}],
        [{"role": "user", "content": "What is the capital of France?"}, {"role": "assistant", "content": "It is"}],
    ],
    ids=["user", "system", "turns", "continued"],
)
async def test_a_chat_is_the_completion_of_what_the_template_renders(
    client: AsyncOpenAI, real_url: str, messages: list[Any]
) -> None:
    async with plain_http() as http:
        response = await http.post(f"{real_url}/apply-template", json={"messages": messages})
    prompt = response.json()["prompt"]
    chat = await ask(client, "chat", messages=messages, **GREEDY)
    completion = await ask(client, "completions", prompt, **GREEDY)
    assert chat.text == completion.text != ""
    assert chat.counts == completion.counts
    if messages[-1]["role"] == "assistant":
        assert prompt.endswith("<|im_start|>assistant\nIt is")
