"""SeededModel: a FakeModel whose completions depend on the seed, so that choices differ."""

from collections.abc import Mapping, Sequence

from mcp_llama.engine.constraint import Constraint
from mcp_llama.engine.sampling import SamplingParams
from tests.fake_model import EOG, FakeModel, FakeSampler


class SeededModel(FakeModel):
    """Writes `by_seed` where a request has one of its seeds; such a request can have no constraint."""

    by_seed: Mapping[int, str] = {}

    def sampler(
        self, params: SamplingParams, prompt: Sequence[int], constraint: Constraint | None = None
    ) -> FakeSampler:
        """A new sampler."""
        sampler = super().sampler(params, prompt, constraint)
        text = None if params.seed is None else self.by_seed.get(params.seed)
        return sampler if text is None else _SeededSampler(self, params, prompt, text)


class _SeededSampler(FakeSampler):
    def __init__(self, model: FakeModel, params: SamplingParams, prompt: Sequence[int], text: str) -> None:
        super().__init__(model, params, prompt, None)
        self._rest = [*text.encode(), EOG]

    def sample(self, row: int) -> int:
        """The next token of the text."""
        super().sample(row)
        return self._rest.pop(0)
