"""Validation: pydantic's findings in words that say which field is wrong and why."""

import re
from collections.abc import Sequence
from typing import Any, cast

from pydantic_core import PydanticCustomError

from mcp_llama.errors import shown

_MAX_PROBLEMS = 3
_MAX_NAME = 80
_ALTERNATIVE = re.compile(r"(constrained-)?(str|int|float|bool)|(list|dict)\[.*\]")
"""How pydantic names what a value of several types could have been."""

Problem = dict[str, Any]


def contradiction(param: str, message: str) -> PydanticCustomError:
    """The error of a validator that compares fields; `param` is the one to change."""
    return PydanticCustomError("contradiction", "{message}", {"param": param, "message": message})


def param_of(problem: Problem) -> str | None:
    """The field to change."""
    return ".".join(filter(None, (place(problem), problem.get("ctx", {}).get("param")))) or None


def explain(problems: Sequence[Any]) -> str:
    """A sentence for each of the first problems."""
    lines = [_explain(cast(Problem, problem)) for problem in problems[:_MAX_PROBLEMS]]
    if len(problems) > _MAX_PROBLEMS:
        lines.append(f"And {len(problems) - _MAX_PROBLEMS} more like these.")
    return " ".join(lines)


def place(problem: Problem) -> str:
    """The field that a problem is about, as a dotted path of the sender's names, without those of pydantic's types."""
    first, rest = problem["loc"][:1], problem["loc"][1:]
    fields = [*first, *(part for part in rest if not _ALTERNATIVE.fullmatch(str(part)))]
    return ".".join(str(part)[:_MAX_NAME] for part in fields)


def _explain(problem: Problem) -> str:
    where = place(problem)
    if problem["type"] == "missing":
        return f"{where or 'The body'} is missing."
    if problem["type"] == "extra_forbidden":
        return f"{where} is unknown."
    if problem["type"] == "none_required":
        return f"{where} is not supported by this server; leave it out."
    if problem["type"] == "contradiction":
        return f"{where}: {problem['msg']}." if where else f"{problem['msg']}."
    if not where:
        return f"The request is wrong: {problem['msg'][0].lower()}{problem['msg'][1:]}."
    return f"{where} is {shown(problem['input'])}: {problem['msg'][0].lower()}{problem['msg'][1:]}."
