"""Scene: what a server under test serves, as data that can cross to another process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.server.settings import ServerLimits
from tests.fake_model import CHAT_TEMPLATE, FakeModel
from tests.server.seeded import SeededModel

MODEL_NAME = "fake"

SPEECH = 'Grüße, 世界! مرحبا · नमस्ते · 👩‍👩‍👧‍👦 e\u0301 \U0001f1f3\U0001f1f4 \x00\u2028 "quoted" \\n\nnew line\r\n'
"""Many scripts, joined emoji, a combining mark, a flag, and what JSON or SSE could trip over."""


def split_bytes(text: str, size: int) -> tuple[bytes, ...]:
    """The text as tokens of so many bytes, which cuts through its characters."""
    raw = text.encode()
    return tuple(raw[start : start + size] for start in range(0, len(raw), size))


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A FakeModel and the limits of the engine and the tools. `scripts` maps prompts (None: all others) to tokens."""

    scripts: Mapping[str | None, str | Sequence[bytes | str]] = field(default_factory=dict[str | None, str])
    n_slots: int = 2
    n_ctx: int = 1024
    n_batch: int = 64
    decode_delay: float = 0.0
    one_by_one: bool = False
    """Each decode waits until the readers have what the one before brought, so that no two deltas are merged."""
    by_seed: Mapping[int, str] = field(default_factory=dict[int, str])
    """The completions of requests with these seeds, whatever their prompt."""
    has_chat_template: bool = True
    chat_template: str = CHAT_TEMPLATE
    holds_load: bool = False
    """The load waits until the test lets it end."""
    load_error: str | None = None
    """The load fails with this text."""
    prints: bool = False
    """The load writes to stdout, from Python and past it."""
    engine: EngineLimits = field(default_factory=EngineLimits)
    server: ServerLimits = field(default_factory=ServerLimits)

    def model(self) -> FakeModel:
        """A new model of this scene."""
        model = SeededModel(
            n_ctx=self.n_ctx, n_slots=self.n_slots, n_batch=self.n_batch, decode_delay=self.decode_delay
        )
        for prompt, pieces in self.scripts.items():
            model.script(prompt, pieces)
        model.by_seed = self.by_seed
        model.chat_template = self.chat_template if self.has_chat_template else None
        return model
