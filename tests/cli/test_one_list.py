"""`recall tune|fuse` and `recommend`: from what was learnt to one list."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_candidates import table_of
from made_stores import write_store

SONGS = [f"s{n:02}" for n in range(20)]
USERS = [f"u{n:02}" for n in range(24)]
TUNE = "recall tune bad.parquet good.parquet"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A log with likes and lists, songs with names and genres, and two channels' candidates."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUDIOREC_VECTORS", raising=False)
    rng = np.random.default_rng(0)
    rows = ["user_id,song_id,timestamp,event,list_id"]
    for number, user in enumerate(USERS):
        for place in range(5):
            song = SONGS[(number % 2) * 10 + (number + place) % 10]
            rows.append(f"{user},{song},2024-05-0{place + 1}T10:00:00Z,finish,")
    rows += [f"u00,{SONGS[9]},2024-05-05T11:00:00Z,like,"]
    for number, songs in enumerate((SONGS[:10], SONGS[5:15], SONGS[10:])):
        rows += [f"editor,{song},2024-05-01T09:00:00Z,playlist,list {number}" for song in songs]
    (tmp_path / "plays.csv").write_text("\n".join(rows) + "\n")
    side = ["song_id,title,artist,genre,energy"]
    side += [
        f"{s},Song {s},Artist {n % 5},{'jazz' if n < 10 else 'rock'},{n}"
        for n, s in enumerate(SONGS)
    ]
    (tmp_path / "side.csv").write_text("\n".join(side) + "\n")
    wanted = {user: SONGS[int(rng.integers(0, 20))] for user in USERS}
    lines = [f"{user},{song}" for user, song in wanted.items()]
    (tmp_path / "targets.csv").write_text("user_id,song_id\n" + "\n".join(lines) + "\n")
    drawn = {user: rng.permutation(SONGS)[:8].tolist() for user in USERS}
    good = {u: list(dict.fromkeys([wanted[u], *songs])) for u, songs in drawn.items()}
    bad = {user: rng.permutation(SONGS)[:8].tolist() for user in USERS}
    for name, lists in (("good", good), ("bad", bad)):
        pq.write_table(table_of(name, lists), tmp_path / f"{name}.parquet")
    return tmp_path


def test_what_is_learnt_is_kept_and_used(home, audiorec):
    line = f"{TUNE} --targets targets.csv --out t.json"
    code, out, err = audiorec(*line.split(), "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["schema"] == "audiorec/recall-tune/3"
    assert found["channels"] == ["bad", "good"]
    assert found["learnt"]["good"][0] > found["learnt"]["bad"][0]
    assert found["best"] == "good"
    assert "weights: t.json" in err
    assert "fused, over good, the best channel alone" in err
    # Tables may come in another order.
    fuse = (
        "recall fuse good.parquet bad.parquet --side side.csv --k 5 --out f.parquet --tuned t.json"
    )
    code, _, err = audiorec(*fuse.split())
    assert code == 0, err
    assert pq.read_table(home / "f.parquet").num_rows > 0
    assert audiorec(*fuse.split(), "--weights", "1,2")[0] == 2
    pq.write_table(table_of("other", {"u00": ["s01"]}), home / "other.parquet")
    code, _, err = audiorec(*fuse.replace("bad.parquet", "other.parquet").split())
    assert (code, "has weights of bad, good, none of other" in err) == (2, True)


def test_recommend_lists_interests_and_stories(home, audiorec):
    base = "recommend u00 -i plays.csv --side side.csv"
    code, out, err = audiorec(*f"{base} --what lists --json".split())
    assert code == 0, err
    lists = {one["list_id"]: one for one in map(json.loads, out.splitlines())}
    assert set(lists) >= {"list 0", "list 1"}
    assert lists["list 0"]["known"] == 5
    assert lists["list 0"]["reason"].startswith("you know Song s0")
    code, out, _ = audiorec(*f"{base} --what mixes --json -k 3".split())
    names = {json.loads(line)["list"] for line in out.splitlines()}
    assert code == 0
    assert "jazz" in names
    code, out, _ = audiorec(*f"{base} --what mixes -k 3".split())
    head, *rows = (line.split("\t") for line in out.splitlines())
    assert head == ["list", "rank", "song_id", "title", "artist", "reason"]
    assert {row[0] for row in rows} == names
    code, out, _ = audiorec(*f"{base} --why s08 --json".split())
    story = json.loads(out)
    assert (code, story["title"]) == (0, "Song s08")
    assert {one["channel"] for one in story["proposals"]} >= {"item-knn", "recent-likes"}
    liked = next(one for one in story["proposals"] if one["channel"] == "recent-likes")
    assert liked["reason"] == "goes with Song s09, which you liked lately"
    code, out, err = audiorec(*f"{base} --what mixes --why s08".split())
    assert (code, out) == (2, "")
    assert audiorec(*f"{base} --what lists --m3u8 x.m3u8".split())[0] == 2


def test_a_store_says_how_many_songs_of_the_log_it_has(home, audiorec):
    """A store of other songs warns, whether it was named or found in the folder."""
    ids = write_store(home / "vecs.parquet", 6)
    warning = "warning: vecs.parquet has none of 20 songs of the log"
    for line in (
        "recommend u00 -i plays.csv",
        "recommend u00 -i plays.csv --vectors vecs.parquet",
        "recall evaluate popular -i plays.csv --vectors vecs.parquet",
        "recall train popular -i plays.csv --vectors vecs.parquet --out model",
    ):
        code, _, err = audiorec(*line.split())
        assert code == 0, err
        assert warning in err, line
        assert "--vectors" in err
    log = home / "plays.csv"
    log.write_text(log.read_text().replace(",s03,", f",{ids[0]},"))
    _, _, err = audiorec(*"recommend u00 -i plays.csv".split())
    assert "vecs.parquet has 1 of 20 songs of the log" in err
