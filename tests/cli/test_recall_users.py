"""``audiorec recall users``: embeddings of users by history and profile, and imported ones."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_stores import write_store
from needs import needs

from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.data import RecallData
from audiorec.recall.contract.training import settings_of
from audiorec.recall.registry import CHANNELS, channel_class
from audiorec.recall.simple.counts import Popular


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A store of 30 songs, listening of 40 users with two tastes, and profiles."""
    ids = write_store(tmp_path / "vecs.parquet", 30)
    rng = np.random.default_rng(1)
    rows = ["user_id,song_id,timestamp,event"]
    for user in range(40):
        for day, song in enumerate(rng.permutation(15)[:4] * 2 + user % 2):
            rows.append(f"u{user:02},{ids[song]},2024-05-{day + 1:02}T10:00:00Z,like")
    (tmp_path / "plays.csv").write_text("\n".join(rows) + "\n")
    profiles = ["user_id,country,age", "u00,SE,30", "new,NO,", "u01,NO,50"]
    (tmp_path / "profiles.csv").write_text("\n".join(profiles) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(audiorec, *more, epochs=2):
    code, out, err = audiorec(
        *("recall", "train", "youtube-dnn", "-i", "plays.csv", "--likes", "--vectors"),
        *(
            "vecs.parquet",
            "--set",
            f"max_epochs={epochs}",
            "--set",
            "dimension=6",
            "--out",
            "model",
            "--json",
        ),
        *more,
    )
    assert code == 0, err
    return json.loads(out), err


def test_users_by_history_and_by_profile(home, audiorec):
    needs("torch")
    document, err = trained(audiorec, "--profiles", "profiles.csv")
    first = err.splitlines()[0]
    assert first.startswith("epoch 1: loss ")
    assert "held out loss" in first
    assert all(len(line) <= 80 for line in err.splitlines())
    assert "refit, epoch 1: loss" in err
    code, out, err = audiorec(
        *(
            "recall",
            "users",
            "model",
            "-i",
            "plays.csv",
            "--likes",
            "--out",
            "users.parquet",
        ),
        *("--profiles", "profiles.csv"),
    )
    assert code == 0, err
    assert "41 users, 1 from their profile alone: users.parquet" in err
    table = pq.read_table("users.parquet")
    assert table.column_names == ["user_id", "embedding", "history", "profile_only"]
    new = table.column("user_id").to_pylist().index("new")
    assert table.column("profile_only").to_pylist().index(True) == new
    assert table.column("history").to_pylist()[:new] == [4] * new
    code, out, err = audiorec("recall", "songs", "model", "--out", "s.parquet", "--json")
    assert code == 0, err
    assert json.loads(out)["model_id"] == document["model_id"]
    code, out, err = audiorec("recall", "candidates", "model", "-i", "plays.csv",
        "--likes", "--profiles", "profiles.csv",
        "--k", 3, "--out", "c.parquet")  # fmt: skip
    assert code == 0, err
    assert pq.read_table("c.parquet").column("user_id").to_pylist().count("new") == 3


def test_who_is_not_known_is_left_out(home, audiorec):
    needs("torch")
    trained(audiorec)
    (home / "few.csv").write_text(
        "user_id,song_id,timestamp,event\nx,nowhere,2024-05-01T10:00:00Z,like\n"
    )
    code, _, err = audiorec(
        "recall", "users", "model", "-i", "few.csv", "--likes", "--out", "u.parquet"
    )
    assert code == 2
    assert "few.csv: no user has a profile or has played a song that model knows" in err
    assert not (home / "u.parquet").exists()


def test_import_normalises(home, audiorec):
    np.savez(home / "t.npz", ids=np.array(["b", "a"]), embeddings=np.float32([[3, 4], [0, -2]]))
    code, out, err = audiorec(
        *("recall", "users", "--import", "t.npz", "--out", "u.parquet"),
        *("--normalise", "--model-id", "theirs"),
    )
    assert code == 0, err
    assert "dimension\t2" in out
    table = pq.read_table("u.parquet")
    assert table.column("user_id").to_pylist() == ["a", "b"]
    np.testing.assert_allclose(table.column("embedding").to_pylist(), [[0, -1], [0.6, 0.8]])
    assert json.loads(table.schema.metadata[b"audiorec"])["model_id"] == "theirs"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["users", "--out", "u"], 2, "give a MODEL"),
        (["users", "m", "--out", "u"], 2, "no users given: use --interactions"),
        (["users", "m", "--import", "plays.csv", "--out", "u"], 2, "--import cannot be combined"),
        (["users", "m", "-i", "plays.csv", "--out", "u"], 2, "m: no such folder"),
        (["users", "--import", "plays.csv", "--out", "u"], 4, "rows 1 and 2 have the id|cannot be"),
        (["users", "--import", "vecs.parquet", "--out", "u"], 4, "needs one column 'user_id'"),
        ("train youtube-dnn -i plays.csv --likes -o m --set id_width=0".split(),
            2, "needs song vectors, or ids"),
        (["users", "POPULAR", "--profiles", "profiles.csv", "--out", "u"], 2, "has no embeddings"),
        (["train", "popular-music"], 2, "unknown channel 'popular-music'; there are: als"),
    ],
)  # fmt: skip
def test_a_users_mistake_is_one_clear_line(home, audiorec, arguments, code, message):
    if arguments[0] == "train":
        needs("torch")
    Popular().fit(RecallData(Sequences.from_lists([["a"]]))).save(home / "popular")
    before = sorted(p.name for p in home.iterdir())
    places = {"POPULAR": "popular"}
    found, out, err = audiorec("recall", *(places.get(word, word) for word in arguments))
    assert found == code, err
    assert any(part in err for part in message.split("|")), err
    assert err.splitlines()[-1].startswith("error: ")
    assert out == ""
    assert sorted(p.name for p in home.iterdir()) == before


def test_list_says_what_can_be_set(audiorec):
    code, out, err = audiorec("recall", "train", "youtube-dnn")
    assert code == 0, err
    rows = dict(line.split("\t", 1) for line in out.splitlines())
    assert rows["hidden"].startswith("[128, 64]\ttuple[int, ...]\tUnits of the dense layers")
    code, out, err = audiorec("recall", "train", "youtube-dnn", "--json")
    settings = {s["name"]: s for s in json.loads(out)["settings"]}
    assert settings["half_life_plays"]["default"] > 0
    assert settings["half_life_plays"]["type"] == "float | None"


@pytest.mark.parametrize("name", CHANNELS)
def test_every_setting_says_what_it_means(name):
    if name in ("youtube-dnn", "user-audio"):
        needs("torch")
    for setting in settings_of(getattr(channel_class(name), "Recipe", None)):
        assert setting.meaning.endswith("."), setting
        assert setting.type
