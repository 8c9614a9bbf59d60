"""``audiorec store``: what it prints where, what it exits with, and what it never writes."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from good_store import IDS, MBID, METADATA, change, write_good_store
from made_songs import write_song
from quick_songs import QuickWorkers

from audiorec.extraction import run
from audiorec.library.library import Library
from audiorec.store.aliases import read_aliases


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with a good store, and others that are not: see `write_good_store`."""
    monkeypatch.delenv("AUDIOREC_VECTORS", raising=False)
    write_good_store(tmp_path)
    folder = tmp_path / "others"
    other = replace(METADATA, extractor_id="f" * 16, spec={"segment": {"hop_s": 6.0}})
    write_good_store(folder / "extractor", ids=["z.mp3"], metadata=other)
    more = write_good_store(folder / "more", ids=["z.mp3"])
    change(more, "content_hash", 0, "9" * 32)
    for kind in ("scores", "features"):
        change(more.with_name(f"{kind}.parquet"), "content_hash", 0, "9" * 32)
    empty = write_good_store(folder / "empty", ids=["z.mp3"])
    for kind in ("vecs", "scores", "features", "vecs.errors"):
        path = empty.with_name(f"{kind}.parquet")
        pq.write_table(pq.read_table(path).slice(0, 0), path)
    whole = (tmp_path / "vecs.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "ids.csv").write_text("path,song_id,shop\nx.mp3,a/one.flac,B-12\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


FORMATS = Path(__file__).parents[2] / "fixtures" / "formats"
EXTRACTOR, MORE = "others/extractor/vecs.parquet", "others/more/vecs.parquet"
EMPTY = "others/empty/vecs.parquet"
ATLAS = ("--format", "atlas", "-o", "c.parquet")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        # a truncated Parquet
        (["store", "verify", "cut.parquet"], 4, "cut.parquet: not a valid Parquet file"),
        (["store", "merge", "vecs.parquet", "cut.parquet", "-o", "c.parquet"], 4, "cut.parquet"),
        # a store of another extractor
        (
            ["store", "merge", "vecs.parquet", EXTRACTOR, "-o", "c.parquet"],
            2,
            "by ffffffffffffffff",
        ),
        # no store at all, or a file of another kind
        (["info", "-v", "scores.parquet"], 4, "holds scores, not vectors"),
        (["store", "merge", "vecs.parquet", "gone.parquet", "-o", "c.parquet"], 2, "no such file"),
        (["store", "merge", "ids.csv", "-o", "c.parquet"], 4, "ids.csv: not a valid Parquet"),
        (["store", "merge", "others", "-o", "c.parquet"], 2, "no finished parts"),
        # an empty store
        (["store", "export", EMPTY, *ATLAS], 4, "has no songs to place"),
        # two songs of one id, places that are taken or are none
        (
            ["store", "merge", "vecs.parquet", "twice.parquet", "-o", "c.parquet"],
            2,
            "different songs",
        ),
        (["store", "merge", "vecs.parquet", MORE, "-o", "ids.csv"], 2, "exists; replace it"),
        (["store", "merge", "vecs.parquet", MORE, "-o", "no/c.parquet"], 2, "no: no such folder"),
        (["store", "merge", "vecs.parquet", MORE], 2, "give --out"),
        (["store", "aliases", "-o", "vecs.parquet"], 2, "cannot be written; name a file"),
        # options
        (["store", "export"], 2, "Missing option '--out'"),
        (["store", "export", "-o", "c.csv", "--projection", "pac"], 2, "is not one of 'pca'"),
        (["store", "export", "-o", "c.csv", "--columns", "tempo"], 2, "no column 'tempo'"),
        (["store", "aliases", "--add", "bad.csv"], 4, "has no column song_id"),
        # a wrong alias, and an alias of two songs
        (["similar", MBID.replace("8", "9")], 2, "no song with id"),
        (
            ["info", MBID, "-v", "twice.parquet"],
            2,
            ": b/three.mp3, b/été.mp3; name one by its id or path",
        ),
    ],
)
def test_a_users_mistake_is_one_clear_line_and_writes_nothing(
    home, audiorec, arguments, code, message
):
    (home / "bad.csv").write_text("id,alias\n1,2\n")
    (home / "twice.parquet").write_bytes((home / "vecs.parquet").read_bytes())
    change(home / "twice.parquet", "content_hash", 0, "8" * 32)
    change(home / "twice.parquet", "musicbrainz_trackid", 3, MBID)
    before = contents(home)
    found, out, err = audiorec(*arguments)
    assert found == code, err
    lines = [line for line in err.splitlines() if not line.startswith("note: ")]
    assert len(lines) == 1 or "Usage: " in lines[0], err
    assert message in err
    assert out == ""
    assert contents(home) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"],
        ["aliases"],
        ["export", "-o", "c.csv"],
        ["merge", "-o", "c.parquet"],
    ],
)
def test_an_empty_store_is_a_store(home, audiorec, arguments):
    command, *options = arguments
    code, _, err = audiorec("store", command, EMPTY, *options)
    assert (code, "Traceback" in err) == (0, False)


def test_info(home, audiorec):
    code, out, err = audiorec("info", "--json")
    found = json.loads(out)
    assert (code, err, found["schema"], found["songs"]) == (0, "", "audiorec/info/1", 4)
    assert [f["kind"] for f in found["beside"]] == ["scores", "features", "errors"]
    _, out, _ = audiorec("info")
    assert "songs: 4\n" in out
    assert f"weights: musicnn_msd {'ab' * 6} (ISC)\n" in out
    assert "duration: 1:02 (from 0:16 to 0:16 a song)\n" in out
    assert "beside: errors vecs.errors.parquet: 1 row," in out


def test_verify(home, audiorec):
    code, out, err = audiorec("store", "verify")
    assert (code, out) == (0, "")
    assert err.startswith("good: 4 rows of vecs.parquet, 4 rows of scores.parquet")
    code, out, err = audiorec("store", "verify", "--files")
    lines = [line.split("\t") for line in out.splitlines()]
    assert code == 3
    assert lines[0] == ["file", "row", "song_id", "check", "reason"]
    assert lines[1] == ["vecs.parquet", "0", IDS[0], "file_gone", f"no file at /music/{IDS[0]}"]
    assert "4 problems in" in err
    code, out, err = audiorec("store", "verify", "--files", "--json")
    found = json.loads(out)
    assert (code, found["schema"], found["good"]) == (3, "audiorec/store-verify/1", False)
    assert found["counts"] == {"file_gone": 4}
    assert [one["check"] for one in found["problems"]] == ["file_gone"] * 4


def test_verify_takes_files_by_name(home, audiorec):
    wrong = home / "others/more/scores.parquet"
    code, out, _ = audiorec("store", "verify", "--beside", wrong)
    assert code == 3
    assert "the vectors file has no song with this id" in out
    assert audiorec("store", "verify", EXTRACTOR)[0] == 0


def test_merge_with_what_stands_beside(home, audiorec):
    (home / "new").mkdir()
    out = "new/all.parquet"
    code, printed, _ = audiorec("store", "merge", "vecs.parquet", MORE, "-o", out, "--json")
    assert (code, json.loads(printed)["rows"]) == (0, {out: 5})
    made = {p.name for p in (home / "new").iterdir()}
    assert made == {"all.parquet", "all.copies.parquet"}
    code, _, err = audiorec("store", "merge", "vecs.parquet", MORE, "-o", out, "--beside")
    assert (code, "all.parquet: exists; replace it with --overwrite" in err) == (2, True)
    code, _, err = audiorec(
        "store", "merge", "vecs.parquet", MORE, "-o", out, "--beside", "--overwrite"
    )
    assert (code, "5 rows: new/scores.parquet" in err) == (0, True)
    assert audiorec("store", "verify", out)[0] == 0
    assert pq.read_table("new/all.errors.parquet").num_rows == 1


def test_merge_a_folder_of_shards(home, audiorec):
    (home / "parts").mkdir()
    for number, part in enumerate(["others/more", "."]):
        for kind, name in {"vecs": "vecs", "vecs.errors": "errors", "scores": "scores"}.items():
            target = home / "parts" / f"part-{number:05}-of-00003.{name}.parquet"
            target.write_bytes((home / part / f"{kind}.parquet").read_bytes())
        (home / "parts" / f"part-{number:05}-of-00003.done.json").write_text("{}")
    code, _, err = audiorec("store", "merge", "parts", "-o", "new.parquet")
    assert (code, "1 of 3 shards are not finished: 2" in err) == (2, True)
    arguments = ["store", "merge", "parts", "-o", "parts/all.parquet", "--partial", "--json"]
    code, printed, err = audiorec(*arguments)
    assert code == 0, err
    rows = {"parts/all.parquet": 5, "parts/scores.parquet": 5, "parts/all.errors.parquet": 1}
    assert json.loads(printed)["rows"] == rows
    assert audiorec("store", "verify", "parts/all.parquet")[0] == 0


def test_merge_one_file_in_its_place(home, audiorec):
    pq.write_table(pq.read_table("vecs.parquet").take([3, 1, 0, 2]), "vecs.parquet")
    assert audiorec("store", "verify")[0] == 3
    assert audiorec("store", "merge", "vecs.parquet")[0] == 0
    assert audiorec("store", "verify")[0] == 0


def test_on_duplicate(home, audiorec):
    (home / "again.parquet").write_bytes((home / "vecs.parquet").read_bytes())
    change(home / "again.parquet", "title", 0, "Neu")
    arguments = ["store", "merge", "vecs.parquet", "again.parquet", "-o", "c.parquet"]
    code, _, err = audiorec(*arguments, "--on-duplicate", "error")
    assert (code, "one in vecs.parquet, one in again.parquet" in err) == (2, True)
    assert audiorec(*arguments)[0] == 0  # the audio is the same
    (home / "c.parquet").unlink()
    assert audiorec(*arguments, "--on-duplicate", "first")[0] == 0
    assert Library.open("c.parquet").row(IDS[0])["title"] == "Eins"


def test_export(home, audiorec):
    code, out, err = audiorec("store", "export", "-o", "v.npz", "--json")
    found = json.loads(out)
    assert (code, found["schema"]) == (0, "audiorec/store-export/1")
    assert set(found["written"]) == {"v.npz"}
    assert "written: v.npz (" in err
    arguments = ["--format", "csv", "-o", "v.txt", "--columns", "title, uri"]
    assert audiorec("store", "export", *arguments)[0] == 0
    assert (home / "v.txt").read_text().count("\n") == 5
    code, _, err = audiorec("store", "export", "--format", "atlas", "--out", "atlas.parquet")
    assert "embedding-atlas atlas.parquet --x x --y y --text title" in err
    assert pq.read_table("atlas.parquet").num_rows == 4


def test_aliases(home, audiorec):
    code, out, _ = audiorec("store", "aliases")
    rows = [line.split("\t") for line in out.splitlines()]
    assert (code, rows[0]) == (0, ["alias", "kind", "song_id"])
    assert [MBID, "mbid", "b/three.mp3"] in rows
    code, out, err = audiorec("store", "aliases", "--add", "ids.csv")
    assert (code, out, err) == (0, "", "1 aliases in aliases.parquet\n")
    code, out, _ = audiorec("store", "aliases", "--json", "--out", "all.parquet")
    found = json.loads(out)
    assert found["schema"] == "audiorec/store-aliases/1"
    assert {"alias": "B-12", "kind": "csv", "song_id": "a/one.flac"} in found["aliases"]
    assert read_aliases(home / "all.parquet").num_rows == len(found["aliases"])
    (home / "ids.csv").write_text("song_id,x\ngone,C-1\n")
    assert (
        "1 of these songs are not in the store, such as 'gone'"
        in audiorec("store", "aliases", "--add", "ids.csv")[2]
    )


@pytest.mark.parametrize("alias", [MBID, MBID.upper(), "/music/b/three.mp3", "three", "B-12"])
def test_every_command_takes_an_alias(home, audiorec, alias):
    (home / "ids.csv").write_text("song_id,shop\nb/three.mp3,B-12\n")
    audiorec("store", "aliases", "--add", "ids.csv")
    code, out, err = audiorec("similar", alias, "--json")
    assert code == 0, err
    assert "b/three.mp3" in out
    assert json.loads(audiorec("info", alias, "--json")[1])["song_id"] == "b/three.mp3"


def test_extract_by_a_table_of_ids_keeps_its_aliases(home, audiorec, monkeypatch):
    monkeypatch.setattr(run, "Workers", QuickWorkers)
    (home / "new").mkdir()
    for number, name in enumerate(["x.flac", "y.flac"]):
        write_song(home / "songs" / name, seed=number, seconds=1.0)
    (home / "new.csv").write_text("path,song_id,shop\nsongs/x.flac,0017,B-99\n")
    arguments = ["extract", "songs", "-o", "new/vecs.parquet", "--id-from", "csv:new.csv", "-q"]
    code, _, err = audiorec(*arguments)
    assert code == 0, err
    assert "note: 1 of 2 songs have no id by --id-from csv:new.csv and keep their path: y" in err
    store = Library.open("new/vecs.parquet")
    assert store.ids == ("0017", "y.flac")
    assert store.resolve("B-99") == "0017"
    written = {p.name: p.stat().st_mtime_ns for p in (home / "new").iterdir()}
    code, _, err = audiorec(*arguments)
    assert (code, "2 unchanged" in err) == (0, True)
    assert written["vecs.parquet"] == os.stat("new/vecs.parquet").st_mtime_ns  # noqa: PTH116


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["songs", "--id-from", "md5"], "--id-from must be path, stem, tag:NAME"),
        (["songs", "--id-from", "csv:gone.csv"], "gone.csv: cannot read the table of ids"),
        (["--from", "ids.csv", "--id-from", "stem"], "has its own song ids"),
    ],
)
def test_id_from_is_refused_before_anything_is_written(home, audiorec, options, message):
    write_song(home / "songs" / "x.flac", seed=1, seconds=1.0)
    before = contents(home)
    code, _, err = audiorec("extract", *options, "-o", "c.parquet")
    assert (code, message in err) == (2, True), err
    assert contents(home) == before


def test_a_manifest_takes_ids_too(home, audiorec):
    for name in ("x.flac", "y.flac"):
        write_song(home / "songs" / name, seed=1, seconds=1.0)
    (home / "new.csv").write_text("path,song_id\nsongs/x.flac,0017\n")
    code, _, err = audiorec("manifest", "songs", "-o", "m.parquet", "--id-from", "csv:new.csv")
    assert (code, "note: no id by --id-from" in err) == (0, True)
    assert pq.read_table("m.parquet").column("song_id").to_pylist() == ["0017", "y.flac"]
    options = ["m.parquet", "2", "--id-from", "stem"]
    code, _, err = audiorec("shards", *options, "-o", "parts")
    assert (code, "--id-from" in err) == (2, True)


def test_verify_finds_a_turned_bit(home, audiorec):
    path = home / "vecs.parquet"
    whole = path.read_bytes()
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(1)
    assert chunk.path_in_schema.startswith("vector")
    content = bytearray(whole)
    content[chunk.data_page_offset + chunk.total_compressed_size - 5] ^= 16
    path.write_bytes(content)
    code, _, err = audiorec("store", "verify")
    assert (code, "vecs.parquet: damaged" in err) == (4, True)
    assert err.count("\n") == 1
