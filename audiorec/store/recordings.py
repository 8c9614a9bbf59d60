"""Which audio is of one recording: found as songs come in, and kept beside the store.

    store, rows of new songs ──find_links──▶ `Links`: pairs of rows, and how far apart they are
    "vecs.parquet" ──update_links──▶ "vecs.copies.parquet" ──read_links──▶ `Links`

Copies are other encodings, levels and sample rates of a recording, and ones that begin up to 2.5
seconds later. Two songs are linked if their lengths, the mean scores of their version heads, their
sounds and their embeddings agree. Where title and artist are the same, more distance is allowed,
since low bit rates cut away half of what is heard; and where one of both has such a rate, if they
have one tempo. A song and its instrumental version share drums and harmony, but neither the version
nor the sound. Songs without sound are not compared: vectors alone take one song for another too
often.

Songs are compared in blocks sorted by length, each with the songs of nearly that length, so the
cost grows with these and memory does not grow with the store. The file holds hashes of audio, not
ids: a song that is renamed, moved or retagged keeps its copies, and only new audio is compared.

======================  =============================================================
column                  content
======================  =============================================================
content_hash            string, sorted: one row for each audio, and one for each link
compared_by             string: sound, or hash where it has none, is silent or short
copy_hash, distance     string, float32: the other audio; empty and 0 in a row for an audio
======================  =============================================================
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.distribution import created_by
from audiorec.errors import StoreError
from audiorec.files.arrow import arrow_array, booleans, floats, integers, scalar, view
from audiorec.files.copies import beside
from audiorec.files.own_files import refuse_link, write_errors
from audiorec.files.tables import TableFile, write_plain
from audiorec.spec import fingerprint
from audiorec.store.schema import METADATA_KEY, metadata_object
from audiorec.store.store import VectorStore
from audiorec.store.titles import read_title
from audiorec.types import (
    BoolArray,
    Float64Array,
    FloatArray,
    Int64Array,
    Status,
    name_numbers,
    string_array,
)

# Figures: docs/decisions/0057-one-recording-once.md and 0008-playlists-and-duplicates.md.
LENGTH_TOLERANCE_S = 0.25  # codecs pad by up to a tenth of a second
SHIFT_S = 2.5  # a copy may begin, or end, so much later
MIN_SEGMENTS = 4  # shorter songs are too short to tell them apart
SOUND = 0.1  # largest 1 - similarity by sound
ALIKE = 0.05  # largest distance of two embeddings
# Both, of two songs of one title and artist, or of one tempo of which one has a low bit rate.
NAMED_SOUND, NAMED_ALIKE = 0.3, 0.13
LOW_KBIT_S, ONE_TEMPO = 64, 1.005  # ratio of two tempos of one recording
OTHER_VERSION = 0.12  # total variation of the version head's mean scores: sung, instrumental ...
BY = ("hash", "sound")  # what audio was compared by
PARTNERS = 20  # nearest candidates per song; bounds memory where many songs are alike
COMPARED = ("max", "min", "mean")
FLOOR = 1e-4  # clips log-odds of scores near 0 and 1; the limits above depend on it
BLOCK_SONGS = 8_192  # new songs that are compared at a time
CELLS = 4 << 20  # distances computed at a time
PAIRS = 4_096  # pairs whose embeddings are in memory at a time

FORMAT_VERSION = 1
SCHEMA = pa.schema(
    [
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("compared_by", pa.string(), nullable=False),
        pa.field("copy_hash", pa.string(), nullable=False),
        pa.field("distance", pa.float32(), nullable=False),
    ]
)
RULE = fingerprint(
    {
        "length_s": (LENGTH_TOLERANCE_S, SHIFT_S),
        "segments": MIN_SEGMENTS,
        "apart": (SOUND, ALIKE, NAMED_SOUND, NAMED_ALIKE, OTHER_VERSION),
        "low_rate": (LOW_KBIT_S, ONE_TEMPO),
        "partners": PARTNERS,
    }
)
Blocks = Callable[[], Iterator[tuple[Int64Array, npt.NDArray[Any]]]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Links:
    """Pairs of songs of a store that are one recording.

    Attributes
    ----------
    pairs : ndarray, shape (m, 2), int64
        Rows of the store, the lower one first.
    distance : ndarray, shape (m,), float32
        Of their embeddings, from 0 to 1.
    missing : int
        Songs of the store that have not been compared yet.
    """

    pairs: Int64Array
    distance: FloatArray
    missing: int = 0


class Measure(NamedTuple):
    """What pairs of songs are found by.

    Attributes
    ----------
    blocks : callable
        Yields rows (m,) and values (m, W) of the songs that have them, block by block.
    take : callable
        Returns which of some rows have values, by place (m,), and these values (m, W).
    limit : float
        Largest Euclidean distance of two rows of values.
    tolerance_s : float
        Largest difference of two lengths.
    """

    blocks: Blocks
    take: Callable[[Int64Array], tuple[Int64Array, npt.NDArray[Any]]]
    limit: float
    tolerance_s: float


def links_path(vectors: Path) -> Path:
    """Return the path of the file with a store's copies.

    Examples
    --------
    >>> links_path(Path("library/vecs.parquet")).as_posix()
    'library/vecs.copies.parquet'
    """
    return vectors.with_name(f"{vectors.name.removesuffix('.parquet')}.copies.parquet")


def update_links(vectors: Path) -> int:
    """Compare the audio of a store that was not compared yet, and write the file beside it.

    Returns
    -------
    compared : int
        Number of new audio; the file is left untouched if there is none and none is gone.

    Raises
    ------
    StoreError
        If the store is damaged, or the file cannot be written.
    """
    store = VectorStore.open(vectors)
    audio, before = _Audio.of(store), _usable(store)
    known = np.zeros(len(audio.rows), np.bool_) if before is None else audio.compared_in(before)
    new = audio.rows[~known]
    if before is not None and not len(new) and len(before.compared) == len(known):
        return 0
    found = find_links(store, new)
    names = store.column("content_hash").take(integers(found.pairs.ravel())).to_pylist()
    pairs = zip(names[::2], names[1::2], found.distance, strict=True)
    links = [(min(a, b), max(a, b), float(apart)) for a, b, apart in pairs]
    old = audio.hashes.take(integers(np.flatnonzero(known)))  # and still there
    links += [] if before is None else before.links_between(old)
    _write(store, audio, links)
    return len(new)


def read_links(store: VectorStore) -> Links | None:
    """Read what is known of the copies in a store; None if its file is absent or of no use.

    A song may have the audio of another one (``content_hash``); links are between the first rows
    of each audio.
    """
    kept = _usable(store)
    if kept is None:
        return None
    audio = _Audio.of(store)
    there = kept.links_between(audio.hashes)
    ends = string_array([end for *pair, _ in there for end in pair])
    return Links(
        pairs=_pairs(audio.rows[view(pc.index_in(ends, value_set=audio.hashes), np.int32)]),
        distance=np.asarray([apart for *_, apart in there], np.float32),
        missing=int((~audio.compared_in(kept)).sum()),
    )


class LinksFile(NamedTuple):
    """What a file of copies says.

    Attributes
    ----------
    about : mapping
        Its metadata: extractor, projection of sound and limits, by which it is of use or not.
    compared : pyarrow.Table
        ``content_hash`` and ``compared_by`` of each audio, sorted.
    links : list of (str, str, float)
        Hashes of two audio that are one recording, and their distance.
    """

    about: dict[str, Any]
    compared: Any
    links: list[tuple[str, str, float]]

    @classmethod
    def read(cls, path: Path) -> "LinksFile":
        """Read a file; raise `StoreError` if it is damaged or of another kind."""
        with TableFile.open(path) as file:
            about = metadata_object((file.schema.metadata or {}).get(METADATA_KEY, b"{}"))
            table = file.read_as(SCHEMA)
        compared = pc.equal(table.column("copy_hash"), scalar(""))
        links = table.filter(pc.invert(compared)).drop_columns(["compared_by"])
        columns = (column.to_pylist() for column in links.columns)
        audio = table.filter(compared).select(["content_hash", "compared_by"])
        return cls(about, audio.combine_chunks(), list(zip(*columns, strict=True)))

    def links_between(self, hashes: Any) -> list[tuple[str, str, float]]:
        """Return the links whose audio are both among `hashes`, an Arrow array."""
        ends = [string_array([link[n] for link in self.links]) for n in (0, 1)]
        both = pc.and_(*(pc.is_in(end, value_set=hashes) for end in ends))
        return [self.links[n] for n in np.flatnonzero(booleans(both)).tolist()]


class _Audio(NamedTuple):
    """Each audio of a store once: hashes (an Arrow array), first rows, compared by sound or not."""

    hashes: Any
    rows: Int64Array
    by_sound: BoolArray

    @classmethod
    def of(cls, store: VectorStore) -> "_Audio":
        encoded = store.column("content_hash").combine_chunks().dictionary_encode()
        rows = np.unique(view(encoded.indices, np.int32), return_index=True)[1].astype(np.int64)
        return cls(encoded.dictionary, rows, (is_comparable(store) & with_sound(store))[rows])

    def compared_in(self, kept: LinksFile) -> BoolArray:
        """Return which were compared as they would be today: (n,), bool."""
        names, by = (column.combine_chunks() for column in kept.compared.columns)
        places = pc.index_in(self.hashes, value_set=names)
        are_equal = pc.equal(by.take(places), scalar(BY[True]))
        by_sound = booleans(pc.fill_null(are_equal, scalar(np.bool_(False))))
        same: BoolArray = booleans(pc.is_valid(places)) & (by_sound == self.by_sound)
        return same


def _usable(store: VectorStore) -> LinksFile | None:
    """Read the file beside a store; None if there is none, it is damaged, or of other limits."""
    path = links_path(store.path)
    with suppress(StoreError):  # of a place that may be read but not looked into
        path = beside(store.path, path.name)
    refuse_link(path)  # the user did not name this file
    try:
        found = LinksFile.read(path)
    except StoreError:
        return None
    ours = _about(store)
    return found if ours.items() <= found.about.items() else None


def _about(store: VectorStore) -> dict[str, Any]:
    metadata = store.metadata
    made = {"extractor_id": metadata.extractor_id, "sound_id": metadata.sound_id, "rule": RULE}
    return {"kind": "copies", "format_version": FORMAT_VERSION, **made}


def _write(store: VectorStore, audio: _Audio, links: list[tuple[str, str, float]]) -> None:
    path = links_path(store.path)
    refuse_link(path)
    about = {**_about(store), "created_by": created_by()}
    schema = SCHEMA.with_metadata({METADATA_KEY: json.dumps(about).encode()})
    by = string_array(BY).take(integers(audio.by_sound.astype(np.int64)))
    empty = pa.repeat(scalar(""), len(by)), pa.repeat(scalar(np.float32(0)), len(by))
    alone = pa.Table.from_arrays([audio.hashes, by, *empty], schema=schema)
    ends = [string_array([link[n] for link in links]) for n in (0, 1)]
    apart = arrow_array(np.array([link[2] for link in links], np.float32), pa.float32())
    pairs = [ends[0], string_array([BY[True]] * len(links)), ends[1], apart]
    table = pa.concat_tables([alone, pa.Table.from_arrays(pairs, schema=schema)])
    order = [("content_hash", "ascending"), ("copy_hash", "ascending")]
    with write_errors(path):
        write_plain(path, table.sort_by(order))


def is_comparable(store: VectorStore) -> BoolArray:
    """Return which songs are long enough, and not silent: shape (n,), bool."""
    table = store.table(["segments", "status"]).combine_chunks()
    long = pc.greater_equal(table.column("segments"), scalar(MIN_SEGMENTS))
    heard = pc.not_equal(table.column("status"), scalar(str(Status.SILENT)))
    return booleans(pc.and_(long, heard).combine_chunks())


def with_sound(store: VectorStore) -> BoolArray:
    """Return which songs have a sound: shape (n,), bool."""
    count = store.songs_with("sound")
    found = np.full(len(store), count == len(store) > 0)
    if 0 < count < len(store):
        found[store.read_list("sound")[0]] = True
    return found


def find_links(store: VectorStore, rows: Int64Array) -> Links:
    """Compare some songs with all songs of a store; audio of one hash is not compared.

    Parameters
    ----------
    store : VectorStore
    rows : ndarray, shape (m,), int64

    Returns
    -------
    links : Links
    """
    comparable = is_comparable(store)
    if not (store.songs_with("sound") and store.songs_with("embedding")):
        return Links(pairs=_pairs([]), distance=np.empty(0, np.float32))
    known = with_sound(store)
    rows = rows[(comparable & known)[rows]]
    pairs = near_pairs(store, _by_sound(store, SOUND), rows, comparable)
    pairs = pairs[embedding_distances(store, pairs) <= ALIKE]
    named = _named_alike(store, rows, known & comparable)
    low = _low_rate_alike(store, rows, comparable)
    pairs = np.unique(np.concatenate([pairs, named, low]), axis=0)
    pairs = pairs[of_one_version(store, pairs)]
    return Links(pairs=pairs, distance=embedding_distances(store, pairs))


def _by_sound(store: VectorStore, apart: float) -> Measure:
    """Return the measure of sounds that are at most `apart`, as 1 - similarity."""
    return Measure(
        lambda: store.list_blocks("sound"),
        lambda rows: store.list_rows("sound", rows),
        float(np.sqrt(2 * apart)),
        SHIFT_S,
    )


def _low_rate_alike(store: VectorStore, rows: Int64Array, comparable: BoolArray) -> Int64Array:
    """Return pairs of one of `rows` and any song of which one has a low bit rate: (m, 2).

    The sound of such a copy is further away, so both have to have one tempo.
    """
    bits = 8 * view(store.column("size").combine_chunks(), np.int64)
    low = bits <= 1000 * LOW_KBIT_S * floats(store.column("duration_s").combine_chunks())
    if "bpm" not in store.metadata.attributes or not low.any():
        return _pairs([])
    wide = _by_sound(store, NAMED_SOUND)
    sides = (rows[low[rows]], comparable), (rows[~low[rows]], comparable & low)
    pairs = np.concatenate([near_pairs(store, wide, *side) for side in sides])
    pairs = pairs[low[pairs[:, 0]] != low[pairs[:, 1]]]
    bpm = floats(pc.fill_null(store.column("bpm"), scalar(np.float32("nan"))).combine_chunks())
    one, other = bpm[pairs.T]
    pairs = pairs[np.maximum(one, other) <= ONE_TEMPO * np.minimum(one, other)]
    alike: Int64Array = pairs[embedding_distances(store, pairs) <= NAMED_ALIKE]
    return alike


def has_compared(store: VectorStore) -> bool:
    """Whether the vectors have the statistics by which scores are compared."""
    return set(COMPARED) <= set(store.metadata.statistics)


def by_scores(store: VectorStore, limit: float) -> Measure:
    """Return the measure of the log-odds of scores, at most `limit` apart (root mean square)."""

    def blocks() -> Iterator[tuple[Int64Array, FloatArray]]:
        for start, block in zip(store.group_starts, store.blocks(), strict=False):
            yield start + np.arange(len(block)), log_odds_of(store, block)

    width = len(store.metadata.classes) * len(COMPARED)
    limit *= float(np.sqrt(width))
    return Measure(blocks, lambda rows: _odds(store, rows), limit, LENGTH_TOLERANCE_S)


def _odds(store: VectorStore, rows: Int64Array) -> tuple[Int64Array, FloatArray]:
    return np.arange(len(rows)), log_odds_of(store, store.read_rows(rows))


def log_odds_of(store: VectorStore, vectors: FloatArray) -> FloatArray:
    """Return the log-odds of the largest, smallest and mean scores of vectors: (m, 3 H)."""
    metadata = store.metadata
    places = [metadata.statistics.index(name) for name in COMPARED]
    shape = (len(vectors), len(metadata.classes), len(metadata.statistics))
    values = vectors.reshape(shape)[:, :, places]
    return log_odds(values).reshape(len(vectors), len(metadata.classes) * len(COMPARED))


def log_odds(p: npt.NDArray[np.floating]) -> FloatArray:
    """Return the log-odds of scores, clipped near 0 and 1."""
    q = np.clip(p.astype(np.float64), 0.0, 1.0)
    return np.log((q + FLOOR) / (1.0 + FLOOR - q)).astype(np.float32)


def near_pairs(
    store: VectorStore, measure: Measure, rows: Int64Array, comparable: BoolArray
) -> Int64Array:
    """Return pairs of one of `rows` and any comparable song that a measure finds: (m, 2).

    Each once, the lower row first; only the `PARTNERS` nearest of each of `rows`.
    """
    seconds = floats(store.column("duration_s").combine_chunks()).astype(np.float64)
    rows = rows[np.argsort(seconds[rows], kind="stable")]
    blocks = (rows[start : start + BLOCK_SONGS] for start in range(0, len(rows), BLOCK_SONGS))
    found = [_near_block(measure, block, seconds, comparable) for block in blocks]
    pairs = np.concatenate([_pairs([]), *found])
    hashes = store.column("content_hash").combine_chunks()
    one, other = (hashes.take(integers(pairs[:, n])) for n in (0, 1))
    pairs = pairs[booleans(pc.not_equal(one, other))]
    return np.unique(np.sort(pairs, axis=1), axis=0)


def _near_block(
    measure: Measure, rows: Int64Array, seconds: Float64Array, comparable: BoolArray
) -> Int64Array:
    """Return the pairs of one block of rows, sorted by length, with all songs of a store."""
    there, values = measure.take(rows)
    rows, left = rows[there], values.astype(np.float32)
    if not len(rows):
        return _pairs([])
    low, high = seconds[rows[0]] - measure.tolerance_s, seconds[rows[-1]] + measure.tolerance_s
    hits = np.empty((0, 3))  # place in `rows`, row, closeness
    for group, values in measure.blocks():
        near = comparable[group] & (seconds[group] >= low) & (seconds[group] <= high)
        others = group[near]
        order = np.argsort(seconds[others], kind="stable")
        others, right = others[order], values[near][order].astype(np.float32)
        hits = np.concatenate([hits, *_hits(measure, rows, left, others, right, seconds)])
        hits = _nearest(hits)
    return np.column_stack([rows[hits[:, 0].astype(np.int64)], hits[:, 1].astype(np.int64)])


def _hits(
    measure: Measure,
    rows: Int64Array,
    left: FloatArray,
    others: Int64Array,
    right: FloatArray,
    seconds: Float64Array,
) -> Iterator[Float64Array]:
    """Yield place in `rows`, row and closeness of pairs; both sides are sorted by length."""
    left, right = _halved(left)[0], _halved(right)[1]
    of, with_ = seconds[rows], seconds[others]
    first = np.searchsorted(with_, of - measure.tolerance_s, side="left")
    last = np.searchsorted(with_, of + measure.tolerance_s, side="right")
    start = 0
    while start < len(rows):
        end = start + 1
        while end < len(rows) and (end + 1 - start) * (last[end] - first[start]) <= CELLS:
            end += 1
        closeness = left[start:end] @ right[first[start] : last[end - 1]].T
        a, b = np.nonzero(closeness >= -0.5 * measure.limit**2)
        close = closeness[a, b]
        a, b = a + start, b + first[start]
        agree = (np.abs(of[a] - with_[b]) <= measure.tolerance_s) & (rows[a] != others[b])
        yield np.column_stack([a[agree], others[b[agree]], close[agree]])
        start = end


def _halved(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return two matrices whose product is -1/2 times the squared distances."""
    half = (vectors * vectors).sum(axis=1, keepdims=True) / 2
    one = np.ones_like(half)
    return np.hstack([vectors, -half, one]), np.hstack([vectors, one, -half])


def _nearest(hits: Float64Array) -> Float64Array:
    """Return the nearest few hits of each place."""
    hits = hits[np.lexsort((hits[:, 1], -hits[:, 2], hits[:, 0]))]
    firsts = np.searchsorted(hits[:, 0], hits[:, 0], side="left")
    return hits[np.arange(len(hits)) - firsts < PARTNERS]


def _named_alike(store: VectorStore, rows: Int64Array, known: BoolArray) -> Int64Array:
    """Return pairs of one of `rows` and any song of one title, artist and length: (m, 2)."""
    artists = store.column("artist").combine_chunks().dictionary_encode()
    names = name_numbers([*artists.dictionary.to_pylist(), None])
    of = names[view(pc.fill_null(artists.indices, scalar(np.int32(-1))), np.int32)]
    groups: dict[tuple[int, str], list[int]] = {}
    songs = {}
    wanted = np.isin(of, of[rows]) & (of >= 0) & known  # songs by the artists of `rows`
    for row, song in _songs_of(store, np.flatnonzero(wanted)):
        if song["title"]:
            songs[row] = song
            groups.setdefault((int(of[row]), read_title(song["title"]).plain), []).append(row)
    new = set(rows.tolist())
    pairs = _pairs(
        [
            (a, b)
            for group in groups.values()
            for a, b in _next_to(sorted(group, key=lambda row: songs[row]["duration_s"]))
            if (a in new or b in new)
            and songs[a]["content_hash"] != songs[b]["content_hash"]
            and abs(songs[a]["duration_s"] - songs[b]["duration_s"]) <= SHIFT_S
        ]
    )
    if not len(pairs):
        return pairs
    alike = embedding_distances(store, pairs) <= NAMED_ALIKE
    near = _similarities(store, pairs) >= 1 - NAMED_SOUND
    return pairs[alike & near]


def _songs_of(store: VectorStore, rows: Int64Array) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield title, audio and length of some rows."""
    table = store.table(["title", "content_hash", "duration_s"]).take(integers(rows))
    yield from zip(rows.tolist(), table.to_pylist(), strict=True)


def _next_to(rows: list[int]) -> Iterator[tuple[int, int]]:
    """Yield pairs of rows that stand at most `PARTNERS` places apart."""
    for place, row in enumerate(rows):
        yield from ((row, other) for other in rows[place + 1 : place + 1 + PARTNERS])


def _similarities(store: VectorStore, pairs: Int64Array) -> FloatArray:
    """Return the similarity by sound of pairs of rows that have it: shape (m,)."""
    rows, places = np.unique(pairs, return_inverse=True)
    one, other = store.list_rows("sound", rows)[1][places.reshape(-1, 2).T]
    found: FloatArray = np.einsum("ij,ij->i", one, other)
    return found


def embedding_distances(store: VectorStore, pairs: Int64Array) -> FloatArray:
    """Return how far the embeddings of pairs of rows lie apart, from 0 to 1: shape (m,).

    The sum of the differences relative to the sum of both: 0 if they are equal; NaN where a song
    was extracted without an embedding, or nothing sounds.
    """
    found = np.full(len(pairs), np.nan, np.float32)
    for start in range(0, len(pairs), PAIRS):
        block = pairs[start : start + PAIRS]
        rows, places = np.unique(block, return_inverse=True)
        there, values = store.list_rows("embedding", rows)
        whole = np.full((len(rows), values.shape[1]), np.nan, np.float32)
        whole[there] = values
        one, other = whole[places.reshape(-1, 2).T]
        found[start : start + PAIRS] = _apart(one, other)
    return found


def _apart(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return the distances of embeddings (m, E), NaN where both are 0."""
    total = np.abs(one).sum(axis=1) + np.abs(other).sum(axis=1)
    found = np.full(len(total), np.nan, np.float32)
    np.divide(np.abs(one - other).sum(axis=1), total, out=found, where=total > 0)
    return found


def score_differences(store: VectorStore, pairs: Int64Array) -> FloatArray:
    """Return the rms difference of the log-odds of scores of pairs of rows: shape (m,)."""
    rows, places = np.unique(pairs, return_inverse=True)
    odds = log_odds_of(store, store.read_rows(rows)).astype(np.float64)
    one, other = odds[places.reshape(-1, 2).T]
    found: FloatArray = np.sqrt(((one - other) ** 2).mean(axis=1)).astype(np.float32)
    return found


def of_one_version(store: VectorStore, pairs: Int64Array) -> BoolArray:
    """Return for which pairs of rows the version head says the same: shape (m,), bool."""
    rows, places = np.unique(pairs, return_inverse=True)
    one, other = _versions(store, store.read_rows(rows))[places.reshape(-1, 2).T]
    return _same_version(one, other)


def copies_of_song(
    store: VectorStore,
    rows: Int64Array,
    embedding: FloatArray,
    vector: FloatArray,
    seconds: float,
    limit: float = ALIKE,
) -> Int64Array:
    """Return those of some rows that are one recording with a song that is not in the store.

    `rows` are near to it by sound; `embedding` (E,), `vector` (V,) and length are those of the
    song, and `limit` the largest distance of two embeddings.
    """
    lengths = np.asarray([row["duration_s"] for row in store.rows(rows.tolist())], np.float64)
    rows = rows[np.abs(lengths - seconds) <= SHIFT_S]
    rows = rows[is_comparable(store)[rows]]
    there, values = store.list_rows("embedding", rows)
    ours = embedding.astype(np.float16)[None]
    rows = rows[there][_apart(values.astype(np.float32), ours.astype(np.float32)) <= limit]
    versions = _versions(store, store.read_rows(rows))
    return rows[_same_version(versions, _versions(store, vector[None]))]


def _versions(store: VectorStore, vectors: FloatArray) -> FloatArray:
    """Return the mean scores of the version head of vectors: (m, 4); no column without it."""
    metadata = store.metadata
    of_head = [name.startswith("version/") for name in metadata.classes]
    if "mean" not in metadata.statistics:
        return np.empty((len(vectors), 0), np.float32)
    values = vectors.reshape(len(vectors), len(of_head), len(metadata.statistics))
    means: FloatArray = values[:, of_head, metadata.statistics.index("mean")]
    return means


def _same_version(one: FloatArray, other: FloatArray) -> BoolArray:
    same: BoolArray = np.abs(one - other).sum(axis=1) / 2 <= OTHER_VERSION
    return same


def _pairs(rows: Sequence[tuple[int, int]]) -> Int64Array:
    return np.sort(np.asarray(rows, np.int64).reshape(-1, 2), axis=1)
