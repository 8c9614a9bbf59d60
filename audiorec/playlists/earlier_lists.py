"""What the index of a folder of playlists says: the lists of an earlier night.

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
    songs : tuple of str
        Ids in playing order.
    digests : tuple of str
        Of what audiorec wrote there, or was about to write.
    """

    name: str
    file: str
    songs: tuple[str, ...]
    digests: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class EarlierLists:
    """What the index of a folder says.

    Attributes
    ----------
    extractor_id, by : str
    size : int
    joined : int
        Songs that joined since all were divided.
    lists : tuple of ListFile
    """

    extractor_id: str
    by: str
    size: int
    joined: int
    lists: tuple[ListFile, ...] = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each list."""
        return tuple(one.name for one in self.lists)

    @cached_property
    def place_of(self) -> Mapping[str, int]:
        """Which list each song stands in."""
        return {song: n for n, one in enumerate(self.lists) for song in one.songs}

    def fits(self, store: VectorStore, by: str, size: int) -> bool:
        """Whether the lists were made as they would be made now, but for the songs."""
        return (self.extractor_id, self.by, self.size) == (
            store.metadata.extractor_id,
            by,
            size,
        )


def read_lists(folder: str | Path) -> EarlierLists | None:
    """Read the index of a folder; None where there is none.

    Raises
    ------
    StoreError
        If the folder is a link, or its index is damaged or something else.
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
            raise ValueError("a name stands twice")
        return EarlierLists(
            extractor_id=str(content["extractor_id"]),
            by=str(content["by"]),
            size=int(content["size"]),
            joined=int(content["joined"]),
            lists=lists,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path}: is not an index that audiorec wrote ({error}); name another folder, or move "
            "it away"
        ) from error


def _list_of(content: Any) -> ListFile:
    name, file = content["name"], content["file"]
    songs, digests = content["songs"], content["digests"]
    texts = [name, file, *songs, *digests]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a list of other things than texts")
    if Path(file).name != file or not file.endswith(".m3u8") or "\0" in file:
        raise ValueError(f"{file!r} is no name of a list")
    return ListFile(name=name, file=file, songs=tuple(songs), digests=tuple(digests))
