"""Backend: what the servers and the command line need from whatever answers."""

from collections.abc import Sequence
from typing import Protocol

from mcp_llama.api import ChatRequest, GenerateRequest, Message, ModelStatus
from mcp_llama.engine.generation import Generation


class Backend(Protocol):
    """Answers requests. All methods are for the event loop, and start no work but what they name."""

    def start(self) -> None:
        """Begin to load; returns at once."""
        ...

    async def ready(self, model: str | None) -> None:
        """Wait until the model can answer.

        Raises:
            UnknownModelError: no model of that name is served.
            ModelLoadError: it could not be loaded.
        """
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

    async def count_tokens(self, content: str | Sequence[Message], model: str | None) -> int:
        """How many tokens a prompt, or a chat with its template, takes."""
        ...

    def models(self) -> list[ModelStatus]:
        """What is served."""
        ...

    def stop(self) -> None:
        """Refuse new requests, and end all others with what they have."""
        ...

    async def close(self) -> None:
        """Stop, and free everything."""
        ...
