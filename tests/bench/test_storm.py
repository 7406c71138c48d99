import random

from mcp_llama.bench.job import ENDED, SENT, Answer
from mcp_llama.bench.prompts import Prompts
from mcp_llama.bench.script import Script
from mcp_llama.bench.storm import TRIALS, Storm


def storm(slots: int, seed: int = 1) -> Storm:
    built = Storm(slots, 4096, Prompts(0), random.Random(seed))
    built.build()
    return built


def test_each_trial_cancels_a_call_that_has_a_slot_and_lets_another_one_wait() -> None:
    built = storm(3)
    assert len(built.trials) == TRIALS
    for held, probe in built.trials:
        cancel = built.jobs[held].cancel
        assert cancel is not None
        assert (probe, SENT) in cancel.marks
        assert cancel.delay > 0
        assert built.jobs[probe].cancel is None


def test_calls_are_cancelled_in_the_queue_in_their_prompt_and_among_their_tokens() -> None:
    built = storm(2)
    held = [number for number, _ in built.trials]
    queued = [n for n, job in enumerate(built.jobs) if job.cancel and job.cancel.marks == ((n, SENT),)]
    in_prompt = [n for n in held if len(built.jobs[n].prompt.split()) > 500]
    assert len(queued) == len(in_prompt) == TRIALS // 3
    assert len(set(held)) == TRIALS
    after_queued = [n for n in held if any(mark == (q, ENDED) for q in queued for mark in built.jobs[n].cancel.marks)]  # type: ignore[union-attr]
    assert len(after_queued) == TRIALS // 3


def test_the_points_are_random() -> None:
    one, same, other = ([job.cancel for job in storm(2, seed).jobs] for seed in (1, 1, 2))
    assert one == same != other
    built = storm(2)
    cancels = [job.cancel for job in (built.jobs[held] for held, _ in built.trials)]
    assert len({cancel.delay for cancel in cancels if cancel is not None}) == TRIALS


def test_every_call_of_a_storm_ends() -> None:
    """Whatever is written, as long as every call that is not cancelled ends."""
    built = storm(3)
    script = Script(built.jobs)
    taken: list[int] = []
    waiting: list[int] = []
    most = 0
    now = 0.0
    while not script.is_over:
        for action, number in script.actions(now):
            if action == "start":
                script.sent(number)
                waiting.append(number)
            else:
                script.ended(number)
                taken = [other for other in taken if other != number]
                waiting = [other for other in waiting if other != number]
        while waiting and len(taken) < 3:
            taken.append(waiting.pop(0))
        most = max(most, len(waiting))
        for number in list(taken):
            script.heard(number, 1)
            if number in {probe for _, probe in built.trials}:
                script.ended(number)
                taken.remove(number)
        now += 0.005
        assert now < 60
    assert most == 2


def test_the_time_to_the_free_slot_is_from_the_cancellation_to_the_next_in_the_queue() -> None:
    built = storm(1)
    held, probe = built.trials[0]
    answers = [Answer(sent=0.0, arrivals=(9.0,), admitted=8.0)] * len(built.jobs)
    answers[held] = Answer(sent=0.0, cancelled=1.0)
    answers[probe] = Answer(sent=0.0, arrivals=(1.75,), admitted=1.5)
    assert built.freed(answers) == [0.5]
    answers[probe] = Answer(sent=0.0, arrivals=(1.75,))
    assert built.freed(answers) == [0.75]


def test_a_slot_that_was_free_before_the_cancellation_tells_nothing() -> None:
    built = storm(1)
    held, probe = built.trials[0]
    answers = [Answer(sent=0.0, arrivals=(9.0,))] * len(built.jobs)
    answers[held] = Answer(sent=0.0, cancelled=1.0)
    answers[probe] = Answer(sent=0.0, arrivals=(0.5,))
    assert built.freed(answers) == []
