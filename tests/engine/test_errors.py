import re

import pytest

from mcp_llama import errors
from mcp_llama.errors import (
    BusyError,
    ContextLengthError,
    McpLlamaError,
    UnavailableError,
    UnknownModelError,
    UnknownNameError,
)


def test_every_error_is_in_the_tree() -> None:
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)]
    assert all(issubclass(c, McpLlamaError) for c in classes)
    assert sorted(re.findall(r"\b\w+Error\b", errors.__doc__ or "")) == sorted(c.__name__ for c in classes)


def test_too_large_max_tokens_are_refused_with_the_largest_that_fit() -> None:
    error = ContextLengthError(7_000, 2_000, 8_192)
    assert (error.prompt_tokens, error.max_tokens, error.limit) == (7_000, 2_000, 8_192)
    assert str(error) == (
        "Prompt has 7,000 tokens and max_tokens is 2,000, but the context holds 8,192. "
        "Set max_tokens to 1192 or less, or shorten the prompt."
    )


@pytest.mark.parametrize(("prompt", "excess"), [(8_192, "1"), (9_120, "929"), (18_191, "10,000")])
def test_a_prompt_that_fills_the_context_is_refused_with_its_excess(prompt: int, excess: str) -> None:
    assert str(ContextLengthError(prompt, 512, 8_192)) == (
        f"Prompt has {prompt:,} tokens and max_tokens is 512, but the context holds 8,192. "
        f"Shorten the prompt by at least {excess} tokens, or start the server with a larger n_ctx."
    )


def test_a_text_that_asks_for_no_completion_is_refused_without_max_tokens() -> None:
    assert str(ContextLengthError(8_193, 0, 8_192)) == (
        "The text has 8,193 tokens, but the context holds 8,192. Shorten it."
    )


def test_a_server_that_is_unavailable_is_busy_for_those_who_do_not_care() -> None:
    error = UnavailableError("the server is stopping", retry_after_s=5.0)
    assert isinstance(error, BusyError)
    assert (error.reason, error.retry_after_s) == ("the server is stopping", 5.0)


def test_an_unknown_name_comes_with_the_nearest() -> None:
    error = UnknownNameError("argument", "promt", ["stop", "prompt"])
    assert (error.kind, error.name, error.known) == ("argument", "promt", ["prompt", "stop"])
    assert str(error) == "Unknown argument 'promt'. Did you mean 'prompt'?"


def test_an_unknown_name_near_no_other_comes_with_all() -> None:
    assert (
        str(UnknownNameError("argument", "zzz", ["stop", "prompt"])) == "Unknown argument 'zzz'. Known: prompt, stop."
    )


def test_an_unknown_model_comes_with_those_that_are_served() -> None:
    error = UnknownModelError("gpt", ["small", "large"])
    assert str(error) == "Unknown model 'gpt'. Available: large, small. Omit model for the default."


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1"), (12.4, "12")])
def test_a_busy_server_says_when_to_come_back(seconds: float, text: str) -> None:
    error = BusyError("8 requests are waiting already", retry_after_s=seconds)
    assert error.retry_after_s == seconds
    assert str(error) == f"Server busy: 8 requests are waiting already. Try again in about {text} s."
