"""`mcp-llama models pull` as a program of its own: what the environment says, signals, and two at once."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import COMMAND, PATIENCE_S, SMALL
from tests.models.hub_stand_in import Hold, HubRepo, HubStandIn, hub_stand_in
from tests.models.pulling import CONTENT, FILE, REPO


@pytest.fixture
def hub() -> Iterator[HubStandIn]:
    with hub_stand_in() as hub:
        hub.repos[REPO] = HubRepo({FILE: CONTENT})
        yield hub


@pytest.fixture
def environment(hub: HubStandIn, tmp_path: Path) -> dict[str, str]:
    """That of a user with a home of his own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XDG_", "MCP_LLAMA_"))}
    return {**kept, "HOME": str(tmp_path), "HF_ENDPOINT": hub.url, "COLUMNS": "200"}


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err


def test_a_model_that_was_pulled_is_used(hub: HubStandIn, environment: dict[str, str], real_model_path: Path) -> None:
    name = "SmolLM2-135M-Instruct-Q4_1.gguf"
    repo = HubRepo({name: real_model_path.read_bytes()}, is_gated=True, warning="model; Mind this.")
    hub.repos["maker/SmolLM2-GGUF"] = repo
    environment["HF_TOKEN"] = "hf_member"
    status, out, err = finished(start(environment, "models", "pull", "hf:maker/SmolLM2-GGUF:q4_1"))
    assert status == 0, err
    assert err.count("Mind this.") == 1
    path = Path(out.splitlines()[-1])
    assert path.parts[-3:] == ("maker", "SmolLM2-GGUF", name)
    answer = start(
        environment, "generate", "Hi", "--model", str(path), "--max-tokens", "3", "--temperature", "0", *SMALL
    )
    status, out, err = finished(answer)
    assert (status, out.strip() != "") == (0, True), err


def test_offline_mode_of_the_environment_asks_nothing(hub: HubStandIn, environment: dict[str, str]) -> None:
    status, out, err = finished(start({**environment, "HF_HUB_OFFLINE": "1"}, "models", "pull", REPO))
    line = "mcp-llama: HF_HUB_OFFLINE is set, so the hub is not asked. Unset it to download.\n"
    assert (status, out, err) == (1, "", line)
    assert hub.requests == []


def test_a_variable_that_huggingface_hub_cannot_use_is_told(environment: dict[str, str]) -> None:
    status, out, err = finished(start({**environment, "HF_HUB_DOWNLOAD_TIMEOUT": "soon"}, "models", "pull", REPO))
    line = "mcp-llama: A variable HF_… has a value that cannot be used: invalid literal for int() with base 10: 'soon'."
    assert (status, out, err.splitlines()[-1]) == (2, "", line)
    assert "Traceback" not in err


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_download_goes_on_where_it_was(
    hub: HubStandIn, environment: dict[str, str], tmp_path: Path, signal_number: int
) -> None:
    hub.holds[FILE] = hold = Hold(after=600_000)
    process = start(environment, "models", "pull", REPO)
    hold.wait_until_held()
    (part,) = _await_bytes(tmp_path, process, 500_000)
    assert not list(tmp_path.rglob("*.gguf"))
    process.send_signal(signal_number)
    status, out, err = finished(process)
    assert out == ""
    assert "Traceback" not in err
    size = part.stat().st_size
    if signal_number == signal.SIGINT:
        assert status == 130
        assert err.endswith(f"Interrupted. {size:,} bytes of 1.0 MiB are there; the same command goes on from there.\n")
    hold.release()
    del hub.holds[FILE]
    status, out, err = finished(start(environment, "models", "pull", REPO))
    assert status == 0, err
    assert Path(out.strip()).read_bytes() == CONTENT
    assert hub.ranges(FILE)[-1] == f"bytes={size}-{len(CONTENT) - 1}"


def test_of_two_at_once_the_second_waits_and_finds_what_the_first_has_brought(
    hub: HubStandIn, environment: dict[str, str]
) -> None:
    hub.holds[FILE] = hold = Hold(after=600_000)
    first = start(environment, "models", "pull", REPO)
    hold.wait_until_held()
    second = start(environment, "models", "pull", REPO)
    assert second.stderr is not None
    said = [second.stderr.readline(), second.stderr.readline()]
    assert said[1] == "Another mcp-llama downloads this model. Waiting for it.\n"
    hold.release()
    outcomes = [finished(first), finished(second)]
    assert [status for status, _, _ in outcomes] == [0, 0], outcomes
    assert outcomes[0][1] == outcomes[1][1]
    path = Path(outcomes[0][1].strip())
    assert path.read_bytes() == CONTENT
    assert "Already there, and the same as on the hub" in outcomes[1][2]
    assert len(hub.ranges(FILE)) == 1
    assert os.listdir(path.parent) == [FILE]


def test_the_one_that_waited_goes_on_where_the_first_was_stopped(hub: HubStandIn, environment: dict[str, str]) -> None:
    hub.holds[FILE] = hold = Hold(after=600_000)
    first = start(environment, "models", "pull", REPO)
    hold.wait_until_held()
    second = start(environment, "models", "pull", REPO)
    assert second.stderr is not None
    said = [second.stderr.readline(), second.stderr.readline()]
    assert "Waiting for it." in said[1]
    del hub.holds[FILE]
    first.send_signal(signal.SIGINT)
    assert finished(first)[0] == 130
    status, out, err = finished(second)
    assert status == 0, err
    assert Path(out.strip()).read_bytes() == CONTENT


def test_commands_that_load_a_model_start_without_the_hub() -> None:
    check = (
        "import sys, mcp_llama.config; print([name for name in ('huggingface_hub', 'hf_xet') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    assert done.stdout == "[]\n"


def _await_bytes(folder: Path, process: subprocess.Popen[str], count: int) -> list[Path]:
    """Wait until so many bytes are in a partial file, which must be before the hub gives up holding the rest."""
    while process.poll() is None:
        parts = list(folder.rglob(".*.part"))
        if parts and parts[0].stat().st_size >= count:
            return parts
    raise AssertionError(process.communicate())
