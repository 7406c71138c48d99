"""llama.cpp. The only package that imports llama_cpp."""

import os

# libgomp, which reads this once when llama_cpp loads it, spins for milliseconds at each barrier by default:
# on a machine with other work to do that costs nearly all of the speed.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from mcp_llama.engine.llama.files import check_file
from mcp_llama.engine.llama.library import library_folder, system_info
from mcp_llama.engine.llama.model import LlamaModel
from mcp_llama.engine.llama.options import CacheType, FlashAttention, Lora, ModelOptions, RopeScaling
from mcp_llama.engine.llama.unloaded import MemoryNeed, UnloadedModel

__all__ = [
    "CacheType",
    "FlashAttention",
    "LlamaModel",
    "Lora",
    "MemoryNeed",
    "ModelOptions",
    "RopeScaling",
    "UnloadedModel",
    "check_file",
    "library_folder",
    "system_info",
]
