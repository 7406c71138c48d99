"""llama.cpp. The only package that imports llama_cpp."""

import os

# libgomp, which reads this once when llama_cpp loads it, spins for milliseconds at each barrier by default:
# on a machine with other work to do that costs nearly all of the speed.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from mcp_llama.engine.llama.library import library_folder, system_info
from mcp_llama.engine.llama.model import LlamaModel
from mcp_llama.engine.llama.options import FlashAttention, ModelOptions
from mcp_llama.engine.llama.unloaded import MemoryNeed, UnloadedModel
from mcp_llama.engine.llama.weights import check_file

__all__ = [
    "FlashAttention",
    "LlamaModel",
    "MemoryNeed",
    "ModelOptions",
    "UnloadedModel",
    "check_file",
    "library_folder",
    "system_info",
]
