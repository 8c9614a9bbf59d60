"""Paths and playlists by `Library.ask`: names, choices, curves, remarks, of 31 songs."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from library_commands import write_songs

from audiorec.errors import InputError, UnknownSongError
from audiorec.library.library import Library
from audiorec.options import fields_of
from audiorec.search.questions import Choice, PathQuestion, PlaylistQuestion, SimilarQuestion
from audiorec.types import normalised_name


def playlist_near(store, *seeds, **wish):
    return store.ask(PlaylistQuestion(seeds=seeds, **wish))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    write_songs(folder)
    return Library.open(folder / "vecs.parquet")


def test_a_path_by_parts_of_ids(store):
    found = store.path_between("song 00", "song 07.ogg", steps=4)
    assert found.song_ids[[0, -1]].tolist() == ["album 0/song 00.flac", "album 3/song 07.ogg"]
    assert (len(found), found.by, found.notes) == (6, "vector", ())
    assert (np.diff(found.path.position) > 0).all()
    assert [row["song_id"] for row in found.songs] == found.song_ids.tolist()
    assert "copies/song 7b.mp3" not in found.song_ids
    short = store.path_between("song 00", "song 07.ogg", steps=25)
    assert short.notes == (
        f"{len(short) - 2} songs between instead of 25: a smooth path between the two has no more",
    )
    with pytest.raises(UnknownSongError):
        store.path_between("song 00", "nobody")


def test_a_choice_holds_for_what_lies_between(store):
    choice = Choice(only="duration<4:00", per_artist=1)
    found = store.path_between("song 29", "song 07.ogg", steps=3, choice=choice)
    artists = [normalised_name(row["artist"]) for row in found.songs if row["artist"]]
    assert len(artists) == len(set(artists))
    assert all(row["duration_s"] < 240 for row in found.songs[1:-1])
    assert found.songs[0]["duration_s"] > 240  # an end may be anything


def test_a_playlist_has_the_defaults_of_the_command(store):
    found = playlist_near(store, "song 00", minutes=20)
    assert found.song_ids[0] == "album 0/song 00.flac"
    assert (found.curve_distance, found.curve_scores, found.notes) == (None, {}, ())
    assert abs(found.playlist.seconds - 1_200) <= 30
    artists = [normalised_name(row["artist"]) for row in found.songs]
    for place, artist in enumerate(artists):
        assert not artist or artists.count(artist) <= 2
        assert not artist or artist not in artists[max(0, place - 3) : place]
    assert found.similarities[0] == pytest.approx(1, abs=1e-6)
    several = playlist_near(store, "song 00", "song 03", "song 00", minutes=20)
    assert several.song_ids[:2].tolist() == ["album 0/song 00.flac", "album 3/song 03.opus"]


def test_similarities_are_to_the_nearest_seed_or_to_the_mean(store):
    seeds = ["song 03", "song 10"]
    found = playlist_near(store, *seeds, minutes=20)
    units = store.space("vector").matrix
    own = units[[store.row_number(store.resolve(name)) for name in seeds]]
    assert found.similarities == pytest.approx((units[found.rows] @ own.T).max(axis=1), abs=1e-6)
    assert found.similarities[:2] == pytest.approx(1, abs=1e-6)  # the seeds come first
    mean = playlist_near(store, *seeds, minutes=20, mean=True)
    assert mean.similarities[:2].max() < 0.999


def test_no_seed_is_refused(store):
    with pytest.raises(InputError, match="name a song"):
        playlist_near(store, minutes=20)


def test_a_curve_has_its_scores_and_distance(store):
    found = playlist_near(store, "song 00", minutes=25, curve=("jazz:0.9..0.1",))
    scores = found.curve_scores["jazz"]
    assert scores.shape == (len(found),)
    assert scores[0] > 0.6 > 0.3 > scores[-1]
    lengths = np.array([row["duration_s"] for row in found.songs])
    part = (np.cumsum(lengths) - lengths / 2) / lengths.sum()
    assert found.curve_distance == pytest.approx(np.abs(scores - (0.9 - 0.8 * part)).mean())
    with pytest.raises(InputError, match="rise, fall, arc, dip or mean scores"):
        playlist_near(store, "song 00", curve=("jazz:up",))


def test_a_curve_that_cannot_hold_says_where_and_why(store):
    choice = Choice(per_artist=2, only="genre.jazz<0.5")
    found = playlist_near(store, "song 00", minutes=15, curve=("jazz:0.1..0.9",), choice=choice)
    (note,) = [line for line in found.notes if "jazz" in line]
    assert note.startswith("from ")
    assert note.endswith(": no other eligible song has such a score")
    flat = playlist_near(store, "song 00", minutes=10, curve=("jazz:0.40..0.45",))
    assert "jazz only moves between 0.40 and 0.45, which is hardly audible" in flat.notes


def test_a_question_by_names_by_files_and_by_rows_has_one_answer(store):
    ids = ["album 3/song 03.opus", "album 2/song 10.flac"]
    rows = [store.row_number(song_id) for song_id in ids]
    asked = SimilarQuestion(seeds=("song 03", "song 10"), k=5, less_like=("song 00",), why=True)
    found = store.ask(asked)
    assert found == store.ask(replace(asked, seeds=rows))
    assert found == store.ask(replace(asked, seeds=[*ids, "song 10.flac"]))
    assert [s.name for s in found.asked.seeds] == ids
    assert not {*rows, store.row_number("album 0/song 00.flac")} & set(found.rows.tolist())
    assert len(found.beside.reasons) == len(found) == 5


def test_an_answer_is_a_document_a_playlist_and_remarks(store, tmp_path):
    found = store.ask(SimilarQuestion(seeds=("song 07.ogg",), k=3, choice=Choice(exclude=("x/",))))
    document = found.to_dict()
    assert json.loads(json.dumps(document)) == document
    assert [song["song_id"] for song in document["songs"]] == found.song_ids.tolist()
    assert "why" not in document["songs"][0]
    assert found.to_m3u8(tmp_path / "like.m3u8") == []
    paths = (tmp_path / "like.m3u8").read_text().splitlines()[2::2]
    assert (paths[0].rpartition("/")[2], len(paths)) == ("song 07.ogg", 4)
    assert "note: `exclude` x/ matches no song" in found.remarks
    assert "1 copy of these songs left out (`also=copies` shows them)" in found.remarks
    for question in (PathQuestion(seeds=("song 00", "song 07.ogg")), PlaylistQuestion(seeds=[0])):
        answer = store.ask(question)
        document = answer.to_dict()
        assert json.loads(json.dumps(document)) == document
        assert [song["song_id"] for song in document["songs"]] == list(answer)


@pytest.mark.parametrize(
    ("question", "match"),
    [
        (SimilarQuestion(), "name a song"),
        (SimilarQuestion(seeds=("nobody",)), "no song with id 'nobody'"),
        (SimilarQuestion(seeds=("song 00",), k=0), "k must be at least 1"),
        (SimilarQuestion(seeds=("song 00",), less_like=("song 00",)), "the same song"),
        (PathQuestion(seeds=("song 00",)), "a path has two ends: name two songs, got 1"),
        (PathQuestion(seeds=("song 00", "song 00")), "two different songs"),
        (PlaylistQuestion(seeds=("song 00",), artist_gap=-1), "a gap of at least 0"),
    ],
)
def test_what_cannot_be_answered(store, question, match):
    with pytest.raises(InputError, match=match):
        store.ask(question)


def test_a_choice_knows_its_words():
    with pytest.raises(InputError, match="also must be copies or non-music, got 'noise'"):
        Choice(also=("noise",))


def test_every_field_that_a_person_sets_says_what_it_is():
    for kind in (SimilarQuestion, PathQuestion, PlaylistQuestion, Choice):
        settable = {f.name for f in fields(kind)} - {field.name for field in fields_of(kind)}
        assert settable <= {"seeds", "choice", "heads", "mean", "exclude_ids", "artist_gap"}
    options = {field.name: field.option for field in fields_of(SimilarQuestion)}
    assert (options["per_artist"].names, options["k"].min) == (("--max-per-artist",), 1)
