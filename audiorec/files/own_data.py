"""Where what a user adds to audiorec lies: networks that commands then know by name.

$AUDIOREC_DATA, else ~/.local/share/audiorec  ──own_data_folder──▶  a folder, there or not
"""

import os
import sys
from pathlib import Path

from audiorec.errors import InputError

ENVIRONMENT = "AUDIOREC_DATA"


def own_data_folder() -> Path:
    """Return the folder of the user's data; it need not be there.

    ``$AUDIOREC_DATA`` if it is set, ``$XDG_DATA_HOME/audiorec`` if that variable is an absolute
    path, ``audiorec`` in ``%LOCALAPPDATA%`` on Windows, else ``~/.local/share/audiorec``. An
    `InputError` if nobody's home is known.
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
        raise InputError(f"no home folder is known: name one by ${ENVIRONMENT}") from error
