"""What can be told of a regular expression without compiling it."""

import re

LARGEST = 5_000
_LOOKS = re.compile(r"(?:^|[^\\])(?:\\\\)*(\(\?<?[=!]|\\[1-9]|\\k<|\\[bB](?![^\[]*\]))")
_REPEAT = re.compile(r"\{(\d{1,9})(?:,\d*)?\}")


def foreign_class(pattern: str) -> bool:
    """Whether a class of `pattern` holds what ECMA-262 and the Rust dialect of llguidance read differently."""
    inside = escaped = False
    for at, char in enumerate(pattern):
        if escaped or char == "\\":
            escaped = not escaped
        elif not inside:
            inside = char == "["
        elif char == "]":
            inside = False
        elif char == "[" or pattern[at : at + 2] in ("&&", "--", "~~"):
            return True
    return False


def least_work(pattern: str) -> int:
    """About how many characters the counted repetitions of `pattern` unfold to."""
    totals, last, at = [0], 0, 0
    while at < len(pattern):
        char = pattern[at]
        repeat = _REPEAT.match(pattern, at) if char == "{" else None
        if repeat is not None:
            totals[-1] += last * max(0, int(repeat[1]) - 1)
            at = repeat.end()
            continue
        if char == "(":
            totals.append(0)
        elif char == ")" and len(totals) > 1:
            last = totals.pop()
            totals[-1] += last
        else:
            last = 1
            totals[-1] += 1
        at += 2 if char == "\\" else 1
    return sum(totals)


def fault_of_pattern(pattern: str) -> str | None:
    """Why a valid expression cannot be enforced as ECMA-262 means it."""
    if _LOOKS.search(pattern):
        return "lookarounds, word boundaries and back references are not supported"
    if foreign_class(pattern):
        return "'[', '&&', '--' and '~~' within a character class must be escaped"
    if least_work(pattern) > LARGEST:
        return f"it unfolds to more than {LARGEST:,} characters"
    return None
