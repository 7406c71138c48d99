"""The uv that runs these tests, and the packages that it can install without an index."""

import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[1]


@cache
def uv() -> Path:
    """The program."""
    found = os.environ.get("UV") or shutil.which("uv")
    assert found, "There is no uv: pip install uv"
    return Path(found)


def desktop(home: Path) -> dict[str, str]:
    """The variables of a program that was started from a desktop, where uv is on the path."""
    return {"HOME": str(home), "PATH": os.pathsep.join((str(uv().parent), "/usr/bin", "/bin"))}


def own_packages(folder: Path) -> dict[str, str]:
    """Variables with which uv installs this checkout as if it were on an index, from wheels in the folder.

    What else it needs comes from where this environment came from, its cache first.
    """
    _said("build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT))
    _repack("llama-cpp-python", folder)
    kept = {
        name: value for name, value in os.environ.items() if name.startswith(("SSL_CERT_", "UV_INDEX", "UV_DEFAULT"))
    }
    return {**kept, "UV_CACHE_DIR": _said("cache", "dir"), "UV_FIND_LINKS": str(folder), "UV_PYTHON": sys.executable}


def _said(*arguments: str) -> str:
    done = subprocess.run([str(uv()), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _repack(name: str, folder: Path) -> None:
    """Make a wheel of what is installed: to compile it again would take minutes."""
    installed = distribution(name)
    tag = (installed.read_text("WHEEL") or "").split("Tag: ")[1].split()[0]
    with ZipFile(folder / f"{name.replace('-', '_')}-{installed.version}-{tag}.whl", "w") as wheel:
        for file in installed.files or ():
            wheel.write(str(file.locate()), str(file))
