"""Where songs of no list lie, by hand, and where entities begin."""

import numpy as np

from audiorec.listening.sequences import Sequences
from audiorec.recall.graph import song_vectors
from audiorec.recall.graph.material import Facts, GraphMaterial
from audiorec.recall.graph.song_vectors import (
    NEW_LENGTH,
    go_on_from,
    initial_vectors,
    vectors_from_facts,
)


def made():
    """Songs 0, 1 and 2 stand in lists; 3 is by the artist of 0 and 1, 4 sounds like 2, 5: nothing.

    Things: 6, the artist of 0, 1 and 3; 7, an artist of 5 alone.
    """
    ids = tuple("abcdef")
    plays = Sequences.from_lists([["a", "b"], ["b", "c"]]).among(ids)
    facts = Facts(
        relations=("by", "sounds_like"),
        head=np.array([0, 1, 3, 4, 5]),
        relation=np.array([0, 0, 0, 1, 0]),
        tail=np.array([6, 6, 6, 2, 7]),
        weight=np.ones(5, np.float32),
    )
    return GraphMaterial(song_ids=ids, entities=("artist:x", "artist:y"), plays=plays, facts=facts)


def unit(x):
    return x / np.linalg.norm(x)


def test_a_new_song_is_the_mean_of_its_like(monkeypatch):
    material = made()
    warm = material.counts > 0
    rng = np.random.default_rng(0)
    table = rng.normal(size=(8, 4)).astype(np.float32)
    songs = np.array([3, 4, 5])
    place, length = vectors_from_facts(material, table, warm, songs)
    np.testing.assert_allclose(place[0], unit(unit(table[0]) + unit(table[1])), rtol=1e-5)
    np.testing.assert_allclose(length[0], np.linalg.norm((table[0] + table[1]) / 2), rtol=1e-5)
    np.testing.assert_allclose(place[1], unit(table[2]), rtol=1e-5)
    np.testing.assert_allclose(length[1], np.linalg.norm(table[2]), rtol=1e-5)
    assert not place[2].any()  # its artist has no song in a list
    assert length[2] == 0
    monkeypatch.setattr(song_vectors, "ROWS", 1)
    again = vectors_from_facts(material, table, warm, songs)
    np.testing.assert_allclose(again[0], place, rtol=1e-5)
    np.testing.assert_allclose(again[1], length, rtol=1e-5)


def test_a_relation_counts_by_how_well_it_tells_the_lists_of_a_song():
    """Songs of an artist share a list, those that sound alike do not: the artist is believed.

    What training made of the vectors is not asked.
    """
    rng = np.random.default_rng(0)
    ids = tuple(f"{n:02}" for n in range(81))
    every = np.arange(80)
    plays = Sequences.from_lists([[ids[n] for n in every if n % 8 == k] for k in range(8)])
    near = (every[:, None] + rng.integers(1, 80, (80, 8))) % 80
    near = np.where(near % 8 == every[:, None] % 8, (near + 1) % 80, near)
    facts = Facts(
        relations=("by", "sounds_like"),
        head=np.concatenate([every, np.repeat(every, 8), [80], np.full(8, 80)]),
        relation=np.repeat([0, 1, 0, 1], [80, 640, 1, 8]),
        tail=np.concatenate([81 + every % 8, near.ravel(), [81], np.arange(8) * 9 + 1]),
        weight=np.ones(729, np.float32),
    )
    entities = tuple(f"artist:{n}" for n in range(8))
    material = GraphMaterial(song_ids=ids, entities=entities, plays=plays.among(ids), facts=facts)
    warm = material.counts > 0
    counts = song_vectors._how_telling(material, warm)
    assert counts[0] > 5
    assert (counts[[1, 3]] < 0.5).all()  # of either end; no hub is a song of lists: counts[2]
    table = np.eye(89, 8, dtype=np.float32)
    table[every] = np.eye(8, dtype=np.float32)[every % 8] + 0.01
    place, _ = vectors_from_facts(material, table, warm, np.array([80]))
    assert place[0, 0] > 0.9


def test_songs_begin_at_the_mean_of_their_lists_and_things_at_that_of_their_songs(monkeypatch):
    material = made()
    found = np.full((8, 400), np.nan, np.float32)
    initial_vectors(material, np.random.default_rng(0), found)
    again = np.full_like(found, np.nan)
    monkeypatch.setattr(song_vectors, "ROWS", 3)
    initial_vectors(material, np.random.default_rng(0), again)
    np.testing.assert_allclose(again, found, atol=1e-6)  # blocks change nothing
    lengths = np.linalg.norm(found, axis=1)
    np.testing.assert_allclose(lengths[[0, 1, 2, 6]], 1, atol=0.05)
    assert (lengths[[3, 4, 5, 7]] < 0.05).all()  # of no list: only what is chance
    cosine = unit(found[1]) @ np.stack([unit(found[0]), unit(found[2])]).T
    np.testing.assert_allclose(cosine, 0.5**0.5, atol=0.1)  # of two lists, one of them theirs
    np.testing.assert_allclose(unit(found[6]) @ unit(unit(found[0]) + unit(found[1])), 1, atol=0.02)


def test_a_new_song_begins_near_the_learnt_songs_of_its_lists_and_apart_from_the_others():
    learnt = np.array([True, False, False, False, False, False])
    songs, found = np.full((6, 400), 0.5, np.float32), np.zeros((8, 400), np.float32)
    go_on_from(made(), np.random.default_rng(0), songs, learnt, found)
    np.testing.assert_array_equal(found[0], songs[0])
    apart = found[1] - songs[0] / 2  # of its two lists one has a learnt song
    np.testing.assert_allclose(np.linalg.norm(apart), NEW_LENGTH, rtol=1e-4)
    np.testing.assert_allclose(unit(found[2]) @ unit(apart), 0.5**0.5, atol=0.1)  # they share one
    assert not found[[3, 4, 5]].any()  # of no list
