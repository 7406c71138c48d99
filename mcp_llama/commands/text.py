"""The commands `generate` and `chat`."""

from mcp_llama import terminal
from mcp_llama.assembly import text_backend
from mcp_llama.models.files import find_model
from mcp_llama.settings.text import ChatSettings, GenerateSettings


def run_generate(settings: GenerateSettings) -> int:
    """Continue a text; returns the exit status."""
    return terminal.run_generate(text_backend(settings, find_model(settings.model)), settings)


def run_chat(settings: ChatSettings) -> int:
    """Answer a question, or hold a conversation; returns the exit status."""
    return terminal.run_chat(text_backend(settings, find_model(settings.model)), settings)
