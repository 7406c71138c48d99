"""The command `bench`: check what is asked, measure, and show it. Stdout is the result, stderr all else."""

import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from rich.console import Console

from mcp_llama.bench.document import document
from mcp_llama.bench.event import Event
from mcp_llama.bench.live import Live
from mcp_llama.bench.machine import this_machine, this_subject
from mcp_llama.bench.plan import TARGETS, WORKLOADS, Plan
from mcp_llama.bench.plot import check_plot, draw
from mcp_llama.bench.record import Measurement, Report, Subject
from mcp_llama.bench.run import run
from mcp_llama.bench.summary import summarise
from mcp_llama.bench.table import render
from mcp_llama.command_line import as_flags
from mcp_llama.engine.llama import ModelOptions
from mcp_llama.engine.llama.weights import Weights
from mcp_llama.errors import ConfigError, UnknownNameError
from mcp_llama.loading_flags import loading_flags
from mcp_llama.models.files import find_model
from mcp_llama.settings.bench import BenchSettings

_INTERRUPTED = 130
_N_CTX = 4096
_NOT_REPEATED = {"config", "json_", "plot", "log_level"}


def run_bench(settings: BenchSettings) -> int:
    """Measure and print; returns the exit status, 1 if something could not be measured.

    Ctrl-C ends the measuring: what was measured until then is shown.
    """
    _check(settings)
    file = find_model(settings.model)
    weights = _Facts(file.path)
    plan = _plan(settings, file.path, weights.n_ctx)
    measurements, failures, interrupted = _measure(plan)
    subject = _subject(plan, weights.description, settings.n_threads)
    report = Report(machine=this_machine(), subject=subject, measurements=measurements, failures=failures)
    rows = summarise(measurements, [label for label, _ in plan.against])
    words = repeat_command(settings)
    print(document(report, rows, words) if settings.json_ else render(report, rows, words))
    if settings.plot is not None and rows:
        draw(settings.plot.expanduser(), report, rows)
    return _INTERRUPTED if interrupted else 1 if failures else 0


def parse_against(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The name and the URL of each server; without a name its address stands for it.

    Raises:
        ConfigError: one is no URL, or two have the same name.
    """
    servers: dict[str, str] = {}
    for text in texts:
        head, mark, rest = text.partition("://")
        label, equals, scheme = head.rpartition("=")
        url = f"{scheme}{mark}{rest}"
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc or (equals and not label):
            raise ConfigError(f"against is {text!r}: write it as http://HOST:PORT/v1 or LABEL=http://HOST:PORT/v1.")
        name = label or parts.netloc
        if name in servers or name in TARGETS:
            raise ConfigError(f"against is {text!r}, but the name {name!r} is taken. Write it as LABEL=URL.")
        servers[name] = url
    return tuple(servers.items())


def repeat_command(settings: BenchSettings) -> list[str]:
    """The words of a command that measures the same, whatever the environment and the TOML file say there."""
    given = [name for name in BenchSettings.model_fields if name in settings.model_fields_set - _NOT_REPEATED]
    texts = {name: ",".join(map(str, getattr(settings, name))) for name in ("streams", "targets", "workloads")}
    return ["mcp-llama", "bench", *as_flags(settings.model_copy(update=texts), given)]


class _Facts:
    """What only the model itself tells. It is loaded for that and freed again."""

    def __init__(self, path: Path) -> None:
        weights = Weights(path, ModelOptions())
        self.description, self.n_ctx = weights.description, weights.n_ctx_train
        weights.close()


def _check(settings: BenchSettings) -> None:
    if sys.platform == "win32":
        raise ConfigError("bench does not run under Windows itself; it does in WSL.")
    _check_names("target", settings.targets, TARGETS)
    _check_names("workload", settings.workloads, WORKLOADS)
    parse_against(settings.against)
    if settings.plot is not None:
        check_plot(settings.plot.expanduser())


def _check_names(kind: str, names: Iterable[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(str(UnknownNameError(kind, name, known)))


def _plan(settings: BenchSettings, model: Path, n_ctx_train: int) -> Plan:
    plan = Plan(
        model=model,
        options=tuple(loading_flags(settings, besides=("n_ctx", "n_slots"))),
        n_ctx=settings.n_ctx or min(_N_CTX, n_ctx_train),
        streams=tuple(settings.streams),
        tokens=settings.tokens,
        rounds=settings.rounds,
        targets=tuple(settings.targets),
        workloads=tuple(name for name in WORKLOADS if name in settings.workloads),
        against=parse_against(settings.against),
    )
    if settings.n_slots is not None and settings.n_slots < plan.n_slots:
        raise ConfigError(
            f"n_slots is {settings.n_slots}, but the most streams take {plan.n_slots}. "
            "Set it to that, or ask for fewer streams."
        )
    return plan


def _measure(plan: Plan) -> tuple[tuple[Measurement, ...], tuple[str, ...], bool]:
    """Measurements, failures, and whether Ctrl-C ended it."""
    ended: list[Event] = []
    with Live(Console(stderr=True)) as live:
        try:
            return *asyncio.run(run(plan, _both(live.show, ended.append))), False
        except KeyboardInterrupt:
            done, total = (ended[-1].done, ended[-1].total) if ended else (0, len(plan.turns()))
    print("mcp-llama: interrupted", file=sys.stderr)
    measurements = tuple(event.measurement for event in ended if event.measurement is not None)
    failures = tuple(event.failure for event in ended if event.failure is not None)
    return measurements, (*failures, f"interrupted after {done} of {total} turns"), True


def _both(one: Callable[[Event], None], other: Callable[[Event], None]) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        one(event)
        other(event)

    return tell


def _subject(plan: Plan, description: str, n_threads: int | None) -> Subject:
    return this_subject(
        plan.model,
        description,
        n_ctx=plan.n_ctx,
        n_slots=plan.n_slots,
        n_threads=n_threads or psutil.cpu_count(logical=False) or 1,
    )
