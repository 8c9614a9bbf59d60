"""`audiorec.search.duplicates`: what is the same audio, and what only sounds like it."""

import numpy as np
import pytest
from made_library import series, song, write_library
from made_sound import add_lists, random_sound

from audiorec.library.library import Library
from audiorec.search import duplicates
from audiorec.search.duplicates import SameAudio, find_duplicates, mismatch
from audiorec.store import recordings
from audiorec.store.features import open_series
from audiorec.store.recordings import embedding_distances
from audiorec.store.schema import Kind
from audiorec.store.store import VectorStore


def nudged(scores, amount, seed=9):
    """The scores as another encoding would give them: a little off, in log-odds."""
    odds = np.log(scores) + amount * np.random.default_rng(seed).normal(size=scores.shape)
    parts = np.exp(odds[:, :2]), np.exp(odds[:, 2:])
    return np.hstack([p / p.sum(axis=1, keepdims=True) for p in parts]).astype(np.float32)


def shuffled(scores, seed=3):
    """The same segments in another order: all but the same vector, another song."""
    return np.random.default_rng(seed).permutation(scores)


def library(folder, songs, **files):
    store = Library.open(write_library(folder, songs, **files))
    opened = [
        open_series(store, folder / f"{kind}.parquet", kind)
        for kind in (Kind.SCORES, Kind.FEATURES)
        if files.get(kind.value)
    ]
    return store, opened


def found(store, opened):
    return [
        (group.verdict, {store.ids[row] for row in group.rows})
        for group in find_duplicates(store, opened)
    ]


@pytest.fixture
def songs():
    """Eight songs, and of the first a copy, two encodings, and a reordering."""
    first = series(0, genre=(1, 0, 0))
    others = [song(f"o{i}", series(i, genre=(i % 2, 0, 1)), duration_s=60.1) for i in range(1, 8)]
    return [
        song("a", first),
        song("copy", first, content_hash="hash of a"),
        song("mp3", nudged(first, 0.05), duration_s=60.05),
        song("opus", nudged(first, 0.08, 5), duration_s=59.95),
        song("reordered", shuffled(first)),
        *others,
    ]


@pytest.mark.parametrize(
    "files", [{"scores": True}, {"features": True}, {"scores": True, "features": True}]
)
def test_series_tell_encodings_from_songs_of_one_kind(tmp_path, songs, files):
    store, opened = library(tmp_path, songs, **files)
    assert found(store, opened) == [(SameAudio.SAME, {"a", "copy", "mp3", "opus"})]


def test_a_song_and_its_instrumental_version_are_two(tmp_path):
    sung = series(0, genre=(1, 0, 0), version=(0.4, 0), spread=0.5)
    songs = [song("sung", sung)]
    for less in (0.11, 0.13):  # of a voice in every segment; all else is equal
        voice = np.column_stack([sung[:, 0] - less, sung[:, 1] + less])
        songs.append(song(f"without {less}", np.hstack([voice, sung[:, 2:]]).astype(np.float32)))
    assert min(scores.min() for _, scores in songs) > 0
    store, (features,) = library(tmp_path, songs, features=True)
    rows = features.read(["sung", "without 0.13"])
    assert mismatch(rows["sung"], rows["without 0.13"]) < duplicates.MISMATCH[Kind.FEATURES]
    pairs = [pair.rows for group in find_duplicates(store, [features]) for pair in group.pairs]
    assert sorted(pairs) == [(0, 1), (1, 2)]  # 0.13 of a difference is too much


def test_pairs_say_what_they_rest_on(tmp_path, songs):
    store, opened = library(tmp_path, songs, scores=True)
    pairs = {
        tuple(store.ids[row] for row in pair.rows): pair
        for pair in find_duplicates(store, opened)[0].pairs
    }
    assert pairs["a", "copy"].verdict is SameAudio.IDENTICAL
    assert pairs["a", "copy"].mismatch is None
    same = pairs["a", "mp3"]
    assert same.verdict is SameAudio.SAME
    assert 0 < same.mismatch < 0.05
    assert same.length_difference_s == pytest.approx(0.05, abs=1e-5)


def test_without_series_it_is_only_likely_and_the_reordering_passes(tmp_path, songs):
    store, _ = library(tmp_path, songs)
    verdict, members = found(store, [])[0]
    assert verdict is SameAudio.LIKELY
    assert {"a", "copy", "mp3", "reordered"} <= members


def test_embeddings_tell_encodings_from_songs_of_one_kind_without_series(tmp_path, songs):
    path = write_library(tmp_path, songs)
    ids = VectorStore.open(path).ids
    rng = np.random.default_rng(0)
    first = rng.gamma(1.0, size=40)
    near = {n: first * (1 + 0.02 * rng.normal(size=40)) for n in ("a", "copy", "mp3", "opus")}
    # The reordering has nearly the same vector, but is another recording.
    embedding = [near.get(i, rng.gamma(1.0, size=40)) for i in ids]
    sound = random_sound(len(ids))
    sound[[ids.index(i) for i in near]] = sound[0]
    add_lists(path, embedding=embedding, sound=sound)
    (group,) = find_duplicates(Library.open(path))
    assert (group.verdict, set(group.song_ids)) == ("likely", {"a", "copy", "mp3", "opus"})
    verdicts = {pair.verdict for pair in group.pairs}
    assert verdicts == {SameAudio.IDENTICAL, SameAudio.LIKELY}


def test_songs_without_an_embedding_go_by_their_scores(tmp_path, songs):
    path = write_library(tmp_path, songs)
    ids = VectorStore.open(path).ids
    far = np.random.default_rng(0).gamma(1.0, size=(len(ids), 40))
    some = [None if i in ("mp3", "opus") else row for i, row in zip(ids, far, strict=True)]
    add_lists(path, embedding=some, sound=[None if v is None else [0.6, 0.8] for v in some])
    (group,) = find_duplicates(Library.open(path))
    assert {"a", "copy", "mp3", "opus"} <= set(group.song_ids)


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


def test_copies_alone_are_identical(tmp_path, songs):
    store, opened = library(tmp_path, [*songs[:2], *songs[5:]], scores=True)
    assert found(store, opened) == [(SameAudio.IDENTICAL, {"a", "copy"})]


def test_other_lengths_are_other_audio(tmp_path):
    first = series(0)
    made = [song("a", first), song("b", nudged(first, 0.02), duration_s=60.3)]
    store, opened = library(tmp_path, made, scores=True)
    assert found(store, opened) == []


def test_silence_and_short_songs_go_by_their_hash_only(tmp_path):
    silent, short = series(0), series(1, segments=3)
    made = [
        song("s1", silent, status="silent"),
        song("s2", silent, status="silent"),
        song("s3", silent, status="silent", content_hash="hash of s1"),
        song("j1", short),
        song("j2", short),
    ]
    store, opened = library(tmp_path, made, scores=True)
    assert found(store, opened) == [(SameAudio.IDENTICAL, {"s1", "s3"})]


def test_a_series_of_other_audio_is_not_used(tmp_path, songs):
    """After a file was replaced, the old row of scores.parquet says nothing about it."""
    songs = [(row, s) for row, s in songs if row["song_id"] != "reordered"]
    write_library(tmp_path, songs, scores=True)
    rows = [
        (row | ({"content_hash": "new"} if row["song_id"] == "mp3" else {}), s) for row, s in songs
    ]
    (tmp_path / "newer").mkdir()
    newer = Library.open(write_library(tmp_path / "newer", rows))
    file = open_series(newer, tmp_path / "scores.parquet", Kind.SCORES)
    assert "mp3" not in file
    assert "a" in file
    assert found(newer, [file]) == [(SameAudio.LIKELY, {"a", "copy", "mp3", "opus"})]


def test_blocks_and_batches_change_nothing(tmp_path, songs, monkeypatch):
    store, opened = library(tmp_path, songs, scores=True, features=True)
    whole = find_duplicates(store, opened)
    monkeypatch.setattr(recordings, "CELLS", 5)
    monkeypatch.setattr(recordings, "BLOCK_SONGS", 3)
    monkeypatch.setattr(duplicates, "SERIES_BYTES", 1_000)
    assert find_duplicates(store, opened) == whole


def test_many_songs_of_one_length_keep_the_nearest_partners(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "PARTNERS", 2)
    first = series(0)
    made = [song(f"{i}", nudged(first, 1.2, i)) for i in range(6)]
    made.append(song("twin", nudged(made[3][1], 0.02, 50)))
    store, opened = library(tmp_path, made, scores=True)
    assert (SameAudio.SAME, {"3", "twin"}) in found(store, opened)


def test_groups_join_over_a_common_song(tmp_path):
    first, second = series(0), series(1, genre=(3, 0, 0))
    made = [
        song("a1", first),
        song("a2", nudged(first, 0.05, 1)),
        song("a3", nudged(first, 0.05, 2)),
        song("b1", second),
        song("b2", second, content_hash="hash of b1"),
    ]
    store, opened = library(tmp_path, made, scores=True)
    assert found(store, opened) == [
        (SameAudio.IDENTICAL, {"b1", "b2"}),
        (SameAudio.SAME, {"a1", "a2", "a3"}),
    ]


def test_mismatch_worked_by_hand():
    a = np.array([[0.0, 1.0], [2.0, 1.0], [1.0, 4.0]])  # means 1, 2: moves 2 + 6
    b = np.array([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0], [9.0, 9.0]])  # cut to three: 2 + 2
    assert mismatch(a, b) == pytest.approx((1 + 1 + 1 + 16) / 12)
    assert mismatch(b, a) == mismatch(a, b)
    assert mismatch(a, a) == 0
    assert mismatch(np.ones((3, 2)), np.ones((3, 2))) == float("inf")


def test_an_empty_store_has_none(tmp_path):
    assert found(*library(tmp_path, [])) == []


def test_vectors_without_what_is_compared_go_by_their_hash(tmp_path):
    from dataclasses import replace

    import pyarrow as pa
    from made_library import metadata

    from audiorec.store.parquet import write_table
    from audiorec.store.schema import schema_of

    about = replace(metadata(), statistics=("mean", "variance"))
    write_table(tmp_path / "v.parquet", pa.Table.from_pylist([], schema_of(about)), about)
    assert find_duplicates(Library.open(tmp_path / "v.parquet")) == []
