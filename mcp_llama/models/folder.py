"""The folder in which this user's own GGUF files are."""

from pathlib import Path

from platformdirs import user_data_path


def models_folder() -> Path:
    """Where `models pull` puts files, and any GGUF file may be put; it need not exist yet."""
    return user_data_path("mcp-llama") / "models"
