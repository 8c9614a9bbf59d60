"""Label the songs of a store from its files, without decoding audio.

    store, rows ──readings──▶ [`Reading`, ...]     the same labels as from decoding the songs
    store ──scores_beside──▶ the score series beside it, for the share of voiced segments
    store, id ──stored_tags──▶ backbone tags (T, 50)

Mean scores, segments and status come from ``vecs.parquet``; which segments have a voice only from
``scores.parquet``, and tags only from ``features.parquet``.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow.compute as pc

from audiorec.errors import AudiorecError, InputError
from audiorec.files.arrow import floats, matrix
from audiorec.store.features import SeriesFile, open_series
from audiorec.store.inventory import USUAL_NAMES
from audiorec.store.parquet import open_checked
from audiorec.store.schema import Kind
from audiorec.store.store import VectorStore
from audiorec.tagger.reading import Reading, read_means, voiced_share
from audiorec.tagger.weights import MSD
from audiorec.types import Int64Array, ScoreSeries, Status

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
    for start in range(0, len(numbers), BLOCK_ROWS):
        block = numbers[start : start + BLOCK_ROWS]
        means = store.read_rows(block)[:, names.index("mean") :: len(names)]
        songs = store.rows(block.tolist())
        known = {s["song_id"] for s in songs if series is not None and s["song_id"] in series}
        scores = series.read(known) if series is not None and known else {}
        for song, mean in zip(songs, means, strict=True):
            found = scores.get(song["song_id"])
            yield read_means(
                store.metadata.classes,
                mean,
                segments=song["segments"],
                status=Status(song["status"]),
                voiced=None if found is None else voiced_share(store.metadata.classes, found),
            )


def scores_beside(store: VectorStore) -> tuple[SeriesFile | None, str]:
    """Open the score series beside a store; if there is none, say why in one line."""
    path = store.path.with_name(USUAL_NAMES[Kind.SCORES])
    if not path.exists():
        return None, f"{path}: no such file"
    try:
        return open_series(store, path, Kind.SCORES), ""
    except AudiorecError as error:
        return None, str(error)


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
            networks = {found.get("sha256") for found in about.weights}
            if about.extractor_id != store.metadata.extractor_id or (
                weights.sha256 not in networks or column not in about.features
            ):
                return None, f"{path}: has no {column} of this extractor"
            row = pc.index(file.read(["song_id"]).column("song_id"), song_id).as_py()
            found = file.take([row], ["content_hash", "start_s", column]) if row >= 0 else None
            if found is None or (
                found.column("content_hash")[0].as_py() != store.row(song_id)["content_hash"]
            ):
                return None, f"{path}: does not contain this song"
            tags = matrix(found.column(column).combine_chunks().flatten(), len(weights.tags))
            start_s = floats(found.column("start_s").combine_chunks().flatten())
    except AudiorecError as error:
        return None, str(error)
    return ScoreSeries(tags, start_s, weights.tags), ""
