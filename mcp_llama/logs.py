"""Logging, always to stderr."""

import logging

_QUIET = ("mcp", "uvicorn", "asyncio", "sse_starlette", "matplotlib")


def configure_logging(level: str) -> None:
    """Log from `level` on; libraries speak only of problems unless it is debug."""
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", datefmt="%H:%M:%S", force=True
    )
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
