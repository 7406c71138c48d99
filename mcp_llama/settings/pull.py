"""Options of the command that downloads a model."""

from pydantic import Field

from mcp_llama.command_line import POSITIONAL
from mcp_llama.settings.command import CommandSettings


class PullSettings(CommandSettings):
    """Download a GGUF model from Hugging Face into the models folder. The last line on stdout is its path.

    Without a quantisation Q4_K_M is taken, or what is nearest to it. An interrupted download goes on when the
    same command is given again. HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE are respected.
    """

    repo: str = Field(
        description="hf:OWNER/REPO, hf:OWNER/REPO:QUANT or hf:OWNER/REPO/FILE.gguf; @REVISION may follow",
        json_schema_extra=POSITIONAL,
    )
