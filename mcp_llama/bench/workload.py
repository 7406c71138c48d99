"""Workloads: what a turn asks of its target, and what it measures."""

import json
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from mcp_llama.bench.event import Turn
from mcp_llama.bench.failure import TurnError
from mcp_llama.bench.job import Answer, Job, When
from mcp_llama.bench.plan import Plan
from mcp_llama.bench.prompts import Prompts, prompts_of
from mcp_llama.bench.record import Measurement, Spread, Workload
from mcp_llama.bench.spread import spread
from mcp_llama.bench.storm import Storm
from mcp_llama.bench.target import Target
from mcp_llama.bench.yields import Yield, checked, first_token_s

PROMPT_WORDS = 40
_SYSTEM_WORDS = 600
_QUESTION_WORDS = 12
_LONG_WORDS = 2000
_LONG_TOKENS = 16
_HEAD_START_TOKENS = 8
_JSON_TOKENS = 400
_AFTER_STORM_TOKENS = 16
_ROOM = 64
_LEAST_WORDS = 16

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 24},
        "kind": {"enum": ["plant", "animal", "machine", "place"]},
        "weight": {"type": "integer", "minimum": 0, "maximum": 100_000},
        "rare": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 12}, "minItems": 2, "maxItems": 4},
    },
    "required": ["name", "kind", "weight", "rare", "tags"],
    "additionalProperties": False,
}


async def measure(target: Target, plan: Plan, turn: Turn) -> Measurement:
    """Run a turn on its open target.

    Raises:
        TurnError: it could not be measured.
    """
    return await _WORKLOADS[turn.workload](target, plan, turn, prompts_of(plan, turn))


async def _unique(target: Target, plan: Plan, turn: Turn, prompts: Prompts) -> Measurement:
    outcome = checked(await target.run(_fresh(prompts, turn, min(plan.tokens, _room(plan, PROMPT_WORDS)))))
    return Yield(turn, (outcome,)).measurement(ttft=_ttft(outcome.answers), itl_of=outcome.answers)


async def _json(target: Target, plan: Plan, turn: Turn, prompts: Prompts) -> Measurement:
    tokens = min(_JSON_TOKENS, _room(plan, PROMPT_WORDS))
    # A server's first call with a schema takes its whole vocabulary in.
    checked(await target.run(_jobs([prompts.text(PROMPT_WORDS)], turn, tokens, SCHEMA)))
    outcome = checked(await target.run(_fresh(prompts, turn, tokens, SCHEMA)))
    for answer in outcome.answers:
        _check_json(answer.text)
    return Yield(turn, (outcome,)).measurement(ttft=_ttft(outcome.answers), itl_of=outcome.answers)


async def _shared(target: Target, plan: Plan, turn: Turn, prompts: Prompts) -> Measurement:
    """Agents with one system prompt ask at once, and once more when they have their answers."""
    tokens = min(plan.tokens, plan.n_ctx // 4)
    words = min(_SYSTEM_WORDS, _room(plan, 2 * (tokens + _QUESTION_WORDS)))
    system = prompts.text(words)
    questions = [_question(turn, agent) for agent in range(turn.streams)]
    first = [f"{system}\n\n{question}" for question in questions]
    cold = checked(await target.run(_jobs(first, turn, tokens)))
    second = [
        f"{prompt}{answer.text}\n\n{question}"
        for prompt, answer, question in zip(first, cold.answers, reversed(questions), strict=True)
    ]
    warm = checked(await target.run(_jobs(second, turn, tokens)))
    return Yield(turn, (cold, warm)).measurement(
        ttft=_ttft(warm.answers), cold_ttft=_ttft(cold.answers), itl_of=(*cold.answers, *warm.answers)
    )


async def _long(target: Target, plan: Plan, turn: Turn, prompts: Prompts) -> Measurement:
    """A long prompt comes when the other streams have begun to write."""
    # They have more tokens than elsewhere, so that they still write when the prompt is done.
    tokens = min(2 * plan.tokens, _room(plan, PROMPT_WORDS))
    jobs = _fresh(prompts, turn, tokens)
    head_start = min(_HEAD_START_TOKENS, tokens // 2)
    begin = When(tuple((number, head_start) for number in range(turn.streams)))
    text = prompts.text(min(_LONG_WORDS, _room(plan, _LONG_TOKENS)))
    late = Job(prompt=text, max_tokens=min(_LONG_TOKENS, tokens), seed=turn.round, start=begin)
    outcome = checked(await target.run([*jobs, late]))
    *others, longest = outcome.answers
    return Yield(turn, (outcome,)).measurement(ttft=_ttft(others), itl_of=others, prompt_ttft=first_token_s(longest))


async def _cancel(target: Target, plan: Plan, turn: Turn, prompts: Prompts) -> Measurement:
    """A storm of cancellations; what counts as tokens are those of calls after it, for which all slots must be free."""
    storm = Storm(turn.streams, plan.n_ctx, prompts, random.Random(turn.round))
    storm.build()
    stormy = checked(await target.run(storm.jobs))
    freed = spread(storm.freed(stormy.answers))
    if freed is None:
        raise TurnError("no call waited for the slot of a cancelled one")
    calm = checked(await target.run(_fresh(prompts, turn, min(plan.tokens, _AFTER_STORM_TOKENS))))
    return Yield(turn, (calm,)).measurement(
        ttft=_ttft(calm.answers), itl_of=calm.answers, others=(stormy,), freed=freed
    )


_WORKLOADS: dict[Workload, Callable[[Target, Plan, Turn, Prompts], Awaitable[Measurement]]] = {
    "unique": _unique,
    "shared": _shared,
    "long": _long,
    "cancel": _cancel,
    "json": _json,
}


def _fresh(prompts: Prompts, turn: Turn, tokens: int, schema: dict[str, Any] | None = None) -> list[Job]:
    return _jobs([prompts.text(PROMPT_WORDS) for _ in range(turn.streams)], turn, tokens, schema)


def _jobs(texts: Sequence[str], turn: Turn, tokens: int, schema: dict[str, Any] | None = None) -> list[Job]:
    seeds = range(1000 * turn.round, 1000 * turn.round + len(texts))
    return [
        Job(prompt=text, max_tokens=tokens, seed=seed, schema=schema) for text, seed in zip(texts, seeds, strict=True)
    ]


def _room(plan: Plan, tokens: int) -> int:
    """What a context has left beside so many tokens, and some more for words that are several.

    Raises:
        TurnError: too little.
    """
    room = plan.n_ctx - tokens - _ROOM
    if room < _LEAST_WORDS:
        raise TurnError(f"a context of {plan.n_ctx} tokens is too small for this workload")
    return room


def _question(turn: Turn, agent: int) -> str:
    return f"Question {turn.round}.{agent}: {Prompts(agent).text(_QUESTION_WORDS)}?"


def _ttft(answers: Sequence[Answer]) -> Spread | None:
    return spread(first_token_s(answer) for answer in answers)


def _check_json(text: str) -> None:
    try:
        fits = set(json.loads(text)) == set(SCHEMA["required"])
    except (ValueError, TypeError):
        fits = False
    if not fits:
        raise TurnError("an answer is not JSON after the schema")
