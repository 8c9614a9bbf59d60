"""Build the facts of a knowledge graph of songs.

song ── by ──▶ artist ◀── by ── song       N facts for N songs of an artist

    side information ──side_facts──┐
    sound            ──sound_facts─┴──joined──▶ `Triples`
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from audiorec.listening.side import SongSide, Triples
from audiorec.recall.contract.data import Sound
from audiorec.types import FloatArray, normalised_name

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
BLOCK = 512  # songs per block of the neighbour search


def side_facts(side: SongSide) -> Triples:
    """Return facts from side information: artist, album, genre, language, version, year.

    Labels that a head predicted get a relation of their own, ``heard_as_genre``. A column
    ``title`` yields its words (`title_facts`).

    Parameters
    ----------
    side : SongSide
        Artist names are compared in their plain form (`audiorec.types.normalised_name`).
    """
    parts = []
    for name, labels in _labels(side).items():
        if name == "title":
            parts.append(title_facts(side.song_ids, labels))
            continue
        category = side.categories.get(name)
        heard = np.zeros(len(side), np.bool_) if category is None else category.is_heard
        for by_ear, relation in ((False, ""), (True, f"{HEARD}_{name}")):
            pairs = zip(labels, heard.tolist(), strict=True)
            part = [label if is_heard == by_ear else None for label, is_heard in pairs]
            parts.append(_label_triples(side.song_ids, part, name, relation=relation))
    return joined(parts)


def artist_facts(song_ids: Sequence[str], artists: Sequence[str]) -> Triples:
    """Return ``song by artist`` facts, names in plain form; songs with an empty name get none."""
    return _label_triples(song_ids, artists, "artist")


def title_facts(song_ids: Sequence[str], titles: Sequence[str | None]) -> Triples:
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
    return _label_triples([s for s, _ in both], [w for _, w in both], "title", entity="word")


def sound_facts(sound: Sound, *, neighbours: int = 10) -> Triples:
    """Return facts from the sound: the heads' classes, and the nearest songs, weighted.

    Parameters
    ----------
    sound : Sound
    neighbours : int
        Nearest songs of each song; 0: none. The weight of a fact is the cosine of the two.
    """
    parts = []
    for name, codes in sound.kinds.items():
        values = [None if c < 0 else f"{c}" for c in codes.tolist()]
        parts.append(_label_triples(sound.song_ids, values, name, relation=f"{HEARD}_{name}"))
    if neighbours > 0:
        parts.append(_neighbours(sound, neighbours))
    return joined(parts)


def triples_from_rows(
    heads: Sequence[str],
    relations: Sequence[str],
    tails: Sequence[str],
    weight: FloatArray | None = None,
) -> Triples:
    """Return facts given row by row, in typed ids; duplicates are dropped.

    Examples
    --------
    >>> found = triples_from_rows(["song:a", "song:b"], ["by", "by"], ["artist:x", "artist:x"])
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
    return triples_from_rows(heads, relations, tails, np.concatenate(weights))


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


def _label_triples(
    song_ids: Sequence[str],
    labels: Sequence[str | None],
    kind: str,
    relation: str = "",
    entity: str = "",
) -> Triples:
    """Return facts that link songs to labels; `entity` overrides the id type."""
    relation = relation or RELATIONS.get(kind, kind)
    kind = _typed(entity or kind)
    there = [(s, v) for s, v in zip(song_ids, labels, strict=True) if v]
    heads, tails = [f"song:{s}" for s, _ in there], [f"{kind}:{v}" for _, v in there]
    return triples_from_rows(heads, [relation] * len(heads), tails)


def _neighbours(sound: Sound, most: int) -> Triples:
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
        wanted = value > 0
        of, column = np.nonzero(wanted)
        heads += [f"song:{sound.song_ids[row]}" for row in rows[of].tolist()]
        tails += [f"song:{sound.song_ids[row]}" for row in known[near[of, column]].tolist()]
        weights.append(value[wanted].astype(np.float32))
    return triples_from_rows(heads, [SOUNDS_LIKE] * len(heads), tails, np.concatenate(weights))


def _typed(kind: str) -> str:
    """Convert a column name to the type of an id: lower-case letters, digits and ``_``."""
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in kind.lower())
    return plain if plain[:1].isalpha() else f"of_{plain}"
