"""``audiorec users``: train, embed, songs, import; what they print and refuse."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_stores import write_store
from needs import needs


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


def test_train_embed_and_the_song_side(home, audiorec):
    needs("torch")
    code, out, err = audiorec(
        *("users", "train", "plays.csv", "--vectors", "vecs.parquet"),
        *("--profiles", "profiles.csv", "--out", "model", "--epochs", 2, "--dimension", 6),
        "--json",
    )
    assert code == 0, err
    document = json.loads(out)
    assert document["schema"] == "audiorec/users-train/1"
    assert document["data"]["users"] == 40
    assert "epoch 2: loss" in err
    code, out, err = audiorec(
        *("users", "embed", "plays.csv", "--model", "model", "--out", "users.parquet"),
        *("--profiles", "profiles.csv"),
    )
    assert code == 0, err
    assert "users\t41" in out
    assert "1 of 41 users have no history: their profile alone speaks" in err
    table = pq.read_table("users.parquet")
    assert table.column_names == ["user_id", "embedding", "history", "profile_only"]
    new = table.column("user_id").to_pylist().index("new")
    assert table.column("profile_only").to_pylist().index(True) == new
    assert table.column("history").to_pylist()[:new] == [4] * new
    code, out, err = audiorec("users", "songs", "--model", "model", "--out", "s.parquet", "--json")
    assert code == 0, err
    assert json.loads(out)["model_id"] == document["model_id"]


def test_the_usual_store_is_read_and_its_absence_is_said(home, audiorec):
    needs("torch")
    quick = ("--epochs", 1, "--dimension", 4, "--quiet", "--json")
    code, out, err = audiorec("users", "train", "plays.csv", *quick)
    assert code == 0, err
    assert "songs are read as vectors of vecs.parquet" in err
    assert json.loads(out)["model"] == "users_model"
    assert json.loads(out)["data"]["songs_with_vector"] == json.loads(out)["data"]["songs"]
    code, _, err = audiorec("users", "embed", "plays.csv")
    assert code == 0, err
    assert pq.read_metadata("users.parquet").num_rows == 40
    alone = (
        "songs are known by id alone: new songs get no embedding; to read them as vectors: "
        "audiorec users train plays.csv --vectors vecs.parquet\n"
    )
    code, out, err = audiorec("users", "train", "plays.csv", "--ids-alone", *quick)
    assert code == 0, err
    assert alone in err
    assert json.loads(out)["data"]["songs_with_vector"] == 0
    (home / "vecs.parquet").rename(home / "elsewhere.parquet")
    code, _, err = audiorec("users", "train", "plays.csv", *quick)
    assert code == 0, err
    assert alone in err


def test_import_normalises(home, audiorec):
    np.savez(home / "t.npz", ids=np.array(["b", "a"]), embeddings=np.float32([[3, 4], [0, -2]]))
    code, out, err = audiorec(
        "users", "import", "t.npz", "--out", "u.parquet", "--normalise", "--model-id", "theirs"
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
        (["train", "none.csv", "--out", "m"], 2, "none.csv"),
        (["train", "plays.csv", "--out", "m", "--vectors", "plays.csv"], 4, "plays.csv: not a"),
        (["train", "plays.csv", "--out", "."], 2, "a folder with other files"),
        (["train", "plays.csv", "--no-ids", "--ids-alone"], 2, "needs vectors of songs, or ids"),
        (["train", "vecs.parquet"], 4, "holds vectors of songs, not listening; audiorec listening"),
        (
            ["train", "plays.csv", "--songs", "vecs.parquet"],
            4,
            "embed the songs first: audiorec recall songs MODEL -v vecs.parquet",
        ),
        (["embed", "plays.csv", "--model", "m"], 2, "train one: audiorec users train LOG --out m"),
        (["import", "plays.csv", "--out", "u"], 4, "rows 1 and 2 have the id|cannot be read"),
        (["import", "vecs.parquet", "--out", "u"], 4, "needs one column 'user_id'"),
    ],
)
def test_a_users_mistake_is_one_clear_line(home, audiorec, arguments, code, message):
    needs("torch")
    before = sorted(p.name for p in home.iterdir())
    found, out, err = audiorec("users", *arguments)
    assert found == code, err
    assert any(part in err for part in message.split("|"))
    last = err.splitlines()[-1]
    assert last.startswith("error: ")
    assert out == ""
    assert sorted(p.name for p in home.iterdir()) == before
