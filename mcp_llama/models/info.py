"""ModelInfo: what a model is, what its template can express, and the memory it needs; it is not loaded for that."""

from dataclasses import dataclass
from pathlib import Path

import psutil

from mcp_llama.chat.marks import reasoning_marks
from mcp_llama.chat.template import ChatTemplate
from mcp_llama.engine.llama import MemoryNeed, ModelOptions, UnloadedModel
from mcp_llama.errors import RequestError
from mcp_llama.models.files import ModelFile
from mcp_llama.models.quantisation import FILE_TYPES


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateInfo:
    """What a model's own chat template can express. Tools are offered to other models in plain words."""

    system: bool
    tools: bool
    parallel_calls: bool
    reasoning: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """Sizes are in bytes. `template` is None for a model without a template, or with a broken one."""

    name: str
    path: Path
    architecture: str
    parameters: int
    quantisation: str
    size: int
    n_ctx_train: int
    license: str | None
    template: TemplateInfo | None
    n_ctx: int
    n_slots: int
    need: MemoryNeed
    free: int

    @property
    def fits(self) -> bool:
        """Whether the memory that is free now holds it."""
        return self.need.total <= self.free


def read_info(file: ModelFile, options: ModelOptions) -> ModelInfo:
    """Read the file's header and vocabulary.

    Raises:
        ModelLoadError: the file is missing, damaged or unsupported.
        ConfigError: an option does not fit the model.
    """
    model = UnloadedModel(file.path, options)
    try:
        return ModelInfo(
            name=file.name,
            path=file.path,
            architecture=model.metadata.get("general.architecture", "unknown"),
            parameters=model.n_params,
            quantisation=_quantisation(model),
            size=model.size,
            n_ctx_train=model.n_ctx_train,
            license=model.metadata.get("general.license"),
            template=_template(model),
            n_ctx=model.n_ctx,
            n_slots=model.n_slots,
            need=model.need,
            free=psutil.virtual_memory().available,
        )
    finally:
        model.close()


def _quantisation(model: UnloadedModel) -> str:
    number = model.metadata.get("general.file_type", "")
    own = FILE_TYPES.get(int(number)) if number.isdecimal() else None
    return own or model.description.split(" ", 2)[-1]


def _template(model: UnloadedModel) -> TemplateInfo | None:
    if model.chat_template is None:
        return None
    try:
        template = ChatTemplate(model.chat_template, bos_text=model.bos_text, eos_text=model.eos_text)
    except RequestError:
        return None
    return TemplateInfo(
        system=template.traits.system,
        tools=template.traits.tools,
        parallel_calls=template.traits.tools and template.traits.parallel_calls,
        reasoning=reasoning_marks(template.source) is not None,
    )
