"""Sampling options, OpenAI's and llama.cpp's own, and what they do."""

from typing import Any

from openai import AsyncOpenAI

from mcp_llama.engine.sampling import SamplingParams
from tests.server.openai.clients import Kind, ask, both_kinds, played
from tests.server.raw import plain_http
from tests.server.scene import Scene

OPTIONS: dict[str, Any] = {
    "temperature": 0.7,
    "dynatemp_range": 0.1,
    "dynatemp_exponent": 1.5,
    "top_k": 7,
    "top_p": 0.6,
    "min_p": 0.2,
    "typical_p": 0.9,
    "top_n_sigma": 2.0,
    "xtc_probability": 0.3,
    "xtc_threshold": 0.25,
    "dry_multiplier": 0.8,
    "dry_base": 2.0,
    "dry_allowed_length": 3,
    "dry_penalty_last_n": 50,
    "dry_sequence_breakers": ["\n", "."],
    "mirostat": 2,
    "mirostat_tau": 4.0,
    "mirostat_eta": 0.2,
    "repeat_penalty": 1.1,
    "repeat_last_n": 32,
    "presence_penalty": 0.4,
    "frequency_penalty": -0.5,
    "logit_bias": {"65": 1.5, "66": -100},
    "seed": 9,
    "ignore_eos": True,
}
OWN = {"temperature", "top_p", "presence_penalty", "frequency_penalty", "logit_bias", "seed"}
"""What OpenAI's API has too."""


@both_kinds
async def test_every_sampling_option_reaches_the_model(kind: Kind) -> None:
    own = {name: value for name, value in OPTIONS.items() if name in OWN}
    extra = {name: value for name, value in OPTIONS.items() if name not in OWN}
    async with played(Scene()) as play:
        seen: list[SamplingParams] = []
        sampler = play.model.sampler
        play.model.sampler = lambda params, prompt, constraint=None: (
            seen.append(params) or sampler(params, prompt, constraint)
        )
        await ask(play.client, kind, max_tokens=1, **own, extra_body=extra)
    (params,) = seen
    given: dict[str, Any] = {**OPTIONS, "dry_sequence_breakers": ("\n", "."), "logit_bias": ((65, 1.5), (66, -100.0))}
    assert params == SamplingParams(**given)


@both_kinds
async def test_ignore_eos_goes_on_to_the_limit(kind: Kind) -> None:
    async with played(Scene(scripts={None: "fine"})) as play:
        plain = await ask(play.client, kind, max_tokens=9)
        on = await ask(play.client, kind, max_tokens=9, extra_body={"ignore_eos": True})
    assert (plain.text, plain.reasons) == ("fine", ["stop"])
    assert (on.text[:4], len(on.text), on.reasons) == ("fine", 9, ["length"])


async def test_a_bias_forces_and_forbids_tokens(client: AsyncOpenAI, real_url: str) -> None:
    one = {"temperature": 0, "max_tokens": 1}
    free = await ask(client, "chat", **one, logprobs=True, top_logprobs=2)
    texts = [entry["token"] for entry in free.logprobs[0]["content"][0]["top_logprobs"]]
    async with plain_http() as http:
        answers = [(await http.post(f"{real_url}/tokenize", json={"content": text})).json() for text in texts]
    (first,), (second,) = [answer["tokens"] for answer in answers]
    forbidden = await ask(client, "chat", **one, logit_bias={str(first): -1000})
    forced = await ask(client, "chat", temperature=2, max_tokens=4, logit_bias={str(second): 1000})
    assert (free.text, forbidden.text, forced.text) == (texts[0], texts[1], texts[1] * 4)
