"""`audiorec.playlists.of_store`: names, choices, curves and remarks on a store of 31 songs."""

import numpy as np
import pytest
from library_commands import write_songs

from audiorec.errors import InputError, UnknownSongError
from audiorec.library.library import Library
from audiorec.playlists.of_store import path_between, playlist_near
from audiorec.search.choice import Choice
from audiorec.types import normalised_name


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    write_songs(folder)
    return Library.open(folder / "vecs.parquet")


def test_a_path_by_parts_of_ids(store):
    found = path_between(store, "song 00", "song 07.ogg", steps=4)
    assert found.song_ids[[0, -1]].tolist() == ["album 0/song 00.flac", "album 3/song 07.ogg"]
    assert (len(found), found.by, found.notes) == (6, "vector", ())
    assert (np.diff(found.path.position) > 0).all()
    assert [row["song_id"] for row in found.songs] == found.song_ids.tolist()
    assert "copies/song 7b.mp3" not in found.song_ids
    short = path_between(store, "song 00", "song 07.ogg", steps=25)
    assert short.notes == (
        f"{len(short) - 2} songs between instead of 25: a smooth path between the two has no more",
    )
    with pytest.raises(UnknownSongError):
        path_between(store, "song 00", "nobody")


def test_a_choice_holds_for_what_lies_between(store):
    choice = Choice(only="duration<4:00", per_artist=1)
    found = path_between(store, "song 29", "song 07.ogg", steps=3, choice=choice)
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
    several = playlist_near(store, ["song 00", "song 03", "song 00"], minutes=20)
    assert several.song_ids[:2].tolist() == ["album 0/song 00.flac", "album 3/song 03.opus"]


def test_similarities_are_to_the_nearest_seed_or_to_the_mean(store):
    seeds = ["song 03", "song 10"]
    found = playlist_near(store, seeds, minutes=20)
    units = store.space("vector").matrix
    own = units[[store.row_number(store.resolve(name)) for name in seeds]]
    assert found.similarities == pytest.approx((units[found.rows] @ own.T).max(axis=1), abs=1e-6)
    assert found.similarities[:2] == pytest.approx(1, abs=1e-6)  # the seeds come first
    mean = playlist_near(store, seeds, minutes=20, mean=True)
    assert mean.similarities[:2].max() < 0.999


def test_seeds_that_the_store_does_not_have(store):
    unit = store.space("auto").units([store.row_number(store.resolve("song 04"))])
    alone = playlist_near(store, [], minutes=20, others=unit)
    named = playlist_near(store, "song 04", minutes=20)
    assert set(alone.song_ids) & set(named.song_ids)
    with pytest.raises(InputError, match="no seed"):
        playlist_near(store, [], minutes=20)


def test_a_curve_has_its_scores_and_distance(store):
    found = playlist_near(store, "song 00", minutes=25, curves=("jazz:0.9..0.1",))
    scores = found.curve_scores["jazz"]
    assert scores.shape == (len(found),)
    assert scores[0] > 0.6 > 0.3 > scores[-1]
    lengths = np.array([row["duration_s"] for row in found.songs])
    part = (np.cumsum(lengths) - lengths / 2) / lengths.sum()
    assert found.curve_distance == pytest.approx(np.abs(scores - (0.9 - 0.8 * part)).mean())
    with pytest.raises(InputError, match="rise, fall, arc, dip or mean scores"):
        playlist_near(store, "song 00", curves=("jazz:up",))


def test_a_curve_that_cannot_hold_says_where_and_why(store):
    choice = Choice(per_artist=2, only="genre.jazz<0.5")
    found = playlist_near(store, "song 00", minutes=15, curves=("jazz:0.1..0.9",), choice=choice)
    (note,) = [line for line in found.notes if "jazz" in line]
    assert note.startswith("from ")
    assert note.endswith(": no other eligible song has such a score")
    flat = playlist_near(store, "song 00", minutes=10, curves=("jazz:0.40..0.45",))
    assert "jazz only moves between 0.40 and 0.45, which is hardly audible" in flat.notes
