import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_llama.models.catalog import Catalog
from mcp_llama.models.gguf_folder import find_models
from tests.models.ggufs import write_gguf
from tests.models.machine import COMMIT, Machine, layer, manifest_with, names, others

REPO = "bartowski/Llama-3.2-1B-Instruct-GGUF"
FILE = "Llama-3.2-1B-Instruct-Q4_K_M.gguf"
NAME = f"{REPO}:Q4_K_M"


def test_a_new_machine_has_the_embedded_model_and_nothing_to_warn_of(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    (model,) = Catalog.scan().models()
    assert (model.name, model.store) == ("SmolLM2-135M-Instruct.Q4_1", "embedded")
    assert (model.path, model.size, model.missing_parts) == (machine.embedded, machine.embedded.stat().st_size, 0)
    assert caplog.records == []


def test_the_users_folder_is_searched_to_its_depths(machine: Machine) -> None:
    for place in ("my.Q4_0.gguf", "MY.GGUF", f"{REPO}/{FILE}", "a/b/c/d/deep.gguf", "notes.txt", ".hidden/x.gguf"):
        machine.write(machine.folder / place)
    assert names() == ["MY", "my.Q4_0", "a/b/c/d/deep", NAME]
    assert {model.store for model in others()} == {"folder"}


def test_a_link_in_the_users_folder_leads_to_a_model_or_a_folder_elsewhere(machine: Machine) -> None:
    far = machine.write(machine.home / "disk" / "far.gguf")
    machine.folder.mkdir(parents=True)
    (machine.folder / "disk").symlink_to(far.parent)
    (machine.folder / "disk" / "back").symlink_to(machine.folder)
    near = machine.write(machine.home / "near.gguf")
    (machine.folder / "nice.gguf").symlink_to(near)
    assert names() == ["nice", "disk/far"]


def test_a_link_in_a_circle_is_followed_once(machine: Machine) -> None:
    machine.write(machine.folder / "below" / "my.gguf")
    (machine.folder / "below" / "back").symlink_to(machine.folder / "below")
    (machine.folder / "circle").symlink_to(machine.folder / "below")
    assert [str(model.location) for model in find_models(machine.folder)] == ["below/my"]


def test_a_folder_is_named_by_its_own_place_and_not_by_a_link_to_it(machine: Machine) -> None:
    machine.write(machine.folder / "real" / "my.gguf")
    (machine.folder / "also").symlink_to("real")
    assert names() == ["real/my"]


@pytest.mark.parametrize("is_linked", [True, False])
def test_the_cache_of_hugging_face_names_models_by_repository(machine: Machine, is_linked: bool) -> None:
    path = machine.into_hub(REPO, FILE, is_linked=is_linked)
    machine.into_hub(REPO, "README.md")
    machine.into_hub("gpt2", "gpt2.gguf")
    assert [(model.name, model.path, model.store) for model in others()] == [
        (NAME, path, "huggingface"),
        ("gpt2/gpt2", machine.hub / "models--gpt2" / "snapshots" / COMMIT / "gpt2.gguf", "huggingface"),
    ]


@pytest.mark.parametrize(
    ("variable", "below"),
    [("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub"), ("LLAMA_CACHE", "")],
)
def test_the_cache_of_hugging_face_may_be_elsewhere(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, variable: str, below: str
) -> None:
    machine.hub = machine.home / "elsewhere" / below
    machine.into_hub(REPO, FILE)
    assert names() == []
    monkeypatch.setenv(variable, str(machine.home / "elsewhere"))
    assert names() == [NAME]


def test_of_several_revisions_the_one_that_main_is_at_counts(machine: Machine) -> None:
    machine.into_hub(REPO, FILE, commit="9" * 40)
    machine.into_hub(REPO, "other.gguf", commit="9" * 40)
    newest = machine.into_hub(REPO, FILE)
    os.utime(machine.hub / f"models--{REPO.replace('/', '--')}" / "snapshots" / ("9" * 40), (2e9, 2e9))
    assert next((model.name, model.path) for model in others()) == (NAME, newest)
    assert names() == [NAME, f"{REPO}/other"]


def test_without_a_branch_the_newest_revision_counts(machine: Machine) -> None:
    paths = {commit: machine.into_hub(REPO, FILE, commit=commit * 40) for commit in "abc"}
    shutil.rmtree(machine.hub / f"models--{REPO.replace('/', '--')}" / "refs")
    for commit, second in (("a", 1), ("b", 3), ("c", 2)):
        os.utime(paths[commit].parent, (second, second))
    assert [model.path for model in others()] == [paths["b"]]


def test_lm_studio_names_models_by_publisher_and_repository(machine: Machine) -> None:
    machine.write(machine.lm_studio / REPO / FILE)
    machine.write(machine.home / ".cache" / "lm-studio" / "models" / "a" / "b" / "old.gguf")
    assert [(model.name, model.store) for model in others()] == [(NAME, "lm-studio"), ("a/b/old", "lm-studio")]


def test_lm_studios_folders_may_be_moved_by_its_pointer_and_by_its_settings(machine: Machine) -> None:
    moved, models = machine.home / "moved", machine.home / "disk" / "models"
    machine.write(moved / "models" / "a" / "b" / "one.gguf")
    machine.write(models / "a" / "b" / "two.gguf")
    (machine.home / ".lmstudio-home-pointer").write_text(f"{moved}\n", encoding="utf-8")
    assert names() == ["a/b/one"]
    (moved / "settings.json").write_text(json.dumps({"downloadsFolder": str(models)}), encoding="utf-8")
    assert names() == ["a/b/two", "a/b/one"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"downloadsFolder": 3}'])
def test_damaged_settings_of_lm_studio_leave_its_usual_folder(
    machine: Machine, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    machine.write(machine.lm_studio / REPO / FILE)
    settings = machine.lm_studio.parent / "settings.json"
    settings.write_text(text, encoding="utf-8")
    assert names() == [NAME]
    assert caplog.messages == [f"{settings} is skipped: it does not say where the models are."]


def test_ollamas_models_have_the_names_that_ollama_shows(machine: Machine) -> None:
    for name in (
        *("registry.ollama.ai/library/qwen3:8b", "registry.ollama.ai/mattw/tiny:latest"),
        *("hf.co/bartowski/X-GGUF:Q4_K_M", "ollama.com/library/gemma3:270m"),
    ):
        machine.into_ollama(name)
    shown = {model.name: model for model in others()}
    assert list(shown) == ["hf.co/bartowski/X-GGUF:Q4_K_M", "gemma3:270m", "qwen3:8b", "mattw/tiny:latest"]
    model = shown["qwen3:8b"]
    assert (model.store, model.path.parent, model.size) == (
        *("ollama", machine.ollama / "blobs", model.path.stat().st_size),
    )


def test_ollamas_manifests_may_themselves_be_blobs(machine: Machine) -> None:
    manifest = machine.into_ollama("ollama.com/library/qwen3:8b")
    blob = manifest.rename(machine.ollama / "blobs" / f"sha256-{'c' * 64}")
    link = machine.ollama / "manifests-v2" / "ollama.com" / "library" / "qwen3" / "8b"
    link.parent.mkdir(parents=True)
    link.symlink_to(blob)
    assert names() == ["qwen3:8b"]


def test_ollamas_store_may_be_elsewhere_and_that_of_its_service_counts_too(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.into_ollama("registry.ollama.ai/library/service:1b", store=machine.service)
    machine.into_ollama("registry.ollama.ai/library/home:1b")
    machine.into_ollama("registry.ollama.ai/library/moved:1b", store=machine.home / "moved")
    assert names() == ["home:1b", "service:1b"]
    monkeypatch.setenv("OLLAMA_MODELS", str(machine.home / "moved"))
    assert names() == ["moved:1b", "service:1b"]


def test_two_tags_of_one_blob_are_one_model_with_both_names(machine: Machine) -> None:
    for tag in ("8b", "latest"):
        machine.into_ollama(f"registry.ollama.ai/library/qwen3:{tag}", model=machine.embedded)
    (model,) = Catalog.scan().models()
    assert (model.store, model.path) == ("embedded", machine.embedded)
    for name in ("qwen3", "qwen3:8b", "QWEN3:latest", "qwen3:8b@ollama"):
        assert Catalog.scan().find(name) == model


@pytest.mark.parametrize(
    "layers",
    [None, [], [layer("tensor", "c" * 64, 1)], [layer("projector", "c" * 64, 1), layer("adapter", "d" * 64, 1)]],
)
def test_what_ollama_has_in_no_gguf_file_is_no_model(
    machine: Machine, caplog: pytest.LogCaptureFixture, layers: list[dict[str, object]] | None
) -> None:
    manifest = machine.into_ollama("registry.ollama.ai/library/cloud:latest")
    manifest.write_text(manifest_with(layers), encoding="utf-8")
    assert names() == []
    assert caplog.messages == []


def test_of_ollamas_layers_the_projector_is_not_taken(machine: Machine) -> None:
    manifest = machine.into_ollama("registry.ollama.ai/library/llava:7b")
    (model,) = others()
    projector = machine.write(machine.ollama / "blobs" / f"sha256-{'e' * 64}")
    layers = [layer("model", model.path.name[7:], model.size), layer("projector", "e" * 64, projector.stat().st_size)]
    manifest.write_text(manifest_with(layers), encoding="utf-8")
    assert others() == [model]


def test_llama_cpps_older_cache_is_searched_and_its_names_are_read(machine: Machine) -> None:
    cache = machine.home / ".cache" / "llama.cpp"
    for file in (f"{REPO.replace('/', '_')}_{FILE}", "my_own_model.gguf", "below/no.gguf"):
        machine.write(cache / file)
    assert [(model.name, model.store) for model in others()] == [(NAME, "llama.cpp"), ("my_own_model", "llama.cpp")]


def test_a_file_that_many_stores_link_to_counts_once_for_the_first_of_them(machine: Machine) -> None:
    hub = machine.into_hub(REPO, FILE)
    (machine.lm_studio / "a" / "b").mkdir(parents=True)
    os.link(hub.resolve(), machine.lm_studio / "a" / "b" / "hard.gguf")
    machine.into_ollama("registry.ollama.ai/library/soft:1b", model=hub.resolve())
    (model,) = others()
    assert (model.name, model.store) == (NAME, "huggingface")
    assert Catalog.scan().find("soft:1b") == Catalog.scan().find("a/b/hard") == model


@pytest.mark.parametrize("store", ["folder", "lm_studio"])
def test_the_parts_of_a_split_model_are_one_model(machine: Machine, store: str) -> None:
    folder = getattr(machine, store) / "a" / "big-GGUF" / "Q8_0"
    parts = [machine.write(folder / f"big-Q8_0-0000{number}-of-00003.gguf") for number in (1, 2, 3)]
    (model,) = others()
    assert (model.name, model.path, model.missing_parts) == ("a/big-GGUF:Q8_0", parts[0], 0)
    assert model.size == sum(part.stat().st_size for part in parts)
    parts[0].unlink()
    parts[2].write_bytes(b"")
    (model,) = others()
    assert (model.name, model.path, model.missing_parts) == ("a/big-GGUF:Q8_0", parts[1], 2)


def test_the_first_part_may_be_without_weights(machine: Machine) -> None:
    write_gguf(machine.folder / "big-00001-of-00002.gguf", tensors=0)
    machine.write(machine.folder / "big-00002-of-00002.gguf")
    assert [(model.name, model.missing_parts) for model in others()] == [("big", 0)]


@pytest.mark.parametrize(
    ("file", "metadata", "tensors"),
    [
        ("mmproj-x.gguf", {}, 1),
        ("vision.gguf", {"general.type": "mmproj"}, 1),
        ("old-vision.gguf", {"general.architecture": "clip"}, 1),
        ("lora.gguf", {"general.type": "adapter"}, 1),
        ("matrix.gguf", {"general.type": "imatrix"}, 1),
        ("vocab.gguf", {}, 0),
    ],
)
def test_what_is_no_model_is_left_out_in_silence(
    machine: Machine, caplog: pytest.LogCaptureFixture, file: str, metadata: dict[str, int | str], tensors: int
) -> None:
    write_gguf(machine.folder / file, metadata, tensors=tensors)
    assert names() == []
    assert caplog.messages == []


Damage = Callable[[Machine], Path]


def _content(content: bytes) -> Damage:
    def write(machine: Machine) -> Path:
        path = machine.folder / "bad.gguf"
        path.write_bytes(content)
        return path

    return write


def _beginning(machine: Machine) -> Path:
    with machine.embedded.open("rb") as file:
        return _content(file.read(9000))(machine)


def _broken_link(machine: Machine) -> Path:
    path = machine.folder / "bad.gguf"
    path.symlink_to("nowhere")
    return path


def _link_to_itself(machine: Machine) -> Path:
    path = machine.folder / "bad.gguf"
    path.symlink_to("bad.gguf")
    return path


def _manifest(text: str) -> Damage:
    def write(machine: Machine) -> Path:
        path = machine.into_ollama("registry.ollama.ai/library/bad:1b")
        path.write_text(text, encoding="utf-8")
        return path

    return write


def _short_blob(machine: Machine) -> Path:
    path = machine.into_ollama("registry.ollama.ai/library/bad:1b")
    blob = max(machine.blobs(), key=lambda blob: blob.stat().st_mtime_ns)
    os.truncate(blob, blob.stat().st_size - 1)
    return path


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_content(b""), "it is empty"),
        (_content(b"GGU"), "it is not a GGUF file, it starts with b'GGU'"),
        (_content(b"PK\x03\x04"), "it is not a GGUF file, it starts with b'PK\\x03\\x04'"),
        (_content(b"GGUF\x03\0\0\0"), "it is cut off"),
        (_beginning, "it is cut off"),
        (_content(b"GGUF\0\0\0\x03" + bytes(99)), "its numbers are big-endian"),
        (_broken_link, "it is a link to a file that is not there"),
        (_link_to_itself, "Too many levels of symbolic links"),
        (_manifest("{"), "it is not a manifest of Ollama"),
        (_manifest('{"layers": 3}'), "it is not a manifest of Ollama"),
        (_manifest(manifest_with([layer("model", "../../good", 4)])), "it is not a manifest of Ollama"),
        (_manifest(manifest_with([layer("model", "f" * 64, 4)])), f"its model sha256-{'f' * 64} is not there"),
        (_short_blob, "its model has "),
    ],
)
def test_what_is_damaged_is_skipped_with_one_warning_and_the_rest_is_found(
    machine: Machine, caplog: pytest.LogCaptureFixture, damage: Damage, reason: str
) -> None:
    machine.write(machine.folder / "a-good.gguf")
    machine.write(machine.folder / "z-good.gguf")
    machine.into_ollama("registry.ollama.ai/library/z-good:1b")
    path = damage(machine)
    assert names() == ["a-good", "z-good", "z-good:1b"]
    (message,) = caplog.messages
    assert message.startswith(f"{path} is skipped: {reason}")


@pytest.mark.parametrize(("place", "level"), [("folder", logging.WARNING), ("service", logging.INFO)])
def test_a_folder_that_cannot_be_read_is_skipped_with_one_message(
    machine: Machine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, place: str, level: int
) -> None:
    caplog.set_level(logging.INFO)
    closed: Path = getattr(machine, place)
    machine.write(closed / "no.gguf")
    machine.write(machine.lm_studio / REPO / FILE)
    scandir = os.scandir

    def closed_scandir(path: Path) -> object:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed_scandir)
    assert names() == [NAME]
    assert [(record.levelno, record.message) for record in caplog.records] == [
        (level, f"{closed} is skipped: Permission denied.")
    ]
