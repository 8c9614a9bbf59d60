"""Groups of copies: `find_duplicates`, what it goes by, and what it never takes for one."""

import numpy as np
import pytest
from made_library import series, song, write_library
from made_sound import add_lists, random_sound

from audiorec.library.library import Library
from audiorec.search.copies import SameAudio, find_duplicates, not_compared
from audiorec.store import recordings
from audiorec.store.links import update_links
from audiorec.store.recordings import embedding_distances
from audiorec.store.store import VectorStore

WIDTH = 40
COPIES = ("a", "copy", "mp3", "opus")


def library(folder, songs, *, alike=COPIES):
    """A store in which the named songs have nearly one embedding, and the others their own."""
    path = write_library(folder, songs)
    ids = VectorStore.open(path).ids
    rng = np.random.default_rng(0)
    first = rng.gamma(1.0, size=WIDTH)
    near = {n: first * (1 + 0.02 * rng.normal(size=WIDTH)) for n in alike}
    embedding = [near.get(i, rng.gamma(1.0, size=WIDTH)) for i in ids]
    sound = random_sound(len(ids))
    sound[[ids.index(i) for i in alike if i in ids]] = [0, 0, 0, 0, 0, 0, 0, 1]
    return Library.open(add_lists(path, embedding=embedding, sound=sound))


def found(store):
    return [(group.verdict, set(group.song_ids)) for group in find_duplicates(store)]


@pytest.fixture
def songs():
    """Eight songs, and of the first a copy, two encodings, and a reordering of its segments."""
    first = series(0, genre=(1, 0, 0))
    others = [song(f"o{i}", series(i, genre=(i % 2, 0, 1)), duration_s=60.1) for i in range(1, 8)]
    return [
        song("a", first),
        song("copy", first, content_hash="hash of a"),
        song("mp3", first, duration_s=60.05),
        song("opus", first, duration_s=59.95),
        song("reordered", np.random.default_rng(3).permutation(first)),
        *others,
    ]


def test_embeddings_tell_encodings_from_songs_of_one_kind(tmp_path, songs):
    store = library(tmp_path, songs)
    assert found(store) == [(SameAudio.LIKELY, set(COPIES))]
    (group,) = find_duplicates(store)
    pairs = {tuple(store.ids[row] for row in pair.rows): pair for pair in group.pairs}
    assert pairs["a", "copy"].verdict is SameAudio.IDENTICAL
    assert pairs["a", "copy"].distance is None
    likely = pairs["a", "mp3"]
    assert likely.verdict is SameAudio.LIKELY
    assert 0 < likely.distance < 0.05
    assert likely.length_difference_s == pytest.approx(0.05, abs=1e-5)
    update_links(store.path)  # what is kept beside the store says the same
    assert found(Library.open(store.path)) == [(SameAudio.LIKELY, set(COPIES))]


def test_copies_alone_are_identical(tmp_path, songs):
    assert found(library(tmp_path, [*songs[:2], *songs[5:]])) == [
        (SameAudio.IDENTICAL, {"a", "copy"})
    ]


def test_without_sound_only_the_same_packets_are_copies_and_it_is_said(tmp_path, songs):
    store = Library.open(write_library(tmp_path, songs))
    assert found(store) == [(SameAudio.IDENTICAL, {"a", "copy"})]
    assert not_compared(store).startswith("12 songs have no sound, so only the same audio packets")
    (tmp_path / "heard").mkdir()
    assert not_compared(library(tmp_path / "heard", songs)) == ""


def test_distances_of_embeddings_worked_by_hand(tmp_path, monkeypatch):
    path = write_library(tmp_path, [song(n, series(1)) for n in "abcde"])
    values = [[1, 2, 1], [1, 1, 2], None, [0, 0, 0], [0, 0, 0]]
    add_lists(path, embedding=values, sound=[[1, 0]] * 5)
    store = VectorStore.open(path)
    pairs = np.array([(0, 1), (0, 2), (3, 4), (0, 3)])
    # |1-1| + |2-1| + |1-2| = 2 of 4 + 4; a song without one, silence, and sound and silence.
    expected = [0.25, np.nan, np.nan, 1.0]
    np.testing.assert_array_equal(embedding_distances(store, pairs), expected)
    monkeypatch.setattr(recordings, "PAIRS", 1)
    np.testing.assert_array_equal(embedding_distances(store, pairs), expected)
    assert embedding_distances(store, pairs[:0]).tolist() == []


def test_other_lengths_are_other_audio(tmp_path):
    made = [song("a", series(0)), song("mp3", series(0), duration_s=62.6)]
    assert found(library(tmp_path, made)) == []


def test_silence_and_short_songs_go_by_their_hash_only(tmp_path):
    silent, short = series(0), series(1, segments=3)
    made = [
        song("s1", silent, status="silent"),
        song("s2", silent, status="silent"),
        song("s3", silent, status="silent", content_hash="hash of s1"),
        song("j1", short),
        song("j2", short),
    ]
    store = library(tmp_path, made, alike=[row["song_id"] for row, _ in made])
    assert found(store) == [(SameAudio.IDENTICAL, {"s1", "s3"})]


def test_many_songs_of_one_length_keep_the_nearest_partners(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "PARTNERS", 2)
    path = write_library(tmp_path, [song(f"{i}", series(0)) for i in range(7)])
    angles = np.array([0.0, 0.3, -0.3, 0.25, 0.2, 0.15, 0.01])
    sound = np.column_stack([np.cos(angles), np.sin(angles)])
    add_lists(path, embedding=[[1.0, 1.0 + a] for a in angles], sound=list(sound))
    pairs = {pair.rows for group in find_duplicates(Library.open(path)) for pair in group.pairs}
    assert (0, 6) in pairs


def test_groups_join_over_a_common_song(tmp_path):
    made = [song(n, series(0)) for n in ("a1", "a2", "a3")]
    made += [song("b1", series(1)), song("b2", series(1), content_hash="hash of b1")]
    path = write_library(tmp_path, made)
    steps = {"a1": [1.0, 1.0], "a2": [1.0, 1.15], "a3": [1.0, 1.3]}  # a1 and a3 are too far apart
    lists = [steps.get(i, [9.0, 1.0]) for i in VectorStore.open(path).ids]
    add_lists(path, embedding=lists, sound=[[0.6, 0.8]] * 5)
    assert found(Library.open(path)) == [
        (SameAudio.IDENTICAL, {"b1", "b2"}),
        (SameAudio.LIKELY, {"a1", "a2", "a3"}),
    ]


def test_an_empty_store_has_none(tmp_path):
    assert found(Library.open(write_library(tmp_path, []))) == []
