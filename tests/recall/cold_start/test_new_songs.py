"""`recall.cold_start.newcomers`: copies of known audio by content hash, and what is no music."""

import numpy as np
import pyarrow as pa
import pytest
from made_logs import log_of
from made_stores import write_store

from audiorec.errors import InputError
from audiorec.library.library import Library
from audiorec.listening.rule import to_preferences
from audiorec.recall.cold_start.sides import (
    ColdStartFiles,
    KnownAudio,
    SongFacts,
    heard_pairs,
    open_inputs,
    screen,
)
from audiorec.store.embeddings import EmbeddingTable, write_embeddings

NEW = ["a", "b", "c", "d"]


def facts(**given):
    """What is known of four new songs: nothing, but for what is given."""
    nothing = dict.fromkeys(("content_hash", "uri", "title", "artist", "music"), (None,) * 4)
    return SongFacts(**(nothing | {name: tuple(values) for name, values in given.items()}))


@pytest.fixture
def catalogue(tmp_path):
    write_store(
        tmp_path / "vecs.parquet",
        4,
        song_id=["c", "x", "y", "z"],
        content_hash=["3", "1", "1", "9"],
        uri=["/music/c", "/music/x", "/music/y", "/music/z"],
    )
    return Library.open(tmp_path / "vecs.parquet")


def test_a_copy_under_another_id_is_known(catalogue):
    found = screen(NEW, facts(content_hash=["0", "1", None, "2"]), catalogue)
    assert found.kept.tolist() == [0, 2, 3]
    assert found.known == (KnownAudio(song_id="b", same_as="y"),)  # or x, which is the same
    assert sorted(found.copies) == [("x", 1), ("y", 1)]


@pytest.mark.parametrize(
    ("uri", "known"), [("/music/c", ()), (None, ()), ("/new/c", (("c", "/music/c"),))]
)
def test_the_very_song_of_the_catalogue_is_no_copy_but_its_copy_elsewhere_is(catalogue, uri, known):
    found = screen(
        NEW,
        facts(content_hash=["0", "7", "3", "2"], uri=["/0", "/7", uri, "/2"]),
        catalogue,
    )
    assert tuple((k.song_id, k.same_as) for k in found.known) == known
    assert found.kept.tolist() == [i for i in range(4) if not (known and i == 2)]
    assert found.copies == ()


def test_what_is_kept_is_named_all_the_same(catalogue):
    known = facts(content_hash=["1", "1", "0", "0"], music=[False, True, False, None])
    left = screen(NEW, known, catalogue)
    assert left.kept.tolist() == [3]
    kept = screen(NEW, known, catalogue, keep_known=True, include_non_music=True)
    assert kept.kept.tolist() == [0, 1, 2, 3]
    assert kept.known == left.known
    assert len(kept.known) == 2
    assert kept.not_music == left.not_music == ("c",)  # a is known: once is enough
    assert screen(NEW, known, None).kept.tolist() == [1, 3]


def test_facts_of_embeddings_are_the_columns_of_the_right_types(tmp_path):
    write_embeddings(
        tmp_path / "e",
        ["p", "q"],
        np.eye(2),
        kind="songs",
        model_id="m",
        columns={
            "title": pa.array([7, 8]),  # of someone else's
            "artist": pa.array(["Ayla", None]),
            "music": pa.array([False, None]),
        },
    )
    found = SongFacts.of_embeddings(EmbeddingTable.open(tmp_path / "e"))
    assert found.title == found.content_hash == found.uri == (None, None)
    assert (found.artist, found.music) == (("Ayla", None), (False, None))
    assert found.take(np.array([1])).music == (None,)


MAY = 1_714_521_600.0
LIKES = [("ana", "x", MAY, "like"), ("ben", "y", MAY, "like"), ("eva", "z", MAY, "like")]


def by_vector(tmp_path, **options):
    write_store(
        tmp_path / "new.parquet",
        4,
        seed=1,
        song_id=NEW,
        content_hash=["0", "1", "1", "2"],
        status=["ok", "ok", "ok", "silent"],
        uri=[f"/new/{name}" for name in NEW],
    )
    rows = [f"{u},{s},{t},{e}" for u, s, t, e in [*LIKES, ("eva", "a", MAY, "like")]]
    log = tmp_path / "plays.csv"
    log.write_text("\n".join(["user_id,song_id,timestamp,event", *rows]) + "\n")
    files = ColdStartFiles(
        songs=tmp_path / "new.parquet",
        vectors=tmp_path / "vecs.parquet",
        interactions=log,
        **options,
    )
    return files, open_inputs(files)


def test_by_vector_copies_and_silence_are_left_out(catalogue, tmp_path):
    files, inputs = by_vector(tmp_path)
    assert inputs.songs.ids == ["a"]
    assert (inputs.offered, len(inputs.screening.known)) == (4, 2)
    assert inputs.screening.not_music == ("d",)
    assert [v.tolist() for v in inputs.heard] == [[0], [2]]  # eva heard a
    again, _ = by_vector(tmp_path, keep_known=True)
    assert files.identity() != again.identity()


def test_who_heard_a_copy_has_heard_the_song(catalogue, tmp_path):
    _, inputs = by_vector(tmp_path, keep_known=True, include_non_music=True)
    assert inputs.songs.ids == NEW
    song, user = inputs.heard
    pairs = {(inputs.songs.ids[s], inputs.users.ids[u]) for s, u in zip(song, user, strict=True)}
    assert pairs == {("a", "eva"), ("b", "ana"), ("c", "ana"), ("b", "ben"), ("c", "ben")}


def test_two_copies_of_one_song_are_heard_once(catalogue, tmp_path):
    log = log_of(*LIKES, ("ana", "y", MAY, "like"))
    _, inputs = by_vector(tmp_path, keep_known=True, include_non_music=True)
    song, user = heard_pairs(
        to_preferences(log), inputs.songs, inputs.users, copies=inputs.screening.copies
    )
    pairs = list(zip(song.tolist(), user.tolist(), strict=True))
    assert sorted(set(pairs)) == sorted(pairs) == [(1, 0), (1, 1), (2, 0), (2, 1)]


def test_a_file_without_a_new_song_is_refused(catalogue, tmp_path):
    log = tmp_path / "plays.csv"
    log.write_text("user_id,song_id,timestamp,event\nana,x,2024-05-01T10:00:00Z,like\n")
    write_store(
        tmp_path / "new.parquet",
        2,
        song_id=["n", "o"],
        content_hash=["9", "8"],
        status=["ok", "silent"],
    )
    files = ColdStartFiles(
        songs=tmp_path / "new.parquet", vectors=tmp_path / "vecs.parquet", interactions=log
    )
    message = r"none of its 2 songs is new: 1 known audio \(`keep_known`\), 1 not music \(`incl"
    with pytest.raises(InputError, match=message):
        open_inputs(files)
