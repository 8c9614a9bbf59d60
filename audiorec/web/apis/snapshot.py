"""A consistent view for requests: a store, its names and its lists, loaded together.

    files ──`Snapshot`──▶ library, names, columns of tags, artists, lists of ``recall run``

Everything that responses need is read or opened when the snapshot is made; a file that is replaced
later belongs to the next snapshot (`audiorec.web.editions`).
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import AudiorecError, StoreError
from audiorec.files.storage import is_uri
from audiorec.library.library import Library, open_store
from audiorec.recall.contract.channel import Channel
from audiorec.recall.registry import load_channel
from audiorec.search.atlas import top_classes
from audiorec.search.filters import name_codes
from audiorec.search.index_files import index_path
from audiorec.store.aliases import ALIASES_FILE
from audiorec.types import Int32Array, normalised_name
from audiorec.web.apis.artists import ArtistMap, read_artist_ids
from audiorec.web.apis.lists import FUSED, NightLists
from audiorec.web.apis.names import SongNames
from audiorec.web.editions import stamp_of
from audiorec.web.recommendations import RecommendationPages
from audiorec.web.song_columns import SongColumns

TAGS = ("title", "artist", "album", "uri", "duration_s", "codec")


@dataclass(frozen=True, slots=True)
class SnapshotSources:
    """The files of a snapshot.

    Attributes
    ----------
    vectors : Path
    recall : Path, optional
        The folder that ``recall run`` wrote.
    artists : Path, optional
        A server's ids of artists: a CSV with ``artist_id`` and ``artist``.
    """

    vectors: Path
    recall: Path | None = None
    artists: Path | None = None

    def paths(self) -> list[Path]:
        """Return the files whose replacement triggers a new snapshot; the store comes first."""
        beside = [self.vectors.with_name(ALIASES_FILE), index_path(self.vectors)]
        found = [self.vectors, *beside]
        if self.artists is not None:
            found.append(self.artists)
        if self.recall is not None:
            found += [self.recall / "run.json", self.recall / FUSED, *self.models()]
        return found

    def models(self) -> list[Path]:
        """Return the ``model.json`` of each model in the recall folder."""
        return [] if self.recall is None else sorted(self.recall.glob("models/*/model.json"))


class StaleSnapshotError(Exception):
    """Models were replaced since the snapshot was made; retry with the next one."""


class Snapshot:
    """A consistent view of a store and its lists.

    Parameters
    ----------
    sources : SnapshotSources

    Attributes
    ----------
    library : Library
    names : SongNames
    lock : threading.RLock
        Hold it while reading the library, which is not thread-safe.
    lists : NightLists or None
    proposals : RecommendationPages or None
        Channels that can be queried with a history.

    Raises
    ------
    StoreError
        If the store has no songs, or is damaged.
    InputError
        If the recall folder has no candidate lists, or the table of artists is invalid.
    """

    def __init__(self, sources: SnapshotSources) -> None:
        self._sources, self._models = sources, stamp_of(sources.models())
        self._channels: dict[str, Channel] = {}
        self.library = open_store(sources.vectors)
        if not len(self.library):
            raise StoreError(f"{sources.vectors}: has no songs; add some: audiorec extract FOLDER")
        self._tags = self.library.table(TAGS).combine_chunks()
        self.names = SongNames(self.library)
        shelf = SongColumns(self.library)
        self.lock = shelf.lock
        self._artist_ids = read_artist_ids(sources.artists) if sources.artists else {}
        self.lists = self.proposals = None
        if sources.recall is not None:
            self.proposals = RecommendationPages(sources.recall, shelf)
            self.lists = NightLists.open(sources.recall)
        self._warm()

    def _warm(self) -> None:
        """Load in advance what the first requests need."""
        library: Library = self.library
        library.similar(library.ids[0], 1, minimum=-1)
        library.space("auto", use_index=False).units_by_row()
        _ = library.music
        if self.proposals is not None:
            with suppress(AudiorecError):  # a faulty model is reported to requests that use it
                self.proposals.ask({"songs": [library.ids[0]]})

    def songs(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Return the tags of some songs (`TAGS`), in the order requested."""
        found: list[dict[str, Any]] = self._tags.take(np.asarray(rows, np.int64)).to_pylist()
        return found

    def channel(self, name: str) -> Channel:
        """Return a trained channel of the recall folder; loaded once.

        Raises
        ------
        WeightsError
            If there is no such channel, or it is damaged.
        """
        if name not in self._channels:
            folder = self._sources.recall or Path()
            self._channels[name] = load_channel(folder / "models" / name)
        return self._channels[name]

    def check_models(self) -> None:
        """Raise `StaleSnapshotError` if models were replaced since the snapshot was made.

        Models are loaded on first use, so call it after using them.
        """
        if stamp_of(self._sources.models()) != self._models:
            raise StaleSnapshotError

    @cached_property
    def artists(self) -> ArtistMap:
        """The artists by sound; computed on first use."""
        return ArtistMap(self.library, self._artist_ids)

    @cached_property
    def genres(self) -> list[str]:
        """The most likely genre of each song, in lower case; empty if there is none."""
        found = top_classes(self.library).get("genre")
        if found is None:
            return [""] * len(self.library)
        names, numbers = found
        plain = [*(name.partition("/")[2].lower() or name.lower() for name in names), ""]
        return [plain[n] if 0 <= n < len(names) else "" for n in numbers.tolist()]

    @cached_property
    def durations(self) -> npt.NDArray[np.float64]:
        """Duration of each song in seconds: shape (n,), float64."""
        return np.asarray(self._tags.column("duration_s").to_pylist(), np.float64)

    @cached_property
    def artist_codes(self) -> Int32Array:
        """The artist of each song as a number, -1 for none: shape (n,), int32."""
        return name_codes(self.library, "artist")

    def titled(self, title: str, artist: str) -> list[int]:
        """Return the rows of songs with this title and artist, compared by `normalised_name`."""
        return self._by_title.get((normalised_name(title), normalised_name(artist)), [])

    @cached_property
    def _by_title(self) -> dict[tuple[str, str], list[int]]:
        found: dict[tuple[str, str], list[int]] = {}
        columns = (self._tags.column(name).to_pylist() for name in ("title", "artist"))
        for row, (title, artist) in enumerate(zip(*columns, strict=True)):
            if title and artist:
                found.setdefault((normalised_name(title), normalised_name(artist)), []).append(row)
        return found


def check_sources(sources: SnapshotSources) -> None:
    """Refuse a store in an object store, which cannot be watched for changes."""
    if is_uri(str(sources.vectors)):
        raise StoreError(f"{sources.vectors}: only local files can be served; download it first")
