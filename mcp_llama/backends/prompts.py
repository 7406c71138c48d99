"""Prompts: from what a caller sends to tokens, off the event loop where it may take long."""

from collections.abc import Sequence
from functools import partial

import anyio.to_thread

from mcp_llama.api import Message
from mcp_llama.errors import RequestError
from mcp_llama.models.loader import LoadedModel

_INLINE_CHARACTERS = 20_000
"""Text up to this long is tokenized in a few milliseconds, less than a change of threads is worth."""


async def prompt_tokens(loaded: LoadedModel, prompt: str | tuple[int, ...]) -> Sequence[int]:
    """The tokens of a prompt, which may be tokens already.

    Raises:
        RequestError: the prompt is empty, or a token does not exist.
    """
    if not prompt:
        raise RequestError("prompt is empty. Send the text to continue.")
    if isinstance(prompt, str):
        return await tokenize(loaded, prompt, add_special=True, parse_special=True)
    check_tokens(loaded, prompt)
    return prompt


async def chat_tokens(loaded: LoadedModel, messages: Sequence[Message]) -> Sequence[int]:
    """The tokens of a chat that asks for the next message.

    Raises:
        RequestError: the model's template cannot render the messages.
    """
    prompt = await render(loaded, messages)
    # Most templates write the leading token themselves; a second one would change the answer.
    add_special = not (loaded.model.bos_text and prompt.startswith(loaded.model.bos_text))
    return await tokenize(loaded, prompt, add_special=add_special, parse_special=True)


async def render(loaded: LoadedModel, messages: Sequence[Message]) -> str:
    """The text of a chat that asks for the next message; raises as `chat_tokens` does."""
    # A template is a program out of the model's file, and may take its time.
    return await anyio.to_thread.run_sync(loaded.chat_template.render, messages)


async def tokenize(loaded: LoadedModel, text: str, *, add_special: bool, parse_special: bool) -> Sequence[int]:
    """The tokens of a text."""
    work = partial(loaded.model.tokenize, text, add_special=add_special, parse_special=parse_special)
    if len(text) <= _INLINE_CHARACTERS:
        return work()
    return await anyio.to_thread.run_sync(work)


def check_tokens(loaded: LoadedModel, tokens: Sequence[int]) -> None:
    """Refuse tokens that the model does not have.

    Raises:
        RequestError: names the first of them.
    """
    last = loaded.model.n_vocab - 1
    for token in tokens:
        if not 0 <= token <= last:
            raise RequestError(f"Token {token} does not exist. The vocabulary of {loaded.name} goes from 0 to {last}.")
