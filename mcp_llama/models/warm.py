"""WarmText: a system prompt that is computed before the first chat needs it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mcp_llama.api import ChatRequest, Message
from mcp_llama.chat.plan import ChatDefaults, render_chat
from mcp_llama.chat.template import ChatTemplate
from mcp_llama.engine.model import DecodeAbortedError, DecodeError, Rows
from mcp_llama.engine.prefix_cache import StoredPrefix, common_prefix
from mcp_llama.errors import ConfigError, ModelLoadError, RequestError
from mcp_llama.models.loadable import LoadableModel

_USERS_WORDS = ("a", "Z", "7", "(", "é")
"""Whatever a tokenizer may merge with what the template writes before them, it does not with all of these."""
_MIN_REST = 2
"""A prompt goes on after its prefix, and an answer follows."""


@dataclass(frozen=True, slots=True)
class WarmText:
    """A system message, and the file that it was read from."""

    path: Path
    text: str


def read_warm(path: Path) -> WarmText:
    """Read a file; the line break at its end belongs to the file, not to the message.

    Raises:
        ConfigError: it cannot be read, is no UTF-8 or is empty.
    """
    try:
        text = path.read_text(encoding="utf-8-sig").removesuffix("\n")
    except OSError as error:
        raise ConfigError(f"--warm {path} cannot be read: {error.strerror}. Give a text file.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"--warm {path} is not UTF-8 text. Save it as UTF-8.") from error
    if not text.strip():
        raise ConfigError(f"--warm {path} is empty. Write the system message into it, or leave the option out.")
    return WarmText(path, text)


def warm_tokens(model: LoadableModel, warm: WarmText, chat: ChatDefaults) -> list[int]:
    """The tokens that every chat with this system message begins with; of the bare text if there is no template.

    Raises:
        ModelLoadError: they do not fit the context, or the template has no use for the message.
    """
    tokens = _chat_prefix(model, warm, chat) if model.chat_template else _tokens(model, warm.text, add_special=True)
    if not tokens:
        raise ModelLoadError(f"--warm {warm.path}: the chat template puts the user's words first. Leave it out.")
    if len(tokens) + _MIN_REST > model.n_ctx:
        raise ModelLoadError(
            f"--warm {warm.path} has {len(tokens):,} tokens, but the context holds {model.n_ctx:,}. "
            "Shorten it, or raise n_ctx."
        )
    return tokens


def compute_prefix(model: LoadableModel, tokens: list[int], is_wanted: Callable[[], bool]) -> None:
    """Make slot 0 hold these tokens. Loader thread only.

    Raises:
        DecodeAbortedError: they are not wanted any more.
        ModelLoadError: llama.cpp failed.
    """
    for start in range(0, len(tokens), model.n_batch):
        if not is_wanted():
            raise DecodeAbortedError
        chunk = tokens[start : start + model.n_batch]
        count = len(chunk)
        try:
            model.decode(Rows(chunk, list(range(start, start + count)), [0] * count, [False] * count))
        except DecodeError as error:
            raise ModelLoadError(f"The warm prompts could not be computed: {error}") from error


def stored_prefix(model: LoadableModel, tokens: list[int]) -> StoredPrefix:
    """Take the state of these tokens out of slot 0, which is empty afterwards. Loader thread only."""
    state = model.save(0)
    model.truncate(0, 0)
    return StoredPrefix(tokens, state)


def needs_special(model: LoadableModel, prompt: str) -> bool:
    """Whether the model's leading token is missing in what a chat template has written."""
    # Most templates write it themselves; a second one would change the answer.
    return not (model.bos_text and prompt.startswith(model.bos_text))


def _chat_prefix(model: LoadableModel, warm: WarmText, chat: ChatDefaults) -> list[int]:
    assert model.chat_template is not None
    try:
        template = ChatTemplate(model.chat_template, bos_text=model.bos_text, eos_text=model.eos_text)
        prompts = [render_chat(_request(warm.text, words), template, chat) for words in _USERS_WORDS]
    except RequestError as error:
        raise ModelLoadError(f"--warm {warm.path}: {error}") from error
    first, *others = [_tokens(model, prompt, add_special=needs_special(model, prompt)) for prompt in prompts]
    return first[: min(common_prefix(first, other) for other in others)]


def _request(system: str, words: str) -> ChatRequest:
    return ChatRequest(messages=(Message(role="system", content=system), Message(role="user", content=words)))


def _tokens(model: LoadableModel, text: str, *, add_special: bool) -> list[int]:
    return list(model.tokenize(text, add_special=add_special, parse_special=True))
