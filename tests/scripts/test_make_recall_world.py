"""`scripts/samples/make_recall_world.py`: what is real stays real, and what is made up is named."""

import csv
import io
import json
import zipfile
from dataclasses import replace

import make_recall_world as world
import numpy as np
import pyarrow.parquet as pq
import pytest

from audiorec.listening.interactions import read_interactions
from audiorec.listening.sequences import to_sequences
from audiorec.store.embeddings import EmbeddingTable

HEAD = (
    *("track_id", "track_name", "track_artist", "track_popularity", "track_album_name"),
    *("track_album_release_date", "playlist_id", "playlist_genre", *world.NUMBERS),
)
SPEC = world.Spec(sessions=60, users=5, seed=3)


@pytest.fixture
def data(tmp_path):
    """Return a tiny copy of the three sources: 14 songs, two of which both sources have."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(HEAD)
    for song in range(12):
        numbers = [0.1 * song] * 11 + [200_000]
        names = [f"sp{song:02}", f"Title {song}", "Anna" if song < 6 else "Ben", 50, "An Album"]
        table.writerow([*names, "2019-06-14", "list-a", "pop", *numbers])
    with zipfile.ZipFile(tmp_path / "spotify_songs.zip", "w") as archive:
        archive.writestr("spotify_songs.csv", text.getvalue())
    hari = tmp_path / "recall" / "hari_playlists"
    hari.mkdir(parents=True)
    tracks = [("sp00", "Anna - Title 0"), ("hx2", "Cleo - Else")]
    tracks.append(("hx1", "ANNA, Cleo - title 1 - Remastered 2011"))
    tracks += [("hx3", "Cleo - More"), ("hx4", "no name")]
    (hari / "tracks.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in tracks))
    ids = " ".join(["sp00", "hx1", "hx2", "hx3", "hx4", *(f"sp{n:02}" for n in range(2, 10))])
    lists = f"Summer\t{ids}\nShort\tsp00 hx1\nArtists/Anna\t{ids}\n"
    (hari / "playlists.tsv").write_text(lists)
    lastfm = tmp_path / "listening" / "lastfm2k"
    lastfm.mkdir(parents=True)
    (lastfm / "artists.dat").write_text("id\tname\turl\n1\tANNA\tx\n2\tBen\tx\n3\tNobody\tx\n")
    (lastfm / "user_artists.dat").write_text("u\ta\tw\n7\t1\t90\n7\t3\t5\n9\t2\t4\n")
    return tmp_path


def about(path):
    return json.loads(pq.read_schema(path).metadata[b"audiorec"])


EVERY = replace(SPEC, every_song=True)


def test_songs_of_both_sources_are_one(data, tmp_path):
    found = world.make_world(data, tmp_path / "world", EVERY)
    assert found["songs"] == 14
    assert found["songs of both"] == 10  # eight more stand in the list by their ids
    assert found["lists"] == 2
    songs = {
        row["song_id"]: row for row in pq.read_table(tmp_path / "world/songs.parquet").to_pylist()
    }
    assert "hx1" not in songs
    assert songs["sp01"]["source"] == "both"
    assert songs["sp11"]["source"] == "spotify"
    assert songs["hx2"]["source"] == "hari"
    assert songs["hx2"]["energy"] is None
    assert "playlist_genre" not in pq.read_schema(tmp_path / "world/songs.parquet").names


@pytest.mark.parametrize(
    ("artist", "title", "name"),
    [
        ("The Beatles", "Help! - Remastered 2009", ("beatles", "help")),
        ("Beyoncé", "Halo (feat. Nobody) [Live]", ("beyonce", "halo")),
        ("AC/DC", "T.N.T.", ("acdc", "tnt")),
        ("Theory", "Twenty-One", ("theory", "twentyone")),
    ],
)
def test_names_are_compared_by_letters_and_digits(artist, title, name):
    assert world.name_of(artist, title) == name


def test_the_catalogue_is_the_songs_whose_audio_is_known(data, tmp_path):
    found = world.make_world(data, tmp_path / "world", SPEC)
    assert found["songs"] == 12
    assert found["tracks of playlists with audio"] == 10
    songs = pq.read_table(tmp_path / "world/songs.parquet")
    numbers = EmbeddingTable.open(tmp_path / "world/numbers.parquet", kind="songs")
    assert list(numbers.ids) == songs.column("song_id").to_pylist()
    assert numbers.dimension == 12
    assert numbers.embeddings.mean(axis=0) == pytest.approx(np.zeros(12), abs=1e-5)
    log = read_interactions(tmp_path / "world/playlists.parquet")
    assert set(log.song_ids) <= set(numbers.ids)


def test_a_second_id_of_a_song_leads_to_the_first(data):
    catalogue = world.Catalogue()
    for song, title in (("one", "A Song"), ("two", "A Song (Live)"), ("two", "A Song (Live)")):
        assert catalogue.add(song, "spotify", "Anna", title) == "one"
    assert catalogue.add("two", "hari", "", "") == "one"
    assert list(catalogue.songs) == ["one"]


def test_real_tables_hold_what_the_sources_hold(data, tmp_path):
    world.make_world(data, tmp_path / "world", EVERY)
    log = read_interactions(tmp_path / "world/playlists.parquet")
    lists = to_sequences(log, by="list")
    named = {
        owner: [lists.song_ids[s] for s in lists[u]] for u, owner in enumerate(lists.owner_ids)
    }
    summer = ["sp00", "sp01", "hx2", "hx3", *(f"sp{n:02}" for n in range(2, 10))]
    assert named["hari-Summer"] == summer
    assert len(named["spotify-list-a"]) == 12
    assert not any("Artists" in name or "Short" in name for name in named)
    counts = pq.read_table(tmp_path / "world/counts.parquet").to_pylist()
    assert counts == [
        {"user_id": "lastfm-7", "artist": "anna", "plays": 90.0, "source": "lastfm"},
        {"user_id": "lastfm-9", "artist": "ben", "plays": 4.0, "source": "lastfm"},
    ]
    for name in ("songs", "playlists", "counts"):
        told = about(tmp_path / f"world/{name}.parquet")
        assert told["simulated"] is False
        assert told["simulated_columns"] == []


def test_sessions_are_named_as_made_up(data, tmp_path):
    world.make_world(data, tmp_path / "world", SPEC)
    path = tmp_path / "world/sessions.parquet"
    table = pq.read_table(path)
    assert about(path)["simulated"] is True
    assert about(path)["simulated_columns"] == table.column_names
    assert set(table.column("source").to_pylist()) == {"simulated"}
    ids = {*table.column("user_id").to_pylist(), *table.column("session_id").to_pylist()}
    assert all(one.startswith("sim-") for one in ids)
    log = read_interactions(path)
    assert log.simulated
    sequences = to_sequences(log, by="session")
    assert len(sequences) == 60
    assert min(sequences.lengths) >= 2
    known = set(pq.read_table(tmp_path / "world/songs.parquet").column("song_id").to_pylist())
    assert set(sequences.song_ids) <= known


def test_a_session_begins_with_an_artist_that_is_really_played(data, tmp_path):
    world.make_world(data, tmp_path / "world", SPEC)
    plays = to_sequences(read_interactions(tmp_path / "world/sessions.parquet"), by="session")
    songs = pq.read_table(tmp_path / "world/songs.parquet").to_pylist()
    artist = {row["song_id"]: row["artist"] for row in songs}
    assert {artist[plays.song_ids[plays[row][0]]] for row in range(len(plays))} <= {"Anna", "Ben"}


def test_the_same_seed_makes_the_same_world(data, tmp_path):
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        spec = world.Spec(sessions=20, users=5, seed=seed)
        world.make_world(data, tmp_path / name, spec)
    one, two, three = (
        pq.read_table(tmp_path / name / "sessions.parquet") for name in ("one", "two", "three")
    )
    assert one.equals(two)
    assert not one.equals(three)


def test_steps_by_audio_go_to_what_sounds_alike(data, tmp_path):
    catalogue = world.Catalogue()
    world.read_spotify(data / "spotify_songs.zip", catalogue)
    walk = world.Walk(catalogue, world.Spec(audio_share=1.0))
    world.NEAREST, before = 2, world.NEAREST
    try:
        assert {walk.step(walk.number["sp05"]) for _ in range(50)} == {
            walk.number["sp04"],
            walk.number["sp06"],
        }
    finally:
        world.NEAREST = before
