"""Which songs of a store are one recording, or versions of one title, and which copy is the best.

    store ──recordings_of──▶ `Recordings`: a number for each recording, and the rank of its copies
          ──`VersionsOf`───▶ numbers (n,): live, remastered and acoustic versions share one
          ──find_duplicates▶ `Group`: the copies of a recording, how certain, and which are surplus

Songs with the same audio, and those that the file beside the store links
(`audiorec.store.links`), are one recording, unless their titles name two versions. Where the
tags name two titles, half the distance is allowed. Of copies the best one is the original where
that is known (`audiorec.extraction.originals`), then the one without damage, lossless, of the
higher rate, longer.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow.compute as pc

from audiorec.columns import StoreColumns
from audiorec.files.arrow import booleans, floats, view
from audiorec.search.filters import UNKNOWN, name_codes
from audiorec.store.links import read_links
from audiorec.store.recordings import (
    ALIKE,
    LOSSLESS,
    SHIFT_S,
    Heard,
    Links,
    find_links,
    read_title,
    title_of,
)
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, Int32Array, Int64Array, Status

CANNOT_TELL = "which is the original cannot be told"
NEAR = 0.3  # minimum similarity by sound of songs of one title and artist that name no version


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recordings:
    """The recordings of a store of which it has several copies.

    Attributes
    ----------
    codes : ndarray, shape (n,), int32
        A number for each recording; `UNKNOWN` for a song without a copy.
    rank : ndarray, shape (n,), int64
        From 0, the best song of the store, over all songs with a copy; the others have 0.
    missing : int
        Songs that were not compared, so that only the same audio counts as their copy.
    """

    codes: Int32Array
    rank: Int64Array
    missing: int

    def of(self, row: int) -> list[int]:
        """Return the other copies of a song, best first."""
        if self.codes[row] == UNKNOWN:
            return []
        rows = np.flatnonzero(self.codes == self.codes[row])
        return [int(r) for r in rows[np.argsort(self.rank[rows])] if r != row]

    def best(self, rows: Sequence[int]) -> int | None:
        """Return the best of the songs if all are one recording, else None."""
        codes = set(self.codes[list(rows)].tolist())
        if len(codes) != 1 or codes == {UNKNOWN}:
            return None
        return min(rows, key=self.rank.__getitem__)


def recordings_of(store: VectorStore) -> Recordings:
    """Return the recordings of a store; without the file beside it, those of one content hash."""
    links = read_links(store)
    pairs = same_audio(store)
    missing, made = len(store), {}
    if links is not None:
        links = links.part(agreeing(store, links))
        pairs, missing = np.concatenate([pairs, links.pairs]), links.missing
        made = made_from(links)
    codes = joined(len(store), pairs)
    return Recordings(codes=codes, rank=_ranks(store, codes, made), missing=missing)


def made_from(links: Links) -> dict[int, tuple[int, int]]:
    """Return the rows that are known to be made from another one: that row, and the kilohertz."""
    result: dict[int, tuple[int, int]] = {}
    for (a, b), heard, khz in zip(links.pairs.tolist(), links.heard, links.khz, strict=True):
        if heard > 0:
            first, later = (a, b) if heard == Heard.FIRST else (b, a)
            result.setdefault(later, (first, int(khz)))
    return result


def same_audio(store: VectorStore) -> Int64Array:
    """Return pairs (m, 2) of the first row of each audio, and each further one."""
    rows = _perhaps_again(store)
    if not len(rows):
        return np.empty((0, 2), np.int64)
    hashes = store.take_column("content_hash", rows).combine_chunks()
    order = pc.sort_indices(hashes)  # stable
    ordered = hashes.take(order)
    same = booleans(pc.equal(ordered.slice(1), ordered.slice(0, max(0, len(ordered) - 1))))
    again = np.append(np.zeros(min(1, len(ordered)), np.bool_), same)
    rows = rows[view(order, np.uint64).astype(np.int64)]
    first = np.maximum.accumulate(np.where(again, 0, np.arange(len(rows))))
    pairs = np.column_stack([rows[first], rows])[again]
    return pairs[np.lexsort(pairs.T)]


def _perhaps_again(store: VectorStore) -> Int64Array:
    """Return the rows whose audio another row has, by numbers of 64 bits made of its hash, (m,).

    All hashes of a million songs, sorted, would take 110 MB; their numbers take 8.
    """
    numbers = np.empty(len(store), np.int64)
    for start, stop, column in store.column_blocks("content_hash"):
        numbers[start:stop] = np.fromiter(map(hash, column.to_pylist()), np.int64, stop - start)
    order = np.argsort(numbers, kind="stable")
    numbers = numbers[order]
    same = numbers[1:] == numbers[:-1]
    is_again = np.zeros(len(order), np.bool_)
    is_again[1:] |= same
    is_again[:-1] |= same
    return np.sort(order[is_again]).astype(np.int64)


def agreeing(store: VectorStore, links: Links) -> BoolArray:
    """Return which links the titles of both songs allow: shape (m,), bool."""
    rows, places = np.unique(links.pairs, return_inverse=True)
    songs = store.rows(rows.tolist()) if len(rows) else []
    titles = [song["title"] for song in songs]
    plain = [read_title(title).plain if title else "" for title in titles]
    kinds = [title_of(song["title"], song[StoreColumns.ID]).kinds for song in songs]
    good = links.sure | (links.heard >= Heard.UNKNOWN)
    for n, (a, b) in enumerate(places.reshape(-1, 2).tolist()):
        two_titles = bool(plain[a] and plain[b]) and plain[a] != plain[b]
        far = links.sure[n] and links.distance[n] > ALIKE / 2
        good[n] &= kinds[a] == kinds[b] and not (two_titles and far)
    return good


def joined(n: int, pairs: Int64Array) -> Int32Array:
    """Return a number for each group that pairs join: (n,), `UNKNOWN` for a row without a pair.

    Examples
    --------
    >>> joined(6, np.array([[0, 3], [1, 2], [3, 5]])).tolist()
    [0, 1, 1, 0, -1, 0]
    """
    parent: dict[int, int] = {}

    def root(row: int) -> int:
        while (above := parent.setdefault(row, row)) != row:
            parent[row] = row = parent[above]
        return row

    for a, b in pairs.tolist():
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    codes = np.full(n, UNKNOWN, np.int32)
    rows = sorted(parent)
    roots = [root(row) for row in rows]
    codes[rows] = np.unique(roots, return_inverse=True)[1]
    return codes


def _ranks(store: VectorStore, codes: Int32Array, made: Container[int]) -> Int64Array:
    """Rank the songs with a copy, best first."""
    rows = np.flatnonzero(codes != UNKNOWN)
    rank = np.zeros(len(codes), np.int64)
    if len(rows):
        songs = store.rows(rows.tolist())
        order = sorted(range(len(rows)), key=lambda n: (rows[n] in made, quality(songs[n])))
        rank[rows[order]] = np.arange(len(rows))
    return rank


def quality(song: dict[str, Any]) -> tuple[Any, ...]:
    """Return the sort key of copies: undamaged, lossless, higher rate, longer, more bits, by id.

    The rate is that of the bits, or of the samples where nothing is lost: there the bits say how
    loud and how dense the music is.
    """
    lossless = is_lossless(song)
    return (
        song["status"] != Status.OK or song["packet_errors"] > 0,
        not lossless,
        -(song["source_rate"] if lossless else kbit_s(song)),
        -round(float(song["duration_s"])),
        -kbit_s(song),
        song[StoreColumns.ID],
    )


def kbit_s(song: dict[str, Any]) -> int:
    """Return the bit rate of a song's file, in kbit/s."""
    bits = 8 * int(song["size"])
    return round(bits / 1000 / max(float(song["duration_s"]), 1.0))


def is_lossless(song: dict[str, Any]) -> bool:
    """Return whether the codec of a song loses nothing."""
    return str(song["codec"]).startswith(LOSSLESS)


def why_surplus(song: dict[str, Any], first: dict[str, Any], khz: int) -> str:
    """Say how one knows that a song was made from another one."""
    whole, what = first[StoreColumns.ID], f"this {_codec(song)}"
    missing = float(first["duration_s"]) - float(song["duration_s"])
    if missing > SHIFT_S:
        return f"a part of {whole}: {missing:,.0f} s of it are missing"
    if is_lossless(song):
        return f"made from {whole}: {what} has the traces of {_codec(first)}"
    return f"not the original: {whole} has sound at {khz} kHz, {what} has hardly any"


def _codec(song: dict[str, Any]) -> str:
    codec = str(song["codec"])
    known = {"vorbis": "Ogg Vorbis", "opus": "Opus", "wavpack": "WavPack"}
    return "WAV" if codec.startswith("pcm") else known.get(codec, codec.upper())


def best_of(codes: Int32Array, rank: Int64Array, allowed: BoolArray) -> BoolArray:
    """Return which songs are the best allowed one of their group, or in none: shape (n,), bool."""
    rows = np.flatnonzero(allowed & (codes != UNKNOWN))
    rows = rows[np.lexsort((rank[rows], codes[rows]))]
    first = np.unique(codes[rows], return_index=True)[1]
    best: BoolArray = codes == UNKNOWN
    best[rows[first]] = True
    return best


class VersionsOf:
    """The versions of each title of a store: read when they are first asked for."""

    def __init__(self, store: VectorStore, recordings: Recordings) -> None:
        self._store, self._recordings = store, recordings

    @cached_property
    def codes(self) -> Int32Array:
        """A number for each title of an artist, `UNKNOWN` for a song that is the only version."""
        own = self._recordings.codes
        order = np.argsort(own, kind="stable")
        order = order[own[order] != UNKNOWN]
        same = own[order][1:] == own[order][:-1]
        pairs = [np.column_stack([order[:-1], order[1:]])[same], *self._by_title()]
        return joined(len(own), np.concatenate(pairs))

    @cached_property
    def rank(self) -> Int64Array:
        """From 0, the best: songs whose title names no version first, then the best copy."""
        rows = np.flatnonzero(self.codes != UNKNOWN)
        rank = np.zeros(len(self.codes), np.int64)
        if len(rows):
            songs = self._store.rows(rows.tolist())
            keys = [
                (len(title_of(s["title"], s[StoreColumns.ID]).kinds), quality(s)) for s in songs
            ]
            rank[rows[sorted(range(len(rows)), key=keys.__getitem__)]] = np.arange(len(rows))
        return rank

    def _by_title(self) -> Iterator[Int64Array]:
        """Yield pairs of songs of one title and artist that are versions of each other."""
        store = self._store
        artists = name_codes(store, "artist")
        groups: dict[tuple[int, str], list[tuple[int, bool]]] = {}
        for row, title in enumerate(store.column("title").to_pylist()):
            if title and artists[row] != UNKNOWN:
                read = read_title(title)
                key = int(artists[row]), read.plain
                groups.setdefault(key, []).append((row, bool(read.kinds)))
        for songs in groups.values():
            if len(songs) > 1:
                yield from self._pairs(songs)

    def _pairs(self, songs: list[tuple[int, bool]]) -> Iterator[Int64Array]:
        """Yield the pairs of songs that sound alike, or one of whose titles names a version."""
        rows = np.asarray([row for row, _ in songs], np.int64)
        units, there = np.zeros((len(rows), 1), np.float32), np.empty(0, np.int64)
        if self._store.songs_with("sound"):
            there, values = self._store.list_rows("sound", rows)
            units = np.zeros((len(rows), values.shape[1]), np.float32)
            units[there] = values
        named = np.asarray([kind for _, kind in songs])
        alike = (units @ units.T >= NEAR) | named[:, None] | named[None]
        a, b = np.nonzero(np.triu(alike, 1))
        yield np.column_stack([rows[a], rows[b]])


class SameAudio(StrEnum):
    """How certain it is that songs are one recording, most certain first."""

    IDENTICAL = "identical"  # the same audio packets
    LIKELY = "likely"  # lengths, versions and sounds agree


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two songs that are one recording."""

    rows: tuple[int, int]  # rows of the store
    verdict: SameAudio
    length_difference_s: float
    distance: float | None  # of their embeddings; None for the same audio packets


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Copies of one recording, linked by pairs.

    Attributes
    ----------
    song_ids : tuple of str
        Best first.
    rows : tuple of int
        Their rows of the store.
    verdict : SameAudio
        Of the weakest link needed to connect the group.
    pairs : tuple of Pair
        The links, most certain first.
    surplus : mapping of str to str
        Ids of the copies that nobody would miss, with the reason: the same audio as another one,
        or known to be made from it.
    why : str
        What is known of the original: "" where all but one are surplus, else that which of the
        others is the original cannot be told.
    """

    song_ids: tuple[str, ...]
    rows: tuple[int, ...]
    verdict: SameAudio
    pairs: tuple[Pair, ...] = field(repr=False)
    surplus: Mapping[str, str]

    @property
    def kept(self) -> str:
        """Id of the best copy, which lists show."""
        return self.song_ids[0]

    @property
    def why(self) -> str:
        """What is known of the original."""
        left = len(self.song_ids) - len(self.surplus)
        return CANNOT_TELL if left > 1 else ""


def find_duplicates(store: VectorStore) -> list[Group]:
    """Find groups of songs that are one recording, most certain first, then by their first row.

    Links are those that lists use, read from the file beside the store, or found now if it is not
    complete. Nothing is merged or removed.

    Notes
    -----
    Two songs are never one recording if their titles name two versions, the scores of a head called
    ``version`` differ, one is silent or shorter than four segments, or their lengths differ by more
    than 2.5 seconds. Copies at another speed are not found.
    """
    links = read_links(store)
    if links is None or links.missing:
        links = find_links(store, np.arange(len(store)))
    links = links.part(agreeing(store, links))
    likely = zip(map(tuple, links.pairs.tolist()), links.distance.tolist(), strict=True)
    distances: dict[tuple[int, ...], float | None] = dict(likely)
    identical = dict.fromkeys(map(tuple, same_audio(store).tolist()))
    seconds = floats(store.column("duration_s").combine_chunks())
    pairs = [
        Pair(
            rows=(a, b),
            verdict=SameAudio.IDENTICAL if (a, b) in identical else SameAudio.LIKELY,
            length_difference_s=float(abs(seconds[a] - seconds[b])),
            distance=distance,
        )
        for (a, b), distance in (distances | identical).items()
    ]
    return _groups(store, pairs, made_from(links))


def not_compared(store: VectorStore) -> str:
    """Say how many songs of a store have no sound to be compared by; empty if all have."""
    lacking = len(store) - store.songs_with("sound")
    if not lacking:
        return ""
    have = "song has" if lacking == 1 else "songs have"
    return (
        f"{lacking} {have} no sound, so only the same audio packets are found as their copies; "
        f"add it: audiorec extract FOLDER --overwrite --out {store.path}"
    )


def _groups(
    store: VectorStore, pairs: list[Pair], made: Mapping[int, tuple[int, int]]
) -> list[Group]:
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
    groups = {id(group): group for group in group_of.values()}.values()
    result = [
        _group(store, rows, links, needed[-1].verdict, made) for rows, links, needed in groups
    ]
    return sorted(result, key=lambda group: (order.index(group.verdict), min(group.rows)))


def _group(
    store: VectorStore,
    rows: list[int],
    links: list[Pair],
    verdict: SameAudio,
    made: Mapping[int, tuple[int, int]],
) -> Group:
    """Order the copies of a recording, and say which are surplus."""
    songs = dict(zip(rows, store.rows(rows), strict=True))
    best = sorted(rows, key=lambda row: (row in made, quality(songs[row])))
    surplus: dict[str, str] = {}
    first: dict[str, str] = {}  # by content hash
    for row in best:
        song, (original, khz) = songs[row], made.get(row, (row, 0))
        name = song[StoreColumns.ID]
        if (same := first.setdefault(song["content_hash"], name)) != name:
            surplus[name] = f"the same audio as {same}"
        elif original in songs and original != row:
            surplus[name] = why_surplus(song, songs[original], khz)
    return Group(
        song_ids=tuple(songs[row][StoreColumns.ID] for row in best),
        rows=tuple(best),
        verdict=verdict,
        pairs=tuple(links),
        surplus=surplus,
    )
