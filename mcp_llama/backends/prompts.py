"""Prompts: from what a caller sends to tokens, off the event loop where it may take long."""

from collections.abc import Sequence
from functools import partial

import anyio.lowlevel
import anyio.to_thread

from mcp_llama.chat.plan import Plan
from mcp_llama.engine.reasoning import ReasoningRule
from mcp_llama.errors import RequestError
from mcp_llama.models.loader import LoadedModel
from mcp_llama.models.warm import needs_special

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


async def chat_tokens(loaded: LoadedModel, prompt: str) -> Sequence[int]:
    """The tokens of a prompt that a chat template has written."""
    add_special = needs_special(loaded.model, prompt)
    return await tokenize(loaded, prompt, add_special=add_special, parse_special=True)


async def reasoning_rule(loaded: LoadedModel, plan: Plan) -> ReasoningRule | None:
    """How the engine counts and limits the reasoning of an answer, None if it has none."""
    if plan.marks is None or not (plan.reasons or plan.may_reason):
        return None
    closing = await tokenize(loaded, f"\n{plan.marks.end}\n\n", add_special=False, parse_special=True)
    return ReasoningRule(
        start=None if plan.reasons else plan.marks.start,
        end=plan.marks.end,
        budget=plan.reasoning_budget,
        closing=tuple(closing),
    )


async def tokenize(loaded: LoadedModel, text: str, *, add_special: bool, parse_special: bool) -> Sequence[int]:
    """The tokens of a text."""
    work = partial(loaded.model.tokenize, text, add_special=add_special, parse_special=parse_special)
    if len(text) <= _INLINE_CHARACTERS:
        tokens = work()
        # Texts come by the thousand: between two of them, whatever else waits for the event loop has its turn.
        await anyio.lowlevel.checkpoint()
        return tokens
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
