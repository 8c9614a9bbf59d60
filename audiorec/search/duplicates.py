"""Find the same audio stored more than once in a library; nothing is merged or removed.

    store ──same content_hash──────────────────────────────────────▶ identical
          ──lengths, scores, version agree──▶ candidates ──series agree──▶ same
                                      ──no series, embeddings (or scores) agree──▶ likely

A vector discards the order of time, so two songs of one kind can have nearly equal vectors, but
their score series still differ. The *mismatch* of two series is the squared distance between
them, relative to the variation of both around their own means: 0 for equal series, 1 or more for
unrelated ones. A song and its instrumental version share most of their movement, but not the scores
of the version head, so these have to agree as well.

The cost grows with the number of songs of nearly equal length, not with the square of the
library. If all songs are of one length it is quadratic, in blocks of bounded memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, SpecMismatchError, StoreError
from audiorec.search.filters import text_codes
from audiorec.store.features import SeriesFile, open_series
from audiorec.store.inventory import USUAL_NAMES
from audiorec.store.schema import Kind
from audiorec.store.store import VectorStore
from audiorec.types import Float64Array, FloatArray, Status

# Figures: docs/decisions/0008-playlists-and-duplicates.md.
LENGTH_TOLERANCE_S = 0.25  # codecs pad by up to a tenth of a second
MIN_SEGMENTS = 4  # shorter series are too short to tell songs apart
CANDIDATE = 1.25  # largest rms difference of the log-odds of mean, max and min
LIKELY = 0.25  # the same, where neither series nor embeddings are available
ALIKE = 0.025  # largest distance of two embeddings, where no series is available
OTHER_VERSION = 0.12  # total variation of the version head's mean scores: sung, instrumental ...
MISMATCH = {Kind.FEATURES: 0.5, Kind.SCORES: 0.25}
HOPELESS = 0.8  # mismatch of scores above which features are not read
PARTNERS = 20  # nearest candidates per song; bounds memory where many songs are of one length
COMPARED = ("max", "min", "mean")
EMBEDDING = "embedding"
FLOOR = 1e-4  # clips log-odds of scores near 0 and 1; the limits above depend on it
CELLS = 4 << 20  # distances computed at a time
SERIES_BYTES = 256 << 20  # series held in memory at a time


class SameAudio(StrEnum):
    """How certain it is that songs are the same audio, most certain first."""

    IDENTICAL = "identical"  # the same audio packets
    SAME = "same"  # another encoding: the series agree over time
    LIKELY = "likely"  # lengths, vectors and embeddings agree; no series to compare


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two songs that are the same audio."""

    rows: tuple[int, int]  # rows of the store
    verdict: SameAudio
    length_difference_s: float
    difference: float  # rms difference of the log-odds of mean, largest and smallest scores
    mismatch: float | None = None  # of the series; None if no series was compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Songs with the same audio, linked by pairs.

    Attributes
    ----------
    song_ids : tuple of str
    rows : tuple of int
        Rows of the store, ascending.
    verdict : SameAudio
        Of the weakest link needed to connect the group.
    pairs : tuple of Pair
        The links, most certain first.
    """

    song_ids: tuple[str, ...]
    rows: tuple[int, ...] = field(repr=False)
    verdict: SameAudio
    pairs: tuple[Pair, ...] = field(repr=False)


def find_duplicates(store: VectorStore, series: Sequence[SeriesFile] = ()) -> list[Group]:
    """Find groups of songs with the same audio, most certain first, then by their first row.

    Parameters
    ----------
    store : VectorStore
    series : sequence of SeriesFile
        Features, scores, both or none. If both are given, features decide.

    Notes
    -----
    Songs with different hashes pair up only if their lengths differ by at most
    `LENGTH_TOLERANCE_S`, the mean scores of a head called ``version`` differ by at most
    `OTHER_VERSION`, both have at least `MIN_SEGMENTS` segments, and neither is silent. Copies
    that start later, end earlier, or run at another speed are not found.

    Raises
    ------
    InputError
        If the store's vectors lack one of the statistics `COMPARED`.
    """
    songs = _Audio(store)
    pairs = list(_identical(songs))
    candidates = [
        (a, b)
        for a, b in _candidates(songs)
        if songs.hashes[a] != songs.hashes[b] and songs.are_one_version(a, b)
    ]
    pairs += _judged(store, songs, candidates, sorted(series, key=lambda file: file.kind))
    return _groups(store, pairs)


def series_beside(
    store: VectorStore,
    *,
    scores: str | Path | None = None,
    features: str | Path | None = None,
) -> tuple[list[SeriesFile], list[str]]:
    """Open the series files of a store: the given ones, else those beside it.

    Unusable files beside the store are skipped; the second list says why.

    Raises
    ------
    InputError, StoreError, SpecMismatchError
        If a given file cannot be used.
    """
    found, notes = [], []
    for kind, given in ((Kind.SCORES, scores), (Kind.FEATURES, features)):
        if given is not None:
            found.append(open_series(store, Path(given), kind))
            continue
        path = store.path.with_name(USUAL_NAMES[kind])
        if path.exists():
            try:
                found.append(open_series(store, path, kind))
            except (InputError, StoreError, SpecMismatchError) as error:
                notes.append(f"not used: {error}")
    return found, notes


def mismatch(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> float:
    """Return the mismatch of two series (T, D) over the length of the shorter one.

    0 for equal series that vary at all; about 1 or more for unrelated ones; infinite if neither
    varies, since constant series carry no evidence.
    """
    length = min(len(a), len(b))
    x, y = a[:length].astype(np.float64), b[:length].astype(np.float64)
    moves = ((x - x.mean(axis=0)) ** 2).sum() + ((y - y.mean(axis=0)) ** 2).sum()
    return float(((x - y) ** 2).sum() / moves) if moves > 0 else float("inf")


class _Audio:
    """The columns of a store that the search uses: lengths, hashes, and scores as log-odds."""

    def __init__(self, store: VectorStore) -> None:
        statistics = store.metadata.statistics
        missing = [name for name in COMPARED if name not in statistics]
        if missing:
            raise InputError(f"{store.path}: its vectors have no {', '.join(missing)}")
        places = [statistics.index(name) for name in COMPARED]
        classes = store.metadata.classes
        versions = [name.startswith("version/") for name in classes]
        log_odds = [np.empty((0, len(classes) * len(places)), np.float32)]
        means = [np.empty((0, sum(versions)), np.float32)]
        for block in store.blocks():
            values = block.reshape(len(block), len(classes), -1)[:, :, places]
            log_odds.append(_log_odds(values).reshape(len(block), -1))
            means.append(values[:, versions, COMPARED.index("mean")])
        self.log_odds, self.version = np.concatenate(log_odds), np.concatenate(means)
        self.seconds = np.asarray(store.column("duration_s").to_pylist(), np.float64)
        self.hashes, _ = text_codes(store, "content_hash")
        segments = np.asarray(store.column("segments").to_pylist(), np.int64)
        codes, statuses = text_codes(store, "status")
        silent = np.asarray([*(s == Status.SILENT for s in statuses), False], np.bool_)[codes]
        self.comparable = (segments >= MIN_SEGMENTS) & ~silent

    def pair(
        self, rows: tuple[int, int], verdict: SameAudio, mismatch: float | None = None
    ) -> Pair:
        a, b = rows
        return Pair(
            rows=rows,
            verdict=verdict,
            length_difference_s=float(abs(self.seconds[a] - self.seconds[b])),
            difference=self.difference(rows),
            mismatch=mismatch,
        )

    def are_one_version(self, a: int, b: int) -> bool:
        """Whether the version head says the same of both; without such a head it does."""
        return bool(np.abs(self.version[a] - self.version[b]).sum() / 2 <= OTHER_VERSION)

    def difference(self, rows: tuple[int, int]) -> float:
        a, b = (self.log_odds[row].astype(np.float64) for row in rows)
        return float(np.sqrt(((a - b) ** 2).mean()))


def _log_odds(p: npt.NDArray[np.floating]) -> FloatArray:
    q = np.clip(p.astype(np.float64), 0.0, 1.0)
    return np.log((q + FLOOR) / (1.0 + FLOOR - q)).astype(np.float32)


def _identical(songs: _Audio) -> Iterator[Pair]:
    """Link each song to the previous one with the same hash."""
    order = np.argsort(songs.hashes, kind="stable")
    hashes = songs.hashes[order]
    for place in np.flatnonzero(hashes[1:] == hashes[:-1]):
        yield songs.pair((int(order[place]), int(order[place + 1])), SameAudio.IDENTICAL)


def _candidates(songs: _Audio) -> list[tuple[int, int]]:
    """Return pairs of rows whose lengths and scores agree, lower row first.

    Songs are sorted by length, so each block is compared with one window of songs. Only the
    `PARTNERS` nearest of each song are kept.
    """
    rows = np.flatnonzero(songs.comparable)
    rows = rows[np.argsort(songs.seconds[rows], kind="stable")]
    seconds = songs.seconds[rows]
    low = np.searchsorted(seconds, seconds - LENGTH_TOLERANCE_S, side="left")
    high = np.searchsorted(seconds, seconds + LENGTH_TOLERANCE_S, side="right")
    left, right = _halved(songs.log_odds[rows])
    least = -0.5 * CANDIDATE**2 * songs.log_odds.shape[1]
    found: set[tuple[int, int]] = set()
    start = 0
    while start < len(rows):
        end = start + 1
        while end < len(rows) and (end + 1 - start) * (high[end] - low[start]) <= CELLS:
            end += 1
        window = slice(low[start], high[end - 1])
        closeness = left[start:end] @ right[window].T
        for a, b in _near(closeness, least, seconds[start:end], seconds[window]):
            one, other = int(rows[start + a]), int(rows[low[start] + b])
            if one != other:
                found.add((min(one, other), max(one, other)))
        start = end
    return sorted(found)


def _halved(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return two matrices whose product is -1/2 times the squared distances."""
    half = (vectors * vectors).sum(axis=1, keepdims=True) / 2
    one = np.ones_like(half)
    return np.hstack([vectors, -half, one]), np.hstack([vectors, one, -half])


def _near(
    closeness: FloatArray,
    least: float,
    seconds: Float64Array,
    others: Float64Array,
) -> list[tuple[int, int]]:
    """Return positions (row, column) of agreeing pairs, only the nearest few of each row."""
    places = np.flatnonzero(closeness >= least)
    a, b = np.divmod(places, closeness.shape[1])
    agree = np.abs(seconds[a] - others[b]) <= LENGTH_TOLERANCE_S
    a, b, values = a[agree], b[agree], closeness.ravel()[places[agree]]
    order = np.lexsort((-values, a))
    a, b = a[order], b[order]
    # Rank of each pair within its row: the sort has grouped the rows, nearest first.
    firsts = np.searchsorted(a, a, side="left")
    kept = np.arange(len(a)) - firsts <= PARTNERS  # one more, as the song itself is among them
    return list(zip(a[kept].tolist(), b[kept].tolist(), strict=True))


def _judged(
    store: VectorStore,
    songs: _Audio,
    candidates: list[tuple[int, int]],
    series: Sequence[SeriesFile],
) -> Iterator[Pair]:
    """Compare the series of the candidate pairs; yield those with the same audio."""
    scores = next((file for file in series if file.kind == Kind.SCORES), None)
    features = next((file for file in series if file.kind == Kind.FEATURES), None)
    by_scores = dict(_mismatches(store, candidates, scores)) if scores else {}
    left = [pair for pair in candidates if by_scores.get(pair, 0.0) <= HOPELESS]
    by_features = dict(_mismatches(store, left, features)) if features else {}
    unknown = [pair for pair in left if pair not in by_features and pair not in by_scores]
    apart = embedding_distances(store, unknown)
    for pair in left:
        if pair in by_features:
            found, limit = by_features[pair], MISMATCH[Kind.FEATURES]
        elif pair in by_scores:
            found, limit = by_scores[pair], MISMATCH[Kind.SCORES]
        else:
            alike = apart[pair] <= ALIKE if pair in apart else songs.difference(pair) <= LIKELY
            if alike:
                yield songs.pair(pair, SameAudio.LIKELY)
            continue
        if found <= limit:
            yield songs.pair(pair, SameAudio.SAME, found)


def embedding_distances(
    store: VectorStore, pairs: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], float]:
    """Return how far the embeddings of pairs of rows lie apart, from 0 to 1.

    The sum of the differences relative to the sum of both: 0 if they are equal. Pairs of which a
    song was extracted without an embedding are left out.
    """
    if not store.songs_with(EMBEDDING):
        return {}
    most = max(1, SERIES_BYTES // (32 * store.metadata.lists[EMBEDDING]))
    found: dict[tuple[int, int], float] = {}
    for start in range(0, len(pairs), most):
        block = np.asarray(pairs[start : start + most], np.int64)
        rows, places = np.unique(block, return_inverse=True)
        there, values = store.list_rows(EMBEDDING, rows)
        at = np.full(len(rows), -1)
        at[there] = np.arange(len(there))
        places = at[places.reshape(-1, 2)]
        both = np.flatnonzero((places >= 0).all(axis=1))
        one, other = (values[of].astype(np.float32) for of in places[both].T)
        total = np.abs(one).sum(axis=1) + np.abs(other).sum(axis=1)
        apart = np.abs(one - other).sum(axis=1) / np.where(total > 0, total, 1.0)
        apart[total == 0] = 1.0  # silence, which is not compared
        found |= {pairs[start + n]: float(d) for n, d in zip(both.tolist(), apart, strict=True)}
    return found


def _mismatches(
    store: VectorStore, pairs: list[tuple[int, int]], file: SeriesFile
) -> Iterator[tuple[tuple[int, int], float]]:
    """Yield the mismatch of each pair whose series are in the file, in batches of series."""
    segments = store.column("segments").to_pylist()
    batch: list[tuple[int, int]] = []
    songs: set[int] = set()
    size = 0
    for pair in pairs:
        if not all(store.ids[row] in file for row in pair):
            continue
        new = set(pair) - songs
        size += sum(segments[row] for row in new) * file.segment_bytes
        if batch and size > SERIES_BYTES:
            yield from _compared(store, batch, songs, file)
            batch, songs, new = [], set(), set(pair)
            size = sum(segments[row] for row in new) * file.segment_bytes
        batch.append(pair)
        songs |= new
    if batch:
        yield from _compared(store, batch, songs, file)


def _compared(
    store: VectorStore, pairs: list[tuple[int, int]], songs: set[int], file: SeriesFile
) -> Iterator[tuple[tuple[int, int], float]]:
    series = file.read([store.ids[row] for row in sorted(songs)])
    if file.kind == Kind.SCORES:
        series = {song_id: _log_odds(scores) for song_id, scores in series.items()}
    for a, b in pairs:
        yield (a, b), mismatch(series[store.ids[a]], series[store.ids[b]])


def _groups(store: VectorStore, pairs: list[Pair]) -> list[Group]:
    """Join pairs that share a song; most certain first, so the last link is the weakest."""
    order = list(SameAudio)
    # row -> its group, shared by all rows in it: (rows, all links, links that connect it)
    group_of: dict[int, tuple[list[int], list[Pair], list[Pair]]] = {}
    for pair in sorted(pairs, key=lambda pair: (order.index(pair.verdict), pair.rows)):
        a, b = (group_of.setdefault(row, ([row], [], [])) for row in pair.rows)
        if a is not b:
            group_of |= dict.fromkeys(b[0], a)
            a[0].extend(b[0])
            a[1].extend(b[1])
            a[2].extend([*b[2], pair])
        a[1].append(pair)
    groups = [
        Group(
            song_ids=tuple(store.ids[row] for row in sorted(rows)),
            rows=tuple(sorted(rows)),
            verdict=needed[-1].verdict,
            pairs=tuple(links),
        )
        for rows, links, needed in {id(group): group for group in group_of.values()}.values()
    ]
    return sorted(groups, key=lambda group: (order.index(group.verdict), group.rows))
