"""Several interests on the command line: users, what they are about, numbers of interests."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from needs import needs

from audiorec.errors import AudiorecError
from audiorec.store.embeddings import EmbeddingTable

# One genre a user: by default such interests are one.
APART = ("--set", "one_above=1")
SETTINGS = (
    "--set",
    "dimension=8",
    "--set",
    "negatives=20",
    *APART,
    "--set",
    "max_epochs=2",
    "--quiet",
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Listening of 40 users, twelve plays each, to songs of two genres."""
    rng = np.random.default_rng(1)
    rows = ["user_id,song_id,timestamp,event"]
    for user in range(40):
        for day, song in enumerate(rng.permutation(20)[:12] * 2 + user % 2):
            rows.append(f"u{user:02},s{song:02},2024-05-{day + 1:02}T10:00:00Z,finish")
    (tmp_path / "plays.csv").write_text("\n".join(rows) + "\n")
    side = [f"s{song:02},{'jazz' if song % 2 else 'rock'}" for song in range(40)]
    (tmp_path / "side.csv").write_text("\n".join(["song_id,genre", *side]) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_users_have_a_row_an_interest_that_says_what_it_is_about(home, audiorec):
    needs("torch")
    words = ("recall", "train", "mind", "-i", "plays.csv", "--side", "side.csv", "--out", "model")
    code, _, err = audiorec(*words, *SETTINGS)
    assert code == 0, err
    words = ("recall", "users", "model", "-i", "plays.csv", "--explain", "--out", "users.parquet")
    code, out, err = audiorec(*words, "--json")
    assert code == 0, err
    document = json.loads(out)
    table = pq.read_table("users.parquet")
    assert document["users"] == 40
    assert document["interests"] == len(table) > 40
    users = table.column("user_id").to_pylist()
    assert users == sorted(users)
    weights = np.zeros(40)
    np.add.at(weights, [int(user[1:]) for user in users], table.column("weight").to_numpy())
    np.testing.assert_allclose(weights, 1, atol=1e-5)
    assert set(table.column("history").to_pylist()) == {12}
    for user, about in zip(users, table.column("about").to_pylist(), strict=True):
        assert about.endswith("genre: jazz" if int(user[1:]) % 2 else "genre: rock")
    metadata = json.loads(table.schema.metadata[b"audiorec"])
    assert metadata["kind"] == "user_interests"
    assert metadata["model_id"] == document["model_id"]
    # What needs one embedding a user says so.
    with pytest.raises(AudiorecError, match="user_interests"):
        EmbeddingTable.open(home / "users.parquet", kind="users")
    code, _, err = audiorec("listening", "forget", "u07", "users.parquet")
    assert code == 0, err
    assert set(users) - set(pq.read_table("users.parquet")["user_id"].to_pylist()) == {"u07"}
    words = ("recall", "candidates", "model", "-i", "plays.csv", "--out", "cands.parquet")
    code, _, err = audiorec(*words)
    assert code == 0, err
    found = pq.read_table("cands.parquet").column("interest")
    assert found.null_count == 0
    assert set(found.to_pylist()) <= set(range(4))


def test_one_channel_with_several_numbers_of_interests(home, audiorec):
    needs("torch")
    counts = ("--set", "interests=1", "--set", "interests=3")
    words = ("recall", "evaluate", "comirec-sa", *counts, "-i", "plays.csv", "--json")
    code, out, err = audiorec(*words, "--split", "last", "--k", 5)
    assert code == 0, err
    names = {verdict["channel"] for verdict in json.loads(out)["channels"]}
    assert names == {"comirec-sa, interests = 1", "comirec-sa, interests = 3"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("mind rules --set interests=1 --set interests=2", "--set needs exactly one channel"),
        ("rules --set interests=1 --set interests=2", "unknown setting 'interests'"),
    ],
)
def test_what_cannot_be_compared(home, audiorec, words, said):
    code, _, err = audiorec("recall", "evaluate", *words.split(), "-i", "plays.csv")
    assert code == 2
    assert said in " ".join(err.split())


def test_only_models_of_several_interests_are_explained(home, audiorec):
    needs("torch")
    words = (
        "recall",
        "train",
        "youtube-dnn",
        "-i",
        "plays.csv",
        "--set",
        "max_epochs=1",
        "--out",
        "one",
    )
    assert audiorec(*words, "--quiet")[0] == 0
    words = ("recall", "users", "one", "-i", "plays.csv", "--explain", "--out", "users.parquet")
    code, _, err = audiorec(*words)
    assert code == 2
    assert "--explain needs a model with several interests" in " ".join(err.split())
