"""Lark and GBNF as callers send them: what llguidance can read without harm to the process."""

import re
from itertools import zip_longest

from llguidance.gbnf_to_lark import gbnf_to_lark

from mcp_llama.engine.pattern import LARGEST, least_work
from mcp_llama.errors import ConstraintError

MAX_NESTING = 5_000
"""The rules of a grammar and how deep the brackets of each nest, together. llguidance recurses through them; it takes
some 20 MB of stack for as many."""
MAX_GBNF_RULES = 1_000
"""The time of their conversion grows with the square of their number."""

_LITERAL = re.compile(r'//.*|"(?:\\.|[^"\\\n])*"|/(?:\\.|[^/\\\n])+/')
_RULE = re.compile(r"^[ \t]*[?!]?[A-Za-z_]\w*(?:[.{\[][^:\n]*)?[ \t]*:", re.MULTILINE)


def checked_lark(lark: str, subject: str) -> str:
    """`lark`, if llguidance can read it within its stack, and take a step through it in time.

    Raises:
        ConstraintError: it cannot.
    """
    nesting = sum(1 + _depth(rule) for rule in _RULE.split(_LITERAL.sub("", lark)))
    if nesting > MAX_NESTING:
        raise ConstraintError(subject, f"its rules and brackets nest {nesting:,} deep; at most {MAX_NESTING:,} may be.")
    work = sum(least_work(literal[1:-1]) for literal in _LITERAL.findall(lark) if _is_pattern(literal))
    if work > LARGEST:
        raise ConstraintError(subject, f"its regular expressions unfold to more than {LARGEST:,} characters.")
    return lark


def lark_from_gbnf(text: str, subject: str) -> str:
    """The grammar in Lark.

    Raises:
        ConstraintError: it is not valid GBNF, or too large.
    """
    if len(_RULE.findall(text)) > MAX_GBNF_RULES:
        raise ConstraintError(subject, f"it has more than {MAX_GBNF_RULES:,} rules.")
    try:
        return checked_lark(_without_terminals(gbnf_to_lark(text)), subject)
    except ConstraintError:
        raise
    except RecursionError:
        raise ConstraintError(subject, "it is nested too deeply.") from None
    except Exception as error:
        # The converter raises bare exceptions for whatever it does not understand.
        raise ConstraintError(subject, f"it is not valid GBNF: {error}") from error


def _without_terminals(lark: str) -> str:
    """The same rules, none of them a terminal: those take all the text they can, which a rule of GBNF does not."""
    rules = set(re.findall(r"^([a-z]\w*)[ \t]*:", lark, re.MULTILINE))
    names: dict[str, str] = {}
    for terminal in re.findall(r"^([A-Z]\w*)[ \t]*:", lark, re.MULTILINE):
        name = terminal.lower()
        while name in rules:
            name += "_"
        rules.add(name)
        names[terminal] = name
    # Between the literals, which stay as they are.
    parts = re.split(f"({_LITERAL.pattern})", lark)
    renamed = [re.sub(r"\b[A-Z]\w*\b", lambda found: names.get(found[0], found[0]), part) for part in parts[::2]]
    return "".join(part for pair in zip_longest(renamed, parts[1::2], fillvalue="") for part in pair)


def _depth(rule: str) -> int:
    depth = deepest = 0
    for bracket in re.findall(r"[()\[\]]", rule):
        depth += 1 if bracket in "([" else -1
        deepest = max(deepest, depth)
    return deepest


def _is_pattern(literal: str) -> bool:
    return literal.startswith("/") and not literal.startswith("//")
