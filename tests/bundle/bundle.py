"""The unpacked bundle, and the process that a host like Claude Desktop starts for it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import StdioServerParameters

from tests.node.node import Node
from tests.uv import ROOT, desktop

SOURCE = ROOT / "examples" / "bundle"
_HOST = Path(__file__).with_name("host.mjs")


@dataclass(frozen=True, slots=True)
class Bundle:
    """An unpacked bundle and the names of its files; `packages` tells uv where packages are."""

    node: Node
    folder: Path
    files: frozenset[str]
    packages: dict[str, str]

    def process(self, form: dict[str, Any]) -> StdioServerParameters:
        """What a host starts when its form is filled like this; fields that are not in it were never touched."""
        script = self.node.folder(self.node.home / f"host-{len(list(self.node.home.iterdir()))}", _HOST) / _HOST.name
        done = self.node.run(script, str(self.folder), json.dumps(form))
        assert done.status == 0, done
        process = json.loads(done.out)
        env = {**process["env"], **desktop(self.node.home), **self.packages}
        return StdioServerParameters(command=process["command"], args=process["args"], env=env, cwd="/")
