import pytest

from mcp_llama.engine.queue import QueueBounds
from mcp_llama.errors import BusyError


def test_slots_and_queue_together_bound_the_requests() -> None:
    queue = QueueBounds(n_slots=2, max_requests=3, max_tokens=1000)
    for _ in range(5):
        queue.enter(1)
    with pytest.raises(BusyError, match="3 requests are waiting already"):
        queue.enter(1)
    queue.leave(1.0)
    queue.enter(1)


def test_a_queue_of_no_requests_serves_its_slots() -> None:
    queue = QueueBounds(n_slots=2, max_requests=0, max_tokens=0)
    queue.enter(50)
    queue.enter(50)
    with pytest.raises(BusyError, match="0 requests are waiting already"):
        queue.enter(1)


def test_prompt_tokens_that_wait_are_bounded() -> None:
    queue = QueueBounds(n_slots=1, max_requests=9, max_tokens=10_000)
    queue.enter(500)
    queue.admitted(500)
    queue.enter(2_000)
    queue.enter(8_000)
    with pytest.raises(BusyError, match="10,000 prompt tokens are waiting already"):
        queue.enter(1)
    queue.leave(1.0)
    queue.admitted(2_000)
    queue.enter(2_000)


def test_one_prompt_may_always_wait() -> None:
    queue = QueueBounds(n_slots=1, max_requests=9, max_tokens=10)
    queue.enter(1)
    queue.admitted(1)
    queue.enter(99)
    with pytest.raises(BusyError):
        queue.enter(1)


def test_a_refused_request_does_not_count() -> None:
    queue = QueueBounds(n_slots=1, max_requests=0, max_tokens=10)
    queue.enter(1)
    for _ in range(3):
        with pytest.raises(BusyError):
            queue.enter(1)
    queue.leave(1.0)
    queue.enter(1)


def test_the_wait_is_estimated_from_the_queue_and_from_how_long_requests_take() -> None:
    def retry_after(n_slots: int, max_requests: int, seconds: float) -> float:
        queue = QueueBounds(n_slots, max_requests, max_tokens=1000)
        for _ in range(100):
            queue.enter(0)
            queue.leave(seconds)
        for _ in range(n_slots + max_requests):
            queue.enter(0)
        with pytest.raises(BusyError) as busy:
            queue.enter(0)
        return busy.value.retry_after_s

    assert retry_after(n_slots=2, max_requests=3, seconds=10.0) == pytest.approx(20.0, rel=0.01)
    assert retry_after(n_slots=2, max_requests=7, seconds=10.0) == pytest.approx(40.0, rel=0.01)
    assert retry_after(n_slots=4, max_requests=3, seconds=10.0) == pytest.approx(10.0, rel=0.01)
    assert retry_after(n_slots=4, max_requests=3, seconds=0.01) == 1.0
