"""Values of options: the kinds that there are, and what is said of a wrong one."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from mcp_llama.engine.llama.options import Lora

LogLevel = Literal["debug", "info", "warning", "error"]
ReasoningMarksText = Annotated[str, Field(pattern=r"^\S+ \S+$")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Streams = Annotated[int, Field(ge=1, le=256)]


def _split(value: object) -> object:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list):
        return value
    items = [part.strip() for item in cast(list[object], texts) for part in str(item).split(",")]
    return list(dict.fromkeys(items))


Split = BeforeValidator(_split)
"""For a list whose texts may name several items between commas; each item counts once."""


def _absolute(value: list[Path] | Path | None) -> list[Path] | Path | None:
    # The entry for a client must mean the same in whatever folder the client starts it.
    if isinstance(value, list):
        return [path.expanduser().absolute() for path in value]
    return value and value.expanduser().absolute()


Absolute = AfterValidator(_absolute)
"""For paths that mean the same file from any folder."""


def _loras(value: object) -> object:
    if not isinstance(value, list):
        return value
    return [_lora(item) if isinstance(item, str) else item for item in cast(list[object], value)]


def _lora(text: str) -> Lora:
    path, _, number = text.rpartition("=")
    try:
        scale = float(number) if path else None
    except ValueError:
        scale = None
    if scale is None:
        path, scale = text, 1.0
    if not math.isfinite(scale):
        raise PydanticCustomError("lora", "The scale must be a finite number")
    return Lora(Path(path).expanduser().absolute(), scale)


Loras = Annotated[list[Lora], BeforeValidator(_loras)]
"""Adapters, each as FILE or FILE=SCALE."""


def explain(problem: dict[str, Any]) -> str:
    """What pydantic found wrong, by the name of the option and its value."""
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"{name} is missing."
    return f"{name} is {problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}."
