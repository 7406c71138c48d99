"""What a constrained sampler draws, against the distribution that it must have."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from mcp_llama.engine.constraint import Constraint, Constraints
from mcp_llama.engine.llama import LlamaModel
from mcp_llama.engine.llama.constrained_sampler import Candidates, ConstrainedSampler
from mcp_llama.engine.llama.sampler import LlamaSampler
from mcp_llama.engine.sampling import SamplingParams
from mcp_llama.errors import ConstraintError
from tests.engine.constraining import compiled
from tests.engine.llama.decoding import extend, tokens

Floats = npt.NDArray[np.float64]

PROMPT = "My favourite colour is"
FREE: dict[str, object] = {"temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0}
DRAWS = 1_500


@pytest.fixture(scope="module")
def constraints(loaded_model: LlamaModel) -> Constraints:
    return Constraints(loaded_model.grammar_tokenizer())


@pytest.fixture
def row(model: LlamaModel) -> int:
    return extend(model, {0: tokens(model, PROMPT)})[0]


@pytest.fixture
def logprobs(model: LlamaModel, row: int) -> Floats:
    """The log probability of every token after the prompt."""
    result = np.zeros(model.n_vocab)
    for token, logprob in model.logprobs(row, 0, model.n_vocab)[1]:
        result[token] = logprob
    return result


@pytest.fixture
def choice(model: LlamaModel, constraints: Constraints, logprobs: Floats) -> Callable[..., Constraint]:
    """A constraint that allows the tokens of these ranks, and no other."""
    ranked = np.argsort(-logprobs)

    def choose(*ranks: int) -> Constraint:
        named = "|".join(f"<[{ranked[rank]}]>" for rank in ranks)
        constraint = compiled("lark", f"start: ({named}) ({named})", constraints)
        assert set(np.flatnonzero(constraint.allowed())) == {ranked[rank] for rank in ranks}
        return constraint

    return choose


def sampler_of(model: LlamaModel, options: Mapping[str, object], seed: int = 1) -> LlamaSampler:
    sampler = model.sampler(SamplingParams(seed=seed).override(options), ())
    assert isinstance(sampler, LlamaSampler)
    return sampler


def draw(
    model: LlamaModel, row: int, options: Mapping[str, object], make: Callable[[], Constraint], count: int
) -> list[int]:
    """So many first tokens, one after the other from the same chain."""
    free, candidates = sampler_of(model, options), Candidates(model.n_vocab)
    drawn = [ConstrainedSampler(free, make(), candidates).sample(row) for _ in range(count)]
    free.close()
    return drawn


def normal(logprobs: Floats, kept: Sequence[int], temperature: float = 1.0) -> dict[int, float]:
    """The distribution over these tokens."""
    weights = np.exp((logprobs[list(kept)] - logprobs[list(kept)].max()) / temperature)
    return dict(zip(map(int, kept), map(float, weights / weights.sum()), strict=True))


def assert_drawn_from(drawn: Sequence[int], expected: Mapping[int, float]) -> None:
    counts = Counter(drawn)
    assert set(counts) <= set(expected)
    likely = {token: share * len(drawn) for token, share in expected.items() if share * len(drawn) >= 5}
    square = sum((counts[token] - mean) ** 2 / mean for token, mean in likely.items())
    # Five standard deviations of the chi-square distribution above its mean.
    freedom = len(likely) - 1
    assert square < freedom + 5 * (2 * freedom) ** 0.5 + 5, (square, counts, likely)


def top(logprobs: Floats, count: int) -> list[int]:
    return [int(token) for token in np.argsort(-logprobs)[:count]]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("ranks", [(0, 1, 2, 5), (3, 8, 20, 60), (400, 401, 500, 900), (4000,)], ids=str)
def test_without_truncation_the_draws_are_the_models_distribution_over_what_is_allowed(
    model: LlamaModel,
    row: int,
    logprobs: Floats,
    choice: Callable[..., Constraint],
    temperature: float,
    ranks: tuple[int, ...],
) -> None:
    drawn = draw(model, row, {**FREE, "temperature": temperature}, lambda: choice(*ranks), DRAWS)
    ranked = np.argsort(-logprobs)
    assert_drawn_from(drawn, normal(logprobs, [ranked[rank] for rank in ranks], temperature))


def test_a_constraint_on_the_text_gives_the_same_distribution(
    model: LlamaModel, row: int, logprobs: Floats, constraints: Constraints
) -> None:
    def make() -> Constraint:
        return compiled("regex", " (the|blue|red|green|a|purple) .*", constraints)

    allowed = [int(token) for token in np.flatnonzero(make().allowed())]
    assert len(allowed) > 10
    assert_drawn_from(draw(model, row, FREE, make, DRAWS), normal(logprobs, allowed))


@pytest.mark.parametrize("ranks", [(0, 3, 7, 30), (6, 9, 15)], ids=str)
def test_with_top_k_the_draws_are_of_the_likeliest_that_are_allowed(
    model: LlamaModel, row: int, logprobs: Floats, choice: Callable[..., Constraint], ranks: tuple[int, ...]
) -> None:
    drawn = draw(model, row, {**FREE, "top_k": 10}, lambda: choice(*ranks), DRAWS)
    ranked = np.argsort(-logprobs)
    assert_drawn_from(drawn, normal(logprobs, [ranked[rank] for rank in ranks if rank < 10]))


@pytest.mark.parametrize(("options", "share"), [({"top_p": 0.6}, 0.6), ({"top_p": 0.6, "temperature": 2}, 0.6)])
def test_with_top_p_the_draws_are_of_the_nucleus_that_is_allowed(
    model: LlamaModel,
    row: int,
    logprobs: Floats,
    choice: Callable[..., Constraint],
    options: dict[str, object],
    share: float,
) -> None:
    ranked = np.argsort(-logprobs)
    size = int(np.searchsorted(np.cumsum(np.exp(logprobs[ranked])), share)) + 1
    ranks = (1, 2, size - 1, size, size + 5)
    drawn = draw(model, row, {**FREE, **options}, lambda: choice(*ranks), DRAWS)
    kept = [ranked[rank] for rank in ranks if rank < size]
    assert_drawn_from(drawn, normal(logprobs, kept, float(str(options.get("temperature", 1)))))


def test_with_min_p_the_draws_are_of_what_it_keeps(
    model: LlamaModel, row: int, logprobs: Floats, choice: Callable[..., Constraint]
) -> None:
    kept = int((np.exp(logprobs - logprobs.max()) >= 0.1).sum())
    ranked = np.argsort(-logprobs)
    drawn = draw(model, row, {**FREE, "min_p": 0.1}, lambda: choice(1, 2, kept + 3, kept + 30), DRAWS)
    assert_drawn_from(drawn, normal(logprobs, [ranked[1], ranked[2]]))


def test_where_truncation_leaves_nothing_allowed_it_applies_to_all_that_is_allowed(
    model: LlamaModel, row: int, logprobs: Floats, choice: Callable[..., Constraint]
) -> None:
    ranked = np.argsort(-logprobs)
    drawn = draw(model, row, {**FREE, "top_k": 3}, lambda: choice(50, 60, 70, 80, 90), DRAWS)
    assert_drawn_from(drawn, normal(logprobs, [ranked[rank] for rank in (50, 60, 70)]))


@pytest.mark.parametrize("options", [{"temperature": 0}, {"top_k": 1}, {"temperature": 1e-4}], ids=str)
def test_greedy_takes_the_likeliest_that_is_allowed(
    model: LlamaModel, row: int, logprobs: Floats, choice: Callable[..., Constraint], options: dict[str, object]
) -> None:
    ranked = np.argsort(-logprobs)
    for ranks in ((0, 1), (2, 1), (700, 30, 2000)):
        assert draw(model, row, options, partial_choice(choice, ranks), 2) == [ranked[min(ranks)]] * 2


def partial_choice(choice: Callable[..., Constraint], ranks: Sequence[int]) -> Callable[[], Constraint]:
    return lambda: choice(*ranks)


def test_a_seed_gives_its_tokens_again(model: LlamaModel, row: int, choice: Callable[..., Constraint]) -> None:
    first, again = (draw(model, row, FREE, lambda: choice(3, 4, 5, 6), 20) for _ in range(2))
    assert first == again
    assert len(set(first)) > 1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0},
        {"dry_multiplier": 1.0},
        {"repeat_penalty": 1.5},
        {"mirostat": 1},
        {"mirostat": 2},
    ],
    ids=str,
)
def test_the_chain_takes_in_what_was_accepted_and_nothing_else(
    model: LlamaModel,
    row: int,
    choice: Callable[..., Constraint],
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, object],
) -> None:
    accepted: list[int] = []
    accept = LlamaSampler.accept

    def record(sampler: LlamaSampler, token: int) -> None:
        accepted.append(token)
        accept(sampler, token)

    monkeypatch.setattr(LlamaSampler, "accept", record)
    assert draw(model, row, options, lambda: choice(20, 30, 40, 50), 10) == accepted


@pytest.mark.parametrize("penalty", ["repeat_penalty", "presence_penalty", "frequency_penalty"])
def test_a_refused_token_is_not_penalised(
    model: LlamaModel, row: int, logprobs: Floats, choice: Callable[..., Constraint], penalty: str
) -> None:
    likeliest, second, third = top(logprobs, 3)
    options: dict[str, object] = {"temperature": 0, penalty: 50.0}
    free, candidates = sampler_of(model, options), Candidates(model.n_vocab)
    drawn = [ConstrainedSampler(free, choice(*ranks), candidates).sample(row) for ranks in ((1, 2), (0, 1, 2), (1, 2))]
    free.close()
    assert drawn == [second, likeliest, third]


@pytest.mark.parametrize("mirostat", [1, 2])
def test_mirostat_learns_from_what_is_allowed_alone(
    model: LlamaModel, row: int, choice: Callable[..., Constraint], mirostat: int
) -> None:
    options: dict[str, object] = {"mirostat": mirostat, "mirostat_tau": 2.0, "mirostat_eta": 0.5, "temperature": 1.5}
    ranks = (5, 10, 20, 40, 80, 160, 320, 640)
    free, candidates = sampler_of(model, options), Candidates(model.n_vocab)
    expected: list[int] = []
    for _ in range(60):
        candidates.fill(free.context, row)
        candidates.keep(choice(*ranks).allowed())
        expected.append(candidates.choose(free.chain))
    free.close()
    assert len(set(expected)) > 2
    assert draw(model, row, options, lambda: choice(*ranks), 60) == expected


@pytest.mark.parametrize(
    "options",
    [
        {},
        FREE,
        {"temperature": 0},
        {"top_k": 0, "typical_p": 0.5},
        {"xtc_probability": 1.0},
        {"top_n_sigma": 1.0},
        {"dynatemp_range": 0.5},
        {"mirostat": 1},
        {"mirostat": 2},
    ],
    ids=str,
)
def test_options_that_forbid_all_that_is_allowed_are_an_error(
    model: LlamaModel, row: int, logprobs: Floats, choice: Callable[..., Constraint], options: dict[str, object]
) -> None:
    ranked = np.argsort(-logprobs)
    bias = {str(ranked[rank]): float("-inf") for rank in (0, 9, 99)}
    with pytest.raises(ConstraintError, match="rule out every token"):
        draw(model, row, {**options, "logit_bias": bias}, lambda: choice(0, 9, 99), 1)
    assert draw(model, row, {**options, "logit_bias": bias}, lambda: choice(0, 9, 100), 1) == [ranked[100]]


def test_a_bias_holds_among_what_is_allowed(
    model: LlamaModel, row: int, logprobs: Floats, choice: Callable[..., Constraint]
) -> None:
    ranked = np.argsort(-logprobs)
    bias = {str(ranked[77]): 100}
    assert draw(model, row, {"logit_bias": bias}, lambda: choice(0, 1, 77), 20) == [ranked[77]] * 20


@pytest.mark.parametrize("ignore_eos", [True, False])
def test_ignore_eos_holds_where_a_constraint_would_let_the_text_end(
    model: LlamaModel, row: int, constraints: Constraints, ignore_eos: bool
) -> None:
    bias = {str(token): 50 for token in range(model.n_vocab) if model.is_eog(token)}
    options: dict[str, object] = {"logit_bias": bias, "ignore_eos": ignore_eos}
    drawn = draw(model, row, options, lambda: compiled("regex", "(?s:.*)", constraints), 20)
    assert all(map(model.is_eog, drawn)) is not ignore_eos
    assert any(map(model.is_eog, drawn)) is not ignore_eos


def test_a_token_that_is_put_in_moves_chain_and_constraint_on(
    model: LlamaModel, row: int, logprobs: Floats, choice: Callable[..., Constraint]
) -> None:
    likeliest, second = top(logprobs, 2)
    sampler = model.sampler(SamplingParams(seed=1, temperature=0.0, presence_penalty=50.0), (), choice(0, 1))
    sampler.accept(likeliest)
    assert sampler.sample(row) == second
    with pytest.raises(ConstraintError):
        sampler.accept(second)
    sampler.close()
