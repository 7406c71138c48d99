"""Options of the benchmark."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from mcp_llama.option_values import Split, Streams
from mcp_llama.settings.model import ModelSettings


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
