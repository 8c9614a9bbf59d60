"""Which songs of a store are one recording: the rule, and how pairs are found.

    store, rows of new songs ──find_links──▶ `Links`: pairs of rows, and how far apart they are
    "Lithium (Instrumental)"  ──read_title──▶  "lithium", {"instrumental"}

Copies are other encodings, levels and sample rates of a recording, and ones that begin up to 2.5
seconds later. What is found is kept in a file beside the store (`audiorec.store.links`).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc

from audiorec.files.arrow import booleans, floats, integers, one_chunk, scalar, view
from audiorec.spec import fingerprint
from audiorec.store.store import VectorStore
from audiorec.types import (
    BoolArray,
    Float64Array,
    FloatArray,
    Int64Array,
    Status,
    name_numbers,
    normalised_name,
)

# The words of each kind, as regular expressions, within a part that is in brackets or after a dash.
MARKERS = {
    "live": r"live(?= ?(?:/|$|at |in |from |on |version|session|recording|take|\d))|unplugged"
    r"|(?:in )?concert|ao vivo|en (?:vivo|directo)",
    "remaster": r"remaster(?:ed|izado)?|remastering",
    "edit": r"(?:radio|single|video|clean|short|album|extended|long|original) ?(?:edit|version|mix)"
    r"|edit|extended",
    "instrumental": r"instrumental|karaoke|backing track|minus one|without vocals?|no vocals?",
    "acoustic": r"acoustic|akustik|acoustique|acústic[ao]|stripped",
    "demo": r"demo|rough mix|outtake|alternate take",
}
FEATURED = r"(?:feat\.?|ft\.?|featuring|with) .+"  # belongs to the artists, not to the version
_MARKED = {
    kind: re.compile(rf"(?:^|[\s\d/])(?:{words})(?![\w'])") for kind, words in MARKERS.items()
}
_FEATURED = re.compile(FEATURED)
_DASH = r"\s[-\u2013\u2014]\s"
_PART = re.compile(rf"[(\[]([^()\[\]]*)[)\]]|{_DASH}\s*([^()\[\]]*?)(?={_DASH}|\s*[(\[]|$)")


class Title(NamedTuple):
    """A title without what names its version or its guests, and the kinds of version it names."""

    plain: str
    kinds: frozenset[str]


@lru_cache(maxsize=1 << 17)
def read_title(text: str | None) -> Title:
    """Return the plain title of a song, and its version.

    Only what stands in brackets or after a dash counts, since *Live and Let Die* is no concert.

    Examples
    --------
    >>> read_title("Heroes - 2017 Remaster"), read_title("Live and Let Die")
    (Title(plain='heroes', kinds=frozenset({'remaster'})), \
Title(plain='live and let die', kinds=frozenset()))
    """
    name, kinds = normalised_name(text), set()

    def kept(part: re.Match[str]) -> str:
        words = (part[1] if part[1] is not None else part[2]).strip()
        found = {kind for kind, marked in _MARKED.items() if marked.search(words)}
        kinds.update(found)
        return "" if found or _FEATURED.fullmatch(words) else part[0]

    plain = normalised_name(_PART.sub(kept, name))
    return Title(plain or name, frozenset(kinds))


def title_of(title: str | None, song_id: str) -> Title:
    """Return the title in a song's tags; without one, that of the name of its file."""
    return read_title(title or PurePath(song_id).stem)


# Figures: docs/decisions/0057-one-recording-once.md.
SHIFT_S = 2.5  # a copy may begin, or end, so much later
MIN_SEGMENTS = 4  # shorter songs are too short to tell them apart
SOUND = 0.1  # largest 1 - similarity by sound
ALIKE = 0.05  # largest distance of two embeddings
# Both, of two songs of one title and artist, or of one tempo of which one has a low bit rate.
NAMED_SOUND, NAMED_ALIKE = 0.3, 0.13
LOW_KBIT_S, ONE_TEMPO = 64, 1.0003  # ratio of two tempos of one recording
LOSSLESS = ("flac", "alac", "pcm", "wavpack", "ape", "tta")  # how names of codecs begin
HEARD_KBIT_S = 100  # up to which copies are listened to, whatever their tempos
# A part of a song, and its whole: minimum similarity by sound, of one tempo and of a file that was
# cut off; and how many wholes.
PART_SOUND, CUT_SOUND, CUT_WHOLES, CUT_TEMPO = 0.7, 0.4, 3, 1.003
OTHER_VERSION = 0.12  # total variation of the version head's mean scores: sung, instrumental ...
PARTNERS = 20  # nearest candidates per song; bounds memory where many songs are alike
BLOCK_SONGS = 8_192  # new songs that are compared at a time
CELLS = 4 << 20  # distances computed at a time
PAIRS = 4_096  # pairs whose embeddings are in memory at a time

RULE = fingerprint(
    {
        "length_s": SHIFT_S,
        "segments": MIN_SEGMENTS,
        "apart": (SOUND, ALIKE, NAMED_SOUND, NAMED_ALIKE, OTHER_VERSION),
        "low_rate": (LOW_KBIT_S, ONE_TEMPO, HEARD_KBIT_S),
        "cut": (PART_SOUND, CUT_SOUND, CUT_WHOLES, CUT_TEMPO),
        "partners": PARTNERS,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Links:
    """Pairs of songs of a store that are one recording.

    Attributes
    ----------
    pairs : ndarray, shape (m, 2), int64
        Rows of the store, the lower one first.
    distance : ndarray, shape (m,), float32
        Of their embeddings, from 0 to 1.
    sure : ndarray, shape (m,), bool
        False where only listening to both files tells whether they are one recording.
    heard : ndarray, shape (m,), int64
        What listening told: `Heard`.
    khz : ndarray, shape (m,), int64
        The band that only the original has, from so many kilohertz on; 0 if that is not the reason.
    missing : int
        Songs of the store that have not been compared yet.
    """

    pairs: Int64Array
    distance: FloatArray
    sure: BoolArray
    heard: Int64Array
    khz: Int64Array
    missing: int = 0

    @classmethod
    def unheard(cls, pairs: Int64Array, distance: FloatArray, sure: BoolArray) -> "Links":
        """Return links whose files nobody has listened to."""
        heard = np.full(len(pairs), Heard.NOT_YET, np.int64)
        return cls(pairs=pairs, distance=distance, sure=sure, heard=heard, khz=np.zeros_like(heard))

    def part(self, rows: BoolArray) -> "Links":
        """Return some of the links."""
        names = ("pairs", "distance", "sure", "heard", "khz")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


class Heard(IntEnum):
    """What listening to the files of two songs told."""

    NOT_YET = -2  # or a file could not be read
    OTHER = -1  # they are not one recording
    UNKNOWN = 0  # they are, but which is the original cannot be told
    FIRST = 1  # the song of the first row is the original, or the whole
    SECOND = 2


def is_comparable(rows: Any) -> BoolArray:
    """Return which songs are long enough, and not silent: shape (n,), bool.

    `rows` is a store, or rows of one with the columns ``segments`` and ``status``.
    """
    segments, status = (rows.column(name) for name in ("segments", "status"))
    long = pc.greater_equal(segments, scalar(MIN_SEGMENTS))
    result = pc.and_(long, pc.not_equal(status, scalar(str(Status.SILENT))))
    return booleans(one_chunk(result))


def with_sound(store: VectorStore) -> BoolArray:
    """Return which songs have a sound: shape (n,), bool."""
    count = store.songs_with("sound")
    result = np.full(len(store), count == len(store) > 0)
    if 0 < count < len(store):
        result[store.read_list("sound")[0]] = True
    return result


def find_links(store: VectorStore, rows: Int64Array) -> Links:
    """Compare some songs with all songs of a store; audio of one hash is not compared.

    Two songs are linked if their lengths, the mean scores of their version heads, their sounds and
    their embeddings agree. Where title and artist are the same, more distance is allowed, since low
    bit rates cut away half of what is heard; and where one of both has such a rate, if they have
    one tempo. A song and its instrumental version share drums and harmony, but neither the version
    nor the sound. Songs without sound are not compared: vectors alone take one song for another too
    often.

    Songs are compared in blocks sorted by length, each with the songs of nearly that length, so the
    cost grows with these and memory does not grow with the store.

    Parameters
    ----------
    store : VectorStore
    rows : ndarray, shape (m,), int64

    Returns
    -------
    links : Links
    """
    comparable = is_comparable(store)
    known = with_sound(store)
    rows = rows[(comparable & known)[rows]]
    alone = not len(rows) or int((comparable & known).sum()) == 1
    if alone or not store.songs_with("embedding"):
        return Links.unheard(_pairs([]), np.empty(0, np.float32), np.empty(0, np.bool_))
    pairs = near_pairs(store, SOUND, rows, comparable)
    pairs = pairs[embedding_distances(store, pairs) <= ALIKE]
    named, parts = _named_alike(store, rows, known & comparable)
    low, maybe = _low_rate_alike(store, rows, comparable)
    pairs = np.unique(np.concatenate([pairs, named, low]), axis=0)
    pairs = pairs[share_version(store, pairs)]
    n_sure = len(pairs)
    every = np.concatenate([pairs, maybe, parts, cut_pairs(store, rows, known & comparable)])
    every, first = np.unique(every, axis=0, return_index=True)
    return Links.unheard(every, embedding_distances(store, every), first < n_sure)


def _low_rate_alike(
    store: VectorStore, rows: Int64Array, comparable: BoolArray
) -> tuple[Int64Array, Int64Array]:
    """Return pairs of one of `rows` and any song of which one has a low bit rate: (m, 2).

    The sound of such a copy is further away, so both have to have one tempo; the second pairs are
    those that have to be listened to instead.
    """
    bits = 8 * view(store.column("size").combine_chunks(), np.int64)
    kbit_s = bits / 1000 / np.maximum(floats(store.column("duration_s").combine_chunks()), 1)
    low = kbit_s <= HEARD_KBIT_S
    if not low.any():
        return _pairs([]), _pairs([])
    sides = (rows[low[rows]], comparable), (rows[~low[rows]], comparable & low)
    pairs = np.concatenate([near_pairs(store, NAMED_SOUND, *side) for side in sides])
    pairs = np.unique(pairs, axis=0)
    pairs = pairs[embedding_distances(store, pairs) <= NAMED_ALIKE]
    lower = kbit_s <= LOW_KBIT_S
    sure = _apart(_tempos(store), pairs) <= ONE_TEMPO
    sure &= lower[pairs[:, 0]] != lower[pairs[:, 1]]
    maybe = pairs[low[pairs[:, 0]] != low[pairs[:, 1]]]
    return pairs[sure], maybe[share_version(store, maybe)]


def _tempos(store: VectorStore) -> FloatArray:
    """Return the logarithms to base 2 of the tempos: shape (n,), NaN where there is none."""
    if "bpm" not in store.metadata.attributes:
        return np.full(len(store), np.nan, np.float32)
    known = pc.fill_null(store.column("bpm"), scalar(np.float32("nan")))
    return np.log2(floats(known.combine_chunks()))


def _apart(tempos: FloatArray, pairs: Int64Array) -> Float64Array:
    """Return by what factor the tempos of pairs (m, 2) differ, octaves aside: NaN without tempo.

    Two copies may be told at two levels of one tempo.
    """
    octaves = np.diff(tempos[pairs], axis=1)[:, 0].astype(np.float64)
    return np.exp2(np.abs(octaves - np.round(octaves)))


def was_cut(rows: Any) -> BoolArray:
    """Return which songs of a store, or of rows of one, come from files that were cut off."""
    return booleans(one_chunk(pc.equal(rows.column("status"), scalar(str(Status.TRUNCATED)))))


def may_be_parts(similar: FloatArray, cut: BoolArray, others: BoolArray) -> BoolArray:
    """Return which pairs sound alike enough for a part and its whole: shape (m, n), bool.

    Parameters
    ----------
    similar : ndarray, shape (m, n)
        Similarities by sound.
    cut, others : ndarray, shapes (m,) and (n,), bool
        Which songs come from files that were cut off; of such a file less is asked.
    """
    least = np.where(cut[:, None] | others, np.float32(CUT_SOUND), np.float32(PART_SOUND))
    result: BoolArray = similar >= least
    return result


def cut_pairs(store: VectorStore, rows: Int64Array, comparable: BoolArray) -> Int64Array:
    """Return pairs of one of `rows` and any song of which one may be a part of the other: (m, 2).

    Their lengths differ, they sound alike, and the file of one is cut off, or both have one tempo;
    at most `CUT_WHOLES` of each song.
    """
    rows = rows[comparable[rows]]
    about = _OfParts(
        seconds=floats(store.column("duration_s").combine_chunks()).astype(np.float64),
        cut=was_cut(store),
        tempos=_tempos(store),
        comparable=comparable,
    )
    blocks = (rows[start : start + BLOCK_SONGS] for start in range(0, len(rows), BLOCK_SONGS))
    pairs = np.concatenate([_pairs([]), *(_cut_block(store, block, about) for block in blocks)])
    return np.unique(np.sort(pairs, axis=1), axis=0)


class _OfParts(NamedTuple):
    """What tells parts from wholes, of all songs of a store: (n,) each."""

    seconds: Float64Array
    cut: BoolArray
    tempos: FloatArray
    comparable: BoolArray

    def allow(self, pairs: Int64Array) -> BoolArray:
        """Return which pairs (m, 2) may be a part and its whole, whatever they sound like."""
        one, other = pairs.T
        far = np.abs(self.seconds[one] - self.seconds[other]) > SHIFT_S
        alike = self.cut[pairs].any(axis=1) | (_apart(self.tempos, pairs) <= CUT_TEMPO)
        result: BoolArray = far & alike & self.comparable[other]
        return result


def _cut_block(store: VectorStore, rows: Int64Array, about: _OfParts) -> Int64Array:
    """Return the pairs of one block of rows with all songs of a store."""
    there, own = store.list_rows("sound", rows)
    rows = rows[there]
    step = max(1, CELLS // max(1, len(rows)))
    hits = np.empty((0, 3))  # place in `rows`, row, similarity
    for group, values in store.list_blocks("sound"):
        for start in range(0, len(group), step):
            others = group[start : start + step]
            similar = own @ values[start : start + step].T
            a, b = np.nonzero(may_be_parts(similar, about.cut[rows], about.cut[others]))
            found = np.column_stack([a, others[b], similar[a, b]])
            hits = np.concatenate([hits, found[about.allow(np.column_stack([rows[a], others[b]]))]])
        hits = _nearest(hits, CUT_WHOLES)
    return np.column_stack([rows[hits[:, 0].astype(np.int64)], hits[:, 1].astype(np.int64)])


def near_pairs(
    store: VectorStore, apart: float, rows: Int64Array, comparable: BoolArray
) -> Int64Array:
    """Return pairs of one of `rows` and any comparable song of nearly its length: (m, 2).

    They are at most `apart`, as 1 - similarity by sound. Each is returned once, the lower row
    first; only the `PARTNERS` nearest of each of `rows`.
    """
    seconds = floats(store.column("duration_s").combine_chunks()).astype(np.float64)
    rows = rows[np.argsort(seconds[rows], kind="stable")]
    blocks = (rows[start : start + BLOCK_SONGS] for start in range(0, len(rows), BLOCK_SONGS))
    result = [_near_block(store, apart, block, seconds, comparable) for block in blocks]
    pairs = np.concatenate([_pairs([]), *result])
    hashes = store.column("content_hash").combine_chunks()
    one, other = (hashes.take(integers(pairs[:, n])) for n in (0, 1))
    pairs = pairs[booleans(pc.not_equal(one, other))]
    return np.unique(np.sort(pairs, axis=1), axis=0)


def _near_block(
    store: VectorStore,
    apart: float,
    rows: Int64Array,
    seconds: Float64Array,
    comparable: BoolArray,
) -> Int64Array:
    """Return the pairs of one block of rows, sorted by length, with all songs of a store."""
    there, left = store.list_rows("sound", rows)
    rows = rows[there]
    if not len(rows):
        return _pairs([])
    low, high = seconds[rows[0]] - SHIFT_S, seconds[rows[-1]] + SHIFT_S
    hits = np.empty((0, 3))  # place in `rows`, row, closeness
    for group, values in store.list_blocks("sound"):
        near = comparable[group] & (seconds[group] >= low) & (seconds[group] <= high)
        others = group[near]
        order = np.argsort(seconds[others], kind="stable")
        others, right = others[order], values[near][order]
        hits = np.concatenate([hits, *_hits(apart, rows, left, others, right, seconds)])
        hits = _nearest(hits, PARTNERS)
    return np.column_stack([rows[hits[:, 0].astype(np.int64)], hits[:, 1].astype(np.int64)])


def _hits(
    apart: float,
    rows: Int64Array,
    left: FloatArray,
    others: Int64Array,
    right: FloatArray,
    seconds: Float64Array,
) -> Iterator[Float64Array]:
    """Yield place in `rows`, row and closeness of pairs; both sides are sorted by length."""
    left, right = _halved(left)[0], _halved(right)[1]
    of, with_ = seconds[rows], seconds[others]
    first = np.searchsorted(with_, of - SHIFT_S, side="left")
    last = np.searchsorted(with_, of + SHIFT_S, side="right")
    start = 0
    while start < len(rows):
        end = start + 1
        while end < len(rows) and (end + 1 - start) * (last[end] - first[start]) <= CELLS:
            end += 1
        closeness = left[start:end] @ right[first[start] : last[end - 1]].T
        a, b = np.nonzero(closeness >= -apart)
        close = closeness[a, b]
        a, b = a + start, b + first[start]
        agree = (np.abs(of[a] - with_[b]) <= SHIFT_S) & (rows[a] != others[b])
        yield np.column_stack([a[agree], others[b[agree]], close[agree]])
        start = end


def _halved(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return two matrices whose product is -1/2 times the squared distances."""
    half = (vectors * vectors).sum(axis=1, keepdims=True) / 2
    one = np.ones_like(half)
    return np.hstack([vectors, -half, one]), np.hstack([vectors, one, -half])


def _nearest(hits: Float64Array, most: int) -> Float64Array:
    """Return the nearest hits of each place, at most so many."""
    hits = hits[np.lexsort((hits[:, 1], -hits[:, 2], hits[:, 0]))]
    firsts = np.searchsorted(hits[:, 0], hits[:, 0], side="left")
    return hits[np.arange(len(hits)) - firsts < most]


def _named_alike(
    store: VectorStore, rows: Int64Array, known: BoolArray
) -> tuple[Int64Array, Int64Array]:
    """Return pairs of one of `rows` and any song of one title and artist: (m, 2).

    Those of one length that sound alike, and those of which one may be a part of the other.
    """
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
            if (a in new or b in new) and songs[a]["content_hash"] != songs[b]["content_hash"]
        ]
    )
    if not len(pairs):
        return pairs, pairs
    lengths = np.asarray([[songs[row]["duration_s"] for row in pair] for pair in pairs.tolist()])
    is_part = np.abs(lengths[:, 0] - lengths[:, 1]) > SHIFT_S
    same = np.asarray([songs[a]["title"] == songs[b]["title"] for a, b in pairs.tolist()])
    parts, pairs = pairs[is_part & same], pairs[~is_part]
    alike = embedding_distances(store, pairs) <= NAMED_ALIKE
    near = _similarities(store, pairs) >= 1 - NAMED_SOUND
    return pairs[alike & near], parts


def _songs_of(store: VectorStore, rows: Int64Array) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield title, audio and length of some rows."""
    table = store.table(["title", "content_hash", "duration_s"]).take(integers(rows))
    yield from zip(rows.tolist(), table.to_pylist(), strict=True)


def _next_to(rows: list[int]) -> Iterator[tuple[int, int]]:
    """Yield pairs of rows that stand at most `PARTNERS` places apart."""
    for index, row in enumerate(rows):
        yield from ((row, other) for other in rows[index + 1 : index + 1 + PARTNERS])


def _similarities(store: VectorStore, pairs: Int64Array) -> FloatArray:
    """Return the similarity by sound of pairs of rows that have it: shape (m,)."""
    rows, places = np.unique(pairs, return_inverse=True)
    one, other = store.list_rows("sound", rows)[1][places.reshape(-1, 2).T]
    return np.einsum("ij,ij->i", one, other)


def embedding_distances(store: VectorStore, pairs: Int64Array) -> FloatArray:
    """Return how far the embeddings of pairs of rows lie apart, from 0 to 1: shape (m,).

    The sum of the differences relative to the sum of both: 0 if they are equal; NaN where a song
    was extracted without an embedding, or nothing sounds.
    """
    distances = np.full(len(pairs), np.nan, np.float32)
    for start in range(0, len(pairs), PAIRS):
        block = pairs[start : start + PAIRS]
        rows, places = np.unique(block, return_inverse=True)
        there, values = store.list_rows("embedding", rows)
        whole = np.full((len(rows), values.shape[1]), np.nan, np.float32)
        whole[there] = values
        one, other = whole[places.reshape(-1, 2).T]
        distances[start : start + PAIRS] = apart(one, other)
    return distances


def apart(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return the distances of embeddings (m, E), NaN where both are 0; `other` may be one."""
    total = np.abs(one).sum(axis=1) + np.abs(other).sum(axis=1)
    result = np.full(len(total), np.nan, np.float32)
    np.divide(np.abs(one - other).sum(axis=1), total, out=result, where=total > 0)
    return result


def share_version(store: VectorStore, pairs: Int64Array) -> BoolArray:
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
    rows = rows[there][apart(values.astype(np.float32), ours.astype(np.float32)) <= limit]
    versions = _versions(store, store.read_rows(rows))
    return rows[_same_version(versions, _versions(store, vector[None]))]


def _versions(store: VectorStore, vectors: FloatArray) -> FloatArray:
    """Return the mean scores of the version head of vectors: (m, 4); no column without it."""
    return vectors[:, list(store.metadata.mean_columns("version").values())]


def _same_version(one: FloatArray, other: FloatArray) -> BoolArray:
    return np.abs(one - other).sum(axis=1) / 2 <= OTHER_VERSION


def _pairs(rows: Sequence[tuple[int, int]]) -> Int64Array:
    return np.sort(np.asarray(rows, np.int64).reshape(-1, 2), axis=1)
