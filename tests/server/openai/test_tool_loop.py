"""Structured output and tools with the real model, through OpenAI's own client and its helpers."""

import json
from functools import partial
from typing import Any, Literal

import openai
import pytest
from anyio import to_thread
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ParsedFunctionToolCall
from pydantic import BaseModel, Field

from tests.server.scene import MODEL_NAME

GREEDY: dict[str, Any] = {"model": MODEL_NAME, "temperature": 0, "max_tokens": 120}
QUESTION: dict[str, Any] = {"role": "user", "content": "What is the weather in Paris?"}


class Animal(BaseModel):
    kind: Literal["dog", "cat", "bird"]
    legs: int = Field(ge=0, le=9)
    tame: bool


class Weather(BaseModel):
    """Tells the weather of a city."""

    city: str = Field(max_length=20)
    unit: Literal["celsius", "fahrenheit"]


ANIMAL: dict[str, Any] = {"messages": [{"role": "user", "content": "Describe a cat."}], "response_format": Animal}
IN_A_SENTENCE = {"regex": r'[A-Z][^{}"\n]{1,80}\.'}
"""So small a model would rather repeat the call that it reads above."""
TOOLS: list[Any] = [openai.pydantic_function_tool(Weather)]


async def parsed(client: AsyncOpenAI | OpenAI, **options: Any) -> Any:
    """The one choice of a parsed completion."""
    if isinstance(client, OpenAI):
        completion = await to_thread.run_sync(partial(client.chat.completions.parse, **GREEDY, **options))
    else:
        completion = await client.chat.completions.parse(**GREEDY, **options)
    (choice,) = completion.choices
    return choice


async def streamed(client: AsyncOpenAI | OpenAI, **options: Any) -> tuple[list[Any], Any]:
    """All events of the helper for streams, and the one choice that it made of them."""
    if isinstance(client, OpenAI):
        return await to_thread.run_sync(partial(_streamed_in_thread, client, options))
    async with client.chat.completions.stream(**GREEDY, **options) as stream:
        return [event async for event in stream], (await stream.get_final_completion()).choices[0]


def _streamed_in_thread(client: OpenAI, options: dict[str, Any]) -> tuple[list[Any], Any]:
    with client.chat.completions.stream(**GREEDY, **options) as stream:
        return list(stream), stream.get_final_completion().choices[0]


async def test_a_pydantic_model_is_what_parse_returns(any_client: AsyncOpenAI | OpenAI) -> None:
    choice = await parsed(any_client, **ANIMAL)
    assert isinstance(choice.message.parsed, Animal)
    assert choice.finish_reason == "stop"
    assert json.loads(choice.message.content) == choice.message.parsed.model_dump()


async def test_a_pydantic_model_is_what_a_stream_ends_with(any_client: AsyncOpenAI | OpenAI) -> None:
    events, choice = await streamed(any_client, **ANIMAL)
    deltas = [event for event in events if event.type == "content.delta"]
    (done,) = [event for event in events if event.type == "content.done"]
    assert "".join(delta.delta for delta in deltas) == done.content == choice.message.content
    assert isinstance(done.parsed, Animal)
    assert done.parsed == choice.message.parsed == (await parsed(any_client, **ANIMAL)).message.parsed


async def test_a_required_call_streams_as_events_with_parsed_arguments(any_client: AsyncOpenAI | OpenAI) -> None:
    options: dict[str, Any] = {"messages": [QUESTION], "tools": TOOLS, "tool_choice": "required"}
    events, choice = await streamed(any_client, **options)
    deltas = [event for event in events if event.type == "tool_calls.function.arguments.delta"]
    done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert len(deltas) > 3
    calls: list[ParsedFunctionToolCall] = choice.message.tool_calls
    assert [(event.index, event.name, event.arguments) for event in done] == [
        (index, "Weather", call.function.arguments) for index, call in enumerate(calls)
    ]
    for event, call in zip(done, calls, strict=True):
        pieces = [delta for delta in deltas if delta.index == event.index]
        assert "".join(delta.arguments_delta for delta in pieces) == event.arguments
        assert pieces[-1].arguments == event.arguments
        assert isinstance(event.parsed_arguments, Weather)
        assert call.function.parsed_arguments == event.parsed_arguments
    assert choice.message.content is None
    assert choice.finish_reason == "tool_calls"
    whole = await parsed(any_client, **options)
    assert [call.function for call in whole.message.tool_calls] == [call.function for call in calls]


@pytest.mark.parametrize("form", ["object", "dump", "to_dict"])
async def test_a_call_is_answered_and_the_answer_comes_as_text(any_client: AsyncOpenAI | OpenAI, form: str) -> None:
    options: dict[str, Any] = {"tools": TOOLS, "parallel_tool_calls": False}
    _, first = await streamed(any_client, messages=[QUESTION], tool_choice="required", **options)
    (call,) = first.message.tool_calls
    assert isinstance(call.function.parsed_arguments, Weather)
    asked = {
        "object": first.message,
        "dump": first.message.model_dump(warnings=False),
        "to_dict": first.message.to_dict(warnings=False),
    }[form]
    result = {"role": "tool", "tool_call_id": call.id, "content": "It is 24 degrees celsius in Paris."}
    events, second = await streamed(
        any_client, messages=[QUESTION, asked, result], tool_choice="none", extra_body=IN_A_SENTENCE, **options
    )
    text = "".join(event.delta for event in events if event.type == "content.delta")
    assert text == second.message.content
    assert "24" in text
    assert not second.message.tool_calls
    assert second.finish_reason in ("stop", "length")


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
async def test_a_parsed_answer_can_be_sent_back_as_it_came(any_client: AsyncOpenAI | OpenAI) -> None:
    first = await parsed(any_client, **ANIMAL)
    again = {"role": "user", "content": "Describe a dog."}
    for message in (first.message, first.message.model_dump(warnings=False)):
        second = await parsed(
            any_client, messages=[*ANIMAL["messages"], message, again], response_format=ANIMAL["response_format"]
        )
        assert isinstance(second.message.parsed, Animal)


async def test_a_format_and_tools_go_together(any_client: AsyncOpenAI | OpenAI) -> None:
    choice = await parsed(any_client, **ANIMAL, tools=TOOLS)
    if choice.message.tool_calls:
        assert all(isinstance(call.function.parsed_arguments, Weather) for call in choice.message.tool_calls)
    else:
        assert isinstance(choice.message.parsed, Animal)


async def test_what_the_client_itself_cannot_parse_is_its_own_error(client: AsyncOpenAI) -> None:
    cut: dict[str, Any] = {**GREEDY, "max_tokens": 3}
    with pytest.raises(openai.LengthFinishReasonError):
        await client.chat.completions.parse(**cut, **ANIMAL)
