import threading
from collections.abc import Awaitable, Callable, Iterator

import anyio
import pytest

from mcp_llama.api import ChatRequest, GenerateRequest, Limits, Message, Result
from mcp_llama.backends.local import LocalBackend
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.sampling import MAX_SEED, SamplingParams
from mcp_llama.errors import BusyError, RequestError, UnknownModelError, UnknownNameError
from tests.backends.one_model import backend_of
from tests.fake_model import BOS, FakeModel

PATIENCE_S = 10

LONG = "ab " * 7_000
"""More text than is tokenized on the event loop."""


class Model(FakeModel):
    """A FakeModel that keeps the threads and options of its tokenize calls."""

    def __init__(self) -> None:
        super().__init__(n_ctx=32_768, n_batch=4096)
        self.threads: list[int] = []

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        self.threads.append(threading.get_ident())
        return super().tokenize(text, add_special=add_special, parse_special=parse_special)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def backend(model: Model) -> Iterator[LocalBackend]:
    backend = backend_of("small", lambda report: model, EngineLimits(max_queue=2))
    yield backend
    anyio.run(backend.close)


async def answer(backend: LocalBackend, request: GenerateRequest | ChatRequest) -> Result:
    with anyio.fail_after(PATIENCE_S):
        prepare = backend.generate(request) if isinstance(request, GenerateRequest) else backend.chat(request)
        async with await prepare as generation:
            return await generation.result()


def ask(content: str = "hi") -> tuple[Message, ...]:
    return (Message(role="user", content=content),)


async def test_a_prompt_is_continued(backend: LocalBackend, model: Model) -> None:
    model.script("Once", ["upon", " a time"])
    result = await answer(backend, GenerateRequest(prompt="Once"))
    assert (result.text, result.finish_reason, result.usage.prompt_tokens) == ("upon a time", "stop", 5)


async def test_messages_go_through_the_template_of_the_model(backend: LocalBackend, model: Model) -> None:
    model.script("<system>Be brief.\n<user>Why?\n<assistant>", "Because.")
    messages = (Message(role="system", content="Be brief."), *ask("Why?"))
    assert (await answer(backend, ChatRequest(messages=messages))).text == "Because."


async def test_a_trailing_assistant_message_is_continued(backend: LocalBackend, model: Model) -> None:
    model.script("<user>Why?\n<assistant>Bec", "ause.")
    messages = (*ask("Why?"), Message(role="assistant", content="Bec"))
    assert (await answer(backend, ChatRequest(messages=messages))).text == "ause."


@pytest.mark.parametrize("model_name", [None, "small"])
async def test_the_served_model_is_the_default_and_has_a_name(backend: LocalBackend, model_name: str | None) -> None:
    with anyio.fail_after(PATIENCE_S):
        await backend.ready(model_name)
    assert [status.name for status in await backend.models()] == ["small"]


async def test_an_unknown_model_is_refused_with_those_that_are_served_and_nothing_is_loaded(
    backend: LocalBackend,
) -> None:
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: backend.ready("large"),
        lambda: backend.generate(GenerateRequest(prompt="hi", model="large")),
        lambda: backend.chat(ChatRequest(messages=ask(), model="large")),
        lambda: backend.count_tokens("hi", "large"),
    ]
    for call in calls:
        with pytest.raises(UnknownModelError, match=r"^Unknown model 'large'\. Available: small\.") as caught:
            await call()
        assert (caught.value.name, caught.value.available) == ("large", ["small"])
    assert backend.status().state == "unloaded"


@pytest.mark.parametrize("prompt", ["", ()])
async def test_an_empty_prompt_is_refused(backend: LocalBackend, prompt: str | tuple[int, ...]) -> None:
    with pytest.raises(RequestError, match=r"^prompt is empty\."):
        await backend.generate(GenerateRequest(prompt=prompt))


async def test_no_messages_are_refused(backend: LocalBackend) -> None:
    with pytest.raises(RequestError, match=r"^messages is empty\."):
        await backend.chat(ChatRequest(messages=()))


async def test_a_model_without_a_template_cannot_chat(backend: LocalBackend, model: Model) -> None:
    model.chat_template = None
    with pytest.raises(RequestError, match="has no chat template"):
        await backend.chat(ChatRequest(messages=ask()))


@pytest.mark.parametrize("text", ["hi", "", "<s>hi"])
async def test_a_text_is_counted_with_the_leading_token_of_the_model(
    text: str, backend: LocalBackend, model: Model
) -> None:
    expected = model.tokenize(text, add_special=True, parse_special=True)
    assert await backend.count_tokens(text, None) == len(expected)


async def test_messages_are_counted_as_chat_would_take_them(backend: LocalBackend) -> None:
    messages = (Message(role="system", content="Be brief."), *ask("Why?"))
    counted = await backend.count_tokens(ChatRequest(messages=messages), "small")
    result = await answer(backend, ChatRequest(messages=messages, limits=Limits(max_tokens=1)))
    assert counted == result.usage.prompt_tokens == 1 + len("<system>Be brief.\n<user>Why?\n<assistant>")


@pytest.mark.parametrize("start", ["{{ bos_token }}", ""])
async def test_a_chat_begins_with_the_leading_token_once(start: str, backend: LocalBackend, model: Model) -> None:
    model.chat_template = start + "{{ messages[0].content }}"
    with anyio.fail_after(PATIENCE_S):
        generation = await backend.chat(ChatRequest(messages=ask("hi")))
    assert generation.request.prompt == (BOS, *b"hi")


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
async def test_a_time_that_is_not_positive_is_refused(seconds: float, backend: LocalBackend) -> None:
    limits = Limits(max_time_s=seconds)
    with pytest.raises(RequestError, match=r"^max_time_s is \S+, but it must be more than 0\.$"):
        await backend.generate(GenerateRequest(prompt="hi", limits=limits))
    with pytest.raises(RequestError, match=r"^max_time_s"):
        await backend.chat(ChatRequest(messages=ask(), limits=limits))


async def test_limits_reach_the_engine(backend: LocalBackend) -> None:
    limits = Limits(max_tokens=7, max_time_s=2.5, stop=("a", "b"))
    generation = await backend.generate(GenerateRequest(prompt="hi", limits=limits, arrival=1000.0))
    request = generation.request
    assert (request.max_tokens, request.stop, request.arrival, request.deadline) == (7, ("a", "b"), 1000.0, 1002.5)


async def test_without_a_time_there_is_no_deadline(backend: LocalBackend) -> None:
    assert (await backend.generate(GenerateRequest(prompt="hi"))).request.deadline is None


async def test_an_empty_stop_string_is_refused(backend: LocalBackend) -> None:
    with pytest.raises(RequestError, match="empty string"):
        await backend.generate(GenerateRequest(prompt="hi", limits=Limits(stop=("a", ""))))


async def test_sampling_defaults_come_from_the_model_and_the_request_beats_them(
    backend: LocalBackend, model: Model
) -> None:
    model.default_sampling = SamplingParams(temperature=0.3, top_k=7)
    sampling = {"top_k": 9, "seed": 1}
    generation = await backend.generate(GenerateRequest(prompt="hi", sampling=sampling))
    assert generation.request.sampling == SamplingParams(temperature=0.3, top_k=9, seed=1)


async def test_an_unknown_sampling_option_is_refused_with_the_nearest(backend: LocalBackend) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'temperature'"):
        await backend.generate(GenerateRequest(prompt="hi", sampling={"temprature": 1}))


async def test_a_given_seed_is_used_and_reported(backend: LocalBackend) -> None:
    result = await answer(backend, GenerateRequest(prompt="hi", sampling={"seed": 42}, limits=Limits(max_tokens=1)))
    assert result.seed == 42


@pytest.mark.parametrize("sampling", [{}, {"seed": None}])
async def test_without_a_seed_every_answer_gets_its_own_and_reports_it(
    sampling: dict[str, object], backend: LocalBackend
) -> None:
    request = GenerateRequest(prompt="hi", sampling=sampling, limits=Limits(max_tokens=1))
    seeds = {(await answer(backend, request)).seed for _ in range(4)}
    assert len(seeds) == 4
    assert all(0 <= seed <= MAX_SEED for seed in seeds)


async def test_a_short_text_is_tokenized_at_once_and_a_long_one_off_the_event_loop(
    backend: LocalBackend, model: Model
) -> None:
    with anyio.fail_after(PATIENCE_S):
        await backend.count_tokens("short", None)
        await backend.count_tokens(LONG, None)
        await backend.count_tokens(ChatRequest(messages=ask(LONG)), None)
    here = threading.get_ident()
    assert [thread == here for thread in model.threads] == [True, False, False]


async def test_a_long_text_gives_the_same_tokens(backend: LocalBackend, model: Model) -> None:
    generation = await backend.generate(GenerateRequest(prompt=LONG))
    assert generation.request.prompt == tuple(model.tokenize(LONG, add_special=True, parse_special=True))


async def test_the_limits_of_the_engine_are_those_of_the_backend(backend: LocalBackend, model: Model) -> None:
    model.gate.shut()
    with anyio.fail_after(PATIENCE_S):
        running = [await backend.generate(GenerateRequest(prompt="hi")) for _ in range(model.n_slots + 3)]
        for generation in running[:-1]:
            await generation.__aenter__()
        with pytest.raises(BusyError):
            await running[-1].__aenter__()
    model.gate.open()


async def test_stop_ends_what_runs_and_refuses_what_comes(backend: LocalBackend, model: Model) -> None:
    model.gate.shut()
    with anyio.fail_after(PATIENCE_S):
        async with await backend.generate(GenerateRequest(prompt="hi")) as generation:
            await model.gate.held()
            backend.stop()
            assert (await generation.result()).finish_reason == "abort"
        with pytest.raises(BusyError, match="stopping"):
            await answer(backend, GenerateRequest(prompt="hi"))


async def test_close_frees_the_model(backend: LocalBackend, model: Model) -> None:
    with anyio.fail_after(PATIENCE_S):
        await backend.ready(None)
        assert not model.closed
        await backend.close()
    assert model.closed
