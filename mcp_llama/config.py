"""Every option once: a flag, an environment variable MCP_LLAMA_*, a line in a TOML file; the first of them wins."""

import os
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from platformdirs import user_config_path
from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from mcp_llama.chat.marks import MARKER_TOKENS, ReasoningMarks
from mcp_llama.chat.plan import ChatDefaults
from mcp_llama.command_line import POSITIONAL, parse_flags
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.llama import FlashAttention, ModelOptions
from mcp_llama.engine.model import Pooling
from mcp_llama.errors import ConfigError, UnknownNameError
from mcp_llama.option_values import Absolute, LogLevel, ReasoningMarksText, Seconds, Split, Streams, explain
from mcp_llama.server.settings import ProgressStyle, ServerLimits

ENV_PREFIX = "MCP_LLAMA_"


class ModelSettings(BaseSettings):
    """Options of every command that loads a model."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid")

    config: Path | None = Field(None, description="TOML file with options; default: config.toml in the user's folder")
    model: str | None = Field(None, description="GGUF file; default: the embedded model")
    n_ctx: int | None = Field(None, ge=16, description="context of one slot, in tokens; default: by model and memory")
    n_slots: int | None = Field(
        None, ge=1, le=256, description="requests that run at once; default: 4 if memory allows"
    )
    n_cells: int | None = Field(
        None, ge=16, description="KV cells that all slots share; default: n_ctx for each, which is faster"
    )
    n_batch: int = Field(512, ge=1, le=16_384, description="rows of one llama_decode")
    n_threads: int | None = Field(None, ge=1, description="threads of llama.cpp; default: the physical cores")
    n_gpu_layers: int = Field(0, ge=-1, description="layers to put on a GPU; -1 for all")
    flash_attn: FlashAttention = Field(
        "auto", description="flash attention; off is slower, but exact to the last bit alone and in a batch"
    )
    pooling: Pooling | None = Field(None, description="how embeddings are pooled; default: the model's own, or mean")
    log_level: LogLevel = Field("info", description="what is logged to stderr")

    def model_options(self) -> ModelOptions:
        """The part that concerns loading."""
        return ModelOptions(
            n_ctx=self.n_ctx,
            n_slots=self.n_slots,
            n_cells=self.n_cells,
            n_batch=self.n_batch,
            n_threads=self.n_threads,
            n_gpu_layers=self.n_gpu_layers,
            flash_attn=self.flash_attn,
            pooling=self.pooling,
            visible_tokens=tuple(sorted(MARKER_TOKENS)),
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, environment, TOML file."""
        return init_settings, env_settings, _TomlSource(settings_cls)


class ReasoningSettings(ModelSettings):
    """Options of every command whose model may reason."""

    reasoning_marks: ReasoningMarksText | None = Field(
        None, description="what stands before and behind reasoning, e.g. '<think> </think>'; default: by the template"
    )
    reasoning_budget: int | None = Field(None, ge=0, description="tokens a chat may reason; default: any number")

    def model_options(self) -> ModelOptions:
        """The part that concerns loading."""
        options = super().model_options()
        return replace(options, visible_tokens=(*options.visible_tokens, *(self.reasoning_marks or "").split()))

    def chat_defaults(self) -> ChatDefaults:
        """The part that concerns chats."""
        marks = None if self.reasoning_marks is None else ReasoningMarks(*self.reasoning_marks.split())
        return ChatDefaults(marks=marks, reasoning_budget=self.reasoning_budget)


class ServerSettings(ReasoningSettings):
    """Options of both servers."""

    max_tokens: int = Field(512, ge=1, description="max_tokens of a call that gives none")
    max_time_s: Seconds = Field(55.0, description="max_time_s of a call that gives none; many clients wait 60 s")
    max_queue: int = Field(64, ge=0, description="requests that may wait for a slot")
    max_queue_tokens: int = Field(262_144, ge=0, description="prompt tokens that may wait for a slot")
    unread_limit: int = Field(256, ge=1, description="tokens a client may leave unread before its request pauses")
    stall_timeout: Seconds = Field(30.0, description="seconds a client may read nothing before its request ends")
    step_target_ms: int = Field(
        100, ge=1, le=10_000, description="how long about a part of a new prompt may keep running streams waiting"
    )
    heartbeat_s: Seconds = Field(5.0, description="seconds without a token until progress shows a sign of life")
    ping_s: float = Field(
        15.0,
        ge=0,
        le=86_400,
        description="seconds without an event until a stream sends a comment; 0: never",
    )
    progress_style: ProgressStyle = Field("text", description="progress messages: the new text, or a status line")
    progress_interval_ms: int = Field(0, ge=0, description="least time between two progress notifications of a call")
    warm: Annotated[list[Path], Absolute] = Field(
        [], description="text file with a system message to compute at the start; may be given several times"
    )
    cache_dir: Annotated[Path | None, Absolute] = Field(
        None, description="folder that keeps what was computed, and so what was said, for the next start"
    )

    def engine_limits(self) -> EngineLimits:
        """The part that concerns the engine."""
        return EngineLimits(
            max_queue=self.max_queue,
            max_queue_tokens=self.max_queue_tokens,
            unread_limit=self.unread_limit,
            stall_timeout=self.stall_timeout,
            step_target=self.step_target_ms / 1000,
        )

    def server_limits(self) -> ServerLimits:
        """The part that concerns the tools."""
        return ServerLimits(
            max_tokens=self.max_tokens,
            max_time_s=self.max_time_s,
            heartbeat_s=self.heartbeat_s,
            ping_s=self.ping_s,
            stall_timeout=self.stall_timeout,
            progress_style=self.progress_style,
            progress_interval_ms=self.progress_interval_ms,
        )


class ServeSettings(ServerSettings):
    """Serve MCP over Streamable HTTP and SSE."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=65_535, description="port to listen on; 0 for any free one")
    allowed_hosts: list[str] = Field([], description="Host headers to let in beside this machine's: name:port, name:*")
    allowed_origins: list[str] = Field([], description="Origin headers to let in, and to allow by CORS")


class StdioSettings(ServerSettings):
    """Serve MCP over stdin and stdout."""


class DoctorSettings(ModelSettings):
    """Check this machine, the build of llama.cpp and the model."""


class TextSettings(ModelSettings):
    """Options of the commands that answer on the terminal."""

    max_tokens: int | None = Field(
        None, ge=1, description="tokens to generate at most; default: 512, or what the context has left"
    )
    temperature: float | None = Field(None, ge=0, description="0 for the most likely token; default: the model's own")
    top_p: float | None = Field(None, ge=0, le=1, description="nucleus sampling; default: the model's own")
    seed: int | None = Field(None, ge=0, description="makes the answer repeatable; default: random")
    stop: list[str] = Field([], description="end before this string; may be repeated")
    sampling: dict[str, Any] = Field({}, description="other llama.cpp sampling options, as name=value")
    json_schema: Path | None = Field(None, description="file with a JSON schema that the answer must fit")
    log_level: LogLevel = Field("warning", description="what is logged to stderr")


class GenerateSettings(TextSettings):
    """Continue a text on the terminal."""

    prompt: str = Field(description="text to continue; - reads it from stdin", json_schema_extra=POSITIONAL)


class ChatSettings(TextSettings, ReasoningSettings):
    """Chat on the terminal."""

    message: str = Field(
        "", description="one question to answer; without it, a conversation", json_schema_extra=POSITIONAL
    )
    system: str = Field("", description="system message")


class BenchSettings(ModelSettings):
    """Measure how fast this machine runs the model: in a bare llama.cpp loop and through every door.

    The defaults take some minutes on two cores with the embedded model. Unique prompts run at each number of
    streams, the other workloads at one.
    """

    n_slots: int | None = Field(None, ge=1, le=256, description="slots at most; default: as the streams need")
    streams: Annotated[list[Streams], Split] = Field(
        [1, 2, 4, 8, 16], min_length=1, description="how many streams run at once, one after the other"
    )
    tokens: int = Field(96, ge=2, description="tokens of one stream")
    rounds: int = Field(3, ge=1, description="turns of each target; the table shows medians and ranges of them")
    targets: Annotated[list[str], Split] = Field(
        ["raw", "engine", "v1", "mcp-http", "mcp-stdio"], min_length=1, description="what is measured, in turn"
    )
    workloads: Annotated[list[str], Split] = Field(
        ["unique", "shared", "long"], min_length=1, description="of unique, shared, long, cancel, json"
    )
    against: list[str] = Field(
        [], description="an OpenAI-compatible server to compare with, as URL or LABEL=URL; may be given several times"
    )
    json_: bool = Field(False, description="write the report as JSON instead of the table")
    plot: Path | None = Field(
        None, description="file to draw throughput and latency into: .png, .svg or .pdf; needs mcp-llama[plot]"
    )


SETTINGS: dict[str, type[ModelSettings]] = {
    "serve": ServeSettings,
    "stdio": StdioSettings,
    "generate": GenerateSettings,
    "chat": ChatSettings,
    "doctor": DoctorSettings,
    "bench": BenchSettings,
}
_NOT_IN_FILES = ("prompt", "message", "config", "json_", "plot")

AnySettings = TypeVar("AnySettings", bound=ModelSettings)


def load_settings(settings_cls: type[AnySettings], command: str, arguments: Sequence[str]) -> AnySettings:
    """The settings of a command line; `--help` ends the process.

    Raises:
        ConfigError: a flag, a value, or a name in the environment or the TOML file is wrong.
    """
    _check_environment()
    flags = parse_flags(settings_cls, command, arguments)
    config = SettingsConfigDict(toml_file=_toml_path(flags.get("config")))
    bound = type(
        settings_cls.__name__, (settings_cls,), {"__module__": settings_cls.__module__, "model_config": config}
    )
    try:
        return cast(AnySettings, bound(**flags))
    except ValidationError as error:
        raise ConfigError(" ".join(explain(dict(problem)) for problem in error.errors(include_url=False))) from error
    except SettingsError as error:
        raise ConfigError(f"{error}. Lists and tables in the environment are JSON.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{config.get('toml_file')} is not valid TOML: {error}.") from error


class _TomlSource(TomlConfigSettingsSource):
    """The TOML file; options of other commands are left to them, unknown ones are refused."""

    def __call__(self) -> dict[str, Any]:
        data = super().__call__()
        for name in data:
            if name not in _known_options():
                raise ConfigError(str(UnknownNameError("option in the TOML file", name, _known_options())))
        return {name: value for name, value in data.items() if name in self.settings_cls.model_fields}


@cache
def _known_options() -> frozenset[str]:
    names = {name for settings_cls in SETTINGS.values() for name in settings_cls.model_fields}
    return frozenset(names.difference(_NOT_IN_FILES))


def _check_environment() -> None:
    known = {f"{ENV_PREFIX}{name.upper()}" for name in {*_known_options(), "config"}}
    for name in os.environ:
        # On some systems, and for pydantic-settings on all, the case of a variable does not count.
        if name.upper().startswith(ENV_PREFIX) and name.upper() not in known:
            raise ConfigError(str(UnknownNameError("environment variable", name, known)))


def _toml_path(given: object) -> Path | None:
    """The file that a flag or the environment names, or else the user's own if there is one."""
    named = given or os.environ.get(f"{ENV_PREFIX}CONFIG")
    if not named:
        path = user_config_path("mcp-llama") / "config.toml"
        return path if path.is_file() else None
    path = Path(str(named)).expanduser()
    if not path.is_file():
        raise ConfigError(f"No TOML file at {path}.")
    return path
