"""Listening and facts as index arrays: the training data of every graph model, and their recipes.

    RecallData, Triples ──material_of──▶ `GraphMaterial`: lists of songs, and facts between entities
                        ──held_out─────▶ the part of some lists held out for early stopping
                        ──list_walks───▶ `Sequences` of songs, one per random walk

Things are numbered: first the S songs of the catalogue, then everything else that facts mention.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from audiorec.errors import InputError
from audiorec.listening.sequences import Sequences
from audiorec.listening.side import Triples, type_of
from audiorec.options import check_fields
from audiorec.recall.contract.data import RecallData
from audiorec.recall.graph.facts import artist_facts, joined, side_facts, sound_facts
from audiorec.spec import fingerprint
from audiorec.types import BoolArray, FloatArray, Int64Array

SONG = "song:"
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
    for index, name in enumerate(triples.entity_ids):
        if name in known:
            number[index] = known[name]
        elif type_of(name) != "song":
            number[index] = len(known) + len(entities)
            entities.append(name)
    head, tail = number[triples.head], number[triples.tail]
    kept = (head >= 0) & (tail >= 0)  # songs outside the catalogue are never proposed
    touches = kept & ((head < len(known)) | (tail < len(known)))
    if data.context.triples is not None and not touches.any():
        raise InputError(
            "no triple is about a song of the log: write song ids as song:ID, with the ids of the "
            "log"
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

    A step leads from a song to one of its lists, and to another song of that list. Its chance grows
    with how often two songs share a list, long lists counting less, as in a weighted graph of
    songs; the graph itself is never built.

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
    return (rng.random(len(sizes)) * sizes).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphRecipe:
    """Settings that all three graph models share.

    Attributes
    ----------
    dimension : int
        Width of the vectors.
    learning_rate : float
        Rate in the first epoch; it falls linearly to a twentieth in the last one.
    negatives : float
        Negative songs per pair, in expectation.
    drawn : int
        Songs sampled per batch, shared by all of its pairs.
    negative_power : float
        Songs are sampled in proportion to their number of entries to this power.
    block : int
        Songs of a list that can form pairs in one step, at most.
    places : int
        Entries in a batch.
    window : int or None
        Maximum distance of a pair within a list; None: any two songs of the list, in any order.
        People add songs that go together one after the other, so neighbourhoods in a long list
        say more than the list as a whole.
    max_epochs : int
        Maximum number of epochs.
    patience : int
        Epochs without improvement before training stops.
    choose : bool
        Choose the number of epochs on partly hidden lists, then train that long on everything;
        otherwise train on everything for `max_epochs`.
    neighbours : int
        Similar-sounding songs used as facts of a song, if there is sound and no triples.
    prior : float
        Weight of the logarithm of a song's entries in an answer: of two equally near songs, the
        one in more lists comes first. 0: none.
    recent : int or None
        Number of newest entries of a history that count in an answer; None: all, which suits
        lists. For likes collected over years, about the last twenty work better.
    seed : int
        Seed of all random numbers.
    """

    dimension: int = 64
    learning_rate: float = 0.3
    negatives: float = 20.0
    drawn: int = 256
    negative_power: float = 0.75
    block: int = 128
    places: int = 256
    window: int | None = 50
    max_epochs: int = 20
    patience: int = 20
    choose: bool = True
    neighbours: int = 10
    prior: float = 0.5
    recent: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        least = ("dimension", "drawn", "places", "patience", "window", "recent")
        check_fields(self, **dict.fromkeys(least, ">=1"), block=">=2", prior="[0, inf)")
        check_fields(self, learning_rate=">0", negatives=">0", max_epochs=">=0")
        check_fields(self, neighbours=">=0", negative_power="[0, 2]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Song2vecRecipe(GraphRecipe):
    """Settings of Song2vec with TransE, and those of `GraphRecipe`.

    Attributes
    ----------
    gamma : float
        Weight of the facts: L = L_s + gamma L_r; 0 is Song2vec without the graph.
    margin : float
        Margin between true and corrupted facts, in squared distances of 0..4.
    facts : int
        Facts sampled per step.
    """

    gamma: float = 1.0
    margin: float = 1.0
    facts: int = 256

    def __post_init__(self) -> None:
        # `super()` fails here: `slots` replaces the class by a new one.
        GraphRecipe.__post_init__(self)
        check_fields(self, gamma=">=0", margin=">0", facts=">=1")


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkRecipe(GraphRecipe):
    """Settings of a channel that learns from random walks, and those of `GraphRecipe`.

    Attributes
    ----------
    walks : int
        Walks that start at each song per epoch.
    walk_length : int
        Length of a walk, in songs.
    """

    window: int | None = 5
    places: int = 2_048
    walks: int = 1
    walk_length: int = 10

    def __post_init__(self) -> None:
        GraphRecipe.__post_init__(self)
        check_fields(self, walks=">=1", walk_length=">=2")


@dataclass(frozen=True, slots=True, kw_only=True)
class EGESRecipe(WalkRecipe):
    """Settings of EGES, and those of `WalkRecipe`.

    Attributes
    ----------
    slots : int
        Facts per song, at most.
    """

    slots: int = 8

    def __post_init__(self) -> None:
        WalkRecipe.__post_init__(self)
        check_fields(self, slots=">=1")


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSAGERecipe(WalkRecipe):
    """Settings of GraphSAGE, and those of `WalkRecipe`.

    Attributes
    ----------
    near : int
        Neighbours sampled per song.
    far : int
        Neighbours sampled per neighbour of a song.
    table : int
        Neighbours stored per entity, from which they are sampled.
    sharpness : float
        Factor of the cosines in the loss.
    """

    near: int = 8
    far: int = 4
    table: int = 24
    sharpness: float = 8.0
    learning_rate: float = 0.01

    def __post_init__(self) -> None:
        WalkRecipe.__post_init__(self)
        check_fields(self, near=">=1", far=">=1", table=">=1", sharpness=">0")
