"""JSON schemas as callers send them, and what of them can be enforced."""

from dataclasses import dataclass
from typing import Final

from mcp_llama.engine.json_schema.end import ends
from mcp_llama.engine.json_schema.rules import Schema
from mcp_llama.engine.json_schema.size import check_work, checked
from mcp_llama.engine.json_schema.walk import Walk
from mcp_llama.errors import ConstraintError

# Without \u every string has one spelling, so that no key can be repeated in disguise.
_SETTINGS: Final = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    "json_allowed_escapes": 'nrbtf\\"',
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A schema for llguidance, and a sentence for each thing that the caller's asks for and that is not enforced."""

    schema: Schema
    relaxed: tuple[str, ...] = ()


def prepare(schema: object, subject: str, *, lenient: bool = False) -> Prepared:
    """`schema` without what forbids nothing, written so that llguidance enforces all the rest.

    Raises:
        ConstraintError: it is no schema, too large, or asks for what cannot be enforced. With `lenient` the last is
            left out and reported.
    """
    walk = Walk(checked(schema, subject), subject, lenient)
    root = walk.prepared()
    try:
        check_work(root, subject)
        finite = ends(root)
    except RecursionError:
        raise ConstraintError(subject, "its references nest it too deep", "") from None
    if not finite:
        raise ConstraintError(subject, "no value satisfies it: each would have to go on for ever", "")
    settings = {**_SETTINGS, "coerce_one_of": True} if lenient else _SETTINGS
    return Prepared({"x-guidance": dict(settings), **root}, tuple(walk.relaxed))
