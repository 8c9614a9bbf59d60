"""`audiorec.store.recordings`: what is linked, what never is, and what is kept of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_library import series, song, write_library
from made_sound import add_lists, unit_rows

from audiorec.store import links, recordings
from audiorec.store.links import links_path, read_links, update_links
from audiorec.store.recordings import cut_pairs, find_links, near_pairs
from audiorec.store.store import VectorStore

WIDTH = 40


def written(folder, made, embeddings):
    """A store of songs (row, scores), whose sound is the direction of their embedding."""
    path = write_library(folder, made)
    by_id = dict(zip((row["song_id"] for row, _ in made), embeddings, strict=True))
    values = [by_id[i] for i in VectorStore.open(path).ids]
    sound = [None if v is None else v / np.linalg.norm(v) for v in values]
    add_lists(path, embedding=values, sound=sound)
    return path


def recording(seed, *, off=0.0, of=9):
    """The embedding of one recording, a little off as that of a copy is."""
    rng = np.random.default_rng(seed)
    first = rng.gamma(1.0, size=WIDTH)
    return first * (1 + off * np.random.default_rng(of).normal(size=WIDTH))


def linked(path):
    store = VectorStore.open(path)
    return {tuple(store.ids[row] for row in pair) for pair in read_links(store).pairs.tolist()}


@pytest.fixture
def songs():
    """A song, another encoding, one that begins 2 s later, its instrumental; and another song."""
    sung = series(0, version=(0.8, 0))
    plain = series(0, version=(0, 0.8))
    made = [
        song("a", sung),
        song("b mp3", sung),
        song("c later", sung, duration_s=58.0),
        song("d instrumental", plain),
        song("e other", series(3, version=(0.8, 0))),
        song("f longer", sung, duration_s=63.0),
    ]
    near = [recording(0), recording(0, off=0.03), recording(0, off=0.03, of=8)]
    return made, [*near, recording(0, off=0.03, of=7), recording(5), recording(0, off=0.03, of=6)]


def test_copies_are_linked_and_versions_and_other_lengths_are_not(tmp_path, songs):
    path = written(tmp_path, *songs)
    assert update_links(path) == 6
    assert linked(path) == {("a", "b mp3"), ("a", "c later"), ("b mp3", "c later")}


@pytest.mark.parametrize(
    ("status", "similar", "is_listened_to"),
    [("truncated", 0.5, True), ("truncated", 0.3, False), ("ok", 0.5, False)],
)
def test_a_file_that_was_cut_off_may_sound_less_like_its_whole(
    tmp_path, status, similar, is_listened_to
):
    part = song("part", series(0), status=status, duration_s=40.0)
    path = write_library(tmp_path, [part, song("whole", series(0), duration_s=200.0)])
    sound = np.asarray([[1.0, 0.0], [similar, np.sqrt(1 - similar**2)]])
    add_lists(path, embedding=sound, sound=sound)
    everything = np.ones(2, np.bool_)
    pairs = cut_pairs(VectorStore.open(path), np.arange(2), everything)
    assert pairs.tolist() == ([[0, 1]] if is_listened_to else [])


def test_new_songs_are_compared_with_all_and_known_ones_with_none(tmp_path, songs, monkeypatch):
    made, embeddings = songs
    path = written(tmp_path, made[1:], embeddings[1:])
    assert update_links(path) == 5
    before = links_path(path).read_bytes()
    assert update_links(path) == 0
    assert links_path(path).read_bytes() == before
    (tmp_path / "whole").mkdir()
    whole = written(tmp_path / "whole", made, embeddings)
    links_path(path).rename(links_path(whole))
    asked = []
    monkeypatch.setattr(
        links, "find_links", lambda store, rows: asked.append(rows) or find_links(store, rows)
    )
    assert update_links(whole) == 1
    assert [rows.tolist() for rows in asked] == [[0]]
    assert linked(whole) == {("a", "b mp3"), ("a", "c later"), ("b mp3", "c later")}


def test_what_is_gone_is_forgotten_and_what_was_renamed_is_not(tmp_path, songs):
    made, embeddings = songs
    path = written(tmp_path, made, embeddings)
    update_links(path)
    renamed = [(row | {"song_id": row["song_id"].upper()}, scores) for row, scores in made[:2]]
    path = written(tmp_path, renamed, embeddings[:2])
    assert read_links(VectorStore.open(path)).missing == 0
    assert linked(path) == {("A", "B MP3")}
    assert update_links(path) == 0
    path = written(tmp_path, made, embeddings)
    assert read_links(VectorStore.open(path)).missing == 4


def test_one_title_and_artist_allow_what_low_bit_rates_do(tmp_path, songs):
    made, embeddings = songs
    off = recording(0, off=0.2)
    assert recordings.ALIKE < np.abs(off - embeddings[0]).sum() / (off + embeddings[0]).sum() < 0.13
    named = {"title": "Song", "artist": "Anna"}
    for tags, expected in ((named, {("a", "b mp3")}), ({}, set())):
        pair = [song("a", made[0][1], **named), song("b mp3", made[0][1], **tags)]
        path = written(tmp_path, pair, [embeddings[0], off])
        links_path(path).unlink(missing_ok=True)
        update_links(path)
        assert linked(path) == expected


@pytest.mark.parametrize(
    ("size", "bpm", "found"),
    [
        (300_000, 120.03, True),  # 40 kbit/s
        (300_000, 60.015, True),  # told at another level
        (300_000, 120.05, False),  # two singers of one accompaniment
        (300_000, None, False),
        (600_000, 120.03, False),
    ],
)
def test_a_low_bit_rate_allows_more_where_the_tempo_is_one(tmp_path, songs, size, bpm, found):
    (_, scores), first = songs[0][0], songs[1][0]
    pair = [song("a", scores, bpm=120.0), song("b low", scores, size=size, bpm=bpm)]
    path = written(tmp_path, pair, [first, recording(0, off=0.2)])
    update_links(path)
    links = read_links(VectorStore.open(path))
    assert links.sure.tolist() == [found]  # else both have to be heard
    (tmp_path / "alike").mkdir()
    both = [(row | {"size": 300_000, "bpm": 120.0}, scores) for row, scores in pair]
    path = written(tmp_path / "alike", both, [first, recording(0, off=0.2)])
    update_links(path)
    assert linked(path) == set()  # of two low rates, each may have lost something else


def test_silent_and_short_songs_and_those_without_sound_are_not_compared(tmp_path):
    made = [
        song("a", series(0)),
        song("b", series(0), status="silent"),
        song("c", series(0, segments=3)),
        song("d", series(0)),
    ]
    path = written(tmp_path, made, [recording(0), recording(0), recording(0), None])
    assert update_links(path) == 4
    assert linked(path) == set()
    (tmp_path / "plain").mkdir()
    plain = write_library(tmp_path / "plain", made)
    assert update_links(plain) == 4
    assert linked(plain) == set()


def test_a_song_that_gains_sound_is_compared_again(tmp_path):
    made = [song("a", series(0)), song("b", series(0))]
    path = written(tmp_path, made, [recording(0), None])
    update_links(path)
    path = written(tmp_path, made, [recording(0), recording(0, off=0.01)])
    assert read_links(VectorStore.open(path)).missing == 1
    assert update_links(path) == 1
    assert linked(path) == {("a", "b")}


def test_a_file_of_another_rule_or_damaged_is_not_used(tmp_path, songs, monkeypatch):
    path = written(tmp_path, *songs)
    update_links(path)
    monkeypatch.setattr(recordings, "RULE", "another")
    assert read_links(VectorStore.open(path)) is None
    assert update_links(path) == 6
    whole = links_path(path).read_bytes()
    links_path(path).write_bytes(whole[: len(whole) // 2])
    assert read_links(VectorStore.open(path)) is None
    assert update_links(path) == 6


def test_an_empty_store_has_none(tmp_path):
    path = write_library(tmp_path, [])
    assert update_links(path) == 0
    assert len(read_links(VectorStore.open(path)).pairs) == 0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 12), block=st.integers(1, 5))
def test_blocks_find_what_all_distances_find(tmp_path_factory, seed, n, block):
    rng = np.random.default_rng(seed)
    lengths = rng.uniform(60, 64, n).round(2)
    made = [song(f"{i:02}", series(0), duration_s=lengths[i]) for i in range(n)]
    path = write_library(tmp_path_factory.mktemp("blocks"), made)
    sound = unit_rows(rng.normal(size=(n, 3)))
    store = VectorStore.open(add_lists(path, sound=list(sound)))
    seconds = np.asarray(store.column("duration_s").to_pylist())
    rows = np.flatnonzero(rng.random(n) < 0.6)
    expected = {
        (min(a, b), max(a, b))
        for a in rows.tolist()
        for b in range(n)
        if a != b and sound[a] @ sound[b] >= 0.4 and abs(seconds[a] - seconds[b]) <= 2.5
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recordings, "BLOCK_SONGS", block)
        patch.setattr(recordings, "CELLS", 7)
        found = near_pairs(store, 0.6, rows, np.ones(n, bool))
    assert {(a, b) for a, b in found.tolist()} == expected
