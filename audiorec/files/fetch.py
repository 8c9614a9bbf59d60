"""Process songs in object stores: download to the worker's disk, use, remove.

    song_handler(...) of the pipeline: takes a path  →  handler(...) here: takes a path or URI

The worker process that decodes the song makes and removes the copy, within the song's time
limit; a song over the size limit is refused.
"""

import importlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audiorec.errors import Failure, MissingSongError, SongError, StoreError
from audiorec.files.storage import fetch, is_uri

MAX_SONG_BYTES = 2 << 30  # four hours of FLAC; longer songs are refused anyway


def handler(
    factory: str,
    arguments: tuple[Any, ...],
    scratch: Path | None = None,
    max_bytes: int = MAX_SONG_BYTES,
) -> Callable[[str], Any]:
    """Make a handler that downloads URIs before calling the handler made by `factory`.

    `factory` is ``package.module:function``, which makes a handler of paths from `arguments`.
    Copies are in `scratch` (by default the system's temporary folder) while in use; the caller
    must remove that folder at the end, since a killed worker leaves its copy there.
    """
    module, function = factory.split(":")
    handle_path = getattr(importlib.import_module(module), function)(*arguments)

    def handle(place: str) -> Any:
        if not is_uri(place):
            return handle_path(place)
        with fetched(place, scratch, max_bytes=max_bytes) as path:
            try:
                return handle_path(str(path))
            except SongError as error:  # report the URI, not the local copy
                raise SongError(
                    place, error.failure, error.reason, error.stage, error.decoder
                ) from error

    return handle


@contextmanager
def fetched(
    place: str, scratch: Path | None = None, *, max_bytes: int = MAX_SONG_BYTES
) -> Iterator[Path]:
    """Yield the path of a temporary local copy; raise `SongError` ``unreadable`` on failure."""
    with tempfile.TemporaryDirectory(prefix="audiorec-song-", dir=scratch) as folder:
        # Keep only the suffix: a key may be longer than the maximum file name.
        path = Path(folder) / f"song{os.path.splitext(place)[1][:16]}"  # noqa: PTH122
        try:
            fetch(place, path, max_bytes=max_bytes)
        except StoreError as error:
            reason = str(error).removeprefix(f"{place}: ")
            kind = MissingSongError if isinstance(error, FileNotFoundError) else SongError
            raise kind(place, Failure.UNREADABLE, reason, "read") from error
        except OSError as error:
            reason = f"cannot be copied to {folder}: {error.strerror or error}"
            raise SongError(place, Failure.UNREADABLE, reason, "read") from error
        yield path
