"""Options of a model."""

from dataclasses import replace

from pydantic import Field

from mcp_llama.chat.marks import MARKER_TOKENS, ReasoningMarks
from mcp_llama.chat.plan import ChatDefaults
from mcp_llama.engine.llama import CacheType, FlashAttention, ModelOptions, RopeScaling
from mcp_llama.engine.model import Pooling
from mcp_llama.option_values import Loras, ReasoningMarksText
from mcp_llama.settings.command import CommandSettings


class ModelSettings(CommandSettings):
    """Options of every command that loads a model."""

    model: str | None = Field(
        None, description="GGUF file, or a name that models list shows; default: the embedded model"
    )
    n_ctx: int | None = Field(None, ge=16, description="context of one slot, in tokens; default: by model and memory")
    n_slots: int | None = Field(
        None, ge=1, le=256, description="requests that run at once; default: 4 if memory allows"
    )
    n_cells: int | None = Field(
        None, ge=16, description="KV cells that all slots share; default: n_ctx for each, which is faster"
    )
    n_batch: int = Field(512, ge=1, le=16_384, description="rows of one llama_decode")
    n_threads: int | None = Field(None, ge=1, description="threads of llama.cpp; default: the physical cores")
    n_gpu_layers: int = Field(0, ge=-1, description="layers to put on a GPU; -1 for all")
    no_mmap: bool = Field(False, description="read the file into memory at the start instead of mapping it")
    flash_attn: FlashAttention = Field(
        "auto", description="flash attention; off is slower, but exact to the last bit alone and in a batch"
    )
    type_k: CacheType = Field("f16", description="how the KV cache stores keys; q8_0 takes about half the memory")
    type_v: CacheType = Field(
        "f16", description="how the KV cache stores values; one of the q types needs flash attention"
    )
    rope_scaling: RopeScaling | None = Field(
        None, description="how positions are stretched for a longer context; default: the model's own"
    )
    rope_freq_base: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="base frequency of RoPE; default: the model's own"
    )
    rope_freq_scale: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="0.25 for four times the context; default: the model's own"
    )
    yarn_orig_ctx: int | None = Field(
        None, ge=1, description="context before YaRN stretches it; default: the model's own"
    )
    lora: Loras = Field(
        [], description="LoRA adapter for the model of --model, and its weight if not 1; may be given several times"
    )
    pooling: Pooling | None = Field(None, description="how embeddings are pooled; default: the model's own, or mean")

    def model_options(self) -> ModelOptions:
        """The part that concerns loading."""
        return ModelOptions(
            n_ctx=self.n_ctx,
            n_slots=self.n_slots,
            n_cells=self.n_cells,
            n_batch=self.n_batch,
            n_threads=self.n_threads,
            n_gpu_layers=self.n_gpu_layers,
            no_mmap=self.no_mmap,
            flash_attn=self.flash_attn,
            type_k=self.type_k,
            type_v=self.type_v,
            rope_scaling=self.rope_scaling,
            rope_freq_base=self.rope_freq_base,
            rope_freq_scale=self.rope_freq_scale,
            yarn_orig_ctx=self.yarn_orig_ctx,
            lora=tuple(self.lora),
            pooling=self.pooling,
            visible_tokens=tuple(sorted(MARKER_TOKENS)),
        )


class ReasoningSettings(ModelSettings):
    """Options of every command whose model may reason."""

    reasoning_marks: ReasoningMarksText | None = Field(
        None, description="what stands before and behind reasoning, e.g. '<think> </think>'; default: by the template"
    )
    reasoning_budget: int | None = Field(None, ge=0, description="tokens a chat may reason; default: any number")

    def model_options(self) -> ModelOptions:
        """The part that concerns loading."""
        options = super().model_options()
        return replace(options, visible_tokens=(*options.visible_tokens, *(self.reasoning_marks or "").split()))

    def chat_defaults(self) -> ChatDefaults:
        """The part that concerns chats."""
        marks = None if self.reasoning_marks is None else ReasoningMarks(*self.reasoning_marks.split())
        return ChatDefaults(marks=marks, reasoning_budget=self.reasoning_budget)


class DoctorSettings(ModelSettings):
    """Check this machine, the build of llama.cpp and the model."""
