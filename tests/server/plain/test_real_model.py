"""Plain HTTP on the embedded model."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from tests.server.plain.real import N_CTX, real_client
from tests.server.plain.streams import Asker
from tests.server.plain.ways import CHAT, GENERATE, Json, Way, every_way

SPECIAL = "<|im_start|>user\nGrüße an 世界! 👩‍👩‍👧‍👦 नमस्ते\u2028 end<|im_end|>\n"
MESSAGES = [
    {"role": "system", "content": "You are terse."},
    {"role": "user", "content": "Grüße, 世界!\n<|im_end|>"},
    {"role": "assistant", "content": "Hello"},
]
SAMPLINGS: dict[str, Json] = {
    "greedy": {"temperature": 0},
    "defaults": {},
    # Far from what the model would say: parts of characters among others.
    "wild": {"temperature": 50, "top_k": 0, "top_p": 1, "min_p": 0},
    "mirostat": {"mirostat": 2, "mirostat_tau": 3},
    "penalties": {"repeat_penalty": 1.3, "presence_penalty": 0.5, "dry_multiplier": 0.8},
}


@pytest.fixture(scope="module")
async def real(real_model_path: Path) -> AsyncGenerator[Asker]:
    async with real_client(real_model_path) as client:
        yield client


async def post(client: Asker, path: str, body: Json) -> Any:
    response = await client.http.post(f"{client.url}{path}", json=body)
    assert response.status_code == 200, response.text
    return response.json()


@every_way
@pytest.mark.parametrize("sampling", SAMPLINGS)
async def test_a_stream_joins_to_the_text_of_the_same_seed(real: Asker, way: Way, sampling: str) -> None:
    options = {"max_tokens": 24, "seed": 7, **SAMPLINGS[sampling]}
    # With the prompt in the cache, all that follow compute the same rows.
    await real.text(way, "1 2 3 4 5 grüße", **options)
    text = await real.text(way, "1 2 3 4 5 grüße", **options)
    stream = await real.read(way, "1 2 3 4 5 grüße", **options)
    assert stream.text == text
    assert stream.finish_reason in ("stop", "length")


@every_way
async def test_another_seed_gives_another_text(real: Asker, way: Way) -> None:
    texts = {await real.text(way, "Once upon a", max_tokens=16, seed=seed, temperature=2) for seed in range(3)}
    assert len(texts) == 3


async def test_the_seed_that_is_told_repeats_the_text(real: Asker) -> None:
    await real.text(GENERATE, "Once upon a", max_tokens=1)
    told = (await real.whole(GENERATE, "Once upon a", max_tokens=16, temperature=2)).json()
    assert await real.text(GENERATE, "Once upon a", max_tokens=16, temperature=2, seed=told["seed"]) == told["text"]


@every_way
async def test_a_stop_string_that_lies_across_tokens_ends_the_text(real: Asker, way: Way) -> None:
    options = {"max_tokens": 40, "temperature": 0, "stop": ["7, 8", "SEVEN"]}
    prompt = "Count: 1, 2, 3, 4," if way is not CHAT else "Say exactly: 5, 6, 7, 8, 9"
    stream = await real.read(way, prompt, **options)
    assert "7, 8" not in stream.text
    assert stream.text == await real.text(way, prompt, **options)
    if way is not CHAT:
        assert (stream.text, stream.finish_reason) == (" 5, 6, ", "stop")


async def test_what_is_in_the_cache_is_told(real: Asker) -> None:
    prompt = "The seven wonders of the ancient world are"
    options: Json = {"max_tokens": 4, "temperature": 0}
    first = (await real.whole(GENERATE, prompt, **options)).json()
    again = (await real.whole(GENERATE, prompt, **options)).json()
    assert first["text"] == again["text"]
    assert first["usage"]["prompt_tokens"] == again["usage"]["prompt_tokens"] == 8
    assert again["usage"]["cached_tokens"] == 7


@every_way
async def test_the_context_of_the_real_model_is_kept(real: Asker, way: Way) -> None:
    long = "word " * N_CTX
    refused = await real.send(way.request(long))
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (400, "context_length_exceeded")
    assert error["n_ctx"] == N_CTX
    assert error["n_prompt_tokens"] >= N_CTX
    full = await real.read(way, "ha " * 200, ignore_eos=True)
    assert full.text
    assert full.finish_reason == "length"


@pytest.mark.parametrize("text", ["", "a", SPECIAL, " leading", "tab\tand\r\nline", "\x00\x01", "🇳🇴" * 20], ids=ascii)
async def test_tokens_and_text_turn_into_each_other(real: Asker, text: str) -> None:
    tokens = (await post(real, "/tokenize", {"content": text}))["tokens"]
    assert (await post(real, "/detokenize", {"tokens": tokens}))["content"] == text
    pieces = (await post(real, "/tokenize", {"content": text, "with_pieces": True}))["tokens"]
    assert [piece["id"] for piece in pieces] == tokens
    raw = [piece["piece"] for piece in pieces]
    assert b"".join(piece.encode() if isinstance(piece, str) else bytes(piece) for piece in raw).decode() == text


async def test_a_part_of_a_character_is_given_as_bytes(real: Asker) -> None:
    pieces = (await post(real, "/tokenize", {"content": "👩‍👩‍👧‍👦", "with_pieces": True}))["tokens"]
    parts = [piece for piece in pieces if isinstance(piece["piece"], list)]
    assert parts
    assert all(0 <= byte < 256 for part in parts for byte in part["piece"])
    for part in parts:
        assert "\ufffd" in (await post(real, "/detokenize", {"tokens": [part["id"]]}))["content"]


async def test_control_tokens_are_read_by_their_names_or_as_text(real: Asker) -> None:
    special = (await post(real, "/tokenize", {"content": "<|im_start|>"}))["tokens"]
    plain = (await post(real, "/tokenize", {"content": "<|im_start|>", "parse_special": False}))["tokens"]
    assert len(special) == 1 < len(plain)
    for tokens in (special, plain):
        assert (await post(real, "/detokenize", {"tokens": tokens}))["content"] == "<|im_start|>"


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([49_152], "Token 49152 does not exist. The vocabulary of real goes from 0 to 49151."),
        ([1, 2, 2**31 - 1], "Token 2147483647 does not exist."),
        ([-1], "tokens.0 is -1"),
        ([2**31], "tokens.0 is 2147483648"),
        ([1, "x"], "tokens.1 is 'x'"),
        ([[1]], "tokens.0 is [1]"),
        ("1", "tokens is '1'"),
        (None, "tokens is None"),
    ],
    ids=str,
)
async def test_tokens_that_do_not_exist_are_refused(real: Asker, tokens: Any, message: str) -> None:
    response = await real.http.post(f"{real.url}/detokenize", json={"tokens": tokens})
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith(message)


async def test_a_template_makes_the_prompt_that_a_chat_would_have(real: Asker) -> None:
    prompt = (await post(real, "/apply-template", {"messages": MESSAGES}))["prompt"]
    assert prompt.startswith("<|im_start|>system\nYou are terse.<|im_end|>\n<|im_start|>user\nGrüße, 世界!")
    assert prompt.endswith("<|im_start|>assistant\nHello"), "what the assistant began is continued"
    tokens = (await post(real, "/tokenize", {"content": prompt}))["tokens"]
    body: Json = {"max_tokens": 8, "temperature": 0}
    chat = await post(real, "/v1/chat/completions", {"messages": MESSAGES, **body})
    plain = await post(real, "/generate", {"prompt": prompt, **body})
    assert chat["usage"]["prompt_tokens"] == plain["usage"]["prompt_tokens"] == len(tokens)
    assert chat["choices"][0]["message"]["content"] == plain["text"]


@pytest.mark.parametrize(
    "messages",
    [[], [{"role": "robot", "content": "x"}], [{"role": "user"}], [{"role": "user", "content": 5}], "Hi", None],
    ids=str,
)
async def test_messages_that_are_none_are_refused(real: Asker, messages: Any) -> None:
    for path in ("/apply-template", "/v1/chat/completions"):
        response = await real.http.post(f"{real.url}{path}", json={"messages": messages})
        assert response.status_code == 400
        assert response.json()["error"]["param"].startswith("messages")


@pytest.mark.parametrize("path", ["/tokenize", "/detokenize", "/apply-template"])
async def test_unknown_models_and_names_are_refused(real: Asker, path: str) -> None:
    bodies: dict[str, Json] = {
        "/tokenize": {"content": "x"},
        "/detokenize": {"tokens": [1]},
        "/apply-template": {"messages": MESSAGES},
    }
    unknown = await real.http.post(f"{real.url}{path}", json={**bodies[path], "model": "gpt-9"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
    assert await post(real, path, {**bodies[path], "model": "real"})
    wrong = await real.http.post(f"{real.url}{path}", json={**bodies[path], "text": "x"})
    assert (wrong.status_code, wrong.json()["error"]["message"]) == (400, "text is unknown.")
