"""What the songs of a store are, in words, without opening one of them.

    store, rows ──readings──▶ [`Reading`, ...]     the words that decoding the songs would give
    store ──scores_beside──▶ the score series beside it, for the share of voiced segments
    store, id ──stored_tags──▶ a backbone's tags (T, 50)

Mean scores, segments and status stand in ``vecs.parquet``; which segments have a voice stands in
``scores.parquet`` alone, and tags in ``features.parquet``.
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
from audiorec.tagger.weights import WEIGHTS, BackboneName
from audiorec.types import Int64Array, ScoreSeries, Status

BLOCK_ROWS = 1_024  # songs whose score series are in memory at once


def readings(store: VectorStore, rows: Sequence[int] | Int64Array | None = None) -> list[Reading]:
    """Read songs of a store.

    Parameters
    ----------
    store : VectorStore
        A `Library` is one.
    rows : sequence of int, optional
        Numbers of rows, in the order of the answers; all rows by default.

    Returns
    -------
    readings : list of Reading
        `Reading.voiced` is None for songs that ``scores.parquet`` beside the store has not.

    Raises
    ------
    InputError
        If the vectors of this store hold no mean scores.

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
    """Yield what `readings` returns, a block of songs in memory; `series` as `scores_beside`."""
    names = store.metadata.statistics
    if "mean" not in names:
        raise InputError(f"{store.path}: its vectors hold no mean scores to read")
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
    """Open the score series beside a store; without them, say why in one line."""
    path = store.path.with_name(USUAL_NAMES[Kind.SCORES])
    if not path.exists():
        return None, f"there is no {path}"
    try:
        return open_series(store, path, Kind.SCORES), ""
    except AudiorecError as error:
        return None, str(error)


def stored_tags(
    store: VectorStore, song_id: str, backbone: BackboneName = "msd"
) -> tuple[ScoreSeries | None, str]:
    """Return a backbone's tags of one song as ``features.parquet`` beside the store keeps them.

    Returns
    -------
    series : ScoreSeries or None
        Sigmoids (T, 50), as `audiorec.taggram` gives them; None where the file has them not.
    why : str
        For None: why, in one line.
    """
    path = store.path.with_name(USUAL_NAMES[Kind.FEATURES])
    if not path.exists():
        return None, f"there is no {path}"
    column, weights = f"{backbone}_tags", WEIGHTS[backbone]
    try:
        with open_checked(path, Kind.FEATURES) as file:
            about = file.metadata
            networks = {found.get("sha256") for found in about.weights}
            if about.extractor_id != store.metadata.extractor_id or (
                weights.sha256 not in networks or column not in about.features
            ):
                return None, f"{path} has no {column} of this extractor"
            row = pc.index(file.read(["song_id"]).column("song_id"), song_id).as_py()
            found = file.take([row], ["content_hash", "start_s", column]) if row >= 0 else None
            if found is None or (
                found.column("content_hash")[0].as_py() != store.row(song_id)["content_hash"]
            ):
                return None, f"{path} does not have this song"
            tags = matrix(found.column(column).combine_chunks().flatten(), len(weights.tags))
            start_s = floats(found.column("start_s").combine_chunks().flatten())
    except AudiorecError as error:
        return None, str(error)
    return ScoreSeries(tags, start_s, weights.tags), ""
