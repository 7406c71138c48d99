"""The conformance suite: a run against a server, and what it said."""

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

from tests.command import Outcome
from tests.node.node import Node

Revision = Literal["2025-11-25", "2026-07-28"]
REVISIONS: tuple[Revision, ...] = ("2025-11-25", "2026-07-28")


@dataclass(frozen=True, slots=True)
class Run:
    """The verdict on a revision's requirements, and the folder with the checks of each scenario."""

    verdict: Outcome
    _folder: Path

    def failures(self, scenario: str) -> list[dict[str, Any]]:
        """The checks of a scenario that did not pass; it must have made some."""
        (file,) = self._folder.glob(f"server-{scenario}-20*/checks.json")
        checks: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        assert any(check["status"] == "SUCCESS" for check in checks), scenario
        return [check for check in checks if check["status"] not in ("SUCCESS", "SKIPPED", "INFO")]


def run(node: Node, url: str, revision: Revision, *options: str) -> Run:
    """Run all scenarios of a revision. Those that it requires decide the exit status."""
    folder = mkdtemp(dir=node.home)
    arguments = ("server", "--url", f"{url}/mcp", "--requirements", revision, "-o", folder, *options)
    return Run(node.run(node.program("conformance"), *arguments), Path(folder))
