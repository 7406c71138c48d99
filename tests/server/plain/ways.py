"""The ways to ask for text by plain HTTP, in one language for all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from tests.server.scene import MODEL_NAME

Json = dict[str, Any]
Script = str | Sequence[bytes | str]


@dataclass(frozen=True, slots=True)
class Way:
    """A route that streams text, and the one that gives the same text whole."""

    name: str
    method: Literal["GET", "POST"]
    path: str
    whole_path: str

    def __str__(self) -> str:
        return self.name

    @property
    def is_openai(self) -> bool:
        """Whether it is one of `/v1`."""
        return self.path.startswith("/v1")

    def request(self, prompt: str, *, stream: bool = True, **options: Any) -> Json:
        """What an HTTP client needs to send beside the server's address."""
        body: Json = {"messages": [{"role": "user", "content": prompt}]} if self is CHAT else {"prompt": prompt}
        body |= options
        if not stream:
            return {"method": "POST", "path": self.whole_path, "json": body}
        if self.method == "GET":
            return {"method": "GET", "path": self.path, "params": {key: _in_query(each) for key, each in body.items()}}
        return {"method": "POST", "path": self.path, "json": {**body, "stream": True} if self.is_openai else body}

    def rendered(self, prompt: str) -> str:
        """The text that the FakeModel gets to continue."""
        return f"<user>{prompt}\n<assistant>" if self is CHAT else prompt

    def text(self, event: Json) -> str:
        """The new text in an event, or all of a whole body."""
        if not self.is_openai:
            return event.get("text", "")
        choices = event["choices"]
        if self is not CHAT:
            return "".join(choice["text"] for choice in choices)
        return "".join(choice.get("message", choice.get("delta", {})).get("content") or "" for choice in choices)

    def finish_reason(self, event: Json) -> str | None:
        """How an event says that the generation ended, if it does."""
        return event["choices"][0]["finish_reason"] if self.is_openai else event.get("finish_reason")


def _in_query(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


GENERATE = Way("generate", "POST", "/generate/stream", "/generate")
EVENT_SOURCE = Way("event source", "GET", "/generate/stream", "/generate")
COMPLETION = Way("completion", "POST", "/v1/completions", "/v1/completions")
CHAT = Way("chat", "POST", "/v1/chat/completions", "/v1/chat/completions")
WAYS = [GENERATE, EVENT_SOURCE, COMPLETION, CHAT]

every_way = pytest.mark.parametrize("way", WAYS, ids=str)
every_generate = pytest.mark.parametrize("way", [GENERATE, EVENT_SOURCE], ids=str)
one_of_each = pytest.mark.parametrize("way", [GENERATE, CHAT], ids=str)
"""For what takes its time, and is the same code for all."""
every_whole = pytest.mark.parametrize("way", [GENERATE, COMPLETION, CHAT], ids=str)


def scripts(**by_prompt: Script) -> dict[str | None, Script]:
    """A script for each prompt, whichever way it is asked."""
    return {way.rendered(prompt): script for prompt, script in by_prompt.items() for way in (GENERATE, CHAT)}


def embeddings(text: str) -> Json:
    """What an HTTP client needs to send for a vector."""
    return {"method": "POST", "path": "/v1/embeddings", "json": {"input": text, "model": MODEL_NAME}}
