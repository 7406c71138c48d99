"""JsonSpan: where a JSON object that arrives in pieces ends."""


class JsonSpan:
    """Scans the text of one JSON object, a piece at a time; each character is looked at once."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def push(self, text: str) -> int | None:
        """How many characters of `text` belong to the object if it ends there, None if it goes on behind them."""
        for index, char in enumerate(text):
            if self._in_string:
                self._step_in_string(char)
            elif char == '"':
                self._in_string = True
            elif char in "{[":
                self._depth += 1
            elif char in "}]":
                self._depth -= 1
                if self._depth == 0:
                    return index + 1
        return None

    def _step_in_string(self, char: str) -> None:
        if self._escaped:
            self._escaped = False
        elif char == "\\":
            self._escaped = True
        elif char == '"':
            self._in_string = False
