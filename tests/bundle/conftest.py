import shutil
from pathlib import Path

import pytest

from tests.bundle.bundle import SOURCE, Bundle
from tests.node.node import Node, installed

_PACKAGES = Path(__file__).with_name("package.json")


@pytest.fixture(scope="session")
def mcpb(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """Node with the packer of bundles."""
    return Node(installed(_PACKAGES), tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def bundle(mcpb: Node, own_packages: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle, packed, and unpacked where a host would."""
    # A developer may have run the server in the source folder.
    source = shutil.copytree(SOURCE, tmp_path_factory.mktemp("source") / "bundle")
    (source / ".venv").mkdir(exist_ok=True)
    (source / "uv.lock").touch()
    packed, unpacked = mcpb.home / "mcp-llama.mcpb", mcpb.home / "Claude Extensions" / "mcp-llama"
    for arguments in (("pack", source, packed), ("unpack", packed, unpacked)):
        done = mcpb.run(mcpb.program("mcpb"), *map(str, arguments))
        assert done.status == 0, done
    files = frozenset(path.name for path in unpacked.iterdir())
    return Bundle(mcpb, unpacked, files, own_packages)
