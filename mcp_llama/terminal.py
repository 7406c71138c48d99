"""`generate` and `chat` on the terminal: stdout is the answer, all else goes to stderr."""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from mcp_llama.api import ChatRequest, GenerateRequest, Limits, Message, OutputFormat, Result
from mcp_llama.backends.backend import Backend
from mcp_llama.chat.delta import ChatDelta
from mcp_llama.engine.generation import Generation
from mcp_llama.engine.types import TokenDelta
from mcp_llama.errors import ConfigError, RequestError
from mcp_llama.settings.text import ChatSettings, GenerateSettings, TextSettings
from mcp_llama.signals import calling

_POLL_S = 0.05
_INTERRUPTED = 130


def run_generate(backend: Backend, settings: GenerateSettings) -> int:
    """Print one completion; returns the exit status."""
    prompt = _read_stdin() if settings.prompt == "-" else _text("prompt", settings.prompt)
    limits, sampling, form = _limits(settings), _sampling(settings), _format(settings.json_schema)

    def prepare() -> Awaitable[Generation]:
        return backend.generate(GenerateRequest(prompt=prompt, limits=limits, sampling=sampling, format=form))

    with _session(backend) as runner:
        result = runner.run(_answer(backend, prepare))
    return _INTERRUPTED if result.finish_reason == "abort" else 0


def run_chat(backend: Backend, settings: ChatSettings) -> int:
    """Print one answer, or hold a conversation; returns the exit status."""
    messages = [Message(role="system", content=_text("system", settings.system))] if settings.system else []
    ask = partial(
        ChatRequest, limits=_limits(settings), sampling=_sampling(settings), format=_format(settings.json_schema)
    )
    with _session(backend) as runner:
        if settings.message:
            result = _turn(runner, backend, ask, messages, _text("message", settings.message))
            return _INTERRUPTED if result.finish_reason == "abort" else 0
        print("Ctrl-C stops an answer, Ctrl-D ends the conversation.", file=sys.stderr)
        for line in _lines():
            try:
                _turn(runner, backend, ask, messages, line)
            except RequestError as error:
                # This question could not be put; another one may.
                print(f"mcp-llama: {error}", file=sys.stderr)
                messages.pop()
    return 0


def _turn(
    runner: asyncio.Runner,
    backend: Backend,
    ask: Callable[..., ChatRequest],
    messages: list[Message],
    question: str,
) -> Result:
    messages.append(Message(role="user", content=question))

    def prepare() -> Awaitable[Generation]:
        return backend.chat(ask(messages=tuple(messages)))

    result = runner.run(_answer(backend, prepare))
    messages.append(Message(role="assistant", content=result.text, reasoning=result.reasoning))
    return result


def _lines() -> Iterator[str]:
    while True:
        print("> ", end="", file=sys.stderr, flush=True)
        try:
            line = _text("stdin", input().strip())
        except UnicodeError as error:
            raise _not_text("stdin", error) from error
        except (EOFError, KeyboardInterrupt):
            print(file=sys.stderr)
            return
        if line:
            yield line


@contextmanager
def _session(backend: Backend) -> Generator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        try:
            yield runner
        finally:
            runner.run(backend.close())


async def _answer(backend: Backend, prepare: Callable[[], Awaitable[Generation]]) -> Result:
    """Print an answer token by token, then a line about its speed. Ctrl-C ends the answer, not the program."""
    await show_loading(backend)
    thoughts = _Thoughts()
    generation = await prepare()
    with calling(generation.stop, signal.SIGINT):
        async with generation:
            async for delta in generation:
                thoughts.show(delta)
                sys.stdout.write(delta.text)
                sys.stdout.flush()
            result = await generation.result()
    sys.stdout.write("\n")
    sys.stdout.flush()
    print(_summary(result), *result.notes, sep="\n", file=sys.stderr)
    return result


class _Thoughts:
    """The reasoning before an answer: dimmed on stderr, and only where that is a terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._shows = False

    def show(self, delta: TokenDelta) -> None:
        """Show what is new of it; the answer begins on a line of its own."""
        if self._console.is_terminal and isinstance(delta, ChatDelta) and delta.reasoning:
            self._console.out(delta.reasoning, style="dim", end="", highlight=False)
            self._shows = True
        if self._shows and delta.text:
            self._console.out()
            self._shows = False


async def show_loading(backend: Backend) -> None:
    """Wait for the model, with a progress bar on a terminal.

    Raises:
        ModelLoadError: it could not be loaded.
    """
    backend.start()
    waiting = asyncio.ensure_future(backend.ready(None))
    columns = (TextColumn("Loading {task.description}"), BarColumn(), TaskProgressColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(backend.default_model, total=1.0)
        try:
            while not waiting.done():
                bar.update(task, completed=backend.status().loaded)
                await asyncio.wait([waiting], timeout=_POLL_S)
        finally:
            waiting.cancel()
    await waiting


def _read_stdin() -> str:
    try:
        return _text("stdin", sys.stdin.read())
    except UnicodeError as error:
        raise _not_text("stdin", error) from error


def _text(source: str, text: str) -> str:
    """The text, if that is what it is: where the locale is C, Python takes any bytes, and the model would get others.

    Raises:
        RequestError: it is not valid UTF-8.
    """
    try:
        return text.encode(errors="surrogateescape").decode()
    except UnicodeError as error:
        raise _not_text(source, error) from error


def _not_text(source: str, error: UnicodeError) -> RequestError:
    return RequestError(f"{source} is not valid UTF-8: {error}.")


def _limits(settings: TextSettings) -> Limits:
    return Limits(max_tokens=settings.max_tokens, stop=tuple(settings.stop))


def _format(path: Path | None) -> OutputFormat | None:
    """The schema in a file.

    Raises:
        ConfigError: there is none.
    """
    if path is None:
        return None
    try:
        return OutputFormat("json_schema", json.loads(path.expanduser().read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"json_schema is {str(path)!r}, which cannot be read: {error}.") from error


def _sampling(settings: TextSettings) -> dict[str, object]:
    flat = {"temperature": settings.temperature, "top_p": settings.top_p, "seed": settings.seed}
    given: dict[str, object] = {name: value for name, value in flat.items() if value is not None}
    return {**{name: _parse(name, value) for name, value in settings.sampling.items()}, **given}


def _parse(name: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    if value in ("true", "false"):
        return value == "true"
    try:
        return float(value)
    except ValueError:
        raise RequestError(f"--sampling {name}={value}: the value must be a number, true or false.") from None


def _summary(result: Result) -> str:
    usage, timings = result.usage, result.timings
    rate = timings.decode_tokens_per_second(usage.completion_tokens)
    reasoning = f" ({usage.reasoning_tokens} reasoning)" if usage.reasoning_tokens else ""
    parts = [f"{usage.completion_tokens} tokens{reasoning}"]
    parts += [f"{rate:.1f} tok/s"] if rate else []
    parts += [f"first token after {timings.ttft_s:.2f} s"] if timings.ttft_s is not None else []
    parts += [f"prompt {usage.prompt_tokens} tokens ({usage.cached_tokens} cached)", result.finish_reason]
    return " · ".join(parts)
