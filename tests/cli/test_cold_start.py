"""``audiorec cold-start``: from a new song's file to its audience, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_stores import write_store

from audiorec.store.embeddings import write_embeddings

CLIPS = Path(__file__).parents[2] / "fixtures" / "audio"


def test_from_a_new_songs_file_to_its_audience(tmp_path, audiorec, monkeypatch):
    """The three commands of the README, on three songs and a new one."""
    monkeypatch.chdir(tmp_path)
    for folder, name in (
        ("music", "jazz-vibraphone.mp3"),
        ("music", "death-metal-band.ogg"),
        ("music", "choir-a-cappella.mp3"),
        ("new", "jazz-vibraphone-later.ogg"),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        shutil.copy(CLIPS / name, tmp_path / folder / name)
    (tmp_path / "plays.csv").write_text(
        "user_id,song_id,timestamp,event\n"
        "singer,choir-a-cappella.mp3,2024-05-01T10:00:00Z,like\n"
        "miles,jazz-vibraphone.mp3,2024-05-01T10:00:00Z,like\n"
        "chuck,death-metal-band.ogg,2024-05-01T10:00:00Z,like\n"
    )
    shutil.copy(CLIPS / "jazz-vibraphone.mp3", tmp_path / "new" / "copy.mp3")
    shutil.copy(CLIPS / "speech-in-french.mp3", tmp_path / "new" / "news.mp3")
    quick = "--jobs 1 --quiet"
    named = "--songs new.parquet --interactions plays.csv"
    for command in (f"extract music {quick}", f"extract new --out new.parquet {quick}"):
        code, out, err = audiorec(*command.split())
        assert code == 0, err
    code, out, err = audiorec(*f"cold-start audience {named} --k 2".split())
    assert code == 0, err
    assert "known songs: vecs.parquet" in err
    assert (
        "1 of 3 new songs are copies of known songs (copy.mp3 is jazz-vibraphone.mp3): left out"
        in err
    )
    assert "1 of 3 new songs are speech, noise, silence or jingles (news.mp3): left out" in err
    assert "minimum similarity 0 (--minimum)" in err
    assert "lists: audience.parquet; tastes for a ranker: audience.tastes.parquet" in err
    assert "song\tusers\tbest\tfirst user\nKevin MacLeod: Vibe Ace (later)\t1\t0.8" in out
    rows = pq.read_table("audience.parquet").to_pylist()
    assert [row["song_id"] for row in rows] == ["jazz-vibraphone-later.ogg"]
    assert rows[0]["user_id"] == "miles"
    assert rows[0]["preference_songs"] == 1
    tastes = pq.read_table("audience.tastes.parquet").to_pylist()
    assert [taste["user_id"] for taste in tastes] == ["chuck", "miles", "singer"]
    assert len(tastes[0]["preference_mean"]) == 84
    kept = "--minimum -1 --keep-known --include-non-music"
    code, out, err = audiorec(*f"cold-start songs {named} {kept}".split())
    assert code == 0, err
    assert "(copy.mp3 is jazz-vibraphone.mp3): kept" in err
    rows = pq.read_table("lists.parquet").to_pylist()
    assert len(rows) == 8  # three users and three songs; miles has heard the copy
    assert ("miles", "copy.mp3") not in {(row["user_id"], row["song_id"]) for row in rows}
    assert "user\tsongs\tbest\tfirst songs\nchuck\t3\t" in out


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Users and new songs as embeddings, a store, and some listening."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    songs = [f"new-{i}" for i in range(6)]
    users = [f"u{i:02}" for i in range(20)]
    artists = pa.array(["Ayla", "Bo", "Ayla", None, "Bo", "Ayla"])
    write_embeddings(
        tmp_path / "new.parquet",
        songs,
        rng.normal(size=(6, 5)),
        kind="songs",
        model_id="metric",
        space="people",
        columns={"artist": artists},
    )
    write_embeddings(
        tmp_path / "users.parquet", users, rng.normal(size=(20, 5)), kind="users", model_id="people"
    )
    write_embeddings(
        tmp_path / "others.parquet", users, rng.normal(size=(20, 5)), kind="users", model_id="x"
    )
    ids = write_store(tmp_path / "vecs.parquet", 6)
    rows = ["user_id,song_id,timestamp,event"]
    rows += [f"u{i:02},{ids[i % 6]},2024-05-01T10:00:00Z,like" for i in range(12)]
    rows += ["u00,new-3,2024-05-02T10:00:00Z,finish"]
    (tmp_path / "plays.csv").write_text("\n".join(rows) + "\n")
    pq.write_table(
        pa.table({"song_id": songs, "artist": ["One"] * 6}), tmp_path / "artists.parquet"
    )
    return tmp_path


BY_EMBEDDING = ("--songs", "new.parquet", "--users", "users.parquet")


def test_audience_by_embedding_with_everything(home, audiorec):
    code, out, err = audiorec(
        *(
            "cold-start",
            "audience",
            *BY_EMBEDDING,
            "--k",
            4,
            "--per-user",
            "2",
            "--quota",
            "1",
        ),
        *("--per-artist", "1", "--minimum", "-0.9"),
        *("--interactions", "plays.csv", "--vectors", "vecs.parquet"),
        *("--out", "audience.parquet", "--json", "--quiet"),
    )
    assert code == 0, err
    document = json.loads(out)
    assert document["schema"] == "audiorec/cold-start/2"
    assert (document["minimum"], document["known_audio"], document["not_music"]) == (-0.9, [], [])
    assert [shown["of"] for shown in document["first_lists"]] == [f"new-{i}" for i in range(6)]
    assert (document["by"], document["songs"], document["users"]) == ("embedding", 6, 20)
    table = pq.read_table("audience.parquet")
    assert document["rows"] == table.num_rows == 24
    assert round(sum(table.column("exposure_share").to_pylist()), 3) == 6
    pairs = [(row["song_id"], row["user_id"]) for row in table.to_pylist()]
    assert ("new-3", "u00") not in pairs
    assert "8 users like no song of the store, so they have no tastes for a ranker" in err
    names = ["audience.parquet", "audience.parquet.run.json", "audience.tastes.parquet"]
    assert sorted(p.name for p in home.glob("audience*")) == names
    assert document["tastes"] == "audience.tastes.parquet"
    assert pq.read_metadata("audience.tastes.parquet").num_rows == 12


def test_song_lists_and_heard_songs_again(home, audiorec):
    code, out, err = audiorec(
        *("cold-start", "songs", *BY_EMBEDDING, "--k", 6, "--out", "lists.parquet"),
        *(
            "--interactions",
            "plays.csv",
            "--keep-heard",
            "--minimum",
            "-1",
            "--no-tastes",
        ),
    )
    assert code == 0, err
    assert "lists_of_full_length\t20" in out
    table = pq.read_table("lists.parquet")
    assert table.column_names[:2] == ["user_id", "song_id"]
    assert table.num_rows == 120


def test_artists_from_another_table(home, audiorec):
    code, _, err = audiorec(
        *("cold-start", "songs", *BY_EMBEDDING, "--k", 3, "--out", "lists.parquet"),
        *("--per-artist", "1", "--artists", "artists.parquet"),
    )
    assert code == 0, err
    assert pq.read_table("lists.parquet").num_rows == 20


def test_empty_lists_are_counted(home, audiorec):
    code, out, err = audiorec(
        *("cold-start", "audience", *BY_EMBEDDING, "--minimum", "0.9999", "--out", "a.parquet")
    )
    assert code == 0, err
    # there are no limits, no log
    why = "excluded by the minimum similarity 0.9999 (--minimum)\n"
    assert f"6 of 6 lists are empty: {why}" in err
    assert "rows\t0" in out


def test_songs_that_nobody_likes_are_not_songs_of_other_ids(home, audiorec):
    log = (home / "plays.csv").read_text()
    (home / "skips.csv").write_text(log.replace(",like", ",skip"))
    ask = ("cold-start", "audience", "--songs", "vecs.parquet", "-v", "vecs.parquet", "-i")
    code, _, err = audiorec(*ask, "skips.csv", "--out", "a.parquet")
    why = (
        "the log has 6 songs of vecs.parquet, but no user likes one of them by the interaction rule"
    )
    assert (code, why in err) == (2, True), err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["audience", "--songs", "vecs.parquet"], 2, "give --interactions LOG, and --vectors"),
        (
            ["audience", "--songs", "new.parquet"],
            4,
            "with embeddings of users: --users users.parquet",
        ),
        (
            ["audience", "--songs", "new.parquet", "--users", "others.parquet"],
            2,
            "lie in different spaces, people and x",
        ),
        (
            ["audience", "--songs", "none", "--users", "users.parquet"],
            2,
            "none: no such file; make them: audiorec recall songs MODEL FOLDER --out",
        ),
        (
            ["songs", "--songs", "vecs.parquet", "--users", "users.parquet"],
            4,
            "embed the songs first: audiorec recall songs MODEL -v vecs.parquet --out",
        ),
        (
            ["songs", "--songs", "new.parquet", "--users", "new.parquet"],
            4,
            "not embeddings of users; make them: audiorec recall users MODEL -i LOG --out users",
        ),
        (
            ["songs", "--songs", ".", "--users", "users.parquet"],
            4,
            ".: is a folder, not embeddings of songs; make them: audiorec recall songs MODEL .",
        ),
        (
            ["songs", "--songs", "vecs.parquet", "-v", "gone.parquet", "-i", "plays.csv"],
            2,
            "gone.parquet: no such file; make them: audiorec extract FOLDER --out gone.parquet",
        ),
        (
            ["songs", "--songs", "vecs.parquet", "-i", "new.parquet"],
            4,
            "not listening; audiorec listening simulate --out world/ makes a simulated log",
        ),
        (["audience", *BY_EMBEDDING, "--quota", "2000"], 2, "quota must be in [0, 1000]"),
        (
            ["songs", *BY_EMBEDDING, "--artists", "vecs.parquet", "--per-artist", "1"],
            2,
            "no artist for any of the new songs",
        ),
    ],
)
def test_a_users_mistake_is_one_clear_line(home, audiorec, arguments, code, message):
    before = sorted(p.name for p in home.iterdir())
    found, out, err = audiorec("cold-start", *arguments, "--out", "out.parquet")
    assert found == code, err
    assert message in err
    assert err.removeprefix("known songs: vecs.parquet\n").startswith("error: ")
    assert err.endswith("\n")
    assert err.count("error: ") == 1
    assert out == ""
    assert sorted(p.name for p in home.iterdir()) == before
