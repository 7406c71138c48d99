from mcp_llama.bench.job import ENDED, SENT, Job, When
from mcp_llama.bench.script import Script


def job(start: When | None = None, cancel: When | None = None) -> Job:
    return Job(prompt="", max_tokens=1, seed=1, start=start or When(), cancel=cancel)


def test_jobs_without_a_mark_start_at_once_and_once() -> None:
    script = Script([job(), job()])
    assert script.actions(0.0) == [("start", 0), ("start", 1)]
    assert script.actions(0.0) == []


def test_a_job_starts_when_all_the_others_have_their_tokens() -> None:
    script = Script([job(), job(), job(When(((0, 2), (1, 1))))])
    script.actions(0.0)
    script.heard(0, 2)
    assert script.actions(0.0) == []
    script.heard(1, 1)
    assert script.actions(0.0) == [("start", 2)]


def test_a_delay_begins_when_the_marks_are_reached() -> None:
    script = Script([job(), job(When(((0, SENT),), 0.5))])
    script.actions(1.0)
    assert script.next_action() is None
    script.sent(0)
    assert script.actions(2.0) == []
    assert script.next_action() == 2.5
    assert script.actions(2.4) == []
    assert script.actions(2.5) == [("start", 1)]
    assert script.next_action() is None


def test_only_a_job_that_was_sent_is_cancelled() -> None:
    script = Script([job(When(((1, ENDED),)), When()), job()])
    assert script.actions(0.0) == [("start", 1)]
    script.sent(1)
    script.ended(1)
    assert script.actions(0.0) == [("start", 0)]
    assert script.actions(0.0) == []
    script.sent(0)
    assert script.actions(0.0) == [("cancel", 0)]


def test_a_job_that_has_ended_is_not_cancelled() -> None:
    script = Script([job(cancel=When((), 1.0))])
    script.actions(0.0)
    script.sent(0)
    script.actions(0.0)
    script.ended(0)
    assert script.actions(2.0) == []
    assert script.is_over


def test_whoever_waits_for_tokens_of_a_job_that_has_ended_waits_no_longer() -> None:
    script = Script([job(), job(When(((0, 5),)))])
    script.actions(0.0)
    script.sent(0)
    script.ended(0)
    assert script.actions(0.0) == [("start", 1)]
    assert not script.is_over


def test_events_need_no_counting_once_nobody_waits_for_them() -> None:
    script = Script([job(cancel=When(((0, 3),)))])
    script.actions(0.0)
    script.sent(0)
    assert not script.is_settled
    script.heard(0, 3)
    script.actions(0.0)
    assert script.is_settled
