"""RawLoop: decode and sample, and nothing else. One thread."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from mcp_llama.api import OutputFormat
from mcp_llama.bench.job import Answer, Job, Usage
from mcp_llama.bench.openai_wire import TEMPERATURE
from mcp_llama.bench.script import Script
from mcp_llama.engine.constraint import Constraint, Constraints
from mcp_llama.engine.grammar import format_part, whole_text
from mcp_llama.engine.llama import LlamaModel
from mcp_llama.engine.model import Rows, Sampler

_WORTH_COPYING = 32


@dataclass(slots=True)
class _Stream:
    """A job in its slot."""

    job: Job
    slot: int
    tokens: list[int]
    cached: int
    sampler: Sampler
    sent: float
    prompt: int = 0
    done: int = 0
    times: list[float] = field(default_factory=list[float])

    @property
    def pending(self) -> int:
        return len(self.tokens) - self.done


class RawLoop:
    """Runs a batch of jobs, each in the slot of its number. A slot keeps its tokens for the next batch."""

    def __init__(self, model: LlamaModel) -> None:
        self._model = model
        self._held: dict[int, list[int]] = {}
        self._computed: dict[int, int] = {}
        self._constraints: Constraints | None = None

    def run(self, jobs: Sequence[Job]) -> list[Answer]:
        """Run all to their ends."""
        prompts = [self._model.tokenize(job.prompt, add_special=True, parse_special=True) for job in jobs]
        constraints = [self._constraint(job) for job in jobs]
        script = Script(jobs)
        running: dict[int, _Stream] = {}
        answers: dict[int, Answer] = {}
        # Constraints are compiled and prompts are tokenised: here the clock begins.
        while not script.is_over:
            now = time.perf_counter()
            starting = [number for action, number in script.actions(now) if action == "start"]
            self._share(starting, prompts)
            for number in starting:
                running[number] = self._begin(number, jobs[number], prompts[number], constraints[number], now)
                script.sent(number)
            for number in self._step(running):
                script.heard(number, 1)
                if self._has_ended(running[number]):
                    answers[number] = self._end(running.pop(number))
                    script.ended(number)
        return [answers[number] for number in range(len(jobs))]

    def _constraint(self, job: Job) -> Constraint | None:
        if job.schema is None:
            return None
        if self._constraints is None:
            self._constraints = Constraints(self._model.grammar_tokenizer(), ())
        return whole_text(format_part(OutputFormat("json_schema", job.schema))).compile(self._constraints)

    def _share(self, numbers: Sequence[int], prompts: Sequence[list[int]]) -> None:
        """Compute what prompts that start together have in common once, and copy it."""
        if len(numbers) < 2:
            return
        first, *others = numbers
        common = min(_common(prompts[first], prompts[number]) for number in others)
        if common - _common(prompts[first], self._held.get(first, ())) < _WORTH_COPYING:
            return
        shared = prompts[first][:common]
        self._model.truncate(first, 0)
        self._prefill(first, shared)
        self._held[first] = list(shared)
        self._computed[first] = common
        for number in others:
            self._held[number] = shared[: self._model.copy(first, number, common)]

    def _prefill(self, slot: int, tokens: Sequence[int]) -> None:
        for begin in range(0, len(tokens), self._model.n_batch):
            part = list(tokens[begin : begin + self._model.n_batch])
            count = len(part)
            self._model.decode(Rows(part, list(range(begin, begin + count)), [slot] * count, [False] * count))

    def _begin(self, slot: int, job: Job, prompt: list[int], constraint: Constraint | None, now: float) -> _Stream:
        # The last token is computed in any case, for the logits.
        cached = min(_common(prompt, self._held.get(slot, ())), len(prompt) - 1)
        cached = self._model.truncate(slot, cached)
        options = {"seed": job.seed, "temperature": TEMPERATURE, "ignore_eos": job.schema is None}
        sampler = self._model.sampler(self._model.default_sampling.override(options), prompt, constraint)
        return _Stream(job, slot, list(prompt), cached, sampler, now, len(prompt), cached)

    def _step(self, running: dict[int, _Stream]) -> list[int]:
        """One decode: a row for each stream that writes, then as many prompt tokens as fit. Who got a token."""
        rows = Rows()
        sampled: list[tuple[int, int]] = []
        for number, stream in sorted(running.items(), key=lambda item: item[1].pending > 1):
            count = min(stream.pending, self._model.n_batch - len(rows))
            if not count:
                continue
            rows.tokens += stream.tokens[stream.done : stream.done + count]
            rows.positions += range(stream.done, stream.done + count)
            rows.slots += [stream.slot] * count
            stream.done += count
            rows.outputs += [False] * (count - 1) + [not stream.pending]
            if not stream.pending:
                sampled.append((number, len(rows) - 1))
        if rows:
            self._model.decode(rows)
        for number, row in sampled:
            running[number].tokens.append(running[number].sampler.sample(row))
            running[number].times.append(time.perf_counter())
        return [number for number, _ in sampled]

    def _has_ended(self, stream: _Stream) -> bool:
        return len(stream.times) == stream.job.max_tokens or self._model.is_eog(stream.tokens[-1])

    def _end(self, stream: _Stream) -> Answer:
        stream.sampler.close()
        # The last token was sampled, but never computed.
        self._held[stream.slot] = stream.tokens[: stream.done]
        written = stream.tokens[stream.prompt :]
        return Answer(
            sent=stream.sent,
            arrivals=tuple(stream.times),
            text=b"".join(self._pieces(written)).decode("utf-8", "replace"),
            usage=Usage(
                prompt=stream.prompt, completion=len(written), cached=stream.cached - self._computed.pop(stream.slot, 0)
            ),
            admitted=stream.sent,
        )

    def _pieces(self, tokens: Iterable[int]) -> Iterable[bytes]:
        return (self._model.token_bytes(token) for token in tokens)


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
