"""Find the user's settings file, and a trusted settings file in the current folder.

    $AUDIOREC_CONFIG, else ~/.config/audiorec/audiorec.toml   ──layers──▶  the user's file
    ./audiorec.toml, if trusted with its present content      ──layers──▶  the folder's file

A file in the current folder may come from anyone: it is used only after `trust`, which stores the
sha256 of its content beside the user's file. After any change it must be trusted again.
The commands decide which options such a file may never set.
"""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from audiorec.errors import DamagedFileError, InputError, MissingFileError, StoreError
from audiorec.files.own_files import read_object, read_own, sealed, write_own

ENVIRONMENT = "AUDIOREC_CONFIG"
FILE = "audiorec.toml"
TRUSTED_FILE = "trusted.json"
LARGEST = 1 << 20  # bytes of a settings file


class SettingsOwner(StrEnum):
    """Owner of a settings file; the later member takes precedence."""

    USER = "user"
    FOLDER = "folder"


class TrustStatus(StrEnum):
    """Trust status of a folder's settings file."""

    ABSENT = "absent"
    UNKNOWN = "unknown"  # never trusted
    CHANGED = "changed"  # trusted with other content
    TRUSTED = "trusted"


@dataclass(frozen=True, slots=True)
class SettingsLayer:
    """One settings file: owner, path and content."""

    whose: SettingsOwner
    path: Path
    content: Mapping[str, Any]


def config_folder() -> Path:
    """Return the folder of the user's settings, which may not exist.

    ``$XDG_CONFIG_HOME/audiorec`` if the variable is an absolute path, ``%APPDATA%`` on Windows,
    else ``~/.config/audiorec``.
    """
    usual = os.environ.get("XDG_CONFIG_HOME", "")
    if not Path(usual).is_absolute():
        usual = os.environ.get("APPDATA", "") if sys.platform == "win32" else ""
    return (Path(usual) if usual else Path.home() / ".config") / "audiorec"


def user_file() -> Path | None:
    """Return the user's settings file, which may not exist; None if ``$AUDIOREC_CONFIG`` is empty.

    Also None if the home folder is unknown.
    """
    named = os.environ.get(ENVIRONMENT)
    if named is not None:
        return Path(named) if named else None
    with suppress(RuntimeError):  # the home folder is unknown
        return config_folder() / FILE
    return None


def layers() -> tuple[list[SettingsLayer], TrustStatus]:
    """Return the settings files in use, the user's first, and the status of the folder's file.

    Raises
    ------
    InputError
        If the file named by ``$AUDIOREC_CONFIG`` is missing, or a file in use is not TOML.
    """
    result = []
    own = user_file()
    if own is not None:
        if own.is_file():
            result.append(
                SettingsLayer(SettingsOwner.USER, own, parsed_settings(own, _read_followed(own)))
            )
        elif ENVIRONMENT in os.environ:
            raise MissingFileError(f"{own}: no such file; correct or unset ${ENVIRONMENT}")
    path = Path(FILE)
    standing, data = _look(path, own)
    if standing is TrustStatus.TRUSTED:
        result.append(SettingsLayer(SettingsOwner.FOLDER, path, parsed_settings(path, data)))
    return result, standing


def parsed_settings(path: Path, data: bytes) -> Mapping[str, Any]:
    """Parse a TOML settings file; raise `InputError` if it is not valid."""
    import tomllib  # imported late: most commands find no file

    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # UTF-8 included
        raise DamagedFileError(f"{path}: not TOML: {error}") from error


def read_folder_file(folder: Path) -> tuple[Path, bytes]:
    """Return a folder's settings file and its bytes, trusted or not, for review before `trust`."""
    if not folder.is_dir():
        raise MissingFileError(f"{folder}: no such folder")
    path = folder / FILE
    if not path.exists():
        raise MissingFileError(f"{path}: no such file")
    return path, _read(path)


def trust(path: Path, data: bytes) -> None:
    """Trust a folder's settings file as long as it has exactly these bytes."""
    known = _trusted()
    _keep({**known, _name(path): hashlib.sha256(data).hexdigest()})


def revoke(folder: Path) -> bool:
    """Stop trusting a folder's settings file; return whether it was trusted."""
    known, name = _trusted(), _name(folder / FILE)
    if name not in known:
        return False
    _keep({place: digest for place, digest in known.items() if place != name})
    return True


def _look(path: Path, own: Path | None) -> tuple[TrustStatus, bytes]:
    """Return the status of a folder's file, and the bytes that were checked."""
    if not os.path.lexists(path) or (own is not None and _is_same(path, own)):
        return TrustStatus.ABSENT, b""
    try:
        digest = _trusted().get(_name(path))
    except RuntimeError:  # the home folder is unknown, so nothing can have been trusted
        digest = None
    if digest is None:
        return TrustStatus.UNKNOWN, b""
    try:
        data = _read(path)
    except InputError:
        return TrustStatus.CHANGED, b""
    is_same = hashlib.sha256(data).hexdigest() == digest
    return (TrustStatus.TRUSTED, data) if is_same else (TrustStatus.CHANGED, b"")


def _is_same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return one.samefile(other)
    return False


def _read(path: Path) -> bytes:
    try:
        return read_own(path, LARGEST)
    except StoreError as error:
        raise DamagedFileError(str(error)) from error
    except OSError as error:
        raise DamagedFileError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read_followed(path: Path) -> bytes:
    """Read the user's own file, which may be a link, as in a dotfiles repository."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise DamagedFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(data) > LARGEST:
        raise DamagedFileError(f"{path}: is larger than {LARGEST} bytes")
    return data


def _name(path: Path) -> str:
    return os.fsencode(path.parent.resolve() / path.name).decode("utf-8", "backslashreplace")


def _trusted() -> dict[str, str]:
    """Return the digests of trusted files by path; raise if the list is damaged."""
    path = config_folder() / TRUSTED_FILE
    try:
        files = read_object(path).get("files")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, StoreError) as error:
        raise DamagedFileError(
            f"{path}: cannot be read: {error}; remove it, then trust the folders again"
        ) from error
    if not isinstance(files, dict) or not all(isinstance(v, str) for v in files.values()):
        raise DamagedFileError(f"{path}: has no table of files; remove it")
    return files


def _keep(files: Mapping[str, str]) -> None:
    path = config_folder() / TRUSTED_FILE
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = json.dumps(sealed({"schema": "audiorec/trusted/1", "files": dict(files)}), indent=2)
        write_own(path, text + "\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
