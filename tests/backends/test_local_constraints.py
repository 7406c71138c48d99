"""How LocalBackend compiles grammars: beside all else, and once."""

import threading
from collections.abc import Iterator

import anyio
import anyio.lowlevel
import pytest
from anyio import to_thread

from mcp_llama.api import ChatRequest, GenerateRequest, Limits, Message, OutputFormat, Result
from mcp_llama.backends.grammar_thread import GrammarThread
from mcp_llama.backends.local import LocalBackend
from mcp_llama.engine.constraint import Constraint, Constraints
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.errors import ConstraintError, RequestError, UnavailableError
from tests.backends.one_model import backend_of
from tests.fake_model import FakeModel
from tests.gate import PATIENCE_S


class Compiler:
    """Holds every compilation until the test lets it go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = threading.Semaphore(0)
        self.released = threading.Event()
        self.threads: list[int] = []
        self.grammars: list[str] = []
        compile_one = Constraints.compile

        def held(constraints: Constraints, grammar: str, *, of_schemas: bool) -> Constraint:
            self.threads.append(threading.get_ident())
            self.grammars.append(grammar)
            self.begun.release()
            assert self.released.wait(PATIENCE_S)
            return compile_one(constraints, grammar, of_schemas=of_schemas)

        monkeypatch.setattr(Constraints, "compile", held)

    async def started(self) -> None:
        """Wait until another compilation has begun."""
        assert await to_thread.run_sync(self.begun.acquire, True, PATIENCE_S)


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Compiler:
    return Compiler(monkeypatch)


@pytest.fixture
def model() -> FakeModel:
    return FakeModel(n_slots=2)


@pytest.fixture
def backend(model: FakeModel) -> Iterator[LocalBackend]:
    backend = backend_of("small", lambda report: model, EngineLimits(max_queue=2))
    yield backend
    anyio.run(backend.close)
    assert model.open_samplers == 0


def generate(prompt: str, pattern: str | None = None, max_tokens: int = 8) -> GenerateRequest:
    form = None if pattern is None else OutputFormat("regex", pattern)
    return GenerateRequest(prompt=prompt, format=form, limits=Limits(max_tokens=max_tokens))


async def answer(backend: LocalBackend, request: GenerateRequest | ChatRequest) -> Result:
    with anyio.fail_after(PATIENCE_S):
        prepare = backend.generate(request) if isinstance(request, GenerateRequest) else backend.chat(request)
        async with await prepare as generation:
            return await generation.result()


async def test_while_a_grammar_compiles_streams_go_on_and_requests_are_admitted(
    backend: LocalBackend, compiler: Compiler, model: FakeModel
) -> None:
    results: list[Result] = []

    async def constrained() -> None:
        results.append(await answer(backend, generate("aaa", "x{3}")))

    async with await backend.generate(generate("bbb", max_tokens=60)) as stream, anyio.create_task_group() as tasks:
        await stream.next()
        tasks.start_soon(constrained)
        await compiler.started()
        other = await answer(backend, generate("ccc"))
        assert (other.usage.completion_tokens, (await stream.result()).usage.completion_tokens) == (8, 60)
        assert not results
        compiler.released.set()
    assert results[0].text == "xxx"
    assert threading.get_ident() not in compiler.threads


async def test_a_caller_that_leaves_while_its_grammar_compiles_leaves_nothing_behind(
    backend: LocalBackend, compiler: Compiler, model: FakeModel
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answer, backend, generate("aaa", "x{3}"))
        await compiler.started()
        tasks.cancel_scope.cancel()
    compiler.released.set()
    for _ in range(5):
        assert (await answer(backend, generate("bbb", "y{3}"))).text == "yyy"
    assert not any(ord("a") in rows.tokens for rows in model.batches)


async def test_a_caller_that_leaves_while_it_waits_for_anothers_grammar_is_forgotten(
    backend: LocalBackend, compiler: Compiler
) -> None:
    results: list[Result] = []

    async def first() -> None:
        results.append(await answer(backend, generate("aaa", "x{3}")))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await compiler.started()
        with anyio.move_on_after(0.01) as scope:
            await backend.generate(generate("bbb", "y{3}"))
        assert scope.cancelled_caught
        compiler.released.set()
    assert results[0].text == "xxx"
    assert (await answer(backend, generate("ccc", "z{3}"))).text == "zzz"
    assert not any("y{3}" in grammar for grammar in compiler.grammars)


async def test_grammars_compile_one_at_a_time(backend: LocalBackend, compiler: Compiler) -> None:
    async with anyio.create_task_group() as tasks:
        for pattern in ("x{3}", "y{3}", "z{3}"):
            tasks.start_soon(answer, backend, generate("aaa", pattern))
        await compiler.started()
        await anyio.lowlevel.checkpoint()
        assert len(compiler.grammars) == 1
        compiler.released.set()
    assert len(compiler.grammars) == 3


async def test_a_grammar_that_is_refused_takes_no_place_in_the_queue(backend: LocalBackend) -> None:
    for _ in range(5):
        with pytest.raises(ConstraintError, match="The regular expression"):
            await backend.generate(generate("aaa", "("))
    assert (await answer(backend, generate("aaa", "x{3}"))).text == "xxx"


async def test_requests_with_the_same_grammar_have_texts_of_their_own(backend: LocalBackend) -> None:
    texts: dict[str, str] = {}

    async def keep(prompt: str) -> None:
        texts[prompt] = (await answer(backend, generate(prompt, "[a-z]{8}", 9))).text

    async with anyio.create_task_group() as tasks:
        for prompt in ("aaa", "bbb", "ccc"):
            tasks.start_soon(keep, prompt)
    assert all(text.isalpha() and len(text) == 8 for text in texts.values())


async def test_an_answer_is_carried_on_where_it_was_left(backend: LocalBackend, model: FakeModel) -> None:
    form = OutputFormat("regex", "one two three")
    begun = (Message(role="user", content="Count."), Message(role="assistant", content="one t"))
    result = await answer(backend, ChatRequest(messages=begun, format=form))
    assert result.text.endswith("wo three")
    wrong = (*begun[:1], Message(role="assistant", content="two"))
    with pytest.raises(RequestError, match="does not fit"):
        await backend.chat(ChatRequest(messages=wrong, format=form))


async def test_a_grammar_that_nests_deeply_compiles(backend: LocalBackend) -> None:
    rules = "\n".join(f"r{index}: r{index + 1}" for index in range(3_500))
    form = OutputFormat("lark", f'start: r0\n{rules}\nr3500: "yes"')
    request = GenerateRequest(prompt="aaa", format=form, limits=Limits(max_tokens=8))
    assert (await answer(backend, request)).text == "yes"


async def test_a_stopped_server_compiles_no_more() -> None:
    thread = GrammarThread()
    assert await thread.run(lambda: 7) == 7
    thread.close()
    with pytest.raises(UnavailableError, match="stopping"):
        await thread.run(lambda: 7)
