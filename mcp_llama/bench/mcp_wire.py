"""Calls of the tool `generate` over MCP 2026-07-28: the message of a job, and the answer in the messages."""

import json
import re
from collections.abc import Sequence
from typing import Any

from mcp_llama.bench.http_wire import Piece
from mcp_llama.bench.job import Answer, Job, Usage
from mcp_llama.bench.openai_wire import TEMPERATURE, error_text

VERSION = "2026-07-28"

EVENT = re.compile(rb'"message": ?"')
"""What a notification with text has in it."""

_LONGEST_S = 86_400
_TIMINGS = "mcp-llama/timings"


class McpWire:
    """Streamable HTTP or stdio; the number of a job is the id of its message and its progress token."""

    path = "/mcp"

    def body(self, number: int, job: Job) -> bytes:
        """The request of a job."""
        arguments: dict[str, Any] = {
            "prompt": job.prompt,
            "max_tokens": job.max_tokens,
            "temperature": TEMPERATURE,
            "seed": job.seed,
            "max_time_s": _LONGEST_S,
        }
        if job.schema is not None:
            arguments["json_schema"] = job.schema
        else:
            arguments["sampling"] = {"ignore_eos": True}
        meta = {
            "progressToken": number,
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "mcp-llama-bench", "version": "1"},
        }
        params = {"name": "generate", "arguments": arguments, "_meta": meta}
        return json.dumps({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}).encode()

    def cancellation(self, number: int) -> bytes:
        """What ends a job on stdio; on HTTP the end of its connection does."""
        message = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}}
        return json.dumps(message).encode()

    def headers(self) -> dict[str, str]:
        """What the request has beside its body."""
        return {
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": VERSION,
            "Mcp-Method": "tools/call",
            "Mcp-Name": "generate",
        }

    def answer(self, sent: float, events: Sequence[Piece]) -> Answer:
        """What the messages tell."""
        arrivals: list[float] = []
        last: dict[str, Any] = {}
        for moment, data in events:
            last = json.loads(data)
            if last.get("params", {}).get("message"):
                arrivals.append(moment)
        if "result" not in last:
            error = error_text(last) if "error" in last else "the stream ended without a result"
            return Answer(sent=sent, error=error)
        result = last["result"]
        if result.get("isError"):
            return Answer(sent=sent, error=result["content"][0]["text"])
        return _answer(sent, arrivals, result["structuredContent"], result.get("_meta", {}).get(_TIMINGS, {}))


def _answer(sent: float, arrivals: list[float], content: dict[str, Any], timings: dict[str, Any]) -> Answer:
    usage = content["usage"]
    admitted: float | None = None
    if arrivals and "ttft_ms" in timings:
        admitted = arrivals[0] - (timings["ttft_ms"] - timings["queue_ms"]) / 1000
    return Answer(
        sent=sent,
        arrivals=tuple(arrivals),
        text=content["text"],
        usage=Usage(
            prompt=usage["prompt_tokens"],
            completion=usage["completion_tokens"],
            cached=timings.get("cached_tokens", 0),
        ),
        admitted=admitted,
    )
