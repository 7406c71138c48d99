"""Many clients at once."""

from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.server.client import task_group
from tests.server.openai.clients import ask, async_client, played
from tests.server.scene import Scene

PROMPTS = [
    "The sea is",
    "Once upon a time there was a",
    "def add(a, b):",
    "The capital of France is",
    "Water boils at",
    "In the year 1969",
    "My favourite animal is",
    "To bake bread,",
]
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 12}


@pytest.mark.usefixtures("same_in_any_batch")
async def test_eight_streams_at_once_each_say_what_they_say_alone(client: AsyncOpenAI) -> None:
    alone = [(await ask(client, "completions", prompt, **GREEDY)).text for prompt in PROMPTS]
    together: dict[str, str] = {}

    async def read(prompt: str) -> None:
        together[prompt] = (await ask(client, "completions", prompt, **GREEDY, stream=True)).text

    async with task_group() as tasks:
        for prompt in PROMPTS:
            tasks.start_soon(read, prompt)
    assert [together[prompt] for prompt in PROMPTS] == alone
    assert len(set(alone)) == len(PROMPTS)


async def test_eight_clients_share_every_batch() -> None:
    texts: list[str] = []

    async with played(Scene(scripts={None: "one two"}, n_slots=8)) as play:

        async def read(number: int) -> None:
            async with async_client(play.url) as client:
                texts.append((await ask(client, "chat", f"Client {number}", stream=True)).text)

        await play.stage.shut()
        async with task_group() as tasks:
            for number in range(8):
                tasks.start_soon(read, number)
            await play.stage.made(8)
            await play.stage.advance_until(lambda rows: len(rows) == 8)
            await play.stage.open()
    assert texts == ["one two"] * 8
