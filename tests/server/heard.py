"""Heard: what an open call hears of the end of its server."""

import signal

import anyio
import pytest

from tests.server.raw import Message

PROMISED_S = 5.0
"""How long a server may take to end."""
ENDLESS = {"max_tokens": 1900, "max_time_s": 60, "sampling": {"ignore_eos": True}}
"""Arguments of a call that does not end before its server."""
every_signal = pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT], ids=lambda sig: sig.name)


class Heard:
    """What one open call has heard."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.began = anyio.Event()
        """A message came."""
        self.spoke = anyio.Event()
        """Text came."""

    def add(self, message: Message) -> None:
        """A message came."""
        self.messages.append(message)
        self.began.set()
        if self.text:
            self.spoke.set()

    @property
    def text(self) -> str:
        """The text of all notifications, joined."""
        return "".join(message.get("params", {}).get("message", "") for message in self.messages)

    def check(self) -> None:
        """The call ended with all that was sent before, and said that it was cut short."""
        assert self.messages, "nothing was heard"
        assert "result" in self.messages[-1], "the call has no result"
        result = self.messages[-1]["result"]
        assert not result.get("isError"), result
        assert result["structuredContent"]["finish_reason"] == "abort"
        assert result["structuredContent"]["text"] == self.text
