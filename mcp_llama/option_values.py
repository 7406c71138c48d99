"""Values of options: the kinds that there are, and what is said of a wrong one."""

from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Field

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


def explain(problem: dict[str, Any]) -> str:
    """What pydantic found wrong, by the name of the option and its value."""
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"{name} is missing."
    return f"{name} is {problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}."
