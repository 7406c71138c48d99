from dataclasses import FrozenInstanceError, fields

import pytest

from mcp_llama.api import ChatRequest, EmbedRequest, GenerateRequest, Limits, Message, Timings


def timings(ttft_s: float | None, total_s: float) -> Timings:
    return Timings(queue_s=0.0, ttft_s=ttft_s, total_s=total_s)


def test_the_rate_counts_the_tokens_after_the_first() -> None:
    assert timings(1.0, 3.0).decode_tokens_per_second(11) == 5.0


@pytest.mark.parametrize(("ttft_s", "total_s", "tokens"), [(None, 3.0, 0), (1.0, 3.0, 1), (3.0, 3.0, 2)])
def test_there_is_no_rate_without_a_second_token(ttft_s: float | None, total_s: float, tokens: int) -> None:
    assert timings(ttft_s, total_s).decode_tokens_per_second(tokens) is None


def test_a_request_cannot_be_changed() -> None:
    for request in (GenerateRequest(prompt="hi"), ChatRequest(messages=()), Message(role="user", content="hi")):
        for field in fields(request):
            with pytest.raises(FrozenInstanceError):
                setattr(request, field.name, None)


def test_a_request_for_vectors_cannot_be_changed_and_arrives_when_it_is_made() -> None:
    first, second = EmbedRequest(texts=("hi", (1, 2))), EmbedRequest(texts=())
    assert first.arrival <= second.arrival
    with pytest.raises(FrozenInstanceError):
        first.texts = ()  # pyright: ignore[reportAttributeAccessIssue]


def test_nobody_gets_log_probabilities_who_did_not_ask() -> None:
    assert (GenerateRequest(prompt="hi").top_logprobs, ChatRequest(messages=()).top_logprobs) == (None, None)


def test_requests_share_no_sampling_options() -> None:
    assert GenerateRequest(prompt="a").sampling is not GenerateRequest(prompt="b").sampling


def test_each_request_arrives_when_it_is_made() -> None:
    first, second = GenerateRequest(prompt="a"), ChatRequest(messages=())
    assert first.arrival <= second.arrival


def test_limits_without_a_time_have_no_end_in_time() -> None:
    assert Limits() == Limits(max_tokens=None, default_max_tokens=512, max_time_s=None, stop=())
