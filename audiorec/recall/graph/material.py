"""Listening and facts as index arrays: the training data of every graph model.

    RecallData, Triples ──material_of──▶ `GraphMaterial`: lists of songs, and facts between entities
                        ──held_out─────▶ the part of some lists held out for early stopping

Things are numbered: first the S songs of the catalogue, then everything else that facts mention.

Random walks over songs: from a song to one of its lists, and to another song of that list.

    lists ──list_walks──▶ `Sequences` of songs, one per walk

The chance of a step grows with how often two songs share a list, long lists counting less, as in a
weighted graph of songs; the graph itself is never built.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from audiorec.errors import InputError
from audiorec.listening.sequences import Sequences
from audiorec.listening.side import Triples, type_of
from audiorec.recall.contract.data import RecallData
from audiorec.recall.graph.facts import artist_facts, joined, side_facts, sound_facts
from audiorec.spec import fingerprint
from audiorec.types import BoolArray, FloatArray, Int64Array

SONG = "song:"
PEOPLE = ("user", "list", "session", "device")  # id types that no bundle may hold
MOST_JUDGED = 200  # lists held out for early stopping, at most
HIDDEN = 0.2  # share of each such list that is hidden
COPY_SHARE = 0.8  # above this overlap with the smaller list, two are near-copies
MOST_HIDDEN = 0.5  # share of all entries; with more, every list is like every other


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Facts:
    """F facts between numbered entities.

    Attributes
    ----------
    relations : tuple of str, length R
    head, relation, tail : ndarray, shape (F,), int64
    weight : ndarray, shape (F,), float32
    """

    relations: tuple[str, ...]
    head: Int64Array
    relation: Int64Array
    tail: Int64Array
    weight: FloatArray

    def __len__(self) -> int:
        return len(self.head)


@dataclass(frozen=True, kw_only=True, eq=False)
class GraphMaterial:
    """Lists and facts, as index arrays."""

    song_ids: tuple[str, ...]  # length S
    entities: tuple[str, ...]  # typed ids of everything but songs: numbers S, S + 1 and so on
    plays: Sequences  # lists, as rows of `song_ids`
    facts: Facts

    @property
    def n_songs(self) -> int:
        """Number of songs, S."""
        return len(self.song_ids)

    @property
    def n_entities(self) -> int:
        """Number of entities, songs included."""
        return len(self.song_ids) + len(self.entities)

    @cached_property
    def counts(self) -> Int64Array:
        """Number of entries of each song: shape (S,)."""
        return np.bincount(self.plays.song, minlength=self.n_songs).astype(np.int64)

    @cached_property
    def links(self) -> tuple[Int64Array, Int64Array, Int64Array, FloatArray]:
        """Facts of songs, from both ends: song, relation, entity and weight.

        Facts whose tail is the song have the relations R, R + 1 and so on.
        """
        facts, n, r = self.facts, self.n_songs, len(self.facts.relations)
        ahead, back = facts.head < n, facts.tail < n
        song = np.concatenate([facts.head[ahead], facts.tail[back]])
        relation = np.concatenate([facts.relation[ahead], facts.relation[back] + r])
        entity = np.concatenate([facts.tail[ahead], facts.head[back]])
        weight = np.concatenate([facts.weight[ahead], facts.weight[back]])
        order = np.argsort(song, kind="stable")
        return song[order], relation[order], entity[order], weight[order]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all data: a checkpoint of other data cannot be resumed."""
        facts = self.facts
        listed = (self.plays.starts, self.plays.song)
        arrays = (*listed, facts.head, facts.relation, facts.tail, facts.weight)
        texts = (self.song_ids, self.entities, self.facts.relations)
        sums = [_digest(np.ascontiguousarray(a).tobytes()) for a in arrays]
        return fingerprint(
            {"arrays": sums, "texts": [_digest("\0".join(t).encode()) for t in texts]}
        )

    def from_lists(self, mask: BoolArray) -> "GraphMaterial":
        """Return a copy with only the entries of the lists selected by `mask` (P,)."""
        return replace(self, plays=self.plays.keep(mask))


def material_of(data: RecallData, *, neighbours: int = 0) -> GraphMaterial:
    """Convert listening and facts to index arrays.

    The facts are the triples of the context or, if it has none, those derived from its side
    information and sound, in the hub form.

    Raises `InputError` if there are triples, but none about a song of the catalogue.
    """
    triples = data.context.triples
    if triples is None:
        triples = _facts_of_context(data, neighbours)
    known = {f"{SONG}{song}": number for number, song in enumerate(data.song_ids)}
    number = np.full(len(triples.entity_ids), -1, np.int64)
    entities: list[str] = []
    for place, name in enumerate(triples.entity_ids):
        if name in known:
            number[place] = known[name]
        elif type_of(name) != "song":
            number[place] = len(known) + len(entities)
            entities.append(name)
    head, tail = number[triples.head], number[triples.tail]
    kept = (head >= 0) & (tail >= 0)  # songs outside the catalogue are never proposed
    touches = kept & ((head < len(known)) | (tail < len(known)))
    if data.context.triples is not None and not touches.any():
        raise InputError(
            "no triple is about a song of the log: write song ids as song:ID, with the ids of the "
            "log; audiorec listening check TRIPLES counts them"
        )
    facts = Facts(
        relations=triples.relations,
        head=head[kept],
        relation=triples.relation[kept].astype(np.int64),
        tail=tail[kept],
        weight=triples.weight[kept],
    )
    return GraphMaterial(
        song_ids=data.song_ids, entities=tuple(entities), plays=data.plays, facts=facts
    )


def held_out(
    plays: Sequences, rng: np.random.Generator, is_new: BoolArray | None = None
) -> tuple[BoolArray, Int64Array]:
    """Choose the entries held out for early stopping: a fifth of some lists, and of their copies.

    With `is_new` (P,), for a model that has learnt from the other entries, only new ones are.

    In a catalogue of a few dozen songs all lists are near-copies of each other, and nothing would
    be left to train on; then copies keep their entries.

    Returns
    -------
    hidden : ndarray, shape (P,), bool
        Entries left out of training.
    judged : ndarray, shape (J,), int64
        The lists to judge on; each keeps at least one song.
    """
    from scipy.sparse import csr_array

    n = max(1, len(plays.song_ids))
    is_new = np.ones(len(plays.song), np.bool_) if is_new is None else is_new
    able = np.flatnonzero((plays.lengths >= 2) & (plays.keep(is_new).lengths > 0))
    judged = np.sort(rng.permutation(able)[: min(MOST_JUDGED, max(1, len(able) // 2))])
    pair = np.unique(plays.owner * n + plays.song)
    owner, song = pair // n, pair % n
    shape = (len(plays), n)
    matrix = csr_array((np.ones(len(pair), np.float32), (owner, song)), shape=shape)
    size = np.bincount(owner, minlength=len(plays))
    both = (matrix[judged] @ matrix.T).tocoo()
    near = both.data > COPY_SHARE * np.minimum(size[judged[both.row]], size[both.col])
    alone, copied = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for row, of in enumerate(judged.tolist()):
        own = np.unique(plays[of][is_new[plays.starts[of] : plays.starts[of + 1]]])
        drawn = rng.permutation(own)[: max(1, round(HIDDEN * len(own)))]
        copies = both.col[near & (both.row == row)].astype(np.int64)
        alone.append(of * n + drawn)
        copied.append((copies[:, None] * n + drawn).ravel())
    entry = plays.owner * n + plays.song
    secret = np.isin(entry, np.concatenate(copied))
    if len(entry) and secret.mean() > MOST_HIDDEN:
        secret = np.isin(entry, np.concatenate(alone))
    left = plays.keep(~secret).lengths[judged] > 0
    return secret, judged[left]


def _facts_of_context(data: RecallData, neighbours: int) -> Triples:
    context = data.context
    parts = []
    if context.side is not None:
        parts.append(side_facts(context.side))
    if context.sound is not None:
        parts.append(artist_facts(context.sound.song_ids, context.sound.artists))
        parts.append(sound_facts(context.sound, neighbours=neighbours))
    return joined(parts)


def _digest(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


def list_walks(lists: Sequences, rng: np.random.Generator, *, walks: int, length: int) -> Sequences:
    """Start `walks` walks of `length` songs at each song that is in a list.

    Examples
    --------
    >>> lists = Sequences.from_lists([["a", "b"], ["c", "d"]])
    >>> found = list_walks(lists, np.random.default_rng(0), walks=2, length=4)
    >>> found.lengths.tolist(), set(found[0].tolist()) <= {0, 1}, set(found[-1].tolist()) <= {2, 3}
    ([4, 4, 4, 4, 4, 4, 4, 4], True, True)
    """
    order = np.argsort(lists.song, kind="stable")
    owner_by_song = lists.owner[order]
    counts = np.bincount(lists.song, minlength=len(lists.song_ids))
    first = np.cumsum(counts) - counts
    now = np.repeat(np.flatnonzero(counts), walks)
    steps = [now]
    for _ in range(length - 1):
        of = owner_by_song[first[now] + _any(counts[now], rng)]
        now = lists.song[lists.starts[of] + _any(lists.lengths[of], rng)].astype(np.int64)
        steps.append(now)
    songs = np.stack(steps, axis=1) if len(steps[0]) else np.empty((0, length), np.int64)
    n = len(songs)
    return Sequences(
        ("",) * n,
        lists.song_ids,
        np.arange(n + 1, dtype=np.int64) * length,
        songs.ravel().astype(np.int32),
        np.full(songs.size, np.nan),
    )


def _any(sizes: Int64Array, rng: np.random.Generator) -> Int64Array:
    """Draw a random index below each size."""
    found: Int64Array = (rng.random(len(sizes)) * sizes).astype(np.int64)
    return found
