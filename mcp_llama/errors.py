"""Every exception that mcp-llama raises on purpose.

    McpLlamaError
    ├─ ConfigError            an option is wrong; nothing was loaded
    ├─ ModelLoadError         the model is missing, damaged, unsupported or too large
    │  ├─ ModelNameError      a name that means no model of this machine, or several
    │  └─ LoadStoppedError    the server ended first
    ├─ PullError              a model cannot be downloaded
    ├─ RequestError           the caller can fix the request
    │  ├─ ContextLengthError  prompt and max_tokens do not fit the context
    │  ├─ ConstraintError     a schema, expression or grammar cannot be enforced
    │  ├─ UnknownNameError    an argument or option that does not exist
    │  └─ UnknownModelError   a model that is not served
    ├─ BusyError              the queue is full; try again later
    │  └─ UnavailableError    the model is still loading, or the server is stopping
    └─ EngineError            llama.cpp failed

An exception carries its facts as fields and builds its message from them. The messages are written for the
caller: they say what to change.
"""

from collections.abc import Iterable
from difflib import get_close_matches

_MAX_SHOWN = 80


def shown(value: object) -> str:
    """A caller's value for a message, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:
        # Python refuses to write integers of more than some thousand digits.
        return "a number of too many digits"
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


class McpLlamaError(Exception):
    """The root of the tree."""


class ConfigError(McpLlamaError):
    """An option is wrong. Raised before anything is loaded."""


class ModelLoadError(McpLlamaError):
    """A model file is missing, damaged, unsupported or too large for this machine."""


class LoadStoppedError(ModelLoadError):
    """The server ended before the model was loaded."""


class ModelNameError(ModelLoadError):
    """A name means no model on this machine, or several; `names` are those that may be meant."""

    def __init__(self, name: str, names: Iterable[str], *, is_ambiguous: bool) -> None:
        self.name = name
        self.names = list(names)
        self.is_ambiguous = is_ambiguous
        listed = " or ".join(self.names)
        if is_ambiguous:
            super().__init__(f"{shown(name)} may mean {listed}. Give one of these names.")
            return
        hint = f"Did you mean {listed}?" if self.names else "`mcp-llama models list` shows the names of those that are."
        super().__init__(f"No model {shown(name)} on this machine. {hint}")


class PullError(McpLlamaError):
    """A model cannot be downloaded; the message says what to do."""


class RequestError(McpLlamaError):
    """The request cannot be served as it is; the message says what to change.

    `param` is the field to change, where that is known.
    """

    def __init__(self, message: str, param: str | None = None) -> None:
        self.param = param
        super().__init__(message)


class ContextLengthError(RequestError):
    """Prompt and completion together do not fit the context of one sequence. All three fields are tokens.

    `max_tokens` is 0 where nothing is to be generated.
    """

    def __init__(self, prompt_tokens: int, max_tokens: int, limit: int) -> None:
        self.prompt_tokens = prompt_tokens
        self.max_tokens = max_tokens
        self.limit = limit
        room = limit - prompt_tokens
        fix = (
            f"Set max_tokens to {room} or less, or shorten the prompt."
            if room > 0
            else f"Shorten the prompt by at least {1 - room:,} tokens, or start the server with a larger n_ctx."
        )
        if not max_tokens:
            super().__init__(f"The text has {prompt_tokens:,} tokens, but the context holds {limit:,}. Shorten it.")
            return
        super().__init__(
            f"Prompt has {prompt_tokens:,} tokens and max_tokens is {max_tokens:,}, "
            f"but the context holds {limit:,}. {fix}"
        )


class ConstraintError(RequestError):
    """A schema, regular expression or grammar cannot be enforced.

    `subject` is what the caller calls it, such as "json_schema" or "the parameters of tool 'search'". `pointer` is the
    JSON pointer (RFC 6901) of the part of a schema that is at fault, `keyword` the keyword there.
    """

    def __init__(self, subject: str, reason: str, pointer: str | None = None, keyword: str | None = None) -> None:
        self.subject = subject
        self.reason = reason
        self.pointer = pointer
        self.keyword = keyword
        where = "" if pointer is None else f" at {shown(pointer) if pointer else 'its root'}"
        what = "" if keyword is None else f", keyword {shown(keyword)}"
        super().__init__(f"{subject} cannot be enforced{where}{what}: {reason.rstrip('.')}.")


class UnknownNameError(RequestError):
    """A name that does not exist, with the nearest one that does."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind = kind
        self.name = name
        self.known = sorted(known)
        nearest = get_close_matches(name[:_MAX_SHOWN], self.known, n=1)
        others = f"Known: {', '.join(self.known)}." if self.known else "There are none."
        hint = f"Did you mean {nearest[0]!r}?" if nearest else others
        super().__init__(f"Unknown {kind} {shown(name)}. {hint}")


class UnknownModelError(RequestError):
    """The request names a model that this server does not have."""

    def __init__(self, name: str, available: Iterable[str]) -> None:
        self.name = name
        self.available = sorted(available)
        super().__init__(
            f"Unknown model {shown(name)}. Available: {', '.join(self.available)}. Omit model for the default."
        )


class BusyError(McpLlamaError):
    """No room for the request now; it may be repeated after `retry_after_s` seconds."""

    def __init__(self, reason: str, retry_after_s: float) -> None:
        self.reason = reason
        self.retry_after_s = retry_after_s
        super().__init__(f"Server busy: {reason}. Try again in about {max(1, round(retry_after_s))} s.")


class UnavailableError(BusyError):
    """The server cannot answer yet, or no longer."""


class EngineError(McpLlamaError):
    """llama.cpp failed while it ran this request."""
