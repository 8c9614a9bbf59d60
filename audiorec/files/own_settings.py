"""Read the user's own settings file.

    $AUDIOREC_CONFIG, else ~/.config/audiorec/audiorec.toml  ──user_settings──▶  path, content

No other file is read by itself: an ``audiorec.toml`` in the current folder may come from anyone.
"""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from audiorec.errors import DamagedFileError, MissingFileError

ENVIRONMENT = "AUDIOREC_CONFIG"
FILE = "audiorec.toml"


class SettingsFile(NamedTuple):
    """A settings file: its path, and what it says."""

    path: Path
    content: Mapping[str, Any]


def user_file() -> Path | None:
    """Return the user's settings file, which may not exist; None if ``$AUDIOREC_CONFIG`` is empty.

    It is in ``$XDG_CONFIG_HOME/audiorec`` if the variable is an absolute path, in ``%APPDATA%`` on
    Windows, else in ``~/.config/audiorec``. Also None if the home folder is unknown.
    """
    named = os.environ.get(ENVIRONMENT)
    if named is not None:
        return Path(named) if named else None
    usual = os.environ.get("XDG_CONFIG_HOME", "")
    if not Path(usual).is_absolute():
        usual = os.environ.get("APPDATA", "") if sys.platform == "win32" else ""
    with suppress(RuntimeError):  # the home folder is unknown
        return (Path(usual) if usual else Path.home() / ".config") / "audiorec" / FILE
    return None


def user_settings() -> SettingsFile | None:
    """Return the user's settings file; None if there is none.

    Raises
    ------
    MissingFileError
        If the file that ``$AUDIOREC_CONFIG`` names does not exist.
    DamagedFileError
        If it cannot be read, or is not TOML.
    """
    path = user_file()
    if path is None:
        return None
    if not path.is_file():
        if ENVIRONMENT in os.environ:
            raise MissingFileError(f"{path}: no such file; correct or unset ${ENVIRONMENT}")
        return None
    import tomllib  # imported late: most commands find no file

    try:
        return SettingsFile(path, tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise DamagedFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:  # UTF-8 included
        raise DamagedFileError(f"{path}: not TOML: {error}") from error
