"""Read the lists of an earlier run from the index of a playlist folder.

folder/playlists.json ──read_lists──▶ `EarlierLists`: names, files, songs, digests
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from audiorec.errors import StoreError
from audiorec.files.json_files import parse_json, unsealed
from audiorec.files.own_files import read_own, refuse_other_than_folder
from audiorec.store.store import VectorStore

INDEX = "playlists.json"
SCHEMA = "audiorec/playlists-folder/1"
MOST_INDEX_BYTES = 1 << 30  # ten million songs


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFile:
    """One list of a folder.

    Attributes
    ----------
    name, file : str
        `file` has no folder in it.
        `file` is a bare name without a folder.
    songs : tuple of str
        Ids in playing order.
    digests : tuple of str
        SHA-256 of what audiorec wrote to the file, or was about to write.
    """

    name: str
    file: str
    songs: tuple[str, ...]
    digests: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class EarlierLists:
    """Content of a playlist folder's index.

    Attributes
    ----------
    extractor_id, by : str
    size : int
    joined : int
        Songs added since the last full division.
    lists : tuple of ListFile
    """

    extractor_id: str
    by: str
    size: int
    joined: int
    lists: tuple[ListFile, ...] = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the lists."""
        return tuple(one.name for one in self.lists)

    @cached_property
    def place_of(self) -> Mapping[str, int]:
        """Map each song to the number of its list."""
        return {song: n for n, one in enumerate(self.lists) for song in one.songs}

    def fits(self, store: VectorStore, by: str, size: int) -> bool:
        """Return whether extractor, basis and size are those that would be used now."""
        return (self.extractor_id, self.by, self.size) == (
            store.metadata.extractor_id,
            by,
            size,
        )


def read_lists(folder: str | Path) -> EarlierLists | None:
    """Read the index of a playlist folder; None if there is none.

    Raises
    ------
    StoreError
        If the folder is a link, or its index is damaged or not audiorec's.
    """
    path = Path(folder) / INDEX
    refuse_other_than_folder(Path(folder))
    if not path.exists() and not path.is_symlink():
        return None
    try:
        content = unsealed(parse_json(read_own(path, MOST_INDEX_BYTES), max_bytes=MOST_INDEX_BYTES))
        if content["schema"] != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        lists = tuple(_list_of(one) for one in content["lists"])
        names = [one.name.casefold() for one in lists]
        if len(set(names)) < len(names):
            raise ValueError("duplicate list name")
        return EarlierLists(
            extractor_id=str(content["extractor_id"]),
            by=str(content["by"]),
            size=int(content["size"]),
            joined=int(content["joined"]),
            lists=lists,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path}: not an index written by audiorec ({error}); name another folder, or move "
            "the file away"
        ) from error


def _list_of(content: Any) -> ListFile:
    name, file = content["name"], content["file"]
    songs, digests = content["songs"], content["digests"]
    texts = [name, file, *songs, *digests]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("names, files, songs and digests must be strings")
    if Path(file).name != file or not file.endswith(".m3u8") or "\0" in file:
        raise ValueError(f"invalid file name {file!r}")
    return ListFile(name=name, file=file, songs=tuple(songs), digests=tuple(digests))
