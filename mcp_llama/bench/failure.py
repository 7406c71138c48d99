"""TurnError: why a turn could not be measured."""


class TurnError(Exception):
    """A turn, or its target, failed; the text says why in one line."""
