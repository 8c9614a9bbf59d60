"""Locate the user's data folder, which holds added networks that commands find by name.

$AUDIOREC_DATA, else ~/.local/share/audiorec  ──own_data_folder──▶  a folder, which may not exist
"""

import os
import sys
from pathlib import Path

from audiorec.errors import InputError

ENVIRONMENT = "AUDIOREC_DATA"


def own_data_folder() -> Path:
    """Return the user's data folder, which may not exist.

    ``$AUDIOREC_DATA`` if it is set, ``$XDG_DATA_HOME/audiorec`` if that variable is an absolute
    path, ``audiorec`` in ``%LOCALAPPDATA%`` on Windows, else ``~/.local/share/audiorec``. Raises
    `InputError` if the home folder is unknown.
    """
    named = os.environ.get(ENVIRONMENT)
    if named:
        return Path(named).absolute()
    usual = os.environ.get("XDG_DATA_HOME", "")
    if not Path(usual).is_absolute():
        usual = os.environ.get("LOCALAPPDATA", "") if sys.platform == "win32" else ""
    try:
        return (Path(usual) if usual else Path.home() / ".local" / "share") / "audiorec"
    except RuntimeError as error:
        raise InputError(f"the home folder is unknown; set ${ENVIRONMENT}") from error
