"""A log, a catalogue and users, read and sorted: what a training begins with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audiorec.errors import InputError
from audiorec.listening.interactions import read_interactions, to_preferences
from audiorec.recall.audio.basket_pairs import song_pairs
from audiorec.recall.audio.data import SIDES, Anchors, Material, assemble, users_of
from audiorec.recall.audio.held_out import Part, Parts, assign_parts
from audiorec.recall.audio.held_out_songs import find_store, groups_of
from audiorec.recall.audio.inputs import Songs
from audiorec.recall.audio.options import TrainingOptions
from audiorec.store.embeddings import EmbeddingTable
from audiorec.types import IdMap, Int32Array, Int64Array, Pairs, Preferences


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """What a training begins with.

    Attributes
    ----------
    material : Material
    anchors : Anchors
    counts : mapping of str to int
        Pairs, anchors, songs and artists that are learnt from; users of the log, and those
        of them that have no embedding.
    simulated : bool
        The log says that it is made up.
    """

    material: Material
    anchors: Anchors
    counts: dict[str, int]
    simulated: bool


def prepare(
    songs: Songs,
    interactions: Path,
    options: TrainingOptions,
    *,
    users: Path | None,
    store: Path | None,
) -> Prepared:
    """Read everything that a training needs and sort it.

    Parameters
    ----------
    songs : Songs
    interactions : Path
        A listening log.
    options : TrainingOptions
    users : Path, optional
        A ``users.parquet``.
    store : Path, optional
        A ``vecs.parquet`` with the songs' artists; by default the one beside the songs' file.

    Raises
    ------
    InputError
        If they do not fit each other, or there is nothing to learn from.
    StoreError
        If a file is not what it should be.
    """
    groups = groups_of(songs.ids, find_store(store, songs.path))
    parts = assign_parts(songs.ids, groups, options.split)
    log = read_interactions(interactions)
    if options.pairs_from == "likes":
        preferences = to_preferences(log, options.rule, song_ids=songs.ids)
        anchors, pairs = _of_users(users, preferences, songs, interactions, options)
        n_users = len(preferences.user_ids)
    else:
        together = song_pairs(interactions, log, songs.ids, source=options.pairs_from)
        anchors = Anchors(ids=songs.ids, are_songs=True)
        pairs = {"liked": together, "disliked": together.take(np.zeros(0, int)), "heard": together}
        n_users = len(log.user_ids)
    loaded, chosen = songs.load(_worth_loading(songs, pairs, parts), options.max_segments)
    pairs = {n: _renumbered(p, chosen, anchors.are_songs) for n, p in pairs.items()}
    if anchors.are_songs:
        anchors = Anchors(ids=loaded.song_ids, are_songs=True)
    own_groups = tuple(groups[i] for i in chosen)
    material = assemble(
        anchors,
        pairs,
        loaded,
        own_groups,
        parts[chosen],
        dimension=options.embedding,
        seed=options.split.seed,
    )
    return Prepared(
        material=material,
        anchors=anchors,
        counts=_counts(material, anchors, n_users),
        simulated=log.simulated,
    )


def _of_users(
    users: Path | None,
    preferences: Preferences,
    songs: Songs,
    interactions: Path,
    options: TrainingOptions,
) -> tuple[Anchors, dict[str, Pairs]]:
    """Return the users and their pairs with the numbers of all songs."""
    if not preferences.user_ids:
        raise InputError(f"{interactions}: has no event of a song of {songs.path}")
    anchors = Anchors(ids=preferences.user_ids)
    if users is not None:
        table = EmbeddingTable.open(users, kind="users")
        if table.dimension != options.embedding:
            raise InputError(
                f"{users}: embeddings of {table.dimension} numbers, the model is to have "
                f"{options.embedding}"
            )
        anchors, preferences = users_of(table, preferences)
    number = IdMap(songs.ids).rows(preferences.song_ids).astype(np.int32)
    return anchors, {n: _of_songs(getattr(preferences, n), number) for n in SIDES}


def _worth_loading(songs: Songs, pairs: Mapping[str, Pairs], parts: Parts) -> Int64Array:
    """Return the songs that may be learnt from or that say when to stop."""
    wanted = (parts == Part.TRAIN) | (parts == Part.VALID)
    if songs.end_to_end:  # what nobody met would cost as much to decode as the rest
        met = np.zeros(len(parts), np.bool_)
        for side in pairs.values():
            met[side.song] = True
        wanted &= met
    chosen = np.flatnonzero(wanted)
    if not len(chosen):
        raise InputError("no song is left to learn from: all belong to held-out artists")
    return chosen


def _renumbered(pairs: Pairs, chosen: Int64Array, users_too: bool) -> Pairs:
    """Give the chosen songs numbers from 0; pairs of other songs are left out."""
    users = pairs.user.max(initial=0) if users_too else 0
    last = max(int(pairs.song.max(initial=0)), int(chosen.max(initial=0)), int(users))
    place = np.full(last + 1, -1, np.int32)
    place[chosen] = np.arange(len(chosen), dtype=np.int32)
    keep = place[pairs.song] >= 0
    if users_too:
        keep &= place[pairs.user] >= 0
    kept = pairs.take(keep)
    user = place[kept.user] if users_too else kept.user
    return Pairs(user, place[kept.song], kept.weight, kept.time)


def _of_songs(pairs: Pairs, number: Int32Array) -> Pairs:
    return Pairs(pairs.user, number[pairs.song], pairs.weight, pairs.time)


def _counts(material: Material, anchors: Anchors, n_users: int) -> dict[str, int]:
    data = material.data
    learnt = np.unique(data.liked.song)
    return {
        "liked_pairs": len(data.liked),
        "disliked_pairs": len(data.disliked),
        "anchors": len(np.unique(data.liked.user)),
        "songs": len(learnt),
        "artists": len(np.unique(data.groups[learnt])),
        "users_in_log": n_users,
        "users_without_embedding": 0 if anchors.are_songs else n_users - len(anchors.ids),
    }
