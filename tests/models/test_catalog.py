import string
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_llama.errors import ModelLoadError, ModelNameError
from mcp_llama.models.catalog import Catalog
from mcp_llama.models.files import ModelFile, find_model
from mcp_llama.models.names import location_in_cache, model_name, short_forms
from mcp_llama.models.quantisation import without_quantisation
from tests.command import SMALL, run_here
from tests.models.machine import Machine, names, others

WORDS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8).filter(
    lambda word: without_quantisation(f"a-{word}")[1] is None and not word.lower().endswith("gguf")
)
QUANTISATIONS = st.sampled_from(
    ["Q4_0", "Q4_K_M", "q8_0", "IQ2_XXS", "UD-Q4_K_XL", "BF16", "f16", "TQ1_0", "MXFP4", "MXFP4_MOE", "Q4_0_4_4"]
)


@given(owner=WORDS, title=WORDS, quantisation=QUANTISATIONS, mark=st.sampled_from(["-GGUF", "-gguf", "_GGUF", ""]))
def test_a_file_named_after_its_repository_is_called_by_that_and_its_quantisation(
    owner: str, title: str, quantisation: str, mark: str
) -> None:
    file = f"{title}-{quantisation}"
    location = PurePosixPath(owner, title + mark, "below", file)
    name = f"{owner}/{title}{mark}:{quantisation.upper()}"
    assert model_name(location) == name
    tag = quantisation.upper()
    expected = {
        name,
        name.partition("/")[2],
        title,
        f"{owner}/{title}",
        f"{title}:{tag}",
        f"{owner}/{title}:{tag}",
        file,
    }
    assert expected <= {name, *short_forms(location)}
    assert model_name(location_in_cache(f"{owner}_{title}{mark}_{file}")) == name


@given(parts=st.lists(WORDS, min_size=1, max_size=4))
def test_any_other_file_is_called_by_its_place(parts: list[str]) -> None:
    assert model_name(PurePosixPath(*parts)) == "/".join(parts)


@given(stem=st.text("ab_-.Q40", min_size=1, max_size=20).filter(lambda stem: set(stem) - {"."}))
def test_a_name_in_the_flat_cache_is_kept_or_read_without_loss(stem: str) -> None:
    assert "_".join(location_in_cache(stem).parts) == stem


@pytest.fixture
def stocked(machine: Machine) -> Machine:
    """A machine with models in all stores."""
    machine.write(machine.folder / "Mine-Q4_0.gguf")
    machine.into_hub("unsloth/Qwen3-8B-GGUF", "Qwen3-8B-Q4_K_M.gguf")
    machine.into_hub("unsloth/Qwen3-8B-GGUF", "Qwen3-8B-Q8_0.gguf")
    machine.into_hub("ggml-org/gemma-GGUF", "strange.gguf")
    machine.write(machine.lm_studio / "bartowski" / "Phi-4-GGUF" / "Phi-4-Q6_K.gguf")
    for name in ("qwen3:8b", "qwen3:0.6b", "llama3:latest", "llama3:70b", "gemma3:4b"):
        machine.into_ollama(f"registry.ollama.ai/library/{name}")
    machine.into_ollama("registry.ollama.ai/mattw/llama3:latest")
    return machine


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Mine-Q4_0", "Mine-Q4_0"),
        ("mine-q4_0.gguf", "Mine-Q4_0"),
        ("MINE", "Mine-Q4_0"),
        ("smollm2-135m-instruct", "SmolLM2-135M-Instruct.Q4_1"),
        ("unsloth/qwen3-8b-gguf:q8_0", "unsloth/Qwen3-8B-GGUF:Q8_0"),
        ("Qwen3-8B:Q8_0", "unsloth/Qwen3-8B-GGUF:Q8_0"),
        ("Qwen3-8B-Q8_0", "unsloth/Qwen3-8B-GGUF:Q8_0"),
        ("ggml-org/gemma-GGUF", "ggml-org/gemma-GGUF/strange"),
        ("gemma", "ggml-org/gemma-GGUF/strange"),
        ("strange", "ggml-org/gemma-GGUF/strange"),
        ("phi-4", "bartowski/Phi-4-GGUF:Q6_K"),
        ("phi-4@lm-studio", None),
        ("bartowski/Phi-4-GGUF:Q6_K@lm-studio", "bartowski/Phi-4-GGUF:Q6_K"),
        ("phi", "bartowski/Phi-4-GGUF:Q6_K"),
        ("ggml-org", "ggml-org/gemma-GGUF/strange"),
        ("gemma3", "gemma3:4b"),
        ("library/gemma3", "gemma3:4b"),
        ("llama3", "llama3:latest"),
        ("llama3:70b", "llama3:70b"),
    ],
)
def test_a_model_is_found_by_its_name_and_its_short_forms(stocked: Machine, name: str, found: str | None) -> None:
    if found is None:
        with pytest.raises(ModelNameError):
            Catalog.scan().find(name)
    else:
        assert Catalog.scan().find(name).name == found


def test_every_model_is_found_by_its_name_its_path_and_its_store(stocked: Machine) -> None:
    catalog = Catalog.scan()
    assert len(catalog.models()) == 12
    for model in catalog.models():
        for name in (model.name, model.name.upper(), str(model.path), f"{model.name}@{model.store}"):
            assert catalog.find(name) == model


def test_a_path_is_found_from_the_folder_it_is_relative_to(stocked: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(stocked.folder)
    assert Catalog.scan().find("./Mine-Q4_0.gguf").name == "Mine-Q4_0"
    assert Catalog.scan().find("~/.local/share/mcp-llama/models/Mine-Q4_0.gguf").name == "Mine-Q4_0"


def test_an_ambiguous_name_is_refused_with_those_it_may_mean(stocked: Machine) -> None:
    with pytest.raises(ModelNameError) as caught:
        Catalog.scan().find("qwen3")
    assert str(caught.value) == "'qwen3' may mean qwen3:0.6b or qwen3:8b. Give one of these names."
    with pytest.raises(ModelNameError, match=r"'qwen3-8b' may mean unsloth/Qwen3-8B-GGUF:Q4_K_M or "):
        Catalog.scan().find("qwen3-8b")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("qwen3:8c", "Did you mean qwen3:8b"),
        ("gema3", "Did you mean gemma3:4b"),
        ("smol", "Did you mean SmolLM2-135M-Instruct.Q4_1?"),
        ("Gemm", "Did you mean ggml-org/gemma-GGUF/strange or gemma3:4b?"),
        ("zzzzzz", "`mcp-llama models list` shows the names of those that are."),
        ("", "Did you mean "),
        ("x" * 99_999, "`mcp-llama models list`"),
        ("~nobody\0", "`mcp-llama models list`"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(stocked: Machine, name: str, hint: str) -> None:
    with pytest.raises(ModelNameError, match=r"^No model .* on this machine\. ") as caught:
        Catalog.scan().find(name)
    assert hint in str(caught.value)
    assert len(str(caught.value)) < 300


def test_names_stay_unique_and_those_of_earlier_stores_stay_as_they_are(machine: Machine) -> None:
    place = Path("a") / "b-GGUF" / "b-Q4_0.gguf"
    machine.write(machine.lm_studio / place)
    machine.write(machine.home / ".cache" / "lm-studio" / "models" / place)
    assert names() == ["a/b-GGUF:Q4_0", "a/b-GGUF:Q4_0@lm-studio"]
    machine.into_hub("A/B-GGUF", "b-q4_0.gguf")
    assert names() == ["A/B-GGUF:Q4_0", "a/b-GGUF:Q4_0@lm-studio", "a/b-GGUF:Q4_0@lm-studio2"]
    catalog = Catalog.scan()
    assert [catalog.find(model.name) for model in catalog.models()] == list(catalog.models())


def test_the_tag_latest_is_meant_also_where_its_file_has_another_name(stocked: Machine) -> None:
    stocked.into_ollama("registry.ollama.ai/library/smol:latest", model=stocked.embedded)
    stocked.into_ollama("registry.ollama.ai/library/smol:1b")
    assert Catalog.scan().find("smol").store == "embedded"


def test_a_model_that_is_removed_while_it_is_looked_at_is_not_in_the_catalog(machine: Machine) -> None:
    machine.write(machine.folder / "a.gguf")
    found = others()
    found[0].path.unlink()
    assert Catalog(found).models() == ()


def test_the_option_model_takes_a_name(stocked: Machine) -> None:
    found = find_model("phi-4")
    path = stocked.lm_studio / "bartowski" / "Phi-4-GGUF" / "Phi-4-Q6_K.gguf"
    reason = "it was given as the option model, and found in LM Studio"
    assert found == ModelFile(name="bartowski/Phi-4-GGUF:Q6_K", path=path, reason=reason)


def test_a_linked_file_is_served_from_where_it_lies(stocked: Machine) -> None:
    path = find_model("qwen3-8b:q8_0").path
    assert path.is_file()
    assert path.parent.name == "blobs"


def test_a_split_model_is_served_where_its_parts_have_their_names(machine: Machine) -> None:
    parts = [machine.into_hub("a/b-GGUF", f"b-Q4_0-0000{number}-of-00002.gguf") for number in (1, 2)]
    assert find_model("b").path == find_model(str(parts[0])).path == parts[0]
    assert find_model(str(parts[0])).name == "b-Q4_0"
    parts[1].unlink()
    with pytest.raises(ModelLoadError, match=r"a/b-GGUF:Q4_0 is not complete: 1 of its parts are missing in /"):
        find_model("b")


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/my.gguf", "."])
def test_what_looks_like_a_path_is_refused_as_one(machine: Machine, name: str) -> None:
    with pytest.raises(ModelLoadError, match=r"^No model file at .* Give the path of a GGUF file\.$"):
        find_model(name)


def test_a_model_of_ollama_answers_on_the_terminal(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.into_ollama("registry.ollama.ai/library/smol:135m", model=machine.embedded)
    outcome = run_here(capsys, "generate", "Once", "--model", "smol", "--max-tokens", "3", "--temperature", "0", *SMALL)
    assert outcome.status == 0, outcome
    assert outcome.out.strip()
    unknown = run_here(capsys, "generate", "Once", "--model", "smoll:135m")
    assert "Did you mean SmolLM2-135M-Instruct.Q4_1" in unknown.problem(1)
