"""Find recordings that a library holds more than once; nothing is merged or removed.

    store ──same content_hash─────────────────────────────▶ identical
          ──linked by lengths, versions and sounds────────▶ likely
          ──scores agree──▶ candidates ──series agree─────▶ same
                                       ──neither series nor sound──▶ likely

Links are those that lists use (`audiorec.store.recordings`), read from the file beside the store,
or found now if it is not complete. Series confirm them, and find copies of a narrow band: two songs
of one kind have nearly equal vectors, but their series still differ. The *mismatch* of two series
is the squared distance between them, relative to the variation of both around their own means: 0
for equal series, 1 or more for unrelated ones. A song and its instrumental version share most of
their movement, but not the scores of the version head, so these have to agree as well.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audiorec.columns import StoreColumns
from audiorec.errors import InputError, SpecMismatchError, StoreError
from audiorec.search.copies import agreeing, quality, same_audio, why_kept
from audiorec.store.features import SeriesFile, open_series
from audiorec.store.inventory import USUAL_NAMES
from audiorec.store.recordings import (
    Links,
    by_scores,
    find_links,
    has_compared,
    is_comparable,
    log_odds,
    near_pairs,
    of_one_version,
    read_links,
    score_differences,
    with_sound,
)
from audiorec.store.schema import Kind
from audiorec.store.store import VectorStore
from audiorec.types import Int64Array

# Figures: docs/decisions/0008-playlists-and-duplicates.md.
CANDIDATE = 1.25  # largest rms difference of the log-odds of mean, max and min
LIKELY = 0.25  # the same, where neither series nor sound is available
MISMATCH = {Kind.FEATURES: 0.36, Kind.SCORES: 0.25}
HOPELESS = 0.8  # mismatch of scores above which features are not read
SERIES_BYTES = 256 << 20  # series held in memory at a time


class SameAudio(StrEnum):
    """How certain it is that songs are the same audio, most certain first."""

    IDENTICAL = "identical"  # the same audio packets
    SAME = "same"  # another encoding: the series agree over time
    LIKELY = "likely"  # lengths, versions and sounds agree


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two songs that are one recording."""

    rows: tuple[int, int]  # rows of the store
    verdict: SameAudio
    length_difference_s: float
    difference: float  # rms difference of the log-odds of mean, largest and smallest scores
    distance: float | None  # of their embeddings, where these agree
    mismatch: float | None = None  # of the series; None if no series was compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Copies of one recording, linked by pairs.

    Attributes
    ----------
    song_ids : tuple of str
    rows : tuple of int
        Rows of the store, ascending.
    verdict : SameAudio
        Of the weakest link needed to connect the group.
    pairs : tuple of Pair
        The links, most certain first.
    kept : str
        Id of the best copy, which lists show.
    why : str
        What it has over the next best.
    """

    song_ids: tuple[str, ...]
    rows: tuple[int, ...] = field(repr=False)
    verdict: SameAudio
    pairs: tuple[Pair, ...] = field(repr=False)
    kept: str = ""
    why: str = field(default="", repr=False)


def find_duplicates(store: VectorStore, series: Sequence[SeriesFile] = ()) -> list[Group]:
    """Find groups of songs that are one recording, most certain first, then by their first row.

    Parameters
    ----------
    store : VectorStore
    series : sequence of SeriesFile
        Features, scores, both or none. If both are given, features decide.

    Notes
    -----
    Two songs are never one recording if their titles name two versions, the scores of a head called
    ``version`` differ, one is silent or shorter than four segments, or their lengths differ by more
    than 2.5 seconds. Copies at another speed are not found.
    """
    seconds = np.asarray(store.column("duration_s").to_pylist(), np.float64)
    links = read_links(store)
    if links is None or links.missing:
        links = find_links(store, np.arange(len(store)))
    agreed = _agreed(store, links)
    by_series = _agreed(store, _by_series(store, series))
    verdicts = dict.fromkeys(agreed, SameAudio.LIKELY)
    verdicts |= {
        pair: SameAudio.LIKELY if np.isnan(apart) else SameAudio.SAME
        for pair, apart in by_series.items()
    }
    identical = [(a, b) for a, b in same_audio(store).tolist()]
    verdicts |= dict.fromkeys(identical, SameAudio.IDENTICAL)
    differences = np.full(len(verdicts), np.nan, np.float32)
    if has_compared(store):
        differences = score_differences(store, np.asarray(list(verdicts)).reshape(-1, 2))
    pairs = [
        Pair(
            rows=pair,
            verdict=verdict,
            length_difference_s=float(abs(seconds[pair[0]] - seconds[pair[1]])),
            difference=difference,
            distance=agreed.get(pair),
            mismatch=None if verdict is not SameAudio.SAME else by_series[pair],
        )
        for (pair, verdict), difference in zip(verdicts.items(), differences.tolist(), strict=True)
    ]
    return _groups(store, pairs)


def _agreed(store: VectorStore, links: Links) -> dict[tuple[int, int], float]:
    """Return the distances of the linked pairs that titles allow."""
    good = agreeing(store, links)
    pairs = [(a, b) for a, b in links.pairs[good].tolist()]
    return dict(zip(pairs, links.distance[good].tolist(), strict=True))


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


def _by_series(store: VectorStore, series: Sequence[SeriesFile]) -> Links:
    """Return the pairs whose series agree, and their mismatches; features decide over scores.

    Where a song has neither series nor sound, nearly equal scores have to do: NaN.
    """
    none = Links(pairs=np.empty((0, 2), np.int64), distance=np.empty(0, np.float32))
    comparable = is_comparable(store)
    whole = store.songs_with("sound") == len(store)
    if not has_compared(store) or (whole and not series):
        return none
    limit = CANDIDATE if series else LIKELY
    found = near_pairs(store, by_scores(store, limit), np.flatnonzero(comparable), comparable)
    found = found[of_one_version(store, found)]
    left = [(a, b) for a, b in found.tolist()]
    decided: dict[tuple[int, int], tuple[Kind, float]] = {}
    for file in sorted(series, key=lambda file: file.kind == Kind.FEATURES):
        decided |= {pair: (file.kind, apart) for pair, apart in _mismatches(store, left, file)}
        left = [pair for pair in left if pair not in decided or decided[pair][1] <= HOPELESS]
    kept = {pair: apart for pair, (kind, apart) in decided.items() if apart <= MISMATCH[kind]}
    kept |= dict.fromkeys(_nearly_equal(store, found, decided), float("nan"))
    if not kept:
        return none
    return Links(
        pairs=np.asarray(list(kept), np.int64), distance=np.asarray(list(kept.values()), np.float32)
    )


def _nearly_equal(
    store: VectorStore, found: Int64Array, decided: Collection[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of nearly equal scores of which a song has neither series nor sound."""
    found = found[~with_sound(store)[found].all(axis=1)]
    near = found[score_differences(store, found) <= LIKELY]
    yield from ((a, b) for a, b in near.tolist() if (a, b) not in decided)


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
        series = {song_id: log_odds(scores) for song_id, scores in series.items()}
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
            **_kept(store, rows),
        )
        for rows, links, needed in {id(group): group for group in group_of.values()}.values()
    ]
    return sorted(groups, key=lambda group: (order.index(group.verdict), group.rows))


def _kept(store: VectorStore, rows: Sequence[int]) -> dict[str, str]:
    """Return the best copy of a group, and what it has over the next best."""
    best, *others = sorted(store.rows(sorted(rows)), key=quality)
    return {"kept": best[StoreColumns.ID], "why": why_kept(best, others)}
