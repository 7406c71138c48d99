"""The quantisation of a model that is not loaded, as far as its name or the first page of its file tells it."""

import re

from mcp_llama.gguf_parts import whole_stem
from mcp_llama.models.gguf_head import GgufHead
from mcp_llama.models.stored import StoredModel

FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
}  # fmt: skip
"""What llama.cpp calls the values of `general.file_type`."""


_LABEL = r"(?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|I2_S|MXFP4(?:_MOE)?|NVFP4|BF16|FP?16|FP?32)"
_ANYWHERE = re.compile(rf"(?<![A-Z0-9]){_LABEL}(?![A-Z0-9])", re.IGNORECASE)
_AT_THE_END = re.compile(rf"(.+?)[-._]({_LABEL})", re.IGNORECASE | re.DOTALL)


def quantisations_in(text: str) -> list[str]:
    """All quantisations that a text names, in the spelling of `FILE_TYPES`."""
    return [spelled(found) for found in _ANYWHERE.findall(text)]


def spelled(quantisation: str) -> str:
    """A quantisation in the spelling of `FILE_TYPES`."""
    return quantisation.upper().replace("FP16", "F16").replace("FP32", "F32")


def without_quantisation(stem: str) -> tuple[str, str | None]:
    """The name of a file, and apart from it the quantisation at its end, as Q4_K_M."""
    found = _AT_THE_END.fullmatch(stem)
    return (found[1], found[2].upper()) if found else (stem, None)


def quantisation_of(model: StoredModel, head: GgufHead | None) -> str | None:
    """That of the file's name, which may be more exact, or else that of its head."""
    _, named = without_quantisation(whole_stem(model.path))
    return named or (FILE_TYPES.get(head.file_type) if head and head.file_type is not None else None)
