"""`web.recommendations`: the lists of a run, and the models beside them."""

import shutil
from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow.parquet as pq
import pytest
from web_server import write_music, write_recall

from audiorec.errors import InputError, StoreError
from audiorec.library.library import open_store
from audiorec.listening.interactions import read_interactions
from audiorec.recall.serving.nightly.current import Current, promote, write_current
from audiorec.web.nights import ServedNight
from audiorec.web.recommendations import RecommendationPages, followed_nights
from audiorec.web.song_columns import SongColumns

CHANNELS = ("popular", "item-knn", "nearest-audio", "replay")  # in the order of the plan


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    store = write_music(tmp_path_factory.mktemp("run"))
    write_recall(store)
    return store


@pytest.fixture
def proposals(run):
    log = read_interactions(run.parent / "plays.csv")
    return RecommendationPages(
        ServedNight(run.parent / "serving"), SongColumns(open_store(run)), log
    )


def rows_of(run, name, user):
    table = pq.read_table(run.parent / "serving" / "candidates" / f"{name}.parquet")
    return [row for row in table.to_pylist() if row["user_id"] == user]


def test_a_user_gets_the_rows_of_the_files(proposals, run):
    found = proposals.user("u3")
    assert [one["channel"] for one in found["channels"]] == list(CHANNELS)
    for one in found["channels"]:
        own = sorted(rows_of(run, one["channel"], "u3"), key=lambda r: (r["cold"], r["rank"]))
        assert [song["id"] for song in one["songs"]] == [row["song_id"] for row in own]
        assert all(song["why"] for song in one["songs"])
    assert proposals.users("U3")["users"] == ["u3"]
    assert proposals.users("")["total"] == 8


def test_the_settings_of_the_run_give_its_list(proposals, run):
    fused = pq.read_table(run.parent / "serving" / "fused.parquet").to_pylist()
    wanted = [row["song_id"] for row in fused if row["user_id"] == "u3"]
    found = proposals.user("u3")["fused"]
    assert [song["id"] for song in found][: len(wanted)] == wanted
    assert proposals._weights["item-knn"] == 2.0


def test_a_channel_of_weight_0_says_nothing(proposals):
    every = dict.fromkeys(proposals.night.channels, 0.0)
    proposals._weights = every | {"popular": 1.0}
    found = proposals.user("u3")["fused"]
    assert {song["channel"] for song in found} == {"popular"}
    proposals._weights = every
    assert proposals.user("u3")["fused"] == []


def test_a_history_is_asked_of_the_models(proposals):
    history = proposals._history("u3")
    found = proposals.ask({"songs": history})
    mine = {one["channel"]: [s["id"] for s in one["songs"]] for one in found["channels"]}
    stored = {
        one["channel"]: [s["id"] for s in one["songs"]] for one in proposals.user("u3")["channels"]
    }
    for name in ("popular", "item-knn"):
        assert mine[name][: len(stored[name])] == stored[name][: len(mine[name])]
    hidden = mine["popular"][0]
    again = proposals.ask({"songs": history, "hidden": [hidden]})
    assert hidden not in {song["id"] for song in again["fused"]}


def test_a_copy_of_a_song_that_was_heard_is_not_proposed(proposals):
    history = proposals._history("u3")
    new = proposals.ask({"songs": history})["fused"][0]["id"]
    ids = proposals._facts.song_ids
    codes = np.array([0 if song in (new, history[0]) else -1 for song in ids])
    proposals._facts = replace(proposals._facts, groups={"recording": codes})
    found = proposals.ask({"songs": history})
    lists = {one["channel"]: {s["id"] for s in one["songs"]} for one in found["channels"]}
    assert new not in set().union({s["id"] for s in found["fused"]}, *lists.values())


BAD = [
    {"likes": "a"},
    {"profile": []},
    {"profile": {"age": float("inf")}},
    {"profile": {"age": [30]}},
    {"profile": {f"n{n}": 1 for n in range(101)}},
    {"songs": "a"},
    {"songs": [1]},
    {"songs": ["a"] * 501},
]


@pytest.mark.parametrize("wish", BAD)
def test_a_wish_that_is_none(proposals, wish):
    with pytest.raises(InputError):
        proposals.ask(wish)


def test_an_unknown_user(proposals):
    for user in ("u", "zz", "", "u33"):
        with pytest.raises(InputError, match="no user"):
            proposals.user(user)


def test_without_models_or_log_it_says_so(run, tmp_path):
    shutil.copytree(run.parent / "serving" / "candidates", tmp_path / "candidates")
    bare = RecommendationPages(ServedNight(tmp_path), SongColumns(open_store(run)))
    assert bare.about["models"] == []
    assert bare._history("u3") == []
    with pytest.raises(InputError, match="no model"):
        bare.ask({"songs": ["blues-band.mp3"]})


def test_playlists_by_others_are_those_of_the_run_with_their_songs(tmp_path):
    store = write_music(tmp_path)
    serving = write_recall(store, playlists=[(0, 1, 2), (3, 4, 5, 6), (7, 8)])
    shelf, log = SongColumns(open_store(store)), read_interactions(tmp_path / "plays.csv")
    found = RecommendationPages(ServedNight(serving), shelf, log).user("u1")["lists"]
    ranked = [
        row
        for row in pq.read_table(serving / "lists.parquet").to_pylist()
        if row["user_id"] == "u1"
    ]
    names = ("rank", "list_id", "songs", "known", "proposed")
    assert [{n: one[n] for n in names} for one in found] == [
        {n: row[n] for n in names} for row in ranked
    ]
    assert found
    assert "by u1" not in {one["list_id"] for one in found}  # that one is its own
    rows = {"by u0": [0, 1, 2], "by u2": [7, 8]}
    assert all(one["rows"] == rows[one["list_id"]] for one in found)
    without = RecommendationPages(ServedNight(serving), shelf).user("u1")["lists"]
    assert [one["rows"] for one in without] == [[]] * len(found)


def test_without_ranked_playlists_there_are_none_and_planted_ones_are_refused(proposals, tmp_path):
    assert proposals.user("u1")["lists"] == []
    shutil.copytree(proposals.night.folder, tmp_path / "serving")
    (tmp_path / "serving" / "lists.parquet").symlink_to(tmp_path)
    with pytest.raises(StoreError, match="is a link"):
        ServedNight(tmp_path / "serving")


def test_another_night_takes_the_place_of_the_one_before(tmp_path):
    store = write_music(tmp_path)
    root = write_recall(store, days=(2, 3))
    nights = followed_nights(root)
    first = nights.current.value
    assert first.folder == root / "dt=2026-01-03"
    assert not nights.look(settled=True)
    promote(root)
    assert nights.look(settled=True)
    second = nights.current.value
    assert second.folder == root / "dt=2026-01-02"
    assert second.run_id not in ("", first.run_id)
    (root / "dt=2026-01-03" / "fused.parquet").unlink()
    write_current(root, Current(day=date(2026, 1, 3)))
    assert not nights.look(settled=True)  # that one is not whole
    assert nights.current.value is second
    assert "not whole" in nights.problem


def test_of_whom_nothing_is_known_gets_the_default_list(proposals, run, tmp_path):
    rest = pq.read_table(run.parent / "serving" / "default.parquet").to_pylist()
    wanted = [row["song_id"] for row in rest]
    for wish in ({"songs": []}, {"profile": {"age": 30, "country": "FR"}}):
        found = proposals.ask(wish, k=10)
        assert [song["id"] for song in found["fused"]] == wanted
        assert found["notes"] == ["no channel has songs for this user: this is the default list"]
    found = proposals.ask({"likes": wanted[:1], "hidden": wanted[1:2]}, k=10)
    assert [song["id"] for song in found["fused"]] == wanted[2:]
    shutil.copytree(run.parent / "serving", tmp_path / "serving")
    (tmp_path / "serving" / "default.parquet").unlink()
    bare = RecommendationPages(ServedNight(tmp_path / "serving"), SongColumns(open_store(run)))
    with pytest.raises(InputError, match="a history of at least one song"):
        bare.ask({"songs": []})


def test_a_folder_that_is_none_or_planted(run, tmp_path):
    with pytest.raises(InputError, match="recall run"):
        ServedNight(tmp_path)
    lists = tmp_path / "candidates"
    lists.mkdir()
    (lists / "popular.parquet").symlink_to(
        run.parent / "serving" / "candidates" / "popular.parquet"
    )
    with pytest.raises(StoreError, match="link"):
        ServedNight(tmp_path)
