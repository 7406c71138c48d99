"""OpenAI's npm client, fetch and EventSource, on Node."""

import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from openai import AsyncOpenAI

from mcp_llama.engine.model import DecodeError, Rows
from tests.gate import PATIENCE_S
from tests.server.openai.clients import ask, played
from tests.server.scene import MODEL_NAME, SPEECH, Scene, split_bytes

NodeRun = Callable[..., Awaitable[Any]]
SAMPLED: dict[str, Any] = {"seed": 7, "temperature": 1, "max_tokens": 10}


@pytest.fixture(scope="module")
def run_node(node_modules: Path) -> NodeRun:
    """Runs a script of this folder, and gives what it printed."""

    async def run(script: str, *arguments: str) -> Any:
        # Node looks for packages beside the script.
        path = shutil.copy(Path(__file__).parent / script, node_modules)
        with anyio.fail_after(6 * PATIENCE_S):
            done = await anyio.run_process(["node", path, *arguments], check=False)
        assert not done.returncode, done.stderr.decode()
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
async def answers(run_node: NodeRun, real_url: str) -> Any:
    """What Node heard of the real model."""
    return await run_node("answers.mjs", real_url, MODEL_NAME)


def text_of(chunks: list[Any], index: int = 0) -> str:
    """The text of a choice in the chunks that Node heard."""
    choices = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
    return "".join(choice["text"] if "text" in choice else choice["delta"].get("content", "") for choice in choices)


async def test_node_hears_the_same_answers_as_python(answers: Any, client: AsyncOpenAI) -> None:
    chat = await ask(client, "chat", **SAMPLED)
    completion = await ask(client, "completions", "The sea is", **SAMPLED)
    assert answers["type"] == "application/json"
    assert answers["chat"]["choices"][0]["message"]["content"] == text_of(answers["chatChunks"]) == chat.text
    assert answers["completion"]["choices"][0]["text"] == text_of(answers["completionChunks"]) == completion.text
    assert "".join(answers["helper"]["deltas"]) == answers["helper"]["message"]["content"] == chat.text
    assert answers["further"]["choices"][0]["message"]["role"] == "assistant"


@pytest.mark.parametrize(("whole", "chunks"), [("chat", "chatChunks"), ("completion", "completionChunks")])
async def test_node_hears_a_stream_end_as_the_whole_answer_does(answers: Any, whole: str, chunks: str) -> None:
    *_, finish, usage = answers[chunks]
    assert finish["choices"][0]["finish_reason"] == answers[whole]["choices"][0]["finish_reason"]
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == answers[whole]["usage"]["total_tokens"]


@pytest.mark.usefixtures("same_in_any_batch")
async def test_node_hears_every_choice(answers: Any, client: AsyncOpenAI) -> None:
    choices = [choice["message"]["content"] for choice in answers["choices"]["choices"]]
    assert choices == [text_of(answers["choicesChunks"], index) for index in range(2)]
    assert choices == (await ask(client, "chat", **SAMPLED, n=2)).texts


async def test_node_hears_log_probabilities_vectors_and_models(answers: Any, client: AsyncOpenAI) -> None:
    content = answers["logprobs"]["choices"][0]["logprobs"]["content"]
    assert "".join(entry["token"] for entry in content) == answers["chat"]["choices"][0]["message"]["content"]
    assert [len(entry["top_logprobs"]) for entry in content] == [2] * len(content)
    # The client asks for base64 unless it is told otherwise, and unpacks it.
    python = await client.embeddings.create(model=MODEL_NAME, input=["The sea", "A loaf"])
    assert answers["packed"] == answers["floats"] == [item.embedding for item in python.data]
    assert [model["id"] for model in answers["models"]] == [answers["model"]["id"]] == [MODEL_NAME]


async def test_node_raises_errors_of_the_right_classes_and_leaves_no_work_behind(run_node: NodeRun) -> None:
    def fail(rows: Rows) -> Exception | None:
        # The letters of the prompt that is to fail are in no other.
        doomed = bytes(token for token in rows.tokens if token < 256)
        return DecodeError("no room") if b"fail" in doomed else None

    async with played(Scene(n_slots=1, decode_delay=0.005, n_batch=512)) as play:
        play.model.fault = fail
        heard = await run_node("failures.mjs", play.url, MODEL_NAME)
        ends = await play.stage.ended(4)
    assert (heard["unknown"]["name"], heard["unknown"]["code"]) == ("NotFoundError", "model_not_found")
    assert (heard["tooLong"]["name"], heard["tooLong"]["code"]) == ("BadRequestError", "context_length_exceeded")
    assert (heard["refused"]["name"], heard["refused"]["param"]) == ("BadRequestError", "tools.0.type")
    assert heard["left"]["name"] is None
    assert heard["aborted"]["name"] in (None, "APIUserAbortError")
    assert heard["abortedWhole"]["name"] == "APIUserAbortError"
    assert heard["failed"]["isApiError"]
    assert "could not compute this request: no room" in heard["failed"]["message"]
    assert [end.reason for end in ends] == ["abort"] * 4
    assert all(end.completion_tokens < 900 for end in ends)


async def test_event_source_and_fetch_read_the_events_of_generate(run_node: NodeRun) -> None:
    async with played(Scene(scripts={None: split_bytes(SPEECH, 3)}, decode_delay=0.005)) as play:
        heard = await run_node("events.mjs", play.url, "Grüße & mehr?")
    assert heard["fetched"]["type"] == "text/event-stream; charset=utf-8"
    assert heard["fetched"]["last"] == "[DONE]"
    assert heard["fetched"]["reads"] > 2
    for events in (heard["source"], heard["fetched"]["events"]):
        assert "".join(event.get("text", "") for event in events) == SPEECH
        assert events[-1]["finish_reason"] == "stop"
