"""Backend: what the servers and the command line need from whatever answers."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from prometheus_client import CollectorRegistry

from mcp_llama.api import ChatRequest, EmbedRequest, GenerateRequest, ModelStatus
from mcp_llama.engine.embedding import Embedding
from mcp_llama.engine.generation import Generation


class Backend(Protocol):
    """Answers requests. All methods are for the event loop, and start no work but what they name."""

    @property
    def metrics(self) -> CollectorRegistry:
        """What is counted and measured."""
        ...

    def start(self) -> None:
        """Begin to load; returns at once."""
        ...

    @property
    def default_model(self) -> str:
        """The name of the model for requests that name none."""
        ...

    def hold(self, model: str | None) -> AbstractAsyncContextManager[str]:
        """Wait until the model can answer, and keep it for the time of the body; its name, for which others may stand.

        Raises:
            RequestError: no model of that name is served, or several could be meant.
            ModelLoadError: it could not be loaded.
            UnavailableError: the backend is stopping.
        """
        ...

    async def ready(self, model: str | None) -> str:
        """Wait until the model can answer; its name. Raises as `hold` does."""
        ...

    async def generate(self, request: GenerateRequest) -> Generation:
        """A handle for the request; entering it starts the work.

        Raises:
            RequestError: the request cannot be served as it is.
            ModelLoadError: the model could not be loaded.
        """
        ...

    async def chat(self, request: ChatRequest) -> Generation:
        """The same for a chat; raises the same."""
        ...

    async def embed(self, request: EmbedRequest) -> Embedding:
        """A handle for the vectors of texts; entering it starts the work. Raises as `generate` does."""
        ...

    async def count_tokens(self, content: str | ChatRequest, model: str | None) -> int:
        """How many tokens a prompt, or a chat with its template, takes."""
        ...

    async def tokenize(self, text: str, model: str | None, *, add_special: bool, parse_special: bool) -> Sequence[int]:
        """The tokens of a text: with the model's own leading ones if `add_special`, control tokens by their names if
        `parse_special`.
        """
        ...

    async def pieces(self, tokens: Sequence[int], model: str | None) -> list[bytes]:
        """The bytes that each token stands for; control tokens are named.

        Raises:
            RequestError: a token does not exist.
        """
        ...

    async def apply_template(self, request: ChatRequest) -> str:
        """The text that a chat becomes through the model's template.

        Raises:
            RequestError: the template cannot render the messages.
        """
        ...

    def status(self, model: str | None = None) -> ModelStatus:
        """How far a model is, by the name that `hold` gives, or the default one; 'unloaded' if nobody asked for it."""
        ...

    async def models(self) -> list[ModelStatus]:
        """What is served, the default model first."""
        ...

    def stop(self) -> None:
        """Refuse new requests, and end all others with what they have."""
        ...

    async def close(self) -> None:
        """Stop, and free everything."""
        ...
