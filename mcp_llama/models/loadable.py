"""What the pool of models needs of a model, and of those who load and prepare it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from llguidance import LLTokenizer

from mcp_llama.engine.contents import Contents
from mcp_llama.engine.model import Model
from mcp_llama.engine.sampling import SamplingParams


class LoadableModel(Model, Protocol):
    """A model with what is needed around the token loop. The methods are for any thread."""

    n_ctx_train: int
    n_params: int
    n_vocab: int
    size: int
    description: str
    metadata: dict[str, str]
    chat_template: str | None
    bos_text: str
    eos_text: str
    visible_tokens: frozenset[str]
    """Control tokens that show in texts by their names."""
    default_sampling: SamplingParams

    @property
    def memory(self) -> int:
        """The bytes of weights and KV cache."""
        ...

    def grammar_tokenizer(self) -> LLTokenizer:
        """The vocabulary for grammars; may take long."""
        ...

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> Sequence[int]:
        """The tokens of `text`."""
        ...

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        """The bytes of each token, control tokens named."""
        ...


LoadModel = Callable[[Callable[[float], bool]], LoadableModel]
"""Loads a model; calls its argument with the loaded share, from 0 to 1, and gives up when that returns False."""

PrepareModel = Callable[[LoadableModel, Callable[[], bool]], Contents]
"""Fills the memory of a loaded model; raises DecodeAbortedError when its second argument returns False."""
