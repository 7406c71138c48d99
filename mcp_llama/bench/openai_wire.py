"""Completions as OpenAI's API has them: the request of a job, and the answer in the events."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from mcp_llama.bench.http_wire import Piece
from mcp_llama.bench.job import Answer, Job, Usage

TEMPERATURE = 0.8

EVENT = re.compile(rb'"text": ?"(?!")')
"""What an event with text has in it."""

_DONE = b"[DONE]"


@dataclass(frozen=True, slots=True)
class OpenAIWire:
    """One model of one server. Not every server knows how to go on after the end of a text: `ignore_eos`."""

    model: str
    ignore_eos: bool

    path = "/completions"

    def body(self, number: int, job: Job) -> bytes:
        """The request of a job."""
        fields: dict[str, Any] = {
            "model": self.model,
            "prompt": job.prompt,
            "max_tokens": job.max_tokens,
            "temperature": TEMPERATURE,
            "seed": job.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if job.schema is not None:
            schema = {"name": "answer", "schema": job.schema, "strict": True}
            fields["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif self.ignore_eos:
            fields["ignore_eos"] = True
        return json.dumps(fields).encode()

    def headers(self) -> dict[str, str]:
        """What the request has beside its body."""
        return {"Accept": "text/event-stream"}

    def answer(self, sent: float, events: Sequence[Piece]) -> Answer:
        """What the events tell."""
        arrivals: list[float] = []
        texts: list[str] = []
        usage: Usage | None = None
        prompt_s: float | None = None
        for moment, data in events:
            if data == _DONE:
                break
            chunk = json.loads(data)
            if "error" in chunk:
                return Answer(sent=sent, error=error_text(chunk))
            text = "".join(choice.get("text") or "" for choice in chunk.get("choices", ()))
            if text:
                arrivals.append(moment)
                texts.append(text)
            usage = _usage(chunk.get("usage")) or usage
            prompt_s = _prompt_s(chunk.get("timings")) or prompt_s
        admitted = arrivals[0] - prompt_s if arrivals and prompt_s is not None else None
        error = None if usage else "the server reports no usage, so its tokens cannot be counted"
        if not events or events[-1][1] != _DONE:
            error = "the stream broke off"
        return Answer(
            sent=sent, arrivals=tuple(arrivals), text="".join(texts), usage=usage, admitted=admitted, error=error
        )


def error_text(body: Any) -> str:
    """What an error body says."""
    error = _field(body, "error") or body
    return str(_field(error, "message") or error)


def _field(value: Any, name: str) -> Any:
    return cast(dict[str, Any], value).get(name) if isinstance(value, dict) else None


def _usage(counts: Any) -> Usage | None:
    completion = _field(counts, "completion_tokens")
    if completion is None:
        return None
    cached = _field(_field(counts, "prompt_tokens_details"), "cached_tokens")
    return Usage(prompt=_field(counts, "prompt_tokens") or 0, completion=completion, cached=cached or 0)


def _prompt_s(timings: dict[str, Any] | None) -> float | None:
    """From the slot to the first token, as llama.cpp's timings tell."""
    milliseconds = (timings or {}).get("prompt_ms")
    return None if milliseconds is None else milliseconds / 1000
