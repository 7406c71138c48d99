"""Two real models that do not fit into memory together, served in turn."""

import shutil
from pathlib import Path

import httpx2
import psutil
import pytest

from mcp_llama.models.folder import models_folder
from tests.command import PATIENCE_S, SMALL, served
from tests.isolation import isolation

MIB = 2**20
BUDGET = "150MiB"
"""Each takes about 105."""
SWITCHES = 10
FIRST = 4
"""After so many switches, all that is kept for good is there."""
NOISE = 36 * MIB
"""A third of what one of the models takes; what is freed does not all go back to the system at once."""
THREADS = 2
"""A leak of one thread a switch would be more."""


def test_two_models_take_turns_in_the_memory_of_one(
    real_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with isolation(monkeypatch, tmp_path):
        models_folder().mkdir(parents=True)
        # A link would be the same model.
        shutil.copyfile(real_model_path, models_folder() / "twin.gguf")
        with (
            served(*SMALL, "--memory-budget", BUDGET) as url,
            httpx2.Client(base_url=url, timeout=PATIENCE_S) as http,
        ):
            (server,) = [child for child in psutil.Process().children() if BUDGET in child.cmdline()]
            names = [model["id"] for model in http.get("/v1/models").json()["data"]]
            assert names == [real_model_path.stem, "twin"]
            texts: set[str] = set()
            memory: list[int] = []
            threads: list[int] = []
            for switch in range(SWITCHES):
                name = names[switch % 2]
                request = {"model": name, "prompt": "The sea is", "max_tokens": 8, "temperature": 0}
                answer = http.post("/v1/completions", json=request).json()
                texts.add(answer["choices"][0]["text"])
                states = {each["id"]: each["status"]["value"] for each in http.get("/v1/models").json()["data"]}
                assert answer["model"] == name
                assert states == {names[switch % 2]: "loaded", names[1 - switch % 2]: "unloaded"}
                memory.append(server.memory_info().rss)
                threads.append(server.num_threads())
            assert len(texts) == 1, "the models are the same"
            assert texts != {""}
            assert max(memory[FIRST:]) - max(memory[:FIRST]) < NOISE, [size // MIB for size in memory]
            assert max(threads[FIRST:]) - max(threads[:FIRST]) <= THREADS, threads
