"""Every option reaches what it configures: these tests fail when one is added and not passed on."""

import json
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
from fastapi import FastAPI

from mcp_llama.assembly import server_backend
from mcp_llama.backends.local import LocalBackend
from mcp_llama.chat.marks import MARKER_TOKENS, ReasoningMarks
from mcp_llama.chat.plan import ChatDefaults
from mcp_llama.command_line import POSITIONAL, flag_of
from mcp_llama.config import SETTINGS, load_settings
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.llama import Lora, ModelOptions
from mcp_llama.errors import ConfigError
from mcp_llama.models import preparation
from mcp_llama.models.catalog_supply import CatalogSupply
from mcp_llama.models.files import find_model
from mcp_llama.models.folder import models_folder
from mcp_llama.models.pool import ModelPool, PoolBounds
from mcp_llama.models.preparation import CacheFolder, Preparation
from mcp_llama.models.source import ModelSource
from mcp_llama.models.warm import WarmText
from mcp_llama.server.mcp import LlamaServer
from mcp_llama.server.security import AppSecurity
from mcp_llama.server.settings import ServerLimits
from mcp_llama.settings.model import ModelSettings, ReasoningSettings
from mcp_llama.settings.server import ServerSettings, ServeSettings, StdioSettings
from tests.command import run_here
from tests.fake_model import FakeModel
from tests.isolation import isolation
from tests.models.ggufs import write_gguf

MODEL: dict[str, Any] = {
    "n_ctx": 96,
    "n_slots": 3,
    "n_cells": 4_000,
    "n_batch": 48,
    "n_threads": 5,
    "n_gpu_layers": 7,
    "no_mmap": True,
    "flash_attn": "on",
    "type_k": "q8_0",
    "type_v": "q5_1",
    "rope_scaling": "yarn",
    "rope_freq_base": 50_000.5,
    "rope_freq_scale": 0.25,
    "yarn_orig_ctx": 2048,
    "lora": [Lora(Path(__file__).absolute(), 0.5), Lora(Path(__file__).absolute(), -1e-07)],
    "pooling": "cls",
}
CHAT: dict[str, Any] = {"reasoning_marks": "[r] [/r]", "reasoning_budget": 44}
ENGINE: dict[str, Any] = {"max_queue": 11, "max_queue_tokens": 222, "unread_limit": 33, "stall_timeout": 4.5}
STEP = {"step_target_ms": 250}
LIMITS = EngineLimits(**ENGINE, step_target=0.25)
SERVER: dict[str, Any] = {
    "max_tokens": 17,
    "max_time_s": 18.5,
    "heartbeat_s": 1.25,
    "ping_s": 2.5,
    "stall_timeout": 4.5,
    "progress_style": "status",
    "progress_interval_ms": 150,
}
KEPT = {"warm", "cache_dir"}
"""Options that name files; the test of the flags makes them."""
POOL = {"only_model", "pin", "memory_budget", "idle_timeout"}
VISIBLE = (*sorted(MARKER_TOKENS), "[r]", "[/r]")
OPTIONS = replace(ModelOptions(**MODEL), lora=tuple(MODEL["lora"]), visible_tokens=VISIBLE)
DEFAULTS = ChatDefaults(marks=ReasoningMarks("[r]", "[/r]"), reasoning_budget=44)
DOOR: dict[str, Any] = {"host": "localhost", "port": 0, "allowed_hosts": ["a:*"], "allowed_origins": ["https://b"]}


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with isolation(monkeypatch, tmp_path):
        yield


def own_options(settings_cls: type[ModelSettings]) -> set[str]:
    return set(settings_cls.model_fields) - {"config", "model", "log_level"}


def test_the_values_here_are_no_defaults() -> None:
    settings = load_settings(ServeSettings, "serve", [])
    for name, value in {**MODEL, **CHAT, **ENGINE, **STEP, **SERVER, **DOOR}.items():
        assert getattr(settings, name) != value, name


def test_every_option_of_loading_reaches_the_model() -> None:
    assert own_options(ModelSettings) == set(MODEL)
    assert own_options(ReasoningSettings) == {*MODEL, *CHAT}
    settings = ReasoningSettings(**MODEL, **CHAT)
    assert settings.model_options() == OPTIONS
    assert settings.chat_defaults() == DEFAULTS


def test_every_option_of_a_server_reaches_the_engine_or_the_tools() -> None:
    assert own_options(ServerSettings) == {*MODEL, *CHAT, *ENGINE, *STEP, *SERVER, *KEPT, *POOL}
    settings = ServerSettings(**ENGINE, **STEP, **{name: value for name, value in SERVER.items() if name not in ENGINE})
    assert settings.engine_limits() == LIMITS
    assert asdict(settings.server_limits()) == SERVER


def test_serve_has_the_options_of_a_server_and_those_of_its_door() -> None:
    assert own_options(ServeSettings) == {*MODEL, *CHAT, *ENGINE, *STEP, *SERVER, *KEPT, *POOL, *DOOR}
    assert own_options(StdioSettings) == {*MODEL, *CHAT, *ENGINE, *STEP, *SERVER, *KEPT, *POOL}


@dataclass
class Served:
    """What `serve` handed to its parts."""

    paths: list[Path] = field(default_factory=list[Path])
    models: list[ModelOptions] = field(default_factory=list[ModelOptions])
    needs: list[tuple[Path, ModelOptions]] = field(default_factory=list[tuple[Path, ModelOptions]])
    engines: list[EngineLimits] = field(default_factory=list[EngineLimits])
    bounds: list[PoolBounds] = field(default_factory=list[PoolBounds])
    supplies: list[CatalogSupply | None] = field(default_factory=list[CatalogSupply | None])
    chats: list[ChatDefaults] = field(default_factory=list[ChatDefaults])
    preparations: list[Preparation] = field(default_factory=list[Preparation])
    servers: list[ServerLimits] = field(default_factory=list[ServerLimits])
    apps: list[ServerLimits] = field(default_factory=list[ServerLimits])
    doors: list[AppSecurity] = field(default_factory=list[AppSecurity])
    stall_timeouts: list[float] = field(default_factory=list[float])

    def note_stall_timeout(self, _: socket.socket, stall_timeout: float) -> None:
        self.stall_timeouts.append(stall_timeout)

    addresses: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])

    def make_pool(
        self, default: ModelSource, limits: EngineLimits, supply: CatalogSupply | None, bounds: PoolBounds
    ) -> ModelPool:
        self.engines.append(limits)
        self.bounds.append(bounds)
        self.supplies.append(supply)
        return ModelPool(default, limits, supply, bounds)

    def make_backend(self, pool: ModelPool, chat: ChatDefaults) -> LocalBackend:
        self.chats.append(chat)
        return LocalBackend(pool, chat)

    def read_preparation(self, warm: Sequence[Path], cache_dir: Path | None, model: Path) -> Preparation:
        self.preparations.append(preparation.read_preparation(warm, cache_dir, model))
        return self.preparations[-1]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    """Lets `serve` and `stdio` run to the point where they would begin to serve."""
    served = Served()

    def load(path: Path, options: ModelOptions, on_progress: Callable[[float], bool]) -> FakeModel:
        assert on_progress(0.5)
        served.paths.append(path)
        served.models.append(options)
        return FakeModel()

    def needed(path: Path, options: ModelOptions) -> int:
        served.needs.append((path, options))
        return 1

    def build_server(backend: LocalBackend, limits: ServerLimits) -> LlamaServer:
        served.servers.append(limits)
        return LlamaServer(tools=[], name="test")

    def build_app(mcp: LlamaServer, backend: LocalBackend, limits: ServerLimits, security: AppSecurity) -> FastAPI:
        served.apps.append(limits)
        served.doors.append(security)
        return FastAPI()

    def bind(host: str, port: int) -> socket.socket:
        served.addresses.append((host, port))
        return socket.create_server((host, port))

    async def load_only(backend: LocalBackend) -> None:
        await backend.ready(None)
        await backend.close()

    async def serve_http(
        app: FastAPI, backend: LocalBackend, mcp: LlamaServer, listener: socket.socket, on_started: object
    ) -> None:
        listener.close()
        await load_only(backend)

    async def serve_stdio(mcp: LlamaServer, backend: LocalBackend, wire: object) -> None:
        await load_only(backend)

    monkeypatch.setattr("mcp_llama.assembly.LlamaModel", load)
    monkeypatch.setattr("mcp_llama.assembly._needed", needed)
    monkeypatch.setattr("mcp_llama.assembly.LocalBackend", served.make_backend)
    monkeypatch.setattr("mcp_llama.assembly.ModelPool", served.make_pool)
    monkeypatch.setattr("mcp_llama.assembly.read_preparation", served.read_preparation)
    monkeypatch.setattr("mcp_llama.commands.stdio.claim_stdio", lambda: None)
    monkeypatch.setattr("mcp_llama.commands.serve.drop_stalled", served.note_stall_timeout)
    in_serve = [("serve", part) for part in (build_server, build_app, bind, serve_http)]
    for command, part in (*in_serve, ("stdio", build_server), ("stdio", serve_stdio)):
        monkeypatch.setattr(f"mcp_llama.commands.{command}.{part.__name__}", part)
    return served


def flags(options: dict[str, object]) -> list[str]:
    arguments: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            arguments.append(flag)
            continue
        for item in cast(list[object], value) if isinstance(value, list) else [value]:
            arguments += [flag, str(item)]
    return arguments


@pytest.mark.parametrize("command", ["serve", "stdio"])
def test_every_flag_of_a_server_reaches_its_part(
    command: str, served: Served, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = tmp_path / "tiny.gguf"
    model.write_bytes(b"GGUF")
    door = DOOR if command == "serve" else {}
    warm = [WarmText(tmp_path / name, f"You are {name}.") for name in ("a.txt", "b.txt")]
    for text in warm:
        text.path.write_text(text.text, encoding="utf-8")
    cache = tmp_path / "new" / "cache"
    kept = [*(word for text in warm for word in ("--warm", str(text.path))), "--cache-dir", str(cache)]
    options = flags({**MODEL, **CHAT, **ENGINE, **STEP, **SERVER, **door})
    pool = ["--only-model", "--pin", "tiny", "--memory-budget", "3GiB", "--idle-timeout", "66.5"]
    outcome = run_here(capsys, command, "--model", str(model), *options, *kept, *pool)
    assert outcome.status == 0, outcome
    assert served.paths == [model]
    assert served.models == [OPTIONS]
    assert served.chats == [DEFAULTS]
    assert served.engines == [LIMITS]
    assert served.bounds == [PoolBounds(memory=3 * 2**30, idle_s=66.5, pinned=("tiny",))]
    assert served.supplies == [None]
    assert served.preparations == [Preparation(warm=tuple(warm), cache=CacheFolder(path=cache, model=model))]
    assert [asdict(limits) for limits in served.servers] == [SERVER]
    if command == "serve":
        assert served.addresses == [("localhost", 0)]
        assert served.apps == served.servers
        assert served.stall_timeouts == [ENGINE["stall_timeout"]]
        assert served.doors == [AppSecurity(allowed_hosts=["a:*"], allowed_origins=["https://b"])]


def test_models_may_take_three_quarters_of_the_memory_unless_told_otherwise(served: Served) -> None:
    model = write_gguf(models_folder() / "tiny.gguf")
    server_backend(load_settings(ServeSettings, "serve", ["--model", str(model)]), find_model(str(model)))
    assert served.bounds == [PoolBounds(memory=psutil.virtual_memory().total * 3 // 4)]


def test_another_model_has_neither_the_adapters_nor_the_positions_of_the_default_one(
    served: Served,
) -> None:
    default = write_gguf(models_folder() / "default.gguf")
    other = write_gguf(models_folder() / "other.gguf")
    settings = load_settings(ServeSettings, "serve", ["--model", str(default), *flags({**MODEL, **CHAT})])
    server_backend(settings, find_model(settings.model))
    (supply,) = served.supplies
    assert supply is not None
    supply.find("other").load(lambda share: True)
    of_the_default = {"rope_scaling": None, "rope_freq_base": None, "rope_freq_scale": None, "yarn_orig_ctx": None}
    assert served.paths == [other]
    assert served.models == [replace(OPTIONS, **of_the_default, lora=(), cut_n_ctx=True)]
    assert supply.find("other").memory() == 1
    assert served.needs == [(other, *served.models)]
    supply.find("default").load(lambda share: True)
    assert served.models[1] == OPTIONS


@pytest.mark.parametrize(
    ("text", "lora"),
    [
        ("/a/b.gguf", Lora(Path("/a/b.gguf"), 1.0)),
        ("/a/b.gguf=0.5", Lora(Path("/a/b.gguf"), 0.5)),
        ("/a/b.gguf=-2", Lora(Path("/a/b.gguf"), -2.0)),
        ("/a=1/b=c.gguf", Lora(Path("/a=1/b=c.gguf"), 1.0)),
        ("/a=1/b=2=3", Lora(Path("/a=1/b=2"), 3.0)),
        ("~/b.gguf=0", Lora(Path.home() / "b.gguf", 0.0)),
        ("0.5", Lora(Path.cwd() / "0.5", 1.0)),
        ("=0.5", Lora(Path.cwd() / "=0.5", 1.0)),
    ],
)
def test_an_adapter_is_a_file_or_a_file_with_a_scale(text: str, lora: Lora, monkeypatch: pytest.MonkeyPatch) -> None:
    if text.startswith("~"):
        lora = Lora(Path.home() / "b.gguf", lora.scale)
    assert load_settings(ServeSettings, "serve", ["--lora", text]).model_options().lora == (lora,)
    monkeypatch.setenv("MCP_LLAMA_LORA", json.dumps([text, str(lora)]))
    assert load_settings(ServeSettings, "serve", []).model_options().lora == (lora, lora)


@pytest.mark.parametrize("scale", ["nan", "inf", "-Infinity"])
def test_a_scale_that_is_no_number_to_multiply_with_is_refused(scale: str) -> None:
    with pytest.raises(ConfigError, match=r"^lora is \['a\.gguf=.*'\]: the scale must be a finite number\.$"):
        load_settings(ServeSettings, "serve", ["--lora", f"a.gguf={scale}"])


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--type-k", "q6_K"),
        ("--type-v", "f64"),
        ("--rope-scaling", "dynamic"),
        ("--rope-freq-base", "0"),
        ("--rope-freq-base", "inf"),
        ("--rope-freq-scale", "0"),
        ("--rope-freq-scale", "nan"),
        ("--rope-freq-scale", "inf"),
        ("--yarn-orig-ctx", "0"),
    ],
)
def test_a_value_that_llama_cpp_has_no_use_for_is_refused(flag: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{flag[2:].replace('-', '_')} is '{value}': "):
        load_settings(ServeSettings, "serve", [flag, value])


def test_files_are_the_same_in_whatever_folder_a_client_starts_a_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--warm", "a.txt", "--warm", "~/b.txt", "--cache-dir", "cache", "--lora", "a.gguf=0.5"]
    settings = load_settings(StdioSettings, "stdio", words)
    assert settings.warm == [tmp_path / "a.txt", Path.home() / "b.txt"]
    assert settings.cache_dir == tmp_path / "cache"
    assert settings.lora == [Lora(tmp_path / "a.gguf", 0.5)]
    assert load_settings(StdioSettings, "stdio", []).cache_dir is None


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_the_log_level_reaches_logging(level: str, served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(capsys, "serve", "--port", "0", "--log-level", level).status == 0
    assert logging.getLogger().level == logging.getLevelNamesMapping()[level.upper()]


@pytest.mark.parametrize("command", SETTINGS)
def test_help_lists_every_option(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_llama.commands.stdio.claim_stdio", lambda: None)
    outcome = run_here(capsys, command, "--help")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith(f"usage: mcp-llama {command} ")
    for name, option in SETTINGS[command].model_fields.items():
        shown = name.upper() if option.json_schema_extra == POSITIONAL else f"{flag_of(name)} "
        assert shown in outcome.out, name
        assert option.description is not None, name
        assert option.description in " ".join(outcome.out.split()), name
