"""FakeModel: a deterministic stand-in for a loaded model, which checks how the engine uses it."""

import itertools
import math
import re
import threading
import zlib
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from llguidance import LLTokenizer, TokenizerWrapper

from mcp_llama.engine.constraint import Constraint
from mcp_llama.engine.model import EMBED_ROWS, DecodeAbortedError, Pooling, Rows, Vectors
from mcp_llama.engine.sampling import SamplingParams
from mcp_llama.errors import RequestError
from tests.gate import Gate

EOG = 256
BOS = 257
_FIRST_PIECE = 258

CHAT_TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


class FakeSampler:
    """Chooses what the model's script says, else a token that depends on all that the slot holds."""

    def __init__(
        self, model: "FakeModel", params: SamplingParams, prompt: Sequence[int], constraint: Constraint | None
    ) -> None:
        self._model = model
        self._constraint = constraint
        self._params = params
        self._prompt = tuple(prompt)
        self._closed = False

    def sample(self, row: int) -> int:
        """The next token after a row of the last decode."""
        assert not self._closed
        token = self._model.next_token(row, self._prompt, ignore_eos=self._params.ignore_eos)
        if self._constraint is not None:
            if not self._constraint.allows(token):
                token = int(np.flatnonzero(self._constraint.allowed())[0])
            self._constraint.accept(token)
        return token

    def accept(self, token: int) -> None:
        """Take a token in that was not sampled."""
        assert not self._closed
        if self._constraint is not None:
            self._constraint.accept(token)

    def close(self) -> None:
        """Count the sampler as freed."""
        assert not self._closed, "a sampler is freed once"
        self._closed = True
        self._model.open_samplers -= 1


class _Vocabulary:
    """A FakeModel's tokens in the shape that llguidance asks for."""

    def __init__(self, model: "FakeModel") -> None:
        self.eos_token_id = EOG
        self.bos_token_id = BOS
        self.special_token_ids = [EOG, BOS]
        self.tokens = model.pieces(range(model.n_vocab))

    def __call__(self, text: bytes) -> list[int]:
        return list(text)


class FakeModel:
    """A model of bytes: token t < 256 is that byte, 256 ends a generation, 257 begins a text, the rest are pieces.

    It keeps the tokens that each slot holds and asserts on every call that the engine's idea of them is right. A
    failed decode leaves half of its rows behind, as llama.cpp may.
    """

    def __init__(
        self,
        *,
        n_ctx: int = 512,
        n_slots: int = 4,
        n_batch: int = 64,
        n_cells: int | None = None,
        can_cut: bool = True,
        decode_delay: float = 0.0,
    ) -> None:
        self.n_ctx = n_ctx
        self.n_slots = n_slots
        self.n_batch = n_batch
        self.n_ctx_train = n_ctx
        self.n_params = 1_000
        self.n_vocab = _FIRST_PIECE
        self.size = self.memory = 4_000
        self.description = "fake 1K F32"
        self.metadata: dict[str, str] = {"general.architecture": "fake", "general.name": "Fake"}
        self.chat_template: str | None = CHAT_TEMPLATE
        self.bos_text = "<s>"
        self.eos_text = "</s>"
        self.default_sampling = SamplingParams()
        self.visible_tokens: frozenset[str] = frozenset()
        self.has_lanes = n_cells is None
        self.kv_unified = can_cut and not self.has_lanes
        self.n_cells = n_cells or n_ctx * n_slots
        self.cuts = can_cut
        self.decode_delay = decode_delay
        self.eog_after: int | None = None
        """The model ends an unscripted completion after so many tokens; None means never."""
        self.fault: Callable[[Rows], Exception | None] | None = None
        """Asked on every decode for the exception that it fails with."""
        self.gate = Gate()
        self.batches: list[Rows] = []
        """The rows of every decode, those that failed included."""
        self.slots: list[list[int]] = [[] for _ in range(n_slots)]
        self.cells: list[list[int]] = [[] for _ in range(n_slots)]
        """The cells of the tokens in `slots`, if slots have a pool of them; a cell may belong to several slots."""
        self.copies: list[tuple[int, int]] = []
        """Every copy of a slot, source and target."""
        self.embeds: list[list[int]] = []
        """The tokens of every call of `embed`."""
        self.pooling: Pooling = "mean"
        self.open_samplers = 0
        self.closed = False
        self._pieces: list[bytes] = []
        self._scripts: dict[tuple[int, ...] | None, list[int]] = {}
        self._outputs: dict[int, list[int]] = {}
        self._aborting = threading.Event()
        self._owner: threading.Thread | None = None
        self._embedded = 0

    def piece(self, text: bytes | str) -> int:
        """A new token that stands for `text`, which may be part of a character or very long."""
        self._pieces.append(text.encode() if isinstance(text, str) else text)
        self.n_vocab += 1
        return self.n_vocab - 1

    def script(
        self, prompt: str | Sequence[int] | None, pieces: str | Sequence[bytes | str], *, eog: bool = True
    ) -> None:
        """Fix the completion of a prompt (None: of every other prompt): a token a piece, then the end if `eog`."""
        tokens = list(pieces.encode()) if isinstance(pieces, str) else [self.piece(piece) for piece in pieces]
        key = prompt.encode() if isinstance(prompt, str) else prompt
        self._scripts[None if key is None else _without_bos(key)] = tokens + [EOG] * eog

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """One token a byte; the texts of the two control tokens are those tokens if `parse_special`."""
        tokens = [BOS] if add_special else []
        special = {self.bos_text: BOS, self.eos_text: EOG} if parse_special else {}
        for part in re.split("(</?s>)", text):
            tokens += [special[part]] if part in special else part.encode("utf-8", "surrogatepass")
        return tokens

    def decode(self, rows: Rows) -> None:
        """Append the rows to their slots; see `Model.decode`."""
        self._check_owner()
        self._check_rows(rows)
        self.batches.append(rows)
        self._outputs = {}
        self.gate.enter(self._aborting.is_set)
        if self.decode_delay:
            self._aborting.wait(self.decode_delay)
        error = DecodeAbortedError() if self._aborting.is_set() else self.fault(rows) if self.fault else None
        for row in range(len(rows) // 2 if error else len(rows)):
            self.slots[rows.slots[row]].append(rows.tokens[row])
            self._take_cells(rows.slots[row], 1)
            if rows.outputs[row]:
                self._outputs[row] = list(self.slots[rows.slots[row]])
        if error is not None:
            raise error

    def abort(self) -> None:
        """End the decode that is running, if one is. Any thread."""
        self._aborting.set()
        self.gate.wake()

    def clear_abort(self) -> None:
        """Forget an `abort()` that found no decode to end."""
        self._check_owner()
        self._aborting.clear()

    def can_cut(self, slot: int, length: int) -> bool:
        """Whether a slot can be cut to its first `length` tokens."""
        self._check_owner()
        assert 0 <= length <= len(self.slots[slot])
        return self.cuts or length in (0, len(self.slots[slot]))

    def truncate(self, slot: int, length: int) -> int:
        """Drop what a slot holds from `length` on; all of it where it would have to be cut and `cuts` is false."""
        self._check_owner()
        held = self.slots[slot]
        assert 0 <= length <= len(held), f"slot {slot} holds {len(held)} tokens, not {length}"
        kept = length if self.cuts or length == len(held) else 0
        del held[kept:], self.cells[slot][kept:]
        return kept

    def copy(self, source: int, target: int, length: int) -> int:
        """Make slot `target` hold the first `length` tokens of slot `source`."""
        self._check_owner()
        assert source != target
        assert self.can_cut(source, length), "what cannot be cut cannot be copied in part"
        self.copies.append((source, target))
        self.slots[target] = self.slots[source][:length]
        self.cells[target] = self.cells[source][:length] if self.kv_unified else []
        self._take_cells(target, length - len(self.cells[target]))
        return length

    def save(self, slot: int) -> bytes:
        """The tokens of a slot."""
        self._check_owner()
        return array("i", self.slots[slot]).tobytes()

    def restore(self, slot: int, state: bytes) -> bool:
        """Make a slot hold saved tokens; a state of another length than a whole number of tokens does not fit."""
        self._check_owner()
        self.slots[slot], self.cells[slot] = [], []
        if len(state) % 4:
            return False
        self.slots[slot] = list(array("i", state))
        self._take_cells(slot, len(self.slots[slot]))
        return True

    @property
    def state_kind(self) -> str:
        """The context, for example."""
        return f"fake n_ctx={self.n_ctx}"

    def state_size(self, slot: int) -> int:
        """Four bytes a token."""
        self._check_owner()
        return 4 * len(self.slots[slot])

    def save_file(self, slot: int, path: Path, tokens: Sequence[int]) -> None:
        """Write the tokens of a slot."""
        assert list(tokens) == self.slots[slot]
        path.write_bytes(self.save(slot))

    def load_file(self, slot: int, path: Path) -> list[int]:
        """Make a slot hold the tokens of a file."""
        return list(self.slots[slot]) if self.restore(slot, path.read_bytes()) else []

    def held_tokens(self, slot: int) -> int:
        """How many positions a slot holds."""
        return len(self.slots[slot])

    def sampler(
        self, params: SamplingParams, prompt: Sequence[int], constraint: Constraint | None = None
    ) -> FakeSampler:
        """A new sampler."""
        self._check_owner()
        for token, _ in params.logit_bias:
            if token >= self.n_vocab:
                raise RequestError(f"logit_bias names token {token}, but the vocabulary ends at {self.n_vocab - 1}.")
        self.open_samplers += 1
        return FakeSampler(self, params, prompt, constraint)

    def logprobs(self, row: int, token: int, top: int) -> tuple[float, list[tuple[int, float]]]:
        """Half of the probability for the sampled token, half of the rest for the next one, and so on."""
        self._check_owner()
        assert row in self._outputs, f"row {row} has no logits"
        ranked = [((token + rank) % self.n_vocab, (rank + 1) * math.log(0.5)) for rank in range(top)]
        return math.log(0.5), ranked

    def embed(self, tokens: Sequence[int], position: int) -> Vectors:
        """A vector for each token that depends on it and its position alone."""
        self._check_owner()
        assert 0 < len(tokens) <= EMBED_ROWS
        assert position == 0 or position == self._embedded, "a text is computed in order"
        self.embeds.append(list(tokens))
        self.gate.enter(self._aborting.is_set)
        if self._aborting.is_set():
            raise DecodeAbortedError
        if self.fault and (error := self.fault(Rows(list(tokens)))) is not None:
            raise error
        self._embedded = position + len(tokens)
        values = [[math.sin(token + 1), math.cos(token + 1), position + row] for row, token in enumerate(tokens)]
        return np.array(values, np.float32)

    def token_piece(self, token: int) -> bytes:
        """The same as `token_bytes`, but control tokens are named."""
        return {BOS: b"<s>", EOG: b"</s>"}.get(token) or self.token_bytes(token)

    def grammar_tokenizer(self) -> LLTokenizer:
        """The vocabulary as it is now. Any thread."""
        return LLTokenizer(TokenizerWrapper(_Vocabulary(self)))

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        """The bytes of each token. Any thread."""
        return [self.token_piece(token) for token in tokens]

    def token_bytes(self, token: int) -> bytes:
        """The bytes a token stands for; empty for control tokens."""
        if token < EOG:
            return bytes([token])
        return self._pieces[token - _FIRST_PIECE] if token >= _FIRST_PIECE else b""

    def is_eog(self, token: int) -> bool:
        """Whether the token ends a generation."""
        return token == EOG

    def close(self) -> None:
        """Count the model as freed."""
        self._check_owner()
        self.closed = True

    def next_token(self, row: int, prompt: tuple[int, ...], *, ignore_eos: bool) -> int:
        """The token after a row of the last decode: the script's, else a hash of the slot's tokens as a letter."""
        self._check_owner()
        assert row in self._outputs, f"row {row} has no logits"
        held = self._outputs[row]
        assert tuple(held[: len(prompt)]) == prompt, "the slot holds another prompt"
        count = len(held) - len(prompt)
        script = self._scripts.get(_without_bos(prompt), self._scripts.get(None))
        if script is not None and count < len(script):
            token = script[count]
        else:
            token = EOG if count == self.eog_after else 33 + zlib.crc32(array("i", held).tobytes()) % 94
        return 33 if token == EOG and ignore_eos else token

    def _check_rows(self, rows: Rows) -> None:
        assert 0 < len(rows) <= self.n_batch, f"{len(rows)} rows"
        ends = [len(held) for held in self.slots]
        for token, position, slot in zip(rows.tokens, rows.positions, rows.slots, strict=True):
            assert 0 <= token < self.n_vocab, f"token {token} is unknown"
            assert position == ends[slot], f"slot {slot} ends at {ends[slot]}, but the row is at {position}"
            assert position < self.n_ctx, f"slot {slot} is full"
            ends[slot] += 1

    def _take_cells(self, slot: int, count: int) -> None:
        if self.has_lanes:
            return
        taken = {cell for cells in self.cells for cell in cells}
        free = (cell for cell in range(self.n_cells) if cell not in taken)
        self.cells[slot] += itertools.islice(free, count)
        assert len(self.cells[slot]) == len(self.slots[slot]), f"the {self.n_cells} cells are full"

    def _check_owner(self) -> None:
        """The model belongs to the thread that first uses it; a loader hands it on."""
        assert not self.closed, "the model is used after it was freed"
        if self._owner is None or self._owner.name == "model-loader":
            self._owner = threading.current_thread()
        assert self._owner is threading.current_thread(), "the model is used by two threads"


def _without_bos(tokens: Sequence[int]) -> tuple[int, ...]:
    return tuple(tokens[1:] if tokens and tokens[0] == BOS else tokens)
