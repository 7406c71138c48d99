"""A stdio server that plays a scene, run as `python -m tests.server.stdio_fake FOLDER`; the test holds its stage."""

import asyncio
import pickle
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any

from mcp_llama.server.factory import build_server
from mcp_llama.server.stdio import claim_stdio, serve_stdio
from tests.server.scene import Scene
from tests.server.stage import Stage

SCENE_FILE = "scene"
CONTROL_SOCKET = "control"


def main(folder: Path) -> None:
    """Serve until stdin ends or a signal comes."""
    wire = claim_stdio()
    scene: Scene = pickle.loads((folder / SCENE_FILE).read_bytes())
    with Stage(scene) as stage:
        line = Client(str(folder / CONTROL_SOCKET))
        threading.Thread(target=_obey, args=(line, stage), daemon=True).start()
        asyncio.run(serve_stdio(build_server(stage.backend, scene.server), stage.backend, wire))


def _obey(line: Any, stage: Stage) -> None:
    # The test hangs up when it has seen enough.
    with suppress(EOFError, OSError):
        while True:
            method, arguments = line.recv()
            try:
                reply = (True, getattr(stage, method)(*arguments))
            except Exception as error:
                reply = (False, repr(error))
            line.send(reply)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
