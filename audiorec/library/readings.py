"""Label the songs of a store from its files, without decoding audio.

    store, rows ──readings──▶ [`Reading`, ...]     the same labels as from decoding the songs
    store ──scores_beside──▶ the score series beside it, for the share of voiced segments
    store, id ──stored_tags──▶ backbone tags (T, 50)

Mean scores, segments and status come from ``vecs.parquet``; which segments have a voice only from
``scores.parquet``, and tags only from ``features.parquet``.

    paths ──classify──▶ `Readings`: song id → `Reading`, as a table and as a DataFrame
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from audiorec.columns import StoreColumns
from audiorec.errors import AudiorecError, InputError, SongError
from audiorec.files.arrow import floats, matrix, pandas_frame, string_array
from audiorec.files.visible import ShownAsTable, TableView
from audiorec.search.music import heavy_of, said_music
from audiorec.search.stored_labels import has_labels, said_genres, stored_labels
from audiorec.store.features import SeriesFile, open_series
from audiorec.store.inventory import USUAL_NAMES
from audiorec.store.schema import GENRE_TAG, Kind, open_checked
from audiorec.store.store import VectorStore
from audiorec.tagger.reading import (
    GENRE,
    Reading,
    read_means,
    typical_part,
    voiced_share,
)
from audiorec.tagger.song_labels import SongLabels, tagged_genre
from audiorec.tagger.weights import MSD
from audiorec.types import BoolArray, Int64Array, ScoreSeries, Status
from audiorec.words.labels import EMBEDDING, is_talk, talks

if TYPE_CHECKING:
    from audiorec.extraction.catalogue import Source

BLOCK_ROWS = 1_024  # songs whose score series are held in memory


def readings(store: VectorStore, rows: Sequence[int] | Int64Array | None = None) -> list[Reading]:
    """Return a reading for each of some songs of a store.

    Parameters
    ----------
    store : VectorStore
        For example a `Library`.
    rows : sequence of int, optional
        Row numbers, in the order of the result; all rows by default.

    Returns
    -------
    readings : list of Reading
        `Reading.voiced` is None for songs missing from ``scores.parquet`` beside the store.

    Raises
    ------
    InputError
        If the store's vectors hold no mean scores.

    Examples
    --------
    >>> store = VectorStore.open("fixtures/formats/vecs-v1.parquet")
    >>> [(reading.best["genre"], reading.remark) for reading in readings(store, [1, 4])]
    [('blues', ''), (None, 'not music: speech, noise or other sound')]
    """
    series, _ = scores_beside(store)
    return list(each_reading(store, rows, series))


def each_reading(
    store: VectorStore, rows: Sequence[int] | Int64Array | None, series: SeriesFile | None
) -> Iterator[Reading]:
    """Yield the result of `readings` in blocks of songs; `series` as from `scores_beside`."""
    names = store.metadata.statistics
    if "mean" not in names:
        raise InputError(f"{store.path}: its vectors hold no mean scores, which labels need")
    numbers = np.arange(len(store)) if rows is None else np.asarray(rows, np.int64)
    (codes, statements), music = said_genres(store), said_music(store)
    for start in range(0, len(numbers), BLOCK_ROWS):
        block = numbers[start : start + BLOCK_ROWS]
        means = store.read_rows(block)[:, names.index("mean") :: len(names)]
        songs = store.rows(block.tolist())
        known = {
            s[StoreColumns.ID] for s in songs if series is not None and s[StoreColumns.ID] in series
        }
        scores = series.read(known) if series is not None and known else {}
        labels = stored_labels(store, block)
        heavy, talk = heavy_of(store, block), _talk_of(store, block)
        for n, (row, song, mean) in enumerate(zip(block.tolist(), songs, means, strict=True)):
            result = scores.get(song[StoreColumns.ID])
            yield read_means(
                store.metadata.classes,
                mean,
                segments=song["segments"],
                status=Status(song["status"]),
                voiced=None if result is None else voiced_share(store.metadata.classes, result),
                label=None if labels is None else SongLabels.shipped().label(labels, n),
                tagged=tagged_genre(song.get(GENRE_TAG)),
                said=statements[codes[row]],
                heavy=heavy[n],
                is_talk=bool(talk[n]),
                is_music=music.get(row),
                version=store.corrections["version"].get(row),
            )


def _talk_of(store: VectorStore, numbers: Int64Array) -> BoolArray:
    """Return in which of some songs people talk: shape (n,), bool; in none where it is unknown."""
    result = np.zeros(len(numbers), np.bool_)
    if has_labels(store):
        there, embedding = store.list_rows(EMBEDDING, numbers)
        result[there] = talks(embedding)
    return result


def unchanged_rows(store: VectorStore, files: "Sequence[Source]") -> list[int | None]:
    """Return each file's store row; None for files that are unknown or have changed.

    Examples
    --------
    >>> from audiorec.extraction.catalogue import make_source
    >>> store = VectorStore.open("fixtures/formats/vecs-v1.parquet")
    >>> unchanged_rows(store, [make_source("fixtures/audio/clicks-short.wav", "clicks")])
    [None]
    """
    if not len(store) or not files:
        return [None] * len(files)
    uris = store.column("uri").combine_chunks()
    result = pc.index_in(string_array([file.uri for file in files]), value_set=uris).to_pylist()
    rows = sorted({row for row in result if row is not None})
    stored = zip(rows, store.rows(rows), strict=True) if rows else ()
    stamps = {row: (song["size"], song["mtime_ns"]) for row, song in stored}
    return [
        row if row is not None and stamps[row] == (file.size, file.mtime_ns) else None
        for row, file in zip(result, files, strict=True)
    ]


def scores_beside(store: VectorStore) -> tuple[SeriesFile | None, str]:
    """Open the score series beside a store; if there is none, say why in one line."""
    path = store.path.with_name(USUAL_NAMES[Kind.SCORES])
    if not path.exists():
        return None, f"{path}: no such file"
    try:
        return open_series(store, path, Kind.SCORES), ""
    except AudiorecError as error:
        return None, str(error)


def most_itself(
    store: VectorStore, song_id: str, series: SeriesFile | None
) -> dict[str, float] | None:
    """Return where a song is most itself (`audiorec.tagger.reading.typical_part`), in seconds.

    `series` is as from `scores_beside`; the result is ``start_s`` and ``end_s``, or None if the
    song has no scores.
    """
    if series is None or song_id not in series:
        return None
    seconds = store.row(song_id)["duration_s"]
    start, end = typical_part(series.series(song_id), duration_s=seconds)
    return {"start_s": start, "end_s": end}


def stored_tags(store: VectorStore, song_id: str) -> tuple[ScoreSeries | None, str]:
    """Return the backbone tags of one song from ``features.parquet`` beside the store.

    Returns
    -------
    series : ScoreSeries or None
        Sigmoid outputs (T, 50), as from `audiorec.taggram`; None if the file lacks them.
    why : str
        The reason in one line if the file cannot be used or lacks the song; empty if there is none.
    """
    path = store.path.with_name(USUAL_NAMES[Kind.FEATURES])
    if not path.exists():
        return None, ""
    column, weights = f"{MSD.name}_tags", MSD
    try:
        with open_checked(path, Kind.FEATURES) as file:
            about = file.metadata
            networks = {result.get("sha256") for result in about.weights}
            if about.extractor_id != store.metadata.extractor_id or (
                weights.sha256 not in networks or column not in about.features
            ):
                return None, f"{path}: has no {column} of this extractor"
            row = pc.index(file.read([StoreColumns.ID]).column(StoreColumns.ID), song_id).as_py()
            result = file.take([row], ["content_hash", "start_s", column]) if row >= 0 else None
            if result is None or (
                result.column("content_hash")[0].as_py() != store.row(song_id)["content_hash"]
            ):
                return None, f"{path}: does not contain this song"
            tags = matrix(result.column(column).combine_chunks().flatten(), len(weights.tags))
            start_s = floats(result.column("start_s").combine_chunks().flatten())
    except AudiorecError as error:
        return None, str(error)
    return ScoreSeries(tags, start_s, weights.tags), ""


MOST_ROWS = 20  # rows per table; further rows are only counted


class Readings(ShownAsTable, dict[str, Reading]):
    """A mapping of song ids to readings.

    Attributes
    ----------
    failed : tuple of SongError
        Files that could not be used.
    """

    def __init__(
        self, songs: Iterable[tuple[str, Reading]] = (), failed: Sequence[SongError] = ()
    ) -> None:
        super().__init__(songs)
        self.failed = tuple(failed)

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`, indexed by ``song_id``.

        Columns: for each head its class and that class's score (``genre``, ``genre_score``),
        whether the genre is clear (``genre_clear``), who states it (``genre_source``), ``styles``,
        the file's own ``genre_tag``, ``voiced``, ``segments`` and ``remark``.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        columns: dict[str, list[Any]] = {}
        for reading in self.values():
            for name, value in _columns(reading).items():
                columns.setdefault(name, []).append(value)
        return pandas_frame(columns, index=(StoreColumns.ID, list(self)))

    def _view(self) -> TableView:
        names: tuple[str, ...] = (StoreColumns.ID,)
        rows: list[tuple[object, ...]] = []
        for song_id, reading in [*self.items()][:MOST_ROWS]:
            columns = _columns(reading)
            names = (StoreColumns.ID, *columns)
            rows.append((song_id, *columns.values()))
        n, lost = len(self), len(self.failed)
        title = f"{n} song{'s' * (n != 1)}"
        notes = [f"{lost} file{'s' * (lost != 1)} could not be used, see .failed"] if lost else []
        return TableView(title, names, rows, n, notes)


def classify(
    paths: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    vectors: str | os.PathLike[str] | VectorStore | None = None,
    heads: Sequence[str | os.PathLike[str]] = (),
    jobs: int = 0,
) -> Readings:
    """Classify audio files: version, genre, and the share of segments with a voice.

    Parameters
    ----------
    paths : path or sequence of path
        Files, folders and globs, as for `audiorec.extract`.
    vectors : path or Library, optional
        A store; its songs are not decoded unless their files have changed.
    heads : sequence of path
        Head files to use instead of the shipped ones.
    jobs : int
        Worker processes; 0 for one per processor core.

    Returns
    -------
    readings : Readings
        Readings by song id, in the order of the paths. To look up songs of a store by id, see
        `Library.classify`.

    Raises
    ------
    InputError
        If a path does not exist, or there are no songs.
    SongError
        If no file can be used; the error is the first file's. If only some fail, they are in
        ``readings.failed``.
    SpecMismatchError
        If the store was made by another extractor, or with other heads.

    Examples
    --------
    >>> import audiorec
    >>> found = audiorec.classify("fixtures/audio/blues-band.mp3")
    >>> found["blues-band.mp3"].best
    {'version': 'vocal_accompaniment', 'genre': 'blues'}
    """
    from audiorec.extraction.catalogue import find_songs

    many = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    sources = find_songs(many)
    if not sources:
        raise InputError("no audio files found; name files, folders or globs")
    store = vectors if isinstance(vectors, VectorStore) else None
    if vectors is not None and not isinstance(vectors, VectorStore):
        store = VectorStore.open(os.fspath(vectors))
    result: list[tuple[str, Reading]] = []
    failed: list[SongError] = []
    for source, song in zip(
        sources, _known_or_decoded(sources, store, tuple(map(Path, heads)), jobs), strict=True
    ):
        if isinstance(song, SongError):
            failed.append(song)
        else:
            result.append((source.song_id, song))
    if failed and not result:
        raise failed[0]
    return Readings(result, failed)


def _known_or_decoded(
    sources: "Sequence[Source]", store: VectorStore | None, heads: tuple[Path, ...], jobs: int
) -> "Iterator[Reading | SongError]":
    """Yield the result for each file: from the store if its file is unchanged, else by decoding."""
    from audiorec.extraction.pipeline import Extractor, extractor_config
    from audiorec.extraction.reader import song_reader

    config = extractor_config(heads)
    rows: list[int | None] = [None] * len(sources)
    if store is not None:
        config = Extractor.for_store(store.metadata, heads=heads).config
        rows = unchanged_rows(store, sources)
    known = iter(readings(store, [row for row in rows if row is not None]) if store else ())
    opened = [source.path for source, row in zip(sources, rows, strict=True) if row is None]
    workers = max(1, min(jobs or os.cpu_count() or 1, len(opened)))
    with song_reader(replace(config, sound=True), jobs=workers) as reader:
        songs = reader.read_each(opened)
        for row in rows:
            song = next(songs) if row is None else next(known)
            if isinstance(song, (SongError, Reading)):
                yield song
            else:
                yield song.reading(is_talk=is_talk(song.lists))


def _columns(reading: Reading) -> dict[str, Any]:
    """Return the columns of a reading: each head's class and score, then the rest."""
    columns: dict[str, Any] = {}
    for head, label in reading.best.items():
        scores = reading.likely if head == GENRE else reading.scores[head]
        columns[head] = label
        columns[f"{head}_score"] = None if label is None else scores.get(label)
    if GENRE in reading.best:
        columns["genre_clear"] = reading.genre_clear
        columns["genre_source"] = reading.stated.source
        columns["styles"] = " ".join(reading.styles)
        columns["genre_tag"] = "" if reading.tagged is None else reading.tagged.text
    return {
        **columns,
        "voiced": reading.voiced,
        "segments": reading.segments,
        "remark": reading.remark,
    }
