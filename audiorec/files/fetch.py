"""Songs that lie in an object store: copied to the worker's disk, used, removed.

    song_handler(...) of the pipeline: path in  →  handler(...) here: path or URI in

The copy is made and removed by the worker process that decodes the song, under the same
limits of time as the song itself; a song over the limit of bytes is refused.
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

MAX_SONG_BYTES = 2 << 30  # four hours of FLAC; longer songs are refused all the same


def handler(
    factory: str,
    arguments: tuple[Any, ...],
    scratch: Path | None = None,
    max_bytes: int = MAX_SONG_BYTES,
) -> Callable[[str], Any]:
    """Make a handler that fetches a URI before the handler of `factory` sees it.

    `factory` is ``package.module:function``, which makes a handler of paths from `arguments`.
    Copies lie in `scratch` (by default the system's folder) while they are in use; the caller
    removes it in the end, since a worker that is killed leaves its copy there.
    """
    module, function = factory.split(":")
    handle_path = getattr(importlib.import_module(module), function)(*arguments)

    def handle(place: str) -> Any:
        if not is_uri(place):
            return handle_path(place)
        with fetched(place, scratch, max_bytes=max_bytes) as path:
            try:
                return handle_path(str(path))
            except SongError as error:  # known by its place, not by its copy
                raise SongError(
                    place, error.failure, error.reason, error.stage, error.decoder
                ) from error

    return handle


@contextmanager
def fetched(
    place: str, scratch: Path | None = None, *, max_bytes: int = MAX_SONG_BYTES
) -> Iterator[Path]:
    """Give a copy on this machine's disk; a `SongError` ``unreadable`` where that cannot be."""
    with tempfile.TemporaryDirectory(prefix="audiorec-song-", dir=scratch) as folder:
        # The ending alone: a key may be longer than a file name may be.
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
