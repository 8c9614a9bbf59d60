"""Build the facts of a knowledge graph of songs, in two forms.

    hub form        song ── by ──▶ artist ◀── by ── song       N facts for N songs of an artist
    pairwise form   song ── same by ──▶ song                   N (N - 1) facts

    side information ──side_facts──┐
    sound            ──sound_facts─┼──joined──▶ `Triples` ──write_triples──▶ triples.parquet
    lists, likes     ──list_facts──┤
    follows          ──follow_facts┘

A song label that was taken from the playlists themselves reveals which songs stand together, which
is what the model should predict: `refuse_leaks` refuses such labels.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from audiorec.errors import InputError
from audiorec.files.tables import write_plain
from audiorec.listening.events import ARTIST_EVENTS, Interactions
from audiorec.listening.sequences import Sequences
from audiorec.listening.side import SongSide, Triples
from audiorec.options import check_fields
from audiorec.recall.contract.data import Sound
from audiorec.types import FloatArray, Int64Array, normalised_name, string_array

Form = Literal["hub", "pairwise"]
# Relation by column of side information.
RELATIONS = {
    "artist": "by",
    "album": "on",
    "genre": "is",
    "language": "sung_in",
    "version": "is_version",
    "year": "from_year",
    "title": "says",  # one fact per word
}
SOUNDS_LIKE = "sounds_like"
WORD = re.compile(r"\w+")
HEARD = "heard_as"  # answers of a store's heads
MOST_PAIRS = 50_000_000  # limit on the facts of the pairwise form
BLOCK = 512  # songs per block of the neighbour search
SMALLEST_LIST = 5  # shortest list that is checked for a leak
LEAK = 0.8  # share of lists with a single label, from which it is a leak


@dataclass(frozen=True, slots=True, kw_only=True)
class FactSettings:
    """Which facts are made from side information and sound, and in which form.

    Attributes
    ----------
    columns : tuple of str
        Only these columns of side information, and year; empty: all.
    neighbours : int
        Similar-sounding songs of each song; 0: none.
    minimum : float
        Minimum similarity of similar-sounding songs.
    form : {"hub", "pairwise"}
        One fact per song and hub, or per pair of songs.
    """

    columns: tuple[str, ...] = ()
    neighbours: int = 10
    minimum: float = 0.0
    form: Form = "hub"

    def __post_init__(self) -> None:
        check_fields(self, neighbours=">=0", minimum="[0, 1]")


def side_facts(side: SongSide, *, form: Form = "hub", columns: Iterable[str] = ()) -> Triples:
    """Return facts from side information: artist, album, genre, language, version, year.

    Labels that a head predicted get a relation of their own, ``heard_as_genre``. A column
    ``title`` yields its words (`title_facts`).

    Parameters
    ----------
    side : SongSide
        Artist names are compared in their plain form (`audiorec.types.normalised_name`).
    form : {"hub", "pairwise"}
    columns : iterable of str
        The columns to use; ``year`` is that of the release. By default all of them, custom
        categories included.

    Raises
    ------
    InputError
        If a column is missing, or the pairwise form would exceed 50 million facts.
    """
    labels = _labels(side)
    wanted = list(columns) or list(labels)
    for name in wanted:
        if name not in labels:
            known = ", ".join(labels) or "none"
            raise InputError(f"side information has no column {name!r} for a fact; it has: {known}")
    parts = []
    for name in wanted:
        if name == "title":
            parts.append(title_facts(side.song_ids, labels[name], form=form))
            continue
        category = side.categories.get(name)
        heard = np.zeros(len(side), np.bool_) if category is None else category.is_heard
        for by_ear, relation in ((False, ""), (True, f"{HEARD}_{name}")):
            pairs = zip(labels[name], heard.tolist(), strict=True)
            part = [label if is_heard == by_ear else None for label, is_heard in pairs]
            parts.append(_of_label(side.song_ids, part, name, form, relation=relation))
    return joined(parts)


def artist_facts(song_ids: Sequence[str], artists: Sequence[str]) -> Triples:
    """Return ``song by artist`` facts, names in plain form; songs with an empty name get none."""
    return _of_label(song_ids, artists, "artist", "hub")


def title_facts(
    song_ids: Sequence[str], titles: Sequence[str | None], *, form: Form = "hub"
) -> Triples:
    """Return facts for words that occur in several titles: ``remix``, ``1997``, a film's name.

    Examples
    --------
    >>> found = title_facts(("a", "b"), ("Halo - Live", "Live and let die"))
    >>> found.relations, [found.entity_ids[tail] for tail in found.tail]
    (('says',), ['word:live', 'word:live'])
    """
    words = [sorted(set(WORD.findall(normalised_name(title)))) for title in titles]
    counts = Counter(word for own in words for word in own)
    both = [
        (song, word)
        for song, own in zip(song_ids, words, strict=True)
        for word in own
        if counts[word] > 1
    ]
    return _of_label([s for s, _ in both], [w for _, w in both], "title", form, entity="word")


def sound_facts(sound: Sound, *, neighbours: int = 10, minimum: float = 0.0) -> Triples:
    """Return facts from the sound: the heads' classes, and the nearest songs, weighted.

    Parameters
    ----------
    sound : Sound
    neighbours : int
        Nearest songs of each song; 0: none. The weight of a fact is the cosine of the two.
    minimum : float
        Minimum cosine of a neighbour, in 0..1.
    """
    parts = []
    for name, codes in sound.kinds.items():
        values = [None if c < 0 else f"{c}" for c in codes.tolist()]
        parts.append(_of_label(sound.song_ids, values, name, "hub", relation=f"{HEARD}_{name}"))
    if neighbours > 0:
        parts.append(_neighbours(sound, neighbours, minimum))
    return joined(parts)


def list_facts(lists: Sequences, *, relation: str = "in_list", kind: str = "list") -> Triples:
    """Return which songs are in which list, or liked by which user: ``song in_list list``."""
    owner, song, _ = lists.distinct()
    heads = [f"song:{lists.song_ids[s]}" for s in song.tolist()]
    tails = [f"{kind}:{lists.owner_ids[o]}" for o in owner.tolist()]
    return of_rows(heads, [relation] * len(heads), tails)


def follow_facts(log: Interactions) -> Triples:
    """Return which user follows which artist: ``user follows artist``, in plain names."""
    events = log.artists
    follows = events.event == ARTIST_EVENTS.index("follow")
    pairs = zip(events.user[follows].tolist(), events.artist[follows].tolist(), strict=True)
    rows = sorted({(log.user_ids[u], normalised_name(events.artist_ids[a])) for u, a in pairs})
    heads = [f"user:{user}" for user, _ in rows]
    return of_rows(heads, ["follows"] * len(rows), [f"artist:{artist}" for _, artist in rows])


def of_rows(
    heads: Sequence[str],
    relations: Sequence[str],
    tails: Sequence[str],
    weight: FloatArray | None = None,
) -> Triples:
    """Return facts given row by row, in typed ids; duplicates are dropped.

    Examples
    --------
    >>> found = of_rows(["song:a", "song:b"], ["by", "by"], ["artist:x", "artist:x"])
    >>> found.entity_ids, found.head.tolist(), found.tail.tolist()
    (('artist:x', 'song:a', 'song:b'), [1, 2], [0, 0])
    """
    entity_ids = tuple(sorted({*heads, *tails}))
    names = tuple(sorted(set(relations)))
    number = {name: index for index, name in enumerate(entity_ids)}
    place_of = {name: index for index, name in enumerate(names)}
    head = np.array([number[name] for name in heads], np.int32)
    tail = np.array([number[name] for name in tails], np.int32)
    relation = np.array([place_of[name] for name in relations], np.int32)
    heavy = np.ones(len(head), np.float32) if weight is None else weight
    order = np.lexsort((tail, relation, head))
    facts = np.stack([head, relation, tail])[:, order] if len(order) else np.empty((3, 0))
    new = np.ones(len(order), np.bool_)
    new[1:] = (np.diff(facts, axis=1) != 0).any(axis=0)
    kept = order[new]
    return Triples(entity_ids, names, head[kept], relation[kept], tail[kept], heavy[kept])


def joined(parts: Iterable[Triples]) -> Triples:
    """Merge several tables of facts into one."""
    heads: list[str] = []
    relations: list[str] = []
    tails: list[str] = []
    weights = [np.empty(0, np.float32)]
    for part in parts:
        heads += [part.entity_ids[n] for n in part.head.tolist()]
        tails += [part.entity_ids[n] for n in part.tail.tolist()]
        relations += [part.relations[n] for n in part.relation.tolist()]
        weights.append(part.weight)
    return of_rows(heads, relations, tails, np.concatenate(weights))


def write_triples(path: Path, triples: Triples) -> None:
    """Write a Parquet file that `audiorec.listening.side.read_triples` reads, atomically."""
    entities, names = string_array(triples.entity_ids), string_array(triples.relations)
    columns = {
        "head": pa.DictionaryArray.from_arrays(pa.array(triples.head), entities),
        "relation": pa.DictionaryArray.from_arrays(pa.array(triples.relation), names),
        "tail": pa.DictionaryArray.from_arrays(pa.array(triples.tail), entities),
        "weight": pa.array(triples.weight),
    }
    plain = {
        name: column.dictionary_decode() if name != "weight" else column
        for name, column in columns.items()
    }
    write_plain(path, pa.table(plain))


def refuse_leaks(side: SongSide, lists: Sequences, columns: Iterable[str] = ()) -> None:
    """Refuse labels that were taken from the lists: nearly all lists hold a single label.

    Songs that are in only one list are also checked separately: among them such a label is pure,
    whereas songs of several lists, or lists from another source, would blur it.

    ``artist`` and ``album`` are not checked: lists of one artist or album are made on purpose, and
    are no leak.

    Raises
    ------
    InputError
        If a column is a label of the lists.
    """
    labels = _labels(side)
    rows = {song: place for place, song in enumerate(side.song_ids)}
    place = np.array([rows.get(song, -1) for song in lists.song_ids], np.int64)
    in_one = np.bincount(lists.distinct()[1])[lists.song] == 1
    for name in columns or labels:
        if name in ("artist", "album") or name not in labels:
            continue
        codes = _codes(labels[name])
        if len(codes) == 0 or codes.max(initial=-1) < 1:
            continue
        of_song = np.where(place >= 0, codes[place], -1)[lists.song]
        for entries in (of_song >= 0, (of_song >= 0) & in_one):
            share, by_chance = _pure_share(lists.keep(entries), of_song[entries])
            if share > LEAK > by_chance + 0.3:
                raise InputError(
                    f"{name!r} has one value in {share:.0%} of the lists: it is a label of the "
                    "list and not of the song, and would leak the answer; leave it out"
                )


def counts_of(triples: Triples) -> list[tuple[str, int, int, int]]:
    """Return relation, facts, distinct heads and distinct tails, the largest relation first."""
    counts = []
    for number, name in enumerate(triples.relations):
        of = triples.relation == number
        heads, tails = (len(np.unique(a[of])) for a in (triples.head, triples.tail))
        counts.append((name, int(of.sum()), heads, tails))
    return sorted(counts, key=lambda row: -row[1])


def _labels(side: SongSide) -> dict[str, list[str | None]]:
    """Return the label of each song by column, artist names in plain form."""
    labels = {name: category.texts() for name, category in side.categories.items()}
    if "artist" in labels:
        labels["artist"] = [normalised_name(text) or None for text in labels["artist"]]
    known = ~np.isnan(side.released)
    if known.any():
        days = np.where(known, side.released, 0).astype(np.int64).astype("datetime64[D]")
        years = days.astype("datetime64[Y]").astype(str).tolist()
        labels["year"] = [y if k else None for y, k in zip(years, known.tolist(), strict=True)]
    return labels


def _of_label(
    song_ids: Sequence[str],
    labels: Sequence[str | None],
    kind: str,
    form: Form,
    relation: str = "",
    entity: str = "",
) -> Triples:
    """Return facts that link songs to labels, in either form; `entity` overrides the id type."""
    relation = relation or RELATIONS.get(kind, kind)
    kind = _typed(entity or kind)
    if form == "hub":
        there = [(s, v) for s, v in zip(song_ids, labels, strict=True) if v]
        heads, tails = [f"song:{s}" for s, _ in there], [f"{kind}:{v}" for _, v in there]
        return of_rows(heads, [relation] * len(heads), tails)
    members: dict[str, list[str]] = {}
    for song, label in zip(song_ids, labels, strict=True):
        if label:
            members.setdefault(label, []).append(f"song:{song}")
    n = sum(len(songs) * (len(songs) - 1) for songs in members.values())
    if n > MOST_PAIRS:
        raise InputError(f"{kind}: the pairwise form would have {n:,} facts; use the hub form")
    pairs = [(a, b) for songs in members.values() for a in songs for b in songs if a is not b]
    heads, tails = [a for a, _ in pairs], [b for _, b in pairs]
    return of_rows(heads, [f"same_{relation}"] * len(heads), tails)


def _neighbours(sound: Sound, most: int, minimum: float) -> Triples:
    """Return the nearest songs of each song, weighted by cosine."""
    units = sound.units
    known = np.flatnonzero(units.any(axis=1))
    most = min(most, max(0, len(known) - 1))
    heads: list[str] = []
    tails: list[str] = []
    weights = [np.empty(0, np.float32)]
    for first in range(0, len(known) if most else 0, BLOCK):
        rows = known[first : first + BLOCK]
        cosine = units[rows] @ units[known].T
        cosine[np.arange(len(rows)), np.arange(first, first + len(rows))] = -np.inf
        near = np.argpartition(-cosine, most - 1, axis=1)[:, :most]
        value = np.take_along_axis(cosine, near, axis=1)
        wanted = value > max(minimum, 0.0)
        of, column = np.nonzero(wanted)
        heads += [f"song:{sound.song_ids[row]}" for row in rows[of].tolist()]
        tails += [f"song:{sound.song_ids[row]}" for row in known[near[of, column]].tolist()]
        weights.append(value[wanted].astype(np.float32))
    return of_rows(heads, [SOUNDS_LIKE] * len(heads), tails, np.concatenate(weights))


def _pure_share(lists: Sequences, value: Int64Array) -> tuple[float, float]:
    """Return the share of large lists with a single label, and that share expected by chance."""
    large = lists.lengths >= SMALLEST_LIST
    if not large.any():
        return 0.0, 0.0
    first = value[np.minimum(lists.starts[:-1], len(value) - 1)]
    same = value == np.repeat(first, lists.lengths)
    sums = np.concatenate([[0], np.cumsum(same)])
    agree = sums[lists.starts[1:][large]] - sums[lists.starts[:-1][large]]
    by_chance = (np.bincount(value) / len(value)).max() ** SMALLEST_LIST
    return float((agree == lists.lengths[large]).mean()), float(by_chance)


def _codes(labels: Sequence[str | None]) -> Int64Array:
    number: Mapping[str, int] = {v: n for n, v in enumerate(sorted({v for v in labels if v}))}
    return np.array([number[v] if v else -1 for v in labels], np.int64)


def _typed(kind: str) -> str:
    """Convert a column name to the type of an id: lower-case letters, digits and ``_``."""
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in kind.lower())
    return plain if plain[:1].isalpha() else f"of_{plain}"
