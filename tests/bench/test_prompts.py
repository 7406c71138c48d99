from pathlib import Path

from mcp_llama.bench.event import Turn
from mcp_llama.bench.plan import Plan
from mcp_llama.bench.prompts import Prompts, prompts_of
from mcp_llama.bench.words import WORDS
from mcp_llama.engine.llama import LlamaModel, ModelOptions

PLAN = Plan(model=Path("model.gguf"), streams=(1, 4), rounds=3, targets=("raw", "v1"))


def test_words_are_there_once() -> None:
    assert len(set(WORDS)) == len(WORDS)


def texts_of(turn: Turn) -> list[str]:
    """As many as its workload takes: one for all, one for each stream, and some more where calls come later."""
    count = {"shared": 1, "unique": turn.streams, "cancel": 2 * turn.streams + 21}.get(turn.workload, turn.streams + 1)
    prompts = prompts_of(PLAN, turn)
    return [prompts.text(40) for _ in range(count)]


def test_no_two_prompts_of_any_turn_are_alike() -> None:
    texts = [text for turn in PLAN.turns() if turn.target == "v1" for text in texts_of(turn)]
    assert len(set(texts)) == len(texts)
    assert len({tuple(text.split()[:2]) for text in texts}) == len(texts)


def test_while_there_are_words_enough_all_first_words_differ() -> None:
    prompts = Prompts(0)
    assert len({prompts.text(40).split()[0] for _ in WORDS}) == len(WORDS)


def test_prompts_stay_unique_when_the_words_run_out() -> None:
    prompts = Prompts(0)
    texts = [prompts.text(2) for _ in range(3 * len(WORDS))]
    assert len(set(texts)) == len(texts)


def test_every_target_gets_the_same_prompts_in_a_round() -> None:
    of_raw, of_v1 = (
        [
            prompts_of(PLAN, turn).text(40)
            for turn in PLAN.turns()
            if turn.target == target and turn.workload != "cancel"
        ]
        for target in ("raw", "v1")
    )
    assert of_raw == of_v1


def test_a_word_is_about_a_token_and_the_first_tokens_differ(real_model_path: Path) -> None:
    model = LlamaModel(real_model_path, ModelOptions(n_ctx=64, n_slots=1, n_threads=1))
    prompts = Prompts(0)
    tokens = [model.tokenize(prompts.text(40), add_special=True, parse_special=True) for _ in range(100)]
    model.close()
    assert all(abs(len(each) - 40) <= 4 for each in tokens)
    assert len({each[0] for each in tokens}) == 100
