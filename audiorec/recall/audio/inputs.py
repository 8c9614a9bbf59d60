"""Song inputs: stored vectors, stored features, or files decoded again to log-mels.

    sound, recipe ──song_inputs──▶ `SongInputs`: .load(rows) for training, .blocks() of all songs

Rows are indices of the sound's songs. There is one class per kind of input, with the same methods.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.errors import InputError, StoreError
from audiorec.extraction.catalogue import make_source
from audiorec.recall.audio.log_mels import decode_songs
from audiorec.recall.audio.recipe import UserAudioRecipe
from audiorec.recall.contract.data import Sound
from audiorec.spec import FeatureSpec, SegmentSpec
from audiorec.store.features import FeatureFile, SongSegments, join_songs
from audiorec.tagger.weights import MSD
from audiorec.types import BoolArray, IdMap, Int64Array

CACHE_FOLDER = "log_mels"
Heard = tuple[Int64Array, SongSegments]  # rows (n,), and the segments of these songs


class SongInputs(ABC):
    """A source of song inputs.

    Attributes
    ----------
    inputs : tuple of str
        Columns of a segment's row.
    known : ndarray, shape (n,), bool
        Which songs have an input.
    made_by : str
        As `Sound.made_by`.
    audio_spec : mapping
        How files become these inputs; empty if unknown.
    """

    inputs: tuple[str, ...]
    known: BoolArray
    made_by: str
    audio_spec: Mapping[str, Any]

    @abstractmethod
    def load(self, rows: Int64Array, max_segments: int) -> Heard:
        """Return the segments of those of some songs that have any, at most `max_segments` each."""

    @abstractmethod
    def blocks(self, max_segments: int) -> Iterator[Heard]:
        """Yield all songs that have an input, in blocks, in any order."""


class VectorSongs(SongInputs):
    """Songs with one vector each."""

    inputs = ("vector",)

    def __init__(self, sound: Sound) -> None:
        self.values, self.known = sound.values, np.asarray(sound.values.any(axis=1), np.bool_)
        self.made_by = sound.made_by
        self.audio_spec = {} if sound.store is None else dict(sound.store.metadata.spec)

    def load(self, rows: Int64Array, max_segments: int) -> Heard:  # noqa: ARG002 - one each
        """Return the vectors of the songs."""
        rows = rows[self.known[rows]]
        ids = tuple(map(str, rows.tolist()))
        return rows, SongSegments(ids, self.values[rows], np.arange(len(rows) + 1))

    def blocks(self, max_segments: int) -> Iterator[Heard]:
        """Yield all songs at once."""
        yield self.load(np.flatnonzero(self.known), max_segments)


class FeatureSongs(SongInputs):
    """Songs of a ``features.parquet``, with all their segments."""

    def __init__(self, sound: Sound, inputs: tuple[str, ...] = ()) -> None:
        file = sound.features
        if file is None:
            raise InputError("this model reads features of songs: give --features")
        if inputs and inputs != file.inputs:
            file = FeatureFile.open(file.path, inputs)
        self.file, self.inputs, self.made_by = file, file.inputs, sound.made_by
        self.audio_spec = dict(file.spec)
        self._row_of = IdMap(sound.song_ids).rows(file.ids)  # row of each song of the file, or -1
        self.known = np.zeros(len(sound.song_ids), np.bool_)
        self.known[self._row_of[self._row_of >= 0]] = True

    def load(self, rows: Int64Array, max_segments: int) -> Heard:
        """Read the features, in the order of the file."""
        chosen = np.flatnonzero(np.isin(self._row_of, rows))
        return self._row_of[chosen], self.file.read(chosen, max_segments=max_segments)

    def blocks(self, max_segments: int) -> Iterator[Heard]:  # noqa: ARG002 - a group is small
        """Yield the songs row group by row group, with all segments."""
        first = 0
        for songs, _ in self.file.blocks():
            rows = self._row_of[first : first + len(songs)]
            first += len(songs)
            kept = np.flatnonzero(rows >= 0)
            if len(kept) == len(songs):
                yield rows, songs
            elif len(kept):
                places, owner = songs.rows(kept)
                offsets = np.searchsorted(owner, np.arange(len(kept) + 1))
                ids = tuple(songs.song_ids[i] for i in kept.tolist())
                yield rows[kept], SongSegments(ids, songs.values[places], offsets)


class LogMelSongs(SongInputs):
    """Songs of a store, decoded again; unreadable files are left out.

    Parameters
    ----------
    sound : Sound
        The sound of a store.
    recipe : UserAudioRecipe
        Has the number of decoding processes.
    cache : Path
        A folder that lasts as long as the training.
    """

    def __init__(self, sound: Sound, recipe: UserAudioRecipe, cache: Path) -> None:
        store = sound.store
        if store is None:
            raise InputError("end-to-end training decodes songs again: give --vectors with a store")
        self.store, self.jobs, self.folder = store, recipe.jobs, cache / CACHE_FOLDER
        self.inputs = (f"{MSD.name}_log_mel",)
        self.made_by = ""  # any file can be decoded the same way
        # Only the hop is taken from the store: files are decoded anew, at one loudness, for the
        # network that is trained.
        hop_s = FeatureSpec.from_dict(store.metadata.spec).segment.hop_s
        self.spec = FeatureSpec(segment=SegmentSpec(hop_s=hop_s))
        self.audio_spec = self.spec.to_dict()
        self._ids = sound.song_ids
        self._in_store = IdMap(store.ids).rows(sound.song_ids)
        self.known = self._in_store >= 0

    def load(self, rows: Int64Array, max_segments: int) -> Heard:
        """Decode the songs, or read the cache."""
        found = dict(self._decoded(rows, max_segments))
        if not found:
            raise StoreError(
                f"{self.store.path}: none of its songs can be read at the recorded path any more"
            )
        kept = np.array(sorted(found), np.int64)
        return kept, join_songs([(self._ids[row], found[row]) for row in kept.tolist()])

    def blocks(self, max_segments: int) -> Iterator[Heard]:
        """Decode one song after the other."""
        for row, values in self._decoded(np.flatnonzero(self.known), max_segments):
            yield np.array([row], np.int64), join_songs([(self._ids[row], values)])

    def _decoded(self, rows: Int64Array, max_segments: int) -> Iterator[tuple[int, Any]]:
        rows = rows[self.known[rows]]
        uris = self.store.column("uri").take(self._in_store[rows]).to_pylist()
        row_of = {self._ids[row]: row for row in rows.tolist()}
        sources = [make_source(u, self._ids[r]) for u, r in zip(uris, rows.tolist(), strict=True)]
        for source, found in decode_songs(
            sources, self.folder, spec=self.spec, max_segments=max_segments, jobs=self.jobs
        ):
            if isinstance(found, np.ndarray):
                yield row_of[source.song_id], found


def song_inputs(sound: Sound, recipe: UserAudioRecipe, cache: Path) -> SongInputs:
    """Return the inputs that a recipe asks for: log-mels end to end, else features, else vectors.

    `cache` is a folder for decoded songs. Raises `InputError` if the sound lacks the inputs.
    """
    if recipe.end_to_end:
        return LogMelSongs(sound, recipe, cache)
    if sound.features is not None:
        return FeatureSongs(sound, recipe.inputs)
    if recipe.inputs:
        raise InputError("the setting inputs selects columns of features: give --features")
    return VectorSongs(sound)
