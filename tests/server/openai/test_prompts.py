"""The prompts of completions: texts, tokens, and several of either."""

from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.fake_model import BOS
from tests.server.openai.clients import Play, ask, played
from tests.server.raw import plain_http
from tests.server.scene import Scene

SCENE = Scene(scripts={"one": "A", "two": "BB", "three": "CCC"}, n_slots=3)
streamed_or_not = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@streamed_or_not
@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        ("one", ["A"]),
        (["one"], ["A"]),
        (["three", "one", "two"], ["CCC", "A", "BB"]),
        (list(b"two"), ["BB"]),
        ([list(b"two"), list(b"one")], ["BB", "A"]),
    ],
)
async def test_each_prompt_has_its_answer_in_its_place(play: Play, prompt: Any, texts: list[str], stream: bool) -> None:
    answer = await ask(play.client, "completions", prompt, stream=stream)
    assert answer.texts == texts
    assert answer.reasons == ["stop"] * len(texts)


@streamed_or_not
async def test_choices_of_one_prompt_follow_each_other(play: Play, stream: bool) -> None:
    usage = {"stream_options": {"include_usage": True}} if stream else {}
    answer = await ask(play.client, "completions", ["two", "one"], n=2, stream=stream, **usage)
    assert answer.texts == ["BB", "BB", "A", "A"]
    assert answer.counts == (8, 6, 14)


async def test_a_text_gets_the_leading_token_of_the_model_and_tokens_get_none() -> None:
    async with played(SCENE) as play:
        await ask(play.client, "completions", "one")
        await ask(play.client, "completions", list(b"one"))
        text, tokens = [rows for rows in play.model.batches if len(rows) > 1]
    assert list(text.tokens) == [BOS, *b"one"]
    assert list(tokens.tokens) == [*b"one"]


@streamed_or_not
@pytest.mark.parametrize("prompt", ["one", list(b"one")], ids=["text", "tokens"])
async def test_echo_puts_the_prompt_before_the_answer(play: Play, prompt: Any, stream: bool) -> None:
    answer = await ask(play.client, "completions", prompt, n=2, echo=True, stream=stream)
    both = await ask(play.client, "completions", ["two", "one"], echo=True, stream=stream)
    assert answer.texts == ["oneA", "oneA"]
    assert both.texts == ["twoBB", "oneA"]


async def test_echo_counts_no_token_twice(play: Play) -> None:
    plain = await ask(play.client, "completions", "one")
    echoed = await ask(play.client, "completions", "one", echo=True)
    assert echoed.counts == plain.counts == (4, 1, 5)


async def test_tokens_of_the_real_model_give_what_their_text_gives(client: AsyncOpenAI, real_url: str) -> None:
    text = "The capital of France is"
    async with plain_http() as http:
        tokens = (await http.post(f"{real_url}/tokenize", json={"content": text})).json()["tokens"]
    by_text = await ask(client, "completions", text, temperature=0, max_tokens=6)
    by_tokens = await ask(client, "completions", tokens, temperature=0, max_tokens=6, echo=True)
    assert by_tokens.text == text + by_text.text
    assert by_tokens.counts == by_text.counts


async def test_a_completion_has_sixteen_tokens_unless_told_otherwise() -> None:
    async with played(Scene()) as play:
        answer = await ask(play.client, "completions")
        more = await ask(play.client, "completions", max_tokens=40)
        chat = await ask(play.client, "chat")
    assert (answer.reasons, answer.usage.completion_tokens) == (["length"], 16)
    assert more.usage.completion_tokens == 40
    # A chat may go on until the context is full.
    assert chat.usage.total_tokens == 1024


BAD_PROMPTS: list[tuple[Any, dict[str, Any], str]] = [
    ("", {}, "prompt is empty"),
    ([], {}, "asks for 0 choices (prompts times n); it may ask for 1 to 67."),
    ([""], {}, "prompt is empty"),
    ([[]], {}, "prompt is empty"),
    (["fine", ""], {}, "prompt is empty"),
    (["fine"] * 129, {}, "asks for 129 choices"),
    (["fine"] * 65, {"n": 2}, "asks for 130 choices"),
    ([400], {}, "Token 400 does not exist"),
    ([[1], [400]], {"echo": True}, "Token 400 does not exist"),
    ([-1], {}, "prompt"),
    (["fine", 7], {}, "prompt"),
    ([["fine"]], {}, "prompt"),
    (None, {}, "prompt"),
    ({"text": "fine"}, {}, "prompt"),
    (7, {}, "prompt"),
    ("x", {"n": 0}, "n is 0"),
    ("x", {"n": 129}, "n is 129"),
    ("x", {"echo": True, "logprobs": 1}, "echo cannot go with logprobs"),
]


@pytest.mark.parametrize(
    ("prompt", "options", "message"),
    BAD_PROMPTS,
)
async def test_prompts_that_cannot_be_served_are_refused(
    play: Play, prompt: Any, options: dict[str, Any], message: str
) -> None:
    before = await play.stage.decodes()
    with pytest.raises(openai.BadRequestError) as refused:
        await ask(play.client, "completions", prompt, **options)
    assert message in refused.value.message
    assert await play.stage.decodes() == before
    assert (await ask(play.client, "completions", "two")).text == "BB"
