from itertools import groupby
from pathlib import Path

from mcp_llama.bench.plan import Plan

MODEL = Path("model.gguf")


def test_the_order_of_the_targets_is_reversed_every_other_round() -> None:
    plan = Plan(model=MODEL, targets=("raw", "v1"), workloads=("unique",), streams=(2,), rounds=3, against=(("b", ""),))
    rounds = [[turn.target for turn in turns] for _, turns in groupby(plan.turns(), lambda turn: turn.round)]
    assert rounds == [["raw", "v1", "b"], ["b", "v1", "raw"], ["raw", "v1", "b"]]


def test_the_targets_of_one_width_follow_each_other() -> None:
    plan = Plan(model=MODEL, targets=("raw", "v1"), workloads=("unique",), streams=(1, 2), rounds=1)
    assert [(turn.streams, turn.target) for turn in plan.turns()] == [(1, "raw"), (1, "v1"), (2, "raw"), (2, "v1")]


def test_only_unique_prompts_run_at_every_width() -> None:
    plan = Plan(model=MODEL, targets=("v1",), rounds=1)
    widths = {turn.workload: turn.streams for turn in plan.turns() if turn.workload != "unique"}
    assert widths == {"shared": 8, "long": 4, "cancel": 32, "json": 8}
    assert [turn.streams for turn in plan.turns() if turn.workload == "unique"] == [1, 2, 4, 8, 16, 32]


def test_given_widths_replace_the_usual_ones() -> None:
    wide, narrow = (Plan(model=MODEL, targets=("v1",), rounds=1, streams=streams) for streams in ((16, 12), (1, 2, 6)))
    assert {turn.workload: turn.streams for turn in wide.turns()}["long"] == 12
    assert {turn.workload: turn.streams for turn in narrow.turns()}["shared"] == 6
    assert {turn.workload: turn.streams for turn in narrow.turns()}["long"] == 2


def test_there_is_a_slot_for_every_stream_and_for_the_long_prompt() -> None:
    assert Plan(model=MODEL, streams=(1, 8)).n_slots == 8
    assert Plan(model=MODEL, streams=(4,)).n_slots == 5
    assert Plan(model=MODEL, streams=(4,), workloads=("unique",)).n_slots == 4


def test_nothing_is_cancelled_in_the_bare_loop() -> None:
    plan = Plan(model=MODEL, targets=("raw", "v1"), workloads=("cancel",), rounds=1)
    assert [turn.target for turn in plan.turns()] == ["v1"]


def test_the_flags_load_the_model_as_planned() -> None:
    plan = Plan(model=MODEL, options=("--n-threads", "2"), n_ctx=512, streams=(1, 8))
    assert plan.flags == (
        *("--n-threads", "2", "--model", "model.gguf", "--n-ctx", "512", "--n-slots", "8", "--log-level", "error"),
    )
