"""Options of the servers."""

from pathlib import Path
from typing import Annotated

from pydantic import ByteSize, Field

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.option_values import Absolute, Seconds
from mcp_llama.server.settings import ProgressStyle, ServerLimits
from mcp_llama.settings.model import ReasoningSettings


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

    only_model: bool = Field(False, description="serve the model of --model alone, and no other that a request names")
    pin: list[str] = Field([], description="model to load at the start and to keep; may be given several times")
    memory_budget: ByteSize | None = Field(
        None, gt=0, description="memory that all models may take, e.g. 12GiB; default: three quarters of the machine's"
    )
    idle_timeout: Seconds | None = Field(
        None, description="seconds without a request after which a model is unloaded; default: never"
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
