"""AudioMuse-AI's questions as its Navidrome plugin writes them, and answers as it reads them.

The parameters and the fields are those of `audiomuse_api.go` and `main.go` of the plugin
(NeptuneHub/AudioMuse-AI-NV-plugin), and of `app_ivf.py`, `app_path.py` and
`app_artist_similarity.py` of the server.
"""

import pytest
from made_words import add_heard
from served_library import SONGS, asked, document, server_id, snapshot_of, write_served

from audiorec.web.apis.audiomuse import HANDLERS, POSTS
from audiorec.web.apis.messages import answered

PLUGIN = {"eliminate_duplicates": "true", "radius_similarity": "true", "server": "navidrome"}


def ask(snapshot, name, **query):
    path = f"/api/{name}"
    return answered(HANDLERS[path], snapshot, asked(path, {**PLUGIN, **query}))


def test_similar_tracks_come_by_the_ids_of_the_server(snapshot):
    reply = ask(snapshot, "similar_tracks", item_id=server_id(0), n=3)
    tracks = document(reply)
    assert reply.status == 200
    assert [t["item_id"] for t in tracks][:2] == [server_id(1), server_id(2)]
    assert set(tracks[0]) == {"item_id", "title", "author", "album", "distance"}
    assert (tracks[0]["title"], tracks[0]["author"], tracks[0]["album"]) == ("Green", "Ann", "One")
    distances = [t["distance"] for t in tracks]
    assert distances == sorted(distances)
    assert all(0 <= d <= 1 for d in distances)


def test_a_song_that_the_server_has_not_is_never_told(snapshot):
    found = document(ask(snapshot, "similar_tracks", item_id=server_id(0), n=100))
    known = {server_id(n) for n in range(len(SONGS) - 1)}
    assert {t["item_id"] for t in found} < known
    by_id = document(ask(snapshot, "similar_tracks", item_id=SONGS[5][0], n=100))
    assert SONGS[7][0] in {t["item_id"] for t in by_id}


def test_songs_of_one_artist_are_limited_where_the_plugin_says_so(tmp_path):
    many = [(f"ann/{n}.mp3", "Ann", None, f"S{n}", (3 - n / 50, 0, 0), 20) for n in range(9)]
    snapshot = snapshot_of(write_served(tmp_path, [*many, *SONGS[3:]]))
    some = document(ask(snapshot, "similar_tracks", item_id=server_id(0), n=9))
    assert [t["author"] for t in some].count("Ann") == 2  # three with the one that was asked for
    all_of_them = ask(
        snapshot, "similar_tracks", item_id=server_id(0), n=8, eliminate_duplicates="false"
    )
    assert [t["author"] for t in document(all_of_them)].count("Ann") > 3


@pytest.mark.parametrize(
    ("name", "query", "status"),
    [
        ("similar_tracks", {}, 400),
        ("similar_tracks", {"item_id": "nobody"}, 404),
        ("find_path", {"start_song_id": server_id(0)}, 400),
        ("find_path", {"start_song_id": server_id(0), "end_song_id": "nobody"}, 404),
        ("find_path", {"start_song_id": server_id(0), "end_song_id": server_id(0)}, 400),
        ("similar_artists", {}, 400),
        ("similar_artists", {"artist": "Nobody"}, 404),
    ],
)
def test_what_cannot_be_answered_says_why_as_audiomuse_does(snapshot, name, query, status):
    reply = ask(snapshot, name, **query)
    assert reply.status == status
    assert set(document(reply)) == {"error"}


@pytest.mark.parametrize("n", ["0", "-5", "many", "1e3", ""])
def test_a_number_that_is_none_is_the_usual_one(snapshot, n):
    assert 1 <= len(document(ask(snapshot, "similar_tracks", item_id=server_id(0), n=n))) <= 10


def test_a_path_has_both_ends_and_no_more_steps_than_asked_for(snapshot):
    ends = {"start_song_id": server_id(0), "end_song_id": server_id(3)}
    more = {"count": 5, "max_steps": 5, "path_fix_size": "false", "mood_pct": 100}
    answer = document(ask(snapshot, "find_path", **ends, **more))
    path = [t["item_id"] for t in answer["path"]]
    assert (path[0], path[-1]) == (server_id(0), server_id(3))
    assert 2 <= len(path) <= 5
    assert len(set(path)) == len(path)
    assert answer["total_distance"] == answer["path"][-1]["distance"]
    assert answer["path"][0]["distance"] == 0


def test_artists_that_sound_alike_with_songs_of_both(snapshot):
    plain = document(ask(snapshot, "similar_artists", artist="Ann", n=5))
    assert [a["artist"] for a in plain] == ["Cee", "Bob"]
    assert plain[0]["divergence"] < plain[1]["divergence"]
    assert "component_matches" not in plain[0]
    matched = document(
        ask(snapshot, "similar_artists", artist="Ann", n=1, include_component_matches="true")
    )
    match = matched[0]["component_matches"][0]
    ours = {s["item_id"] for s in match["artist1_representative_songs"]}
    theirs = {s["item_id"] for s in match["artist2_representative_songs"]}
    assert ours == {server_id(n) for n in range(3)}
    assert theirs == {server_id(5), server_id(6)}
    assert all(s["title"] for s in match["artist1_representative_songs"])


def test_a_server_has_its_own_ids_of_artists(tmp_path):
    store = write_served(tmp_path)
    table = tmp_path / "artists.csv"
    table.write_text("artist_id,artist\n7f3a,Ann\n91bc,Cee\n")
    snapshot = snapshot_of(store, artists=table)
    found = document(ask(snapshot, "similar_artists", artist="7f3a", n=5))
    assert [(a["artist"], a["artist_id"]) for a in found] == [("Cee", "91bc"), ("Bob", None)]


def search(snapshot, **body):
    reply = answered(POSTS["/api/clap/search"], snapshot, asked("/api/clap/search", body=body))
    return reply.status, document(reply)


def test_a_sentence_finds_songs_by_the_ids_of_the_server(tmp_path):
    heard = ["Piano", "Piano", "Saxophone", *["Heavy metal"] * 2, *["Speech"] * 3]
    snapshot = snapshot_of(add_heard(write_served(tmp_path), heard))
    status, found = search(snapshot, query="a saxophone", limit=3)
    assert (status, found["query"], found["count"]) == (200, "a saxophone", 3)
    first = found["results"][0]
    assert (first["item_id"], first["title"]) == (server_id(2), "Red")
    assert 0 <= first["similarity"] <= 1
    assert {"item_id", "title", "author", "album", "similarity"} <= set(first)


@pytest.mark.parametrize("body", [{}, {"query": " "}, {"query": "jazz", "limit": "x"}])
def test_a_sentence_that_is_none_is_refused(snapshot, body):
    assert search(snapshot, **body)[0] == 400


def test_a_store_without_an_embedding_says_what_to_run(snapshot):
    status, found = search(snapshot, query="jazz")
    assert status == 400
    assert "extract FOLDER --overwrite" in str(found)
