"""Log probabilities in the two shapes that OpenAI's API has for them."""

from collections.abc import Sequence
from typing import Any

from mcp_llama.api import RankedToken, TokenLogprob


def chat_logprobs(entries: Sequence[TokenLogprob]) -> dict[str, Any]:
    """For `chat/completions`: an object for each token."""
    return {
        "content": [
            {**_ranked(entry.sampled), "top_logprobs": [_ranked(other) for other in entry.top]} for entry in entries
        ],
        "refusal": None,
    }


def completion_logprobs(entries: Sequence[TokenLogprob]) -> dict[str, Any]:
    """For `completions`: a list for each property."""
    return {
        "tokens": [_text(entry.sampled) for entry in entries],
        "token_logprobs": [entry.sampled.logprob for entry in entries],
        "top_logprobs": [{_text(other): other.logprob for other in entry.top} for entry in entries],
        "text_offset": [entry.offset for entry in entries],
    }


def _ranked(token: RankedToken) -> dict[str, Any]:
    return {"token": _text(token), "logprob": token.logprob, "bytes": list(token.piece)}


def _text(token: RankedToken) -> str:
    """The token's text; a part of a character shows as U+FFFD, and `bytes` says which."""
    return token.piece.decode("utf-8", "replace")
