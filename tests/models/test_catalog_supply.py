"""Which models of a machine a server may load, and by which names."""

from pathlib import Path

import pytest

from mcp_llama.assembly import server_backend
from mcp_llama.config import load_settings
from mcp_llama.engine.llama import LlamaModel
from mcp_llama.errors import ConfigError, ModelLoadError, RequestError, UnknownModelError
from mcp_llama.models.catalog_supply import CatalogSupply
from mcp_llama.models.files import ModelFile, find_model
from mcp_llama.models.source import ModelSource
from mcp_llama.settings.server import ServeSettings
from tests.models.machine import Machine


def supply_of(model: str | None) -> tuple[CatalogSupply, dict[str, Path]]:
    """The supply beside this default model, and the files that it made sources of."""
    files: dict[str, Path] = {}

    def source_of(file: ModelFile) -> ModelSource:
        files[file.name] = file.path

        def load(_: object) -> LlamaModel:
            raise AssertionError

        return ModelSource(name=file.name, load=load)

    return CatalogSupply(find_model(model), source_of), files


def settings(*flags: str) -> ServeSettings:
    return load_settings(ServeSettings, "serve", flags)


def names(supply: CatalogSupply) -> list[str]:
    return [source.name for source in supply.sources()]


def test_all_complete_models_are_there(machine: Machine) -> None:
    machine.write(machine.folder / "one.gguf")
    machine.write(machine.folder / "half-00001-of-00002.gguf")
    machine.into_hub("acme/Talker-GGUF", "Talker-Q4_0.gguf")
    supply, _ = supply_of(None)
    assert names(supply) == [machine.embedded.stem, "one", "acme/Talker-GGUF:Q4_0"]
    with pytest.raises(ModelLoadError, match="not complete"):
        supply.find("half")


@pytest.mark.parametrize("name", ["acme/Talker-GGUF:Q4_0", "talker", "TALKER-Q4_0", "acme/talker"])
def test_a_short_name_is_that_of_a_model(machine: Machine, name: str) -> None:
    machine.into_hub("acme/Talker-GGUF", "Talker-Q4_0.gguf")
    supply, files = supply_of(None)
    assert supply.find(name).name == "acme/Talker-GGUF:Q4_0"
    assert list(files) == ["acme/Talker-GGUF:Q4_0"]


def test_a_name_that_means_none_or_several_is_refused(machine: Machine) -> None:
    machine.into_hub("acme/Talker-GGUF", "Talker-Q4_0.gguf")
    machine.into_hub("acme/Talker-GGUF", "Talker-Q8_0.gguf")
    supply, _ = supply_of(None)
    with pytest.raises(RequestError, match=r"'talker' may mean acme/Talker-GGUF:Q4_0 or ") as several:
        supply.find("talker")
    assert several.value.param == "model"
    with pytest.raises(UnknownModelError) as none:
        supply.find("singer")
    assert none.value.available == sorted([machine.embedded.stem, "acme/Talker-GGUF:Q4_0", "acme/Talker-GGUF:Q8_0"])


def test_the_default_model_has_the_name_under_which_it_was_given(machine: Machine) -> None:
    path = machine.into_hub("acme/Talker-GGUF", "Talker-Q4_0.gguf")
    supply, files = supply_of(str(path))
    assert names(supply) == [machine.embedded.stem, "Talker-Q4_0"]
    assert supply.find("acme/talker").name == "Talker-Q4_0"
    assert files["Talker-Q4_0"].samefile(path)


def test_a_default_model_from_elsewhere_hides_none_that_is_called_so(machine: Machine) -> None:
    own = machine.write(machine.folder / "Chat.gguf")
    other = machine.write(machine.home / "chat.gguf")
    supply, files = supply_of(str(other))
    assert names(supply) == [machine.embedded.stem, "Chat@folder"]
    assert supply.find("chat@folder").name == "Chat@folder"
    assert files["Chat@folder"] == own


def test_a_default_model_that_is_gone_hides_no_other(machine: Machine) -> None:
    path = machine.write(machine.home / "mine.gguf")
    machine.write(machine.folder / "one.gguf")
    supply, _ = supply_of(str(path))
    path.unlink()
    assert names(supply) == [machine.embedded.stem, "one"]


async def test_only_model_hides_all_others(machine: Machine) -> None:
    machine.write(machine.folder / "one.gguf")
    backend = server_backend(settings("--only-model"), find_model(None))
    assert [status.name for status in await backend.models()] == [machine.embedded.stem]
    for name in ("one", str(machine.folder / "one.gguf")):
        with pytest.raises(UnknownModelError) as caught:
            await backend.ready(name)
        assert caught.value.available == [machine.embedded.stem]
    assert len(await server_backend(settings(), find_model(None)).models()) == 2


def test_pinned_models_must_be_there(machine: Machine) -> None:
    machine.write(machine.folder / "one.gguf")
    with pytest.raises(ConfigError, match=r"--pin: Unknown model 'two'\. Available: .*one"):
        server_backend(settings("--pin", "two"), find_model(None))
    with pytest.raises(ConfigError, match="--pin one and --only-model exclude each other"):
        server_backend(settings("--pin", "one", "--only-model"), find_model(None))
    assert server_backend(settings("--pin", machine.embedded.stem, "--only-model"), find_model(None))
