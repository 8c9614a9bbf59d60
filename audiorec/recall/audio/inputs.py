"""Song inputs: stored vectors, stored features, or files decoded again to log-mels.

    sound, recipe ──song_inputs──▶ `SongInputs`: .load(rows) for training, .blocks() of all songs
    (song id, path) ──decode_songs──▶ (T, 187, 96) float16, or the reason of a failure

Rows are indices of the sound's songs. There is one class per kind of input, with the same methods.
"""

import hashlib
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.audio.decode import decode
from audiorec.audio.segment import segments
from audiorec.errors import InputError, StoreError
from audiorec.extraction.catalogue import Source, make_source
from audiorec.files.own_files import read_own, write_own
from audiorec.recall.audio.model import UserAudioRecipe
from audiorec.recall.contract.data import Sound
from audiorec.runs.workers import Answer, Limits, Workers
from audiorec.spec import FeatureSpec, SegmentSpec
from audiorec.store.features import FeatureFile, SongSegments, join_songs
from audiorec.tagger.weights import MSD
from audiorec.types import BoolArray, FloatArray, IdMap, Int64Array

DIGEST_BYTES = 32
MAX_KEPT_BYTES = 1 << 30  # per song: 29,000 segments, or a day
HANDLER = "audiorec.recall.audio.inputs:log_mel_handler"
HalfArray = npt.NDArray[np.float16]


def log_mel_handler(spec: FeatureSpec, max_segments: int) -> Callable[[str], HalfArray]:
    """Build the function of a worker process: path in, segments (T, 187, 96) out.

    Songs with more than `max_segments` are thinned evenly to that number; 0: keep all.
    """

    def handle(path: str) -> HalfArray:
        def consume(blocks: Any) -> HalfArray:
            return np.stack([s.log_mel.astype(np.float16) for s in segments(blocks, spec)])

        whole, _info = decode(path, consume, spec=spec)
        song = SongSegments((path,), whole, np.array([0, len(whole)], np.int64))
        rows, _owner = song.rows(np.array([0]), limit=max_segments)
        return whole[rows]

    return handle


def decode_songs(
    sources: Sequence[Source],
    folder: Path,
    *,
    spec: FeatureSpec,
    max_segments: int,
    jobs: int = 1,
    limits: Limits | None = None,
) -> Iterator[tuple[Source, HalfArray | Answer]]:
    """Yield songs in any order, each with its segments (T, 187, 96) float16.

    If a song fails, the worker's answer, with the reason, is yielded instead. `folder` caches the
    segments, 36 kB each, so that an interrupted run does not decode them again; entries of other
    songs or other content are ignored.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keys = {s.song_id: _key(s, spec, max_segments) for s in sources}
    todo = {}
    for source in sources:
        kept = _kept(folder / keys[source.song_id])
        if kept is None:
            todo[source.path] = source
        else:
            yield source, kept
    if not todo:
        return
    with Workers(HANDLER, (spec, max_segments), jobs=jobs, limits=limits) as workers:
        for answer in workers.map_unordered(todo):
            source = todo[answer.item]
            if answer.value is None:
                yield source, answer
            else:
                _keep(folder / keys[source.song_id], answer.value)
                yield source, answer.value


def _key(source: Source, spec: FeatureSpec, max_segments: int) -> str:
    parts = (source.path, source.size, source.mtime_ns, spec.fingerprint, max_segments)
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:24] + ".npy"


def _keep(path: Path, segments: HalfArray) -> None:
    """Write segments as an npy file, followed by its sha256."""
    content = io.BytesIO()
    np.save(content, segments, allow_pickle=False)
    write_own(path, content.getvalue() + hashlib.sha256(content.getbuffer()).digest())


def _kept(path: Path) -> HalfArray | None:
    """Return the segments that `_keep` wrote; None if they are missing or damaged."""
    with suppress(OSError, ValueError, EOFError):
        content = read_own(path, MAX_KEPT_BYTES)
        content, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
        if hashlib.sha256(content).digest() == digest:
            result = np.load(io.BytesIO(content), allow_pickle=False)
            if result.dtype == np.float16 and result.ndim == 3:
                return result
    return None


CACHE_FOLDER = "log_mels"
EMBEDDING, VECTOR = ("embedding",), ("vector",)  # inputs of songs with one row each
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


class StoredSongs(SongInputs):
    """Songs with one row each: what the network heard in them, or without that their vector."""

    def __init__(self, sound: Sound, inputs: tuple[str, ...] = ()) -> None:
        there = sound.store is not None and sound.store.songs_with(EMBEDDING[0])
        self.inputs = inputs or (EMBEDDING if there else VECTOR)
        self.values = _heard_in(sound) if self.inputs == EMBEDDING else sound.values
        self.known = np.asarray(self.values.any(axis=1), np.bool_)
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
            raise InputError("this model reads features of songs: give `vectors` features.parquet")
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
            raise InputError("end-to-end training decodes songs again: give `vectors` with a store")
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
        result = dict(self._decoded(rows, max_segments))
        if not result:
            raise StoreError(
                f"{self.store.path}: none of its songs can be read at the recorded path any more"
            )
        kept = np.array(sorted(result), np.int64)
        return kept, join_songs([(self._ids[row], result[row]) for row in kept.tolist()])

    def blocks(self, max_segments: int) -> Iterator[Heard]:
        """Decode one song after the other."""
        for row, values in self._decoded(np.flatnonzero(self.known), max_segments):
            yield np.array([row], np.int64), join_songs([(self._ids[row], values)])

    def _decoded(self, rows: Int64Array, max_segments: int) -> Iterator[tuple[int, Any]]:
        rows = rows[self.known[rows]]
        uris = self.store.column("uri").take(self._in_store[rows]).to_pylist()
        row_of = {self._ids[row]: row for row in rows.tolist()}
        sources = [make_source(u, self._ids[r]) for u, r in zip(uris, rows.tolist(), strict=True)]
        for source, result in decode_songs(
            sources, self.folder, spec=self.spec, max_segments=max_segments, jobs=self.jobs
        ):
            if isinstance(result, np.ndarray):
                yield row_of[source.song_id], result


def song_inputs(sound: Sound, recipe: UserAudioRecipe, cache: Path) -> SongInputs:
    """Return the inputs that a recipe asks for: log-mels end to end, else features, else rows.

    `cache` is a folder for decoded songs. Raises `InputError` if the sound lacks the inputs.
    """
    if recipe.end_to_end:
        return LogMelSongs(sound, recipe, cache)
    if sound.features is not None:
        return FeatureSongs(sound, recipe.inputs)
    if recipe.inputs not in ((), EMBEDDING, VECTOR):
        raise InputError(
            "the setting inputs selects columns of features: give `vectors` features.parquet"
        )
    return StoredSongs(sound, recipe.inputs)


def _heard_in(sound: Sound) -> FloatArray:
    """Return the stored embeddings of songs (n, 624), zeros where there is none."""
    store = sound.store
    if store is None or not store.songs_with(EMBEDDING[0]):
        there = "this sound" if store is None else str(store.path)
        raise InputError(
            f"{there}: has no embedding, which this model reads: audiorec extract FOLDER "
            "--overwrite"
        )
    rows, values = store.read_list(EMBEDDING[0])
    every = np.zeros((len(store) + 1, values.shape[1]), np.float32)  # the last: of no song
    every[rows] = values
    return every[IdMap(store.ids).rows(sound.song_ids)]
