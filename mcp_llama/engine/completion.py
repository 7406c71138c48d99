"""Completion: what a row of logits adds to its sequence: a token, those that must follow it, and their text.

Engine thread only.
"""

from collections.abc import Sequence as TokenIds

from mcp_llama.engine.logprobs import read_logprob
from mcp_llama.engine.model import Model
from mcp_llama.engine.sequence import Sequence
from mcp_llama.errors import RequestError


class Completion:
    """Chooses tokens and appends them, for the sequences of one model."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def choose(self, sequence: Sequence, row: int) -> int | RequestError:
        """The next token by the logits of a row, or why there is none."""
        assert sequence.sampler is not None
        try:
            if not sequence.forced:
                return sequence.sampler.sample(row)
            token = sequence.forced.popleft()
            sequence.sampler.accept(token)
        except RequestError as error:
            return error
        return token

    def append(self, sequence: Sequence, token: int, row: int) -> str:
        """Take in a token that was chosen, and those that must follow; their text.

        Raises:
            RequestError: a token that must follow is not allowed.
        """
        if sequence.request.top_logprobs is not None:
            top, offset = sequence.request.top_logprobs, sequence.detokenizer.decoded
            sequence.logprobs.add(read_logprob(self._model, row, token, top, offset))
        return self._append(sequence, token) + self._append_forced(sequence)

    def _append(self, sequence: Sequence, token: int) -> str:
        piece = self._model.token_bytes(token)
        sequence.tokens.append(token)
        if sequence.reasoning is not None:
            sequence.reasoning.push(piece)
        return sequence.detokenizer.push(piece)

    def _append_forced(self, sequence: Sequence) -> str:
        """What must follow the last token: it need not be sampled, and is computed with the next step."""
        if sequence.reasoning is None and sequence.request.constraint is None:
            return ""
        assert sequence.sampler is not None
        text = ""
        while not sequence.is_full and not sequence.forced and (forced := _forced(sequence)):
            if sequence.request.top_logprobs is not None:
                sequence.forced.extend(forced)
                break
            for token in forced:
                if sequence.is_full:
                    break
                sequence.sampler.accept(token)
                text += self._append(sequence, token)
        return text


def _forced(sequence: Sequence) -> TokenIds[int]:
    span, constraint = sequence.reasoning, sequence.request.constraint
    is_overdue = span is not None and span.is_overdue and sequence.detokenizer.is_between_characters
    if span is not None and is_overdue and (closing := span.take_closing()):
        return closing
    if constraint is None or sequence.request.top_logprobs is not None:
        return ()
    return constraint.forced()
