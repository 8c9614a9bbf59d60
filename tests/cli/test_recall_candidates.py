"""``audiorec recall candidates`` and ``recommend``: who gets a list, of what, and what is said."""

import json

import pyarrow.parquet as pq
import pytest
from made_engines import travelling
from made_stores import write_store
from needs import needs

HEAD = "user_id,song_id,timestamp,event"


def write_rows(path, rows, head=HEAD):
    path.write_text("\n".join([head, *rows]) + "\n")


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Three users of four songs, and one who only skipped; the newest plays are of ``d``."""
    lists = ("abc", "abd", "bcd")
    rows = [
        f"u{user},{song},2024-01-{1 + place:02}T0{user}:00:00Z,finish"
        for user, songs in enumerate(lists)
        for place, song in enumerate(songs)
    ]
    write_rows(tmp_path / "plays.csv", [*rows, "shy,a,2024-01-01T00:00:00Z,skip"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def playlists(tmp_path, monkeypatch):
    """A log of playlists alone."""
    rows = [
        f"l{n},s{(n * 3 + m * (1 + n % 2)) % 12},l{n},playlist" for n in range(30) for m in range(6)
    ]
    write_rows(tmp_path / "lists.csv", rows, "user_id,song_id,list_id,event")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("engine", [None, travelling])
def test_a_user_without_a_history_gets_what_is_popular_now(log, audiorec, monkeypatch, engine):
    monkeypatch.setattr("audiorec.runs.tasks.engine_of", lambda *_a, **_k: engine)
    assert audiorec(*"recall train rules -i plays.csv --out model -q".split())[0] == 0
    ask = "recall candidates model -i plays.csv --k 3 --keep-heard --out c.parquet --json"
    code, out, err = audiorec(*ask.split(), *([] if engine is None else ["--jobs", "2"]))
    assert code == 0, err
    rows = pq.read_table("c.parquet").to_pylist()
    shy = [row for row in rows if row["user_id"] == "shy"]
    assert [(row["song_id"], row["rank"]) for row in shy] == [("b", 1), ("d", 2), ("c", 3)]
    assert {(row["channel"], row["reason"]) for row in shy} == {("default", "popular_now")}
    assert {row["channel"] for row in rows if row["user_id"] != "shy"} == {"rules"}
    assert [row["user_id"] for row in rows] == sorted(row["user_id"] for row in rows)
    told = json.loads(out)
    assert (told["users"], told["default_users"], told["rows"]) == (4, 1, len(rows))
    assert "1 of them have no history and get the default list" in err
    only = "recall candidates model -i plays.csv --keep-heard --allowed ok.txt --out o.parquet"
    (log / "ok.txt").write_text("a\nd\n")
    assert audiorec(*only.split())[0] == 0
    shy = [r for r in pq.read_table("o.parquet").to_pylist() if r["user_id"] == "shy"]
    assert {row["song_id"] for row in shy} == {"a", "d"}


def test_a_default_list_yields_to_every_channel(log, audiorec):
    for name in ("rules", "popular"):
        assert audiorec(*f"recall train {name} -i plays.csv --out {name} -q".split())[0] == 0
        ask = f"recall candidates {name} -i plays.csv --keep-heard --out {name}.parquet"
        assert audiorec(*ask.split())[0] == 0
    code, out, err = audiorec(*"recall fuse rules.parquet popular.parquet --out f.p --json".split())
    assert code == 0, err
    fused = pq.read_table("f.p").to_pylist()
    assert {row["channel"] for row in fused if row["user_id"] == "shy"} == {"popular"}
    assert "default" not in json.loads(out)["channels"]
    assert audiorec(*"recall fuse rules.parquet --out g.p --json".split())[0] == 0
    assert "default" in pq.read_table("g.p").column("channel").to_pylist()


def test_no_candidate_for_anybody_is_an_error_that_says_why(log, audiorec):
    assert audiorec(*"recall train rules -i plays.csv --out model -q".split())[0] == 0
    ask = "recall candidates model -i {log} --out c.parquet {more}"
    (log / "c.parquet").write_bytes(b"the list of yesterday")
    (log / "not.txt").write_text("zzz\n")
    write_rows(log / "other.csv", ["v,x,2024-01-01T00:00:00Z,finish"])
    write_rows(log / "skips.csv", ["v,a,2024-01-01T00:00:00Z,skip"])
    cases = (
        ("other.csv", "", "it knows no song of the histories, such as 'x'"),
        (
            "skips.csv",
            "",
            "no history has a song; the model was trained by user (--by)",
        ),
        (
            "plays.csv",
            "--allowed not.txt",
            "it proposes no allowed song",
        ),
        ("plays.csv", "--jobs 2 --allowed not.txt", "it proposes no allowed song"),
    )
    for place, more, why in cases:
        code, _, err = audiorec(*ask.format(log=place, more=more).split())
        assert (code, f"error: rules: no candidates: {why}" in err) == (2, True), err
        assert (log / "c.parquet").read_bytes() == b"the list of yesterday"


def test_new_songs_that_are_left_out_are_mentioned_and_quiet_is_quiet(log, audiorec):
    ids = write_store(log / "vecs.parquet", 6)
    write_rows(log / "few.csv", [f"u,{song},2024-01-01,finish" for song in ids[:3]])
    train = "recall train nearest-audio -i few.csv -v vecs.parquet --out model -q"
    assert audiorec(*train.split())[0] == 0
    ask = "recall candidates model -i few.csv --keep-heard --out c.parquet"
    said = "note: left out 3 songs that nobody has played; --cold-share 0.3 adds some"
    assert said in audiorec(*ask.split())[2]
    assert "note" not in audiorec(*ask.split(), "--cold-share", "0.3")[2]
    code, _, err = audiorec(*ask.split(), "-q")
    assert (code, "note" in err) == (0, False)


def test_a_log_of_playlists_alone_says_what_trains_on_them(playlists, audiorec):
    code, _, err = audiorec(*"recall train item-knn -i lists.csv --out model".split())
    note = "no finished plays, but 180 playlist entries: --by list trains on"
    assert (code, note in err) == (2, True), err


def test_a_model_keeps_how_it_was_trained(playlists, audiorec):
    train = "recall train item-knn -i lists.csv --by list --out model -q"
    assert audiorec(*train.split())[0] == 0
    assert json.loads((playlists / "model" / "model.json").read_text())["by"] == "list"
    code, out, err = audiorec(*"recall candidates model -i lists.csv --out c.p --json".split())
    assert code == 0, err
    assert json.loads(out)["users"] == 30
    assert json.loads(out)["rows"] > 30
    assert "note: one history per list, as the model was trained" in err
    code, out, err = audiorec(*"recall evaluate model -i lists.csv --k 5 --json".split())
    assert code == 0, err
    assert json.loads(out)["queries"] == 30
    code, _, err = audiorec(*"recall candidates model -i lists.csv --by user --out c.p".split())
    assert (code, "no history has a song; the model was trained by list" in err) == (
        2,
        True,
    ), err


def test_song2vec_says_and_keeps_it_too(playlists, audiorec):
    needs("torch")
    train = "recall train song2vec -i lists.csv --set max_epochs=1 --out model"
    code, _, err = audiorec(*train.split())
    assert (code, "--by list trains on them" in err) == (2, True), err
    assert audiorec(*train.split(), "--by", "list")[0] == 0
    code, out, err = audiorec(*"recall candidates model -i lists.csv --out c.p --json".split())
    assert (code, json.loads(out)["users"]) == (0, 30), err


def test_recommend_serves_a_user_that_the_log_does_not_have(log, audiorec):
    code, out, err = audiorec(*"recommend u9 -i plays.csv --json".split())
    assert code == 0, err
    songs = [json.loads(line) for line in out.splitlines()]
    assert [song["song_id"] for song in songs] == ["b", "d", "c", "a"]
    assert {(song["channel"], song["reason"]) for song in songs} == {("default", "popular now")}
    assert "note: the log has no user 'u9'" in err
    assert "4 songs for u9, from the default list: what is popular now" in err
    code, out, err = audiorec(*"recommend u9 -i plays.csv --entry new --json".split())
    assert (code, out) == (0, "")
    assert "note: new has no default list" in err


def test_a_night_with_a_table_of_ones_own_and_newcomers(log, audiorec):
    (log / "theirs.csv").write_text("user_id,song_id\nu2,a\n")
    (log / "people.csv").write_text("user_id,country\n" + "".join(f"n{n},fr\n" for n in range(9)))
    (log / "recall.toml").write_text(
        '[recall]\ninteractions = "plays.csv"\nout = "serving"\nprofiles = "people.csv"\n'
        'k = 4\ndepth = 4\nchannels = ["rules", "external:theirs.csv"]\n'
    )
    run = ("recall", "run", "--config", "recall.toml")
    code, out, err = audiorec(*run, "--dry-run")
    assert (code, "ask external:theirs.csv" in out) == (0, True), err
    code, out, err = audiorec(*run, "--json", "-q")
    assert code == 0, err
    record = json.loads(out)
    assert (record["users"], record["default_users"]) == (3 + 1 + 9, 1 + 9)
    assert record["channels"]["external:theirs.csv"] == 1
    assert "10 users get the default list, what is popular now" in err
    assert "note: no lists of an earlier night to judge by plays since" in err
    ids = set(pq.read_table("serving/fused.parquet").column("user_id").to_pylist())
    assert ids == {"u0", "u1", "u2", "shy", *(f"n{n}" for n in range(9))}


def test_newcomers_have_a_list_from_every_command(log, audiorec):
    """Those with a profile alone, and those of whom nothing is known; by country where known."""
    plays = [("f", song, 20) for song in "bbz"] + [("d", song, 30) for song in "aaz"]
    rows = [f"{who}{n},{song},2026-01-01,finish" for who, song, many in plays for n in range(many)]
    (log / "many.csv").write_text("user_id,song_id,timestamp,event\n" + "\n".join(rows) + "\n")
    people = [f"f{n},FR" for n in range(20)] + [f"n{n},{'FR' if n % 2 else 'IS'}" for n in range(9)]
    (log / "people.csv").write_text("user_id,country\n" + "\n".join(people) + "\n")
    audiorec(*"recall train item-knn -i many.csv --out m -q".split())
    ask = "recall candidates m -i many.csv --profiles people.csv --keep-heard --k 1 --out c.parquet"
    code, _, err = audiorec(*ask.split())
    assert code == 0, err
    found = {row["user_id"]: row["song_id"] for row in pq.read_table("c.parquet").to_pylist()}
    assert {user: found[user] for user in ("n0", "n1")} == {"n0": "a", "n1": "b"}
    assert {f"n{n}" for n in range(9)} <= set(found)
    assert "item-knn does not use profiles: who has no history gets a default list" in err
    code, _, err = audiorec(*"recall candidates m --profiles people.csv --out d.parquet".split())
    assert (code, "give --interactions" in err) == (2, True)
    for user, first in (("n1", "b"), ("n0", "a"), ("nobody", "a")):
        words = f"recommend {user} -i many.csv --profiles people.csv --k 1 --json"
        code, out, err = audiorec(*words.split())
        assert code == 0, err
        assert (json.loads(out)["song_id"], json.loads(out)["channel"]) == (first, "default")


def test_a_fusion_says_that_all_weigh_the_same_and_who_proposed_its_songs(log, audiorec):
    for name in ("rules", "popular"):
        assert audiorec(*f"recall train {name} -i plays.csv --out {name} -q".split())[0] == 0
        ask = f"recall candidates {name} -i plays.csv --keep-heard --out {name}.parquet"
        assert audiorec(*ask.split())[0] == 0
    fuse = "recall fuse rules.parquet popular.parquet --out f.parquet"
    code, out, err = audiorec(*fuse.split(), "--json")
    assert code == 0, err
    assert "note: all channels weigh the same, which may be worse than one alone" in err
    told, rows = json.loads(out), pq.read_table("f.parquet").num_rows
    assert told["rows"] == rows
    assert sum(told["channels"].values()) > rows  # a song counts for both that proposed it
    assert "note" not in audiorec(*fuse.split(), "--weights", "1,2")[2]


def test_replay_proposes_heard_songs_though_they_are_not_kept(log, audiorec):
    for name in ("replay", "rules"):
        assert audiorec(*f"recall train {name} -i plays.csv --out {name} -q".split())[0] == 0
        ask = f"recall candidates {name} -i plays.csv --out {name}.parquet"
        assert audiorec(*ask.split())[0] == 0
    again, new = (pq.read_table(f"{name}.parquet").to_pylist() for name in ("replay", "rules"))
    assert {row["song_id"] for row in again if row["user_id"] == "u0"} == {"a", "b", "c"}
    assert {row["song_id"] for row in new if row["user_id"] == "u0"} == {"d"}
