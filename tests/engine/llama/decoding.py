"""Decoding with a bare LlamaModel, and recording what an engine decodes."""

from collections.abc import Mapping, Sequence

from mcp_llama.engine.llama import LlamaModel
from mcp_llama.engine.model import Rows
from mcp_llama.engine.sampling import SamplingParams
from tests.engine.sequences import GREEDY


class RecordingModel(LlamaModel):
    """Keeps the rows of every decode while `batches` is a list."""

    batches: list[Rows] | None = None

    def decode(self, rows: Rows) -> None:
        """Compute the rows and keep them."""
        super().decode(rows)
        if self.batches is not None:
            self.batches.append(rows)


def tokens(model: LlamaModel, text: str) -> list[int]:
    return model.tokenize(text, add_special=False, parse_special=True)


def text(model: LlamaModel, completion: Sequence[int]) -> str:
    return b"".join(map(model.token_bytes, completion)).decode("utf-8", "ignore")


def extend(model: LlamaModel, contents: Mapping[int, Sequence[int]]) -> dict[int, int]:
    """Compute in one batch what these slots do not hold yet of these contents; the row to sample for each slot."""
    rows = Rows()
    last: dict[int, int] = {}
    for slot, content in contents.items():
        held = model.held_tokens(slot)
        count = len(content) - held
        rows.tokens += content[held:]
        rows.positions += range(held, len(content))
        rows.slots += [slot] * count
        rows.outputs += [False] * (count - 1) + [True]
        last[slot] = len(rows) - 1
    model.decode(rows)
    return last


def complete(
    model: LlamaModel, prompts: Sequence[Sequence[int]], count: int, sampling: SamplingParams
) -> list[list[int]]:
    """`count` tokens after each prompt, computed together; slots that hold the start of their prompt keep it."""
    samplers = [model.sampler(sampling, prompt) for prompt in prompts]
    contents = {slot: list(prompt) for slot, prompt in enumerate(prompts)}
    for _ in range(count):
        for slot, row in extend(model, contents).items():
            contents[slot].append(samplers[slot].sample(row))
    for sampler in samplers:
        sampler.close()
    return [contents[slot][len(prompt) :] for slot, prompt in enumerate(prompts)]


def greedy(model: LlamaModel, prompts: Sequence[Sequence[int]], count: int) -> list[list[int]]:
    """The most likely tokens after each prompt, from empty slots."""
    for slot in range(model.n_slots):
        model.truncate(slot, 0)
    return complete(model, prompts, count, GREEDY)
