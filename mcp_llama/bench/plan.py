"""Plan: what a benchmark is to measure, and the order of its turns."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mcp_llama.bench.event import Turn
from mcp_llama.bench.record import RAW, Workload

TARGETS = (RAW, "engine", "v1", "mcp-http", "mcp-stdio")
WORKLOADS: tuple[Workload, ...] = ("unique", "shared", "long", "cancel", "json")

_USUAL_STREAMS = {"shared": 8, "long": 4, "json": 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure.

    `options` are command-line flags that say how the model is loaded, such as ("--model", PATH, "--n-threads", "2");
    the run adds those for slots and context itself. `n_ctx` is the context of one slot, `tokens` the completion of
    one stream. `against` are other servers beside this one: what to call each, and its URL.
    """

    model: Path
    options: tuple[str, ...] = ()
    n_ctx: int = 4096
    streams: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    tokens: int = 96
    rounds: int = 5
    targets: tuple[str, ...] = TARGETS
    workloads: tuple[Workload, ...] = WORKLOADS
    against: tuple[tuple[str, str], ...] = ()

    @property
    def n_slots(self) -> int:
        """The slots that the widest turn takes."""
        beside = 1 if "long" in self.workloads else 0
        return max(max(self.streams), self._usual("long") + beside)

    @property
    def flags(self) -> tuple[str, ...]:
        """The options of a command that loads the model as planned."""
        shape = ("--n-ctx", str(self.n_ctx), "--n-slots", str(self.n_slots), "--log-level", "error")
        return (*self.options, "--model", str(self.model), *shape)

    def turns(self) -> tuple[Turn, ...]:
        """All turns. The order of the targets is reversed every other round, so that none has the better place."""
        return tuple(turn for number in range(1, self.rounds + 1) for turn in self._round(number))

    def _round(self, number: int) -> Iterator[Turn]:
        names = (*self.targets, *(label for label, _ in self.against))
        ordered = names if number % 2 else names[::-1]
        for workload in self.workloads:
            for streams in self._counts(workload):
                for target in ordered:
                    if workload != "cancel" or target != RAW:
                        yield Turn(target=target, workload=workload, streams=streams, round=number)

    def _counts(self, workload: Workload) -> tuple[int, ...]:
        """Unique prompts tell how the speed grows with the streams; the other workloads have one usual width."""
        if workload == "unique":
            return self.streams
        return (self.n_slots,) if workload == "cancel" else (self._usual(workload),)

    def _usual(self, workload: Workload) -> int:
        """The given count that is nearest to the usual one from below, or the least."""
        usual = _USUAL_STREAMS.get(workload, 0)
        return max((count for count in self.streams if count <= usual), default=min(self.streams))
