"""`listening.imports`: each service's format, a damaged one beside it, and no row lost."""

import json
import os
import sqlite3
import stat
from datetime import UTC, datetime
from importlib import import_module

import made_exports as made
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from good_store import write_good_store
from hypothesis import given
from hypothesis import strategies as st
from made_exports import MBID, NOON, WRITERS
from made_package import install

from audiorec.errors import DamagedFileError, InputError, MissingFileError
from audiorec.listening.forget import forget
from audiorec.listening.imports.importing import IMPORTS, KnownSongs, import_history, path_beside
from audiorec.listening.imports.rows import (
    ImportedEvent,
    RejectedRow,
    SongRef,
    UnusableRowError,
    epoch,
    moment,
)
from audiorec.listening.interactions import read_interactions
from audiorec.store.store import VectorStore


@pytest.fixture
def store(tmp_path):
    """Four songs of /music: Eins by Ayla, one with an ISRC, one with a MusicBrainz id."""
    return VectorStore.open(write_good_store(tmp_path / "store", artist="Ayla"))


def rows(path):
    found = pq.read_table(path).to_pylist()
    for row in found:
        if row.get("timestamp"):
            row["at"] = row["timestamp"].timestamp() - NOON
    return found


def short(path):
    return [(r["user_id"], r["song_id"], r["at"], r["event"], r["weight"]) for r in rows(path)]


def adds_up(found, out):
    counts = [found.plays, found.unmatched, found.rejected]
    files = [out, path_beside(out, "unmatched"), path_beside(out, "rejected")]
    assert [len(rows(file)) for file in files] == counts
    assert found.rows == sum(counts)
    assert sum(found.reasons.values()) == found.rejected


def test_every_kind_has_a_sample():
    assert set(WRITERS) == set(IMPORTS.own())


@pytest.mark.parametrize("kind", IMPORTS.own())
@pytest.mark.parametrize("damaged", [False, True])
@pytest.mark.parametrize("with_store", [False, True])
def test_no_row_is_lost_and_the_log_can_be_read(kind, damaged, with_store, tmp_path, store):
    write, name = WRITERS[kind]
    out = tmp_path / "plays.parquet"
    known = store if with_store else None
    if kind == "yambda":  # whose ids are none of this store's
        known = None
    found = import_history(kind, [write(tmp_path / name, damaged=damaged)], out, store=known)
    adds_up(found, out)
    assert bool(found.mistakes) == damaged
    log = read_interactions(out)
    assert len(log) == found.plays > 0
    assert len(log.song_ids) == found.songs
    assert len(log.user_ids) == found.users
    assert not log.problems


def test_listenbrainz(tmp_path, store):
    out = tmp_path / "plays.parquet"
    found = import_history(
        "listenbrainz", [made.write_listenbrainz(tmp_path / "e.zip")], out, store=store
    )
    assert short(out) == [
        ("ana", "a/one.flac", 0, "play", 1),
        ("ana", "b/three.mp3", 60, "play", 1),
        ("ana", "a/one.flac", 5, "like", 1),  # named by the listen of this msid
        ("ana", "b/three.mp3", 6, "dislike", 1),
    ]
    assert dict(found.ways) == {"tags": 2, "mbid": 2, "no such song": 1}
    assert dict(found.reasons) == {
        "is feedback that was taken back": 1,
        "is about a recording that is not named here": 1,
    }
    assert [r["title"] for r in rows(path_beside(out, "unmatched"))] == ["Else"]


def test_lines_without_a_zip_and_the_answer_of_the_api(tmp_path):
    lines = tmp_path / "3.jsonl"
    lines.write_text(json.dumps(made.listen(NOON, "A", "B")) + "\n")
    answer = tmp_path / "listens.json"
    answer.write_text(
        json.dumps({"payload": {"count": 1, "listens": [made.listen(NOON, "A", "B")]}})
    )
    out = tmp_path / "plays.parquet"
    found = import_history("listenbrainz", [lines, answer], out, user="ben")
    assert short(out) == 2 * [("ben", "a - b", 0, "play", 1)]
    assert found.songs == 1


def test_lastfm_in_all_its_forms(tmp_path, store):
    plain = tmp_path / "plain.csv"
    plain.write_text("Ayla,Zahlen,Eins,01 Mar 2024 12:00\nAyla,,Eins,\n")
    semicolons = tmp_path / "stats.csv"
    semicolons.write_text(
        f'Artist;Album;AlbumId;Track;Date#ana\n"Ayla";"Zahlen";"1";"Eins";"{NOON}250"\n'
    )
    scrobbles = tmp_path / "stats.json"
    scrobbles.write_text(json.dumps(
        {"username": "x", "scrobbles": [{"track": "Eins", "artist": "Ayla", "date": NOON * 1000}]}
    ))  # fmt: skip
    paths = [
        made.write_lastfm_csv(tmp_path / "a.csv"),
        made.write_lastfm_json(tmp_path / "b.json"),
        plain,
        semicolons,
        scrobbles,
    ]
    out = tmp_path / "plays.parquet"
    found = import_history("lastfm", paths, out, store=store)
    eins = "a/one.flac"
    assert short(out) == [
        ("me", eins, 0, "play", 1),
        ("me", "b/three.mp3", 60, "play", 1),
        ("me", eins, 0, "play", 1),
        ("me", "b/three.mp3", 60, "play", 1),
        ("me", eins, 0, "play", 1),
        ("ana", eins, 0.25, "play", 1),
        ("me", eins, 0, "play", 1),
    ]
    assert dict(found.reasons) == {
        "was playing while the file was written": 1,
        "has no time that can be read": 1,
    }
    adds_up(found, out)


def test_spotify_starts_ratios_and_skips(tmp_path, store):
    out = tmp_path / "plays.parquet"
    found = import_history("spotify", [made.write_spotify(tmp_path / "s.zip")], out, store=store)
    first, skipped, later = rows(out)
    assert (first["at"], first["event"]) == (0, "finish")
    assert first["played_ratio"] == pytest.approx(15 / 15.5)
    assert (skipped["at"], skipped["event"]) == (pytest.approx(60 - 3.1), "skip")
    assert skipped["played_ratio"] == pytest.approx(3.1 / 15.5)
    assert later["played_ratio"] == 1  # 90 seconds of a song of 15.5
    assert [r["event"] for r in rows(path_beside(out, "unmatched"))] == ["play"]
    assert dict(found.reasons) == {"is a podcast or an audiobook": 1}
    assert found.mistakes == 0
    kept = rows(path_beside(out, "rejected"))[0]["content"]
    assert "Talk" in kept
    assert "203.0.113.7" not in kept  # where somebody was is nobody's business


def test_the_shorter_history_of_spotify(tmp_path):
    path = tmp_path / "StreamingHistory_music_0.json"
    stream = {
        "endTime": "2024-03-01 12:03",
        "artistName": "A",
        "trackName": "B",
        "msPlayed": 60_000,
    }
    path.write_text(json.dumps([stream]))
    out = tmp_path / "plays.parquet"
    import_history("spotify", [path], out)
    assert short(out) == [("me", "a - b", 120, "play", 1)]


@pytest.mark.parametrize("sequential", [False, True])
def test_yambda(tmp_path, sequential):
    out = tmp_path / "plays.parquet"
    path = made.write_yambda(tmp_path / "listens.parquet", sequential=sequential)
    import_history("yambda", [path], out)
    found = rows(out)
    assert [r["played_ratio"] for r in found] == pytest.approx([1, 0.37, 1])
    assert [r["entry"] for r in found] == ["organic", "recommended", "organic"]
    assert [r["user_id"] for r in found] == ["10", "10", "20"]
    first, second, _ = (r["timestamp"] for r in found)
    assert (second - first).total_seconds() == 5
    assert first == datetime.fromtimestamp(946_684_800 + 15_929_455, UTC)


def test_yambda_says_what_is_taken_back_and_matches_ids(tmp_path, store):
    events = ["listen", "like", "unlike", "teleport", None]
    ids = ["a/one.flac", "a/two.flac", "a/one.flac", "a/one.flac", "a/one.flac"]
    path = tmp_path / "multi_event.parquet"
    table = {"uid": [1] * 5, "timestamp": [5] * 5, "item_id": ids, "event_type": events}
    pq.write_table(pa.table(table), path)
    out = tmp_path / "plays.parquet"
    found = import_history("yambda", [path], out, store=store)
    assert [(r["song_id"], r["event"]) for r in rows(out)] == [
        ("a/one.flac", "play"),
        ("a/two.flac", "like"),
    ]
    assert (found.rejected, found.mistakes) == (3, 2)
    kept = import_history("yambda", [made.write_yambda(tmp_path / "listens.parquet")], out,
                          store=store, keep_unmatched=True)  # fmt: skip
    assert (kept.plays, kept.unmatched, kept.unmatched_songs) == (3, 0, 3)
    assert dict(kept.ways) == {"no such song": 3}
    away = import_history("yambda", [tmp_path / "listens.parquet"], out, store=store)
    assert (away.plays, away.unmatched) == (0, 3)
    assert [r["id"] for r in rows(path_beside(out, "unmatched"))] == ["1", "2", "3"]
    nameless = tmp_path / "what.parquet"
    pq.write_table(pa.table({"uid": [1], "timestamp": [5], "item_id": [2]}), nameless)
    with pytest.raises(InputError, match="name the file as in Yambda"):
        import_history("yambda", [nameless], out)


def test_navidrome(tmp_path, store):
    path, out = made.write_navidrome(tmp_path / "n.db"), tmp_path / "plays.parquet"
    before = sorted(p.name for p in tmp_path.iterdir())
    found = import_history("navidrome", [path], out, store=store)
    assert short(out) == [
        ("ana", "a/one.flac", pytest.approx(0.123457), "play", 5),
        ("ana", "a/one.flac", 0, "like", 1),
        ("ben", "b/three.mp3", 0, "play", 2),
        ("ben", "b/three.mp3", 0, "like", 1),  # five stars
    ]
    assert [(r["title"], r["event"]) for r in rows(path_beside(out, "unmatched"))] == [
        ("Neun", "play"),
        ("Neun", "dislike"),
    ]
    assert found.ways["path"] == found.ways["mbid"] == 2
    after = sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith("plays"))
    assert after == before  # SQLite wrote nothing beside the database


def test_scrobbles_of_navidrome_are_not_counted_twice(tmp_path, store):
    path = made.write_navidrome(tmp_path / "n.db", scrobbles=True)
    out = tmp_path / "plays.parquet"
    import_history("navidrome", [path], out, store=store)
    plays = [row for row in short(out) if row[0] == "ana" and row[3] == "play"]
    eins = "a/one.flac"
    assert plays == [
        *(("ana", eins, n, "play", 1) for n in range(3)),
        ("ana", eins, 0, "play", 2),  # five in all; the other two were before the first
    ]


def test_a_server_that_runs_is_read_with_its_journal(tmp_path):
    path = made.write_navidrome(tmp_path / "n.db")
    with sqlite3.connect(path) as server:
        server.execute("PRAGMA journal_mode=WAL")
        server.execute("UPDATE annotation SET play_count = 50 WHERE user_id = 'u1'")
        server.commit()
        out = tmp_path / "plays.parquet"
        import_history("navidrome", [path], out)
        assert max(row["weight"] for row in rows(out)) == 50
    server.close()


def test_a_database_without_rights_to_write_is_read(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir()
    path = made.write_lyrion(folder / "persist.db")
    path.chmod(stat.S_IRUSR)
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        found = import_history("lyrion", [path], tmp_path / "plays.parquet")
    finally:
        folder.chmod(stat.S_IRWXU)
    assert found.plays


def test_lyrion(tmp_path, store):
    path, out = made.write_lyrion(tmp_path / "persist.db"), tmp_path / "plays.parquet"
    import_history("lyrion", [path], out, store=store)
    assert short(out) == [
        ("me", "a/one.flac", 60, "play", 4),
        ("me", "b/été.mp3", 90, "play", 1),  # by folder and name: the server mounts it elsewhere
        ("me", "b/été.mp3", 90, "like", 1),
        ("me", "b/three.mp3", 0, "dislike", 1),
    ]
    assert [r["path"] for r in rows(path_beside(out, "unmatched"))] == [
        "http://radio.example/stream"
    ]


@pytest.mark.parametrize("sql", ["CREATE VIEW {t} AS SELECT 1 AS url", "CREATE TABLE {t} (x)", ""])
def test_a_table_that_is_none_is_refused(tmp_path, sql):
    path = tmp_path / "persist.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE other (x)")
        if sql:
            database.execute(sql.format(t="tracks_persistent"))
    database.close()
    with pytest.raises(DamagedFileError, match=r"has no (table|column)"):
        import_history("lyrion", [path], tmp_path / "plays.parquet")
    path.write_bytes(b"SQLite format 3\0" + os.urandom(5000))
    with pytest.raises(DamagedFileError, match=r"persist\.db"):
        import_history("lyrion", [path], tmp_path / "plays.parquet")


def test_matching_asks_in_order_and_guesses_nothing(tmp_path):
    ids = ("a/one.flac", "b/one.flac", "c/other.flac", "d/other.flac")
    path = write_good_store(tmp_path, ids, artist="Ayla", title="Eins")
    table = pq.read_table(path)
    albums = pa.array(["Zahlen", "Best of", "Best of", None], pa.string())
    lengths = pa.array([100.0, 102.0, 300.0, 300.0], pa.float32())
    for name, column in (("album", albums), ("duration_s", lengths)):
        table = table.set_column(
            table.schema.get_field_index(name), table.schema.field(name), column
        )
    pq.write_table(table, path)
    known = KnownSongs(VectorStore.open(path))

    def name(**about):
        found = known.find(SongRef(**about))
        return known.ids[found.row] if found.row >= 0 else found.way

    tags = {"artist": " AYLA", "title": "eins "}
    assert name(**tags) == "several songs"  # of 100 s and of 300 s
    assert name(**tags, album="zahlen") == "a/one.flac"
    assert name(**tags, duration_s=101) == "a/one.flac"  # two of one length: the first
    assert name(**tags, album="Best of") == "several songs"
    assert name(**tags, album="Best of", duration_s=299) == "c/other.flac"
    assert name(path="/mnt/x/b/one.flac") == "b/one.flac"
    assert name(path="C:\\music\\b\\one.flac") == "b/one.flac"
    assert name(path="/mnt/x/one.flac") == "no such song"  # the name alone says little
    assert name(id="d/other.flac", **tags) == "d/other.flac"
    assert name(artist="Ayla", title="Zwei") == "no such song"
    assert name(title="Eins") == "no such song"


def test_a_report_names_what_is_not_there(tmp_path, store):
    path, out = tmp_path / "3.jsonl", tmp_path / "plays.parquet"
    plays = [("Ayla", "Eins"), ("Ayla feat. Bo", "Eins"), ("X", "Y"), ("Ayla feat. Bo", "Eins")]
    path.write_text("".join(json.dumps(made.listen(NOON, *p)) + "\n" for p in plays))
    report = tmp_path / "report.csv"
    found = import_history("listenbrainz", [path], out, store=store, report=report)
    assert (found.plays, found.unmatched, found.unmatched_songs) == (1, 3, 2)
    first, second = report.read_text().splitlines()[1:]
    assert first.startswith('2,"no such song",')
    assert first.endswith('"a/one.flac"')  # a song of this title
    assert second.startswith('1,"no such song",')
    kept = import_history("listenbrainz", [path], out, store=store, keep_unmatched=True)
    assert (kept.plays, kept.unmatched) == (4, 0)
    assert {r["song_id"] for r in rows(out)} == {"a/one.flac", "ayla feat. bo - eins", "x - y"}


def test_a_person_is_forgotten_in_all_files_of_an_import(tmp_path, store):
    out = tmp_path / "plays.parquet"
    path = made.write_navidrome(tmp_path / "n.db", damaged=True)
    import_history("navidrome", [path], out, store=store)
    files = [out, path_beside(out, "unmatched"), path_beside(out, "rejected")]
    removed = [one.removed for one in forget("ana", files)]
    assert removed == [2, 1, 1]
    assert all(r["user_id"] != "ana" for file in files for r in rows(file))


def test_what_cannot_be_used_at_all_leaves_everything_as_it_was(tmp_path):
    out = tmp_path / "plays.parquet"
    with pytest.raises(MissingFileError, match=r"gone\.zip: no such file"):
        import_history("spotify", [tmp_path / "gone.zip"], out)
    empty = tmp_path / "a.json"
    empty.write_text("{}")
    with pytest.raises(DamagedFileError, match=r"a\.json: cannot be read: holds no JSON array"):
        import_history("spotify", [empty], out)
    empty.write_text("[{}]")
    with pytest.raises(DamagedFileError, match="none of its 1 rows can be used: 1 its playing"):
        import_history("spotify", [empty], out)
    (tmp_path / "no.zip").write_bytes(b"PK\3\4 nonsense")
    with pytest.raises(DamagedFileError, match="is not a zip, or is damaged"):
        import_history("spotify", [tmp_path / "no.zip"], out)
    with pytest.raises(InputError, match=r"its name must end in \.parquet"):
        import_history("spotify", [empty], tmp_path / "plays.csv")
    assert not [p for p in tmp_path.iterdir() if "plays" in p.name]


ODD = [10**400, "\ud800", "x" * 5000, "", "nan", "0001-01-01T00:00:00+23:00", None, True]
PLAIN = [NOON, str(NOON), NOON * 1000, "2024-03-01T12:00:00Z", "Ayla", "Eins", 1, -1, 0, 1.5]
WORDS = st.sampled_from([*ODD, *PLAIN, "trackdone"])
NAMES = (
    "ts ms_played endTime msPlayed master_metadata_track_name master_metadata_album_artist_name "
    "reason_end skipped episode_name artist name track date uts mbid listened_at track_metadata "
    "artist_name track_name additional_info mbid_mapping recording_mbid recording_msid score "
    "created"
).split()
THINGS = st.recursive(
    WORDS,
    lambda inner: (
        st.dictionaries(st.sampled_from([*NAMES, "#text", "duration"]), inner, max_size=5)
        | st.lists(inner, max_size=2)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("kind", ["spotify", "lastfm", "listenbrainz"])
@given(things=st.lists(st.dictionaries(st.sampled_from(NAMES), THINGS, max_size=8), max_size=4))
def test_whatever_stands_in_a_row_it_is_one_event_or_set_aside(kind, things, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / f"{kind}.json"
    path.write_text(json.dumps(things))
    found = list(import_module(f"audiorec.listening.imports.{kind}").read([path], ""))
    pages = kind == "lastfm" and any(isinstance(t.get("track"), list) for t in things)
    assert pages or len(found) == len(things)
    for row in found:
        assert isinstance(row, (ImportedEvent, RejectedRow))
        (row.content if isinstance(row, RejectedRow) else "".join(row.song[:7])).encode()
        if isinstance(row, ImportedEvent):
            assert row.song.has_name
            assert 0 < row.time_s < 5e9


def test_units_of_time():
    assert epoch(NOON) == epoch(str(NOON)) == epoch(NOON * 1000) == epoch(NOON * 10**9) == NOON
    assert moment("2024-03-01T14:00:00+02:00") == NOON
    for bad in (0, -5, "soon", None, True, 10**30, float("inf"), "2024-13-45 00:00:00"):
        with pytest.raises(UnusableRowError):
            moment(bad) if isinstance(bad, str) and "-13-" in bad else epoch(bad)
    assert MBID.lower() == MBID


OTHERS = """
from audiorec.listening.imports.rows import ImportedEvent, RejectedRow, SongRef

def read(files, user):
    for number, line in enumerate(files[0].read_text().splitlines()):
        artist, _, title = line.partition(" - ")
        song = SongRef(artist=artist, title=title)
        yield ImportedEvent(song=song, time_s=1.7e9 + number, event="play")
"""


def test_a_reader_of_another_package_is_named_like_ours(tmp_path, monkeypatch):
    site = tmp_path / "site"
    install(site, "winamp_a", OTHERS, IMPORTS.group, {"winamp": "winamp_a:read"})
    monkeypatch.syspath_prepend(str(site))
    (tmp_path / "list.txt").write_text("Ayla - One\nBob - Two\nAyla - One\n")
    logs = []
    for kind in ("winamp", "winamp_a:read"):
        out = tmp_path / "plays.parquet"
        found = import_history(kind, [tmp_path / "list.txt"], out)
        assert (found.rows, found.plays, found.songs) == (3, 3, 2)
        logs.append(rows(out))
    assert logs[0] == logs[1]
    with pytest.raises(InputError, match="unknown kind of history 'foobar'; there are: lastfm"):
        import_history("foobar", [tmp_path / "list.txt"], tmp_path / "plays.parquet")
