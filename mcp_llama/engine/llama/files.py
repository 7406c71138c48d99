"""What cannot be a model, or has no room here, is refused."""

from pathlib import Path

import psutil

from mcp_llama.engine.llama.adapters import adapter_size
from mcp_llama.engine.llama.options import ModelOptions
from mcp_llama.errors import ModelLoadError
from mcp_llama.gguf_parts import files_of, size_of


def check_file(path: Path, options: ModelOptions) -> None:
    """Refuse what can't be loaded before llama.cpp sees it.

    Raises:
        ModelLoadError: not a file, not GGUF, not whole, or larger than the free memory with its adapters.
    """
    check_gguf(path)
    size, free = file_size(path, options), psutil.virtual_memory().available
    if size > free and not options.n_gpu_layers:
        raise ModelLoadError(
            f"{path.name} has {size / 2**30:.1f} GiB, but only {free / 2**30:.1f} GiB of memory are free. "
            "Take a smaller quantisation, or put layers on a GPU with n_gpu_layers."
        )


def file_size(path: Path, options: ModelOptions) -> int:
    """The bytes of all files of a model and of its adapters.

    Raises:
        ModelLoadError: an adapter's file is missing.
    """
    return size_of(path) + adapter_size(options.lora)


def check_gguf(path: Path) -> None:
    """Refuse what can't be a model, of whatever size.

    Raises:
        ModelLoadError: not a file, not GGUF, not the first part of a model that is split, or one without the others.
    """
    if not path.is_file():
        raise ModelLoadError(f"No model file at {path}. Give the path of a GGUF file.")
    _check_parts(path)
    for part in files_of(path):
        with part.open("rb") as file:
            magic = file.read(4)
        if magic != b"GGUF":
            raise ModelLoadError(f"{part} is not a GGUF file (it starts with {magic!r}). Give the path of a GGUF file.")


def _check_parts(path: Path) -> None:
    """Refuse a file that llama.cpp cannot begin with, or whose other parts are not all there."""
    files = files_of(path)
    if path != files[0]:
        raise ModelLoadError(f"{path} is one part of a model that is split. Give the first part, {files[0].name}.")
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ModelLoadError(
            f"{path} is the first of {len(files)} parts, but {missing[0]}{others} cannot be found beside it. "
            "Download the model again."
        )
