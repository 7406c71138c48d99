"""Pulling: `models pull` in this process, from a stand-in of the hub, into a folder of the test's own."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from huggingface_hub import close_session, constants

from mcp_llama.models.folder import models_folder
from tests.command import Outcome, run_here
from tests.isolation import isolation
from tests.models.hub_stand_in import HubRepo, HubStandIn, hub_stand_in

REPO = "owner/Tiny-GGUF"
FILE = "tiny.Q4_K_M.gguf"
CONTENT = b"GGUF" + bytes(range(256)) * 4096
"""About a MiB: more than one read of a socket brings."""


@dataclass(slots=True)
class Pulling:
    """The hub, the models folder, and the seconds that were waited for."""

    hub: HubStandIn
    folder: Path
    capsys: pytest.CaptureFixture[str]
    waits: list[float] = field(default_factory=list[float])

    @property
    def file(self) -> Path:
        return self.folder / REPO / FILE

    @property
    def repo(self) -> HubRepo:
        return self.hub.repos[REPO]

    def pull(self, name: str = f"hf:{REPO}") -> Outcome:
        return run_here(self.capsys, "models", "pull", name)

    def kept(self) -> list[str]:
        """All files in the models folder, hidden ones too."""
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())


@contextmanager
def pulling(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Generator[Pulling]:
    with isolation(monkeypatch, tmp_path), hub_stand_in() as hub:
        hub.repos[REPO] = HubRepo({FILE: CONTENT, "README.md": b"hello"})
        point_at(monkeypatch, hub.url, tmp_path)
        pulling = Pulling(hub, models_folder(), capsys)
        monkeypatch.setattr("mcp_llama.models.download.sleep", pulling.waits.append)
        try:
            yield pulling
        finally:
            close_session()


def point_at(monkeypatch: pytest.MonkeyPatch, url: str, home: Path) -> None:
    """What HF_ENDPOINT and HF_HOME would do, had they been set before huggingface_hub was imported."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
