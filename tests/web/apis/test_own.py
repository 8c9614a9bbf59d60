"""audiorec's own API: what it answers, and what it says of a question that is wrong."""

import shutil
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_words import add_heard
from needs import needs
from served_library import SONGS, asked, document, server_id, snapshot_of, write_served
from web_server import write_recall

from audiorec.recall.serving.nightly.night import NightlyJob, NightlyPlan
from audiorec.search.explain import sentence
from audiorec.search.questions import PathQuestion, SimilarQuestion
from audiorec.store.schema import write_table
from audiorec.store.store import VectorStore
from audiorec.web.apis.messages import answered
from audiorec.web.apis.own import OPERATIONS
from audiorec.web.apis.own import document as openapi

IDS = [song_id for song_id, *_ in SONGS]


@pytest.fixture(scope="module")
def recommending(tmp_path_factory):
    store = write_served(tmp_path_factory.mktemp("recommending"))
    return snapshot_of(store, recall=write_recall(store))


def get(snapshot, name, **query):
    return reply(snapshot, "get", name, asked(f"/v1/{name}", query))


def post(snapshot, name, **body):
    return reply(snapshot, "post", name, asked(f"/v1/{name}", body=body))


def reply(snapshot, method, name, request):
    one = next(o for o in OPERATIONS if (o.path, o.method) == (f"/v1/{name}", method))
    found = answered(one.reply, snapshot, request)
    return found.status, document(found)


def test_similar_songs_by_id_or_by_alias(snapshot):
    status, found = get(snapshot, "similar", id=IDS[0], k=2)
    assert status == 200
    assert [s["song_id"] for s in found["songs"]] == IDS[1:3]
    assert [s["alias"] for s in found["songs"]] == [server_id(1), server_id(2)]
    assert get(snapshot, "similar", id=server_id(0), k=2)[1] == found


def test_how_close_songs_are_and_why_if_asked(snapshot):
    _, found = get(snapshot, "similar", id=IDS[0], k=5)
    shares = [song["closer_than"] for song in found["songs"]]
    assert shares == sorted(shares, reverse=True)
    assert all(0 <= share <= 1 for share in shares)
    assert {song["why"] for song in found["songs"]} == {None}
    _, told = get(snapshot, "similar", id=IDS[0], k=5, why="true")
    assert [song["closer_than"] for song in told["songs"]] == shares
    assert all(isinstance(song["why"], str) for song in told["songs"])
    listed = snapshot.library.ask(SimilarQuestion(seeds=(IDS[0],), k=5)).beside
    assert [song["why"] for song in told["songs"]] == [sentence(one) for one in listed.reasons]
    assert shares == listed.shares


def test_the_steps_of_a_path_say_why(snapshot):
    _, found = get(snapshot, "path", start=IDS[0], end=IDS[3], count=4, why="true")
    first, *others = found["songs"]
    assert (first["closer_than"], first["why"]) == (None, "")
    assert all(0 <= song["closer_than"] <= 1 for song in others)
    assert all(isinstance(song["why"], str) for song in others)
    question = PathQuestion(seeds=(IDS[0], IDS[3]), steps=2)
    reasons = snapshot.library.ask(question).beside.reasons
    assert [song["why"] for song in found["songs"]] == [sentence(one) for one in reasons]
    _, made = post(snapshot, "playlist", songs=[IDS[0]], minutes=4, why=True)
    assert all(isinstance(song["why"], str) for song in made["songs"])


def test_copies_are_named_and_versions_are_one_if_asked(tmp_path):
    more = [
        ("ann/live.mp3", "Ann", "One", "Red (Live)", (3.0, 0, 0), 20),
        ("ann/twin.mp3", "Ann", "Two", "Red", (2.6, 0, 0.2), 10),
    ]
    path = write_served(tmp_path, [*SONGS, *more], aliases=False)
    table = pq.read_table(path)
    hashes = table["content_hash"].to_pylist()
    place = table["song_id"].to_pylist().index
    hashes[place("ann/twin.mp3")] = hashes[place("ann/red.flac")]  # the same audio
    at = table.schema.get_field_index("content_hash")
    table = table.set_column(at, table.schema.field(at), pa.array(hashes, pa.string()))
    write_table(path, table, VectorStore.open(path).metadata)
    snapshot = snapshot_of(path)
    _, one = get(snapshot, "song", id="ann/twin.mp3")
    assert one["copies"] == ["ann/red.flac"]
    _, found = get(snapshot, "similar", id="ann/green.flac", k=50)
    assert sum(len(song["copies"]) for song in found["songs"]) == 1
    live = {"ann/live.mp3", "ann/red.flac"}
    listed = [
        len(live & {song["song_id"] for song in answer["songs"]})
        for answer in (
            found,
            get(snapshot, "similar", id="ann/green.flac", k=50, one_version="true")[1],
        )
    ]
    assert listed == [2, 1]


def test_where_genres_come_from(snapshot):
    query = {"id": IDS[0], "only": "genre=jazz", "k": 50}
    assert get(snapshot, "similar", **query) == get(
        snapshot, "similar", **query, genre_from="sound"
    )
    status, found = get(snapshot, "similar", **query, genre_from="file")
    assert (status, found["error"][:10]) == (400, "genre_from")


def test_conditions_and_limits_are_those_of_the_command_line(snapshot):
    _, found = get(snapshot, "similar", id=IDS[0], only="duration>3:00", k=50)
    assert {s["song_id"] for s in found["songs"]} <= set(IDS[5:])
    _, found = get(snapshot, "similar", id=IDS[0], per_artist=2, k=50)
    assert sum(s["artist"] == "Ann" for s in found["songs"]) == 1


def test_several_songs_are_asked_about_together(snapshot):
    _, one = post(snapshot, "similar", songs=[IDS[0]], k=3)
    assert one["songs"] == get(snapshot, "similar", id=IDS[0], k=3)[1]["songs"]
    _, two = post(snapshot, "similar", songs=[IDS[0], IDS[3]], k=50)
    assert not {IDS[0], IDS[3]} & {s["song_id"] for s in two["songs"]}


def test_a_path_and_a_playlist(snapshot):
    _, found = get(snapshot, "path", start=IDS[0], end=IDS[3], count=4)
    ids = [s["song_id"] for s in found["songs"]]
    assert (ids[0], ids[-1]) == (IDS[0], IDS[3])
    _, made = post(snapshot, "playlist", songs=[IDS[0]], minutes=4, without=[IDS[1]])
    ids = [s["song_id"] for s in made["songs"]]
    assert ids[0] == IDS[0]
    assert IDS[1] not in ids
    assert post(snapshot, "playlist", songs=[IDS[0]], curve="nothing:rise")[0] == 400


def test_a_user_of_the_lists_and_a_history_that_is_pushed(recommending):
    status, found = post(recommending, "recommend", user="u0", k=3)
    assert status == 200
    assert [s["rank"] for s in found["songs"]] == [1, 2]
    assert all(s["reason"] and s["channel"] for s in found["songs"])
    status, pushed = post(recommending, "recommend", history=[server_id(0), IDS[3]], k=3)
    assert status == 200
    assert not {IDS[0], IDS[3]} & {s["song_id"] for s in pushed["songs"]}
    hidden = pushed["songs"][0]["song_id"]
    _, without = post(recommending, "recommend", history=[IDS[0], IDS[3]], hidden=[hidden])
    assert hidden not in {s["song_id"] for s in without["songs"]}


def test_a_history_is_answered_by_sound_alone_without_models(snapshot):
    status, found = post(snapshot, "recommend", history=[IDS[0], "nobody"], k=2)
    assert status == 200
    assert [s["channel"] for s in found["songs"]] == ["nearest-audio"] * 2
    assert found["notes"]


def test_the_vector_of_a_history(recommending):
    status, one = post(recommending, "user", history=[IDS[0]])
    assert status == 200
    assert one["used"] == 1
    assert sum(x * x for x in one["vectors"][0]) == pytest.approx(1, abs=1e-5)
    assert post(recommending, "user", history=[IDS[0]], channel="popular")[0] == 400
    assert post(recommending, "user", history=[IDS[0]], channel="none")[0] == 400


def test_the_vector_of_a_history_in_the_space_of_a_model(tmp_path):
    needs("torch")
    from audiorec.listening.interactions import read_interactions
    from audiorec.listening.sequences import to_sequences
    from audiorec.recall.contract.data import RecallData
    from audiorec.recall.graph.channel import Song2vec

    store = write_served(tmp_path)
    folder = write_recall(store)
    plays = to_sequences(read_interactions(tmp_path / "plays.csv"))
    Song2vec().fit(RecallData(plays)).save(folder / "models" / "song2vec")
    shutil.copy(folder / "candidates" / "popular.parquet", folder / "candidates/song2vec.parquet")
    snapshot = snapshot_of(store, recall=folder)
    status, found = post(snapshot, "user", history=[server_id(0), IDS[1]], channel="song2vec")
    assert status == 200, found
    assert (found["channel"], found["used"]) == ("song2vec", 2)
    assert len(found["vectors"][0]) == found["dimension"]
    assert found["model_id"]


def test_models_that_are_replaced_do_not_change_a_snapshot(tmp_path):
    store = write_served(tmp_path)
    folder = write_recall(store)
    snapshot = snapshot_of(store, recall=folder)
    for one in ("models", "candidates"):
        shutil.rmtree(folder / one)
    status, found = post(snapshot, "recommend", history=[IDS[1]])
    assert status == 200
    assert [song["channel"] for song in found["songs"][:1]] == ["item-knn"]


@pytest.mark.parametrize(
    ("method", "name", "query", "status"),
    [
        ("get", "similar", {"id": "nobody"}, 404),
        ("get", "similar", {}, 400),
        ("get", "similar", {"id": IDS[0], "k": "many"}, 400),
        ("get", "similar", {"id": IDS[0], "other": 1}, 400),
        ("get", "similar", {"id": IDS[0], "only": "genre=="}, 400),
        ("get", "path", {"start": IDS[0], "end": "nobody"}, 404),
        ("get", "song", {"id": ""}, 400),
        ("post", "similar", {"songs": []}, 400),
        ("get", "similar", {"id": IDS[0], "only": "duration<" + "9" * 5000 + ":00"}, 400),
        ("post", "recommend", {}, 400),
        ("post", "recommend", {"user": "u1", "history": [IDS[0]]}, 400),
        ("post", "recommend", {"user": "u1"}, 400),
        ("post", "recommend", {"profile": {f"n{n}": 1 for n in range(101)}}, 400),
        ("post", "recommend", {"history": ["nobody"]}, 404),
        ("post", "user", {"history": ["nobody"]}, 404),
    ],
)
def test_what_is_wrong_is_said(snapshot, method, name, query, status):
    ask = get if method == "get" else post
    found, said = ask(snapshot, name, **query)
    assert found == status
    assert set(said) == {"error"}


def test_a_user_that_nobody_knows_gets_what_is_popular_now(recommending):
    status, found = post(recommending, "recommend", user="nobody", k=3)
    assert status == 200
    assert [song["rank"] for song in found["songs"]] == [1, 2, 3]
    assert {(song["channel"], song["reason"]) for song in found["songs"]} == {
        ("default", "popular now")
    }
    assert found["notes"] == ["the lists have no user 'nobody': this is the default list"]
    assert post(recommending, "recommend", user="u0", k=3)[1]["notes"] == []


def test_a_newcomer_is_answered_by_what_the_request_says(recommending):
    popular = [s["song_id"] for s in post(recommending, "recommend", user="nobody")[1]["songs"]]
    for said in ({"history": []}, {"profile": {"age": 31, "country": "FR", "paying": True}}):
        status, found = post(recommending, "recommend", **said)
        assert status == 200
        assert [song["song_id"] for song in found["songs"]] == popular
        assert found["notes"] == ["no channel has songs for this user: this is the default list"]
    _, liked = post(recommending, "recommend", likes=popular[:1], hidden=popular[1:2])
    assert [song["song_id"] for song in liked["songs"]] == popular[2:]


def test_a_night_with_a_store_alone_knows_the_artists_that_it_caps(recommending):
    artist = {song_id: artist for song_id, artist, *_ in SONGS}
    rows = pq.read_table(recommending.night.folder / "default.parquet").to_pylist()
    assert max(Counter(artist[row["song_id"]] for row in rows).values()) == 2  # per_artist


def test_a_profile_is_answered_as_a_night_answers_it(tmp_path):
    """The list of a user of the profiles is that of a stranger who says the same of themselves."""
    needs("torch")
    store = write_served(tmp_path)
    write_recall(store)
    rows = ["user_id,country", *(f"u{n},{'FRSE'[n % 2 * 2 :][:2]}" for n in range(8)), "new,SE"]
    (tmp_path / "people.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "recall.toml").write_text(
        '[recall]\ninteractions = "plays.csv"\nprofiles = "people.csv"\nout = "by-profile"\n'
        'channels = ["youtube-dnn"]\nk = 5\ndepth = 5\n[recall.settings.youtube-dnn]\n'
        "dimension = 4\nmax_epochs = 2\n"
    )
    NightlyJob(NightlyPlan.read(tmp_path / "recall.toml")).run()
    snapshot = snapshot_of(store, recall=tmp_path / "by-profile")
    _, known = post(snapshot, "recommend", user="new", k=5)
    status, said = post(snapshot, "recommend", profile={"country": "SE"}, k=5)
    assert status == 200
    assert {song["channel"] for song in said["songs"]} == {"youtube-dnn"}
    assert [s["song_id"] for s in said["songs"]] == [s["song_id"] for s in known["songs"]]


def test_lists_of_a_run_without_a_default_list(recommending, tmp_path):
    folder = tmp_path / "serving"
    shutil.copytree(recommending.night.folder, folder)
    (folder / "default.parquet").unlink()
    shutil.copy(recommending.library.path, tmp_path / "vecs.parquet")
    snapshot = snapshot_of(tmp_path / "vecs.parquet", recall=folder)
    assert post(snapshot, "recommend", user="nobody")[0] == 404


def test_each_operation_is_described():
    made = openapi()
    assert {(path, m) for path, ops in made["paths"].items() for m in ops} == {
        (o.path, o.method) for o in OPERATIONS
    }


def test_a_sentence_finds_songs_and_says_how_it_was_understood(tmp_path):
    heard = ["Piano", "Piano", "Saxophone", *["Heavy metal"] * 2, *["Speech"] * 3]
    snapshot = snapshot_of(add_heard(write_served(tmp_path), heard))
    status, found = get(snapshot, "find", text="saxophone zzz", k=3, why="true")
    assert status == 200
    assert found["songs"][0]["song_id"] == IDS[2]
    assert "saxophone" in found["songs"][0]["why"]
    assert "note: not understood: zzz" in found["notes"]
    assert found["songs"][0]["closer_than"] > found["songs"][1]["closer_than"]
    assert get(snapshot, "find", text="Abbey Road")[0] == 400
    near = {"id": IDS[0], "k": 3, "why": "true"}
    status, found = get(snapshot, "similar", words="but saxophone", **near)
    assert status == 200
    assert found["songs"][0]["song_id"] == IDS[2]
    assert "saxophone +" in found["songs"][0]["why"]
    assert get(snapshot, "similar", words="Abbey Road", **near)[0] == 400
