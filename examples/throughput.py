"""Compare tokens per second over MCP with a bare llama.cpp loop: same build, same prompts, in turn.

    python examples/throughput.py --streams 8 --pairs 5

The client is a plain socket, so that it takes as little as possible of the processor that the model runs on.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

from mcp_llama.engine.llama import LlamaModel, ModelOptions
from mcp_llama.engine.model import Rows
from mcp_llama.models.files import find_model

TOPICS = ("cats", "dogs", "rain", "music", "trains", "France", "bread", "stars")
N_CTX = 1024


def prompts(streams: int, run: int) -> list[str]:
    """Prompts of about equal length which no earlier run has used, so that no cache helps."""
    return [
        f"<|im_start|>user\nRun {run}, stream {i}: tell me about {TOPICS[i % len(TOPICS)]}."
        "<|im_end|>\n<|im_start|>assistant\n"
        for i in range(streams)
    ]


def raw_rate(model: LlamaModel, texts: list[str], tokens: int) -> float:
    """Tokens per second of all sequences together, prefill included, in a loop that does nothing else."""
    sequences = [model.tokenize(text, add_special=True, parse_special=True) for text in texts]
    params = model.default_sampling.override({"seed": 1, "ignore_eos": True})
    began = time.perf_counter()
    rows = Rows()
    for slot, sequence in enumerate(sequences):
        rows.tokens += sequence
        rows.positions += range(len(sequence))
        rows.slots += [slot] * len(sequence)
        rows.outputs += [False] * (len(sequence) - 1) + [True]
    model.decode(rows)
    samplers = [model.sampler(params, sequence) for sequence in sequences]
    last = [i for i, output in enumerate(rows.outputs) if output]
    current = [sampler.sample(row) for sampler, row in zip(samplers, last, strict=True)]
    slots, outputs = list(range(len(sequences))), [True] * len(sequences)
    for step in range(tokens - 1):
        model.decode(Rows(current, [len(sequence) + step for sequence in sequences], slots, outputs))
        current = [sampler.sample(row) for row, sampler in enumerate(samplers)]
    elapsed = time.perf_counter() - began
    for slot, sampler in enumerate(samplers):
        sampler.close()
        model.truncate(slot, 0)
    return len(sequences) * tokens / elapsed


async def mcp_rate(port: int, texts: list[str], tokens: int) -> float:
    """The same over Streamable HTTP, with a progress notification for each token."""
    began = time.perf_counter()
    counts = await asyncio.gather(*(call(port, i, text, tokens) for i, text in enumerate(texts)))
    elapsed = time.perf_counter() - began
    assert counts == [tokens] * len(texts), counts
    return sum(counts) / elapsed


async def call(port: int, request_id: int, prompt: str, tokens: int) -> int:
    """One tool call; the number of tokens in its result."""
    arguments = {"prompt": prompt, "max_tokens": tokens, "seed": 1, "sampling": {"ignore_eos": True}}
    meta = {
        "progressToken": request_id,
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "throughput", "version": "1"},
    }
    params = {"name": "generate", "arguments": arguments, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: generate\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    writer.write(head.encode() + body)
    events = [line for line in (await reader.read()).split(b"\r\n") if line.startswith(b"data: ")]
    writer.close()
    await writer.wait_closed()
    result = json.loads(events[-1].removeprefix(b"data: "))["result"]
    assert len(events) > tokens, "a notification for each token, and the result"
    return result["structuredContent"]["usage"]["completion_tokens"]


@contextmanager
def server(streams: int) -> Generator[int]:
    """A server of its own on a free port; gives the port."""
    command = [sys.executable, "-m", "mcp_llama", "serve", "--port", "0", "--log-level", "warning"]
    command += ["--n-slots", str(streams), "--n-ctx", str(N_CTX)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "/mcp" in line)
        try:
            yield int(line.rsplit(":", 1)[1].split("/")[0])
        finally:
            process.terminate()


def main(streams: int, tokens: int, pairs: int) -> None:
    model = LlamaModel(find_model(None).path, ModelOptions(n_ctx=N_CTX, n_slots=streams))
    ratios: list[float] = []
    with server(streams) as port:
        asyncio.run(mcp_rate(port, prompts(streams, 0), tokens))
        raw_rate(model, prompts(streams, 0), tokens)
        for run in range(1, pairs + 1):
            texts = prompts(streams, run)
            raw, mcp = raw_rate(model, texts, tokens), asyncio.run(mcp_rate(port, texts, tokens))
            ratios.append(mcp / raw)
            print(f"raw {raw:6.1f} tok/s   mcp {mcp:6.1f} tok/s   ratio {mcp / raw:.2f}", flush=True)
    model.close()
    print(f"{streams} streams of {tokens} tokens: median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    main(options.streams, options.tokens, options.pairs)
