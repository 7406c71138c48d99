"""llama.cpp. The only package that imports llama_cpp."""

from mcp_llama.engine.llama.library import library_folder, system_info
from mcp_llama.engine.llama.model import LlamaModel
from mcp_llama.engine.llama.options import ModelOptions
from mcp_llama.engine.llama.weights import check_file

__all__ = ["LlamaModel", "ModelOptions", "check_file", "library_folder", "system_info"]
