"""Where a user's configuration is, on Linux, macOS and Windows."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A user on a machine: `platform` as in sys.platform, the home folder, the environment."""

    platform: str
    home: PurePath
    env: Mapping[str, str]

    def named(self, variable: str) -> PurePath | None:
        """The folder or file that a variable of the environment names."""
        value = self.env.get(variable, "").strip()
        return type(self.home)(value) if value else None

    def dot_config(self) -> PurePath:
        """~/.config, or where XDG_CONFIG_HOME puts it; on every system."""
        return self.named("XDG_CONFIG_HOME") or self.home / ".config"

    def app_data(self) -> PurePath:
        """Where desktop programs keep a user's files."""
        if self.platform == "win32":
            return self.named("APPDATA") or self.home / "AppData" / "Roaming"
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support"
        return self.dot_config()

    def local_app_data(self) -> PurePath:
        """Where Windows keeps what does not move with a user."""
        return self.named("LOCALAPPDATA") or self.home / "AppData" / "Local"


def this_place() -> Place:
    """This user on this machine."""
    return Place(platform=sys.platform, home=Path.home(), env=os.environ)
