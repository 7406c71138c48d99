"""The command `models info`."""

import json
import sys
from dataclasses import asdict

from mcp_llama.models.files import find_model
from mcp_llama.models.info import ModelInfo, TemplateInfo, read_info
from mcp_llama.models.repo import size_text
from mcp_llama.settings.models import ModelsInfoSettings


def run_info(settings: ModelsInfoSettings) -> int:
    """Print what there is to know; returns the exit status."""
    info = read_info(find_model(settings.model), settings.model_options())
    if settings.json_:
        sys.stdout.write(json.dumps(_data(info), indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{label:<14}{text}\n" for label, text in _lines(info).items())
    return 0


def _data(info: ModelInfo) -> dict[str, object]:
    data = asdict(info)
    need = {**data.pop("need"), "total": info.need.total, "free": data.pop("free"), "fits": info.fits}
    return {**data, "path": str(info.path), "memory": need}


def _lines(info: ModelInfo) -> dict[str, str]:
    need = info.need
    return {
        "name": info.name,
        "file": str(info.path),
        "architecture": info.architecture,
        "parameters": f"{info.parameters:,}",
        "quantisation": info.quantisation,
        "size": size_text(info.size),
        "context": f"{info.n_ctx_train:,} tokens at most",
        **({"license": info.license} if info.license else {}),
        "chat": _template(info.template),
        "memory": f"{size_text(need.total)}: weights {size_text(need.weights)}, KV cache {size_text(need.cache)} for "
        f"{info.n_slots} slots of {info.n_ctx:,} tokens, computing {size_text(need.compute)}",
        "fits": _fits(info),
    }


def _template(template: TemplateInfo | None) -> str:
    if template is None:
        return "no usable template; take generate"
    able = {
        "system messages": template.system,
        "tools": template.tools,
        "parallel tool calls": template.parallel_calls,
        "reasoning": template.reasoning,
    }
    return ", ".join(name for name, is_able in able.items() if is_able) or "plain turns"


def _fits(info: ModelInfo) -> str:
    free = f"{size_text(info.free)} of memory are free"
    if info.fits:
        return f"yes, {free}"
    if info.need.weights > info.free:
        return f"no, {free}; take a smaller quantisation"
    return f"no, {free}; lower --n-ctx or --n-slots"
