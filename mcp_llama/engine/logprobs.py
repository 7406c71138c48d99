"""HeldLogprobs: log probabilities wait until the text of their tokens is certain. Engine thread only."""

from collections import deque

from mcp_llama.api import RankedToken, TokenLogprob
from mcp_llama.engine.model import Model


class HeldLogprobs:
    """The log probabilities of one completion, from the sampling of a token until its text is delivered."""

    def __init__(self) -> None:
        self._held: deque[TokenLogprob] = deque()

    def add(self, entry: TokenLogprob) -> None:
        """Keep the entry of the token sampled last."""
        self._held.append(entry)

    def release(self, returned: int) -> tuple[TokenLogprob, ...]:
        """Those of tokens whose text begins within the first `returned` characters."""
        released: list[TokenLogprob] = []
        while self._held and self._held[0].offset < returned:
            released.append(self._held.popleft())
        return tuple(released)

    def release_all(self) -> tuple[TokenLogprob, ...]:
        """All that are left."""
        released = tuple(self._held)
        self._held.clear()
        return released


def read_logprob(model: Model, row: int, token: int, top: int, offset: int) -> TokenLogprob:
    """The entry of a token that was sampled from a row of the last decode."""
    logprob, likeliest = model.logprobs(row, token, top)
    return TokenLogprob(
        RankedToken(token, model.token_piece(token), logprob),
        tuple(RankedToken(other, model.token_piece(other), value) for other, value in likeliest),
        offset,
    )
