"""`extract.naming`: what ``--id-from`` makes of files, and that runs go on with any of it."""

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from made_songs import write_song
from odd_files import append, id3v1, mp3, prepend
from quick_songs import QuickWorkers

from audiorec.audio import tags
from audiorec.errors import InputError
from audiorec.extraction import run as extraction
from audiorec.extraction.catalogue import (
    find_songs,
    known_names,
    parse_naming,
    read_list,
    row_aliases,
)
from audiorec.extraction.run import RunOptions, make_outputs, run

pytestmark = pytest.mark.usefixtures("in_this_process")
MBIDS = ["8f3471b5-7e6a-48da-86a9-c1c07a0f47ae", "0a3471b5-7e6a-48da-86a9-c1c07a0f47af"]


def ufid_tag(track_id: str) -> bytes:
    """An ID3v2.4 tag as taggers write it: the recording's id in a UFID frame."""
    content = b"http://musicbrainz.org\0" + track_id.encode()
    frame = b"UFID" + bytes([0, 0, 0, len(content)]) + b"\0\0" + content
    return b"ID3\x04\0\0" + bytes([0, 0, 0, len(frame)]) + frame


def retag(path: Path, track_id: str) -> None:
    """Change the id in the tag and nothing else."""
    data = path.read_bytes()
    path.write_bytes(ufid_tag(track_id) + data[len(ufid_tag(MBIDS[0])) :])


@pytest.fixture
def tagged(tmp_path):
    """Two tagged MP3 files, and one without a tag."""
    root = tmp_path / "songs"
    root.mkdir()
    for i, name in enumerate(["a.mp3", "b.mp3", "c.mp3"]):
        write_song(root / name, seed=i, seconds=1.0)
        if i < 2:
            prepend(root / name, ufid_tag(MBIDS[i]))
    return root


@pytest.fixture
def out(tmp_path, monkeypatch):
    monkeypatch.setattr(extraction, "Workers", QuickWorkers)
    return tmp_path / "vecs.parquet"


def extract(library, out, id_from):
    name = parse_naming(id_from, vectors=out)
    report = run(find_songs([library], song_id=name), make_outputs(out), options=RunOptions(jobs=1))
    assert report.stopped is None
    return report


def ids(path):
    return pq.read_table(path).column("song_id").to_pylist()


def counts(report):
    return report.extracted, report.reused, report.relabelled, report.unchanged


def test_path_and_stem(tagged):
    assert parse_naming("path")(str(tagged / "a.mp3"), "x/a.mp3") == "x/a.mp3"
    assert parse_naming("stem")(str(tagged / "a.mp3"), "x/a.b.mp3") == "a.b"


def test_tag_names_and_what_has_none_keeps_its_path(tagged):
    name = parse_naming("tag:musicbrainz_trackid")
    assert [s.song_id for s in find_songs([tagged], song_id=name)] == [MBIDS[1], MBIDS[0], "c.mp3"]
    assert name.unnamed == ["c.mp3"]


def test_any_tag_of_the_file(tmp_path):
    mp3(tmp_path / "a.mp3")
    append(tmp_path / "a.mp3", id3v1("Coda"))
    assert parse_naming("tag:Title")(str(tmp_path / "a.mp3"), "a.mp3") == "Coda"
    assert parse_naming("tag:catalog_number")(str(tmp_path / "a.mp3"), "a.mp3") == "a.mp3"


def test_a_broken_file_or_one_that_is_gone_does_not_stop_the_listing(tagged):
    (tagged / "broken.mp3").write_bytes(b"ID3\x04\0\0\x7f\x7f\x7f\x7fno music")
    (tagged / "dangling.mp3").symlink_to(tagged / "gone.mp3")
    name = parse_naming("tag:musicbrainz_trackid")
    found = {s.song_id for s in find_songs([tagged], song_id=name)}
    assert found == {*MBIDS, "broken.mp3", "c.mp3", "dangling.mp3"}


def test_two_files_of_one_tag_are_refused_and_both_are_named(tagged):
    retag(tagged / "b.mp3", MBIDS[0])
    with pytest.raises(InputError, match=rf"{MBIDS[0]}': .*a\.mp3 and .*b\.mp3"):
        find_songs([tagged], song_id=parse_naming("tag:musicbrainz_trackid"))


def test_how_many_ids_stand_twice(tmp_path):
    for folder in ("x", "y"):
        for name in ("a.mp3", "b.mp3", "c.mp3"):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / name).write_bytes(b"-")
    with pytest.raises(InputError, match=r"'a': .*\(2 more ids are duplicates\)"):
        find_songs([tmp_path], song_id=parse_naming("stem"))


def test_table_of_ids(tagged, tmp_path):
    table = tmp_path / "ids.csv"
    table.write_text(
        f"song_id,shop,path,old\n0017,B-12,songs/a.mp3,\n0002, B-13 ,{tagged}/sub/../b.mp3,x1\n"
    )
    name = parse_naming(f"csv:{table}")
    assert [s.song_id for s in find_songs([tagged], song_id=name)] == ["0002", "0017", "c.mp3"]
    assert name.unnamed == ["c.mp3"]
    assert name.aliases == [("B-12", "0017"), ("B-13", "0002"), ("x1", "0002")]


def test_addresses_of_an_object_store_stand_in_a_table_as_they_are(tmp_path):
    (tmp_path / "ids.csv").write_text("path,song_id\ns3://bucket/x.mp3,0017\n")
    assert parse_naming(f"csv:{tmp_path}/ids.csv")("s3://bucket/x.mp3", "x.mp3") == "0017"
    assert parse_naming("tag:isrc")("s3://bucket/x.mp3", "x.mp3") == "x.mp3"


def test_lists_of_paths_take_the_names_too(tagged):
    sources = read_list([f"{tagged}/a.mp3\n"], song_id=parse_naming("stem"))
    assert [s.song_id for s in sources] == ["a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,id\na.mp3,1\n", "no column song_id"),
        ("path,song_id\na.mp3,1\n,2\n", "row 3 has an empty path or song_id"),
        (
            "path,song_id\na.mp3,1\nsub/../a.mp3,2\n",
            "row 3 gives sub/../a.mp3 the id '2', but an ear",
        ),
        ("path,song_id\n\x00\udcff", "cannot read the table"),
    ],
)
def test_a_bad_table_says_where(tmp_path, text, message):
    table = tmp_path / "ids.csv"
    table.write_text(text, errors="surrogateescape")
    with pytest.raises(InputError, match=message):
        parse_naming(f"csv:{table}")


@pytest.mark.parametrize("form", ["md5", "tag:", "tag:../x", "csv:", "", "stem:x"])
def test_forms_that_there_are_not(form):
    with pytest.raises(InputError, match="`id_from`"):
        parse_naming(form)


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"ids\.csv: cannot read .*: no such file"):
        parse_naming(f"csv:{tmp_path}/ids.csv")
    assert row_aliases({"song_id": "1", "path": "a", None: ["too", "many"]}) == []


@pytest.mark.parametrize("id_from", ["path", "stem", "tag:musicbrainz_trackid", "csv"])
def test_a_second_run_does_no_work_and_a_renamed_file_keeps_its_vector(
    tagged, out, tmp_path, id_from
):
    table = tmp_path / "ids.csv"
    table.write_text("path,song_id\nsongs/a.mp3,1\nsongs/b.mp3,2\nsongs/z.mp3,1\n")
    form = f"csv:{table}" if id_from == "csv" else id_from
    assert counts(extract(tagged, out, form)) == (3, 0, 0, 0)
    before = dict(zip(ids(out), pq.read_table(out).column("content_hash").to_pylist(), strict=True))
    content = out.read_bytes()
    assert counts(extract(tagged, out, form)) == (0, 0, 0, 3)
    assert out.read_bytes() == content
    (tagged / "a.mp3").rename(tagged / "z.mp3")
    assert counts(extract(tagged, out, form)) == (0, 1, 0, 2)
    after = dict(zip(ids(out), pq.read_table(out).column("content_hash").to_pylist(), strict=True))
    assert sorted(after.values()) == sorted(before.values())
    stays = id_from in ("tag:musicbrainz_trackid", "csv")
    assert (set(after) == set(before)) == stays
    assert pq.read_table(out).num_rows == 3


def test_a_song_whose_tag_changes_moves_to_the_new_id(tagged, out):
    form = "tag:musicbrainz_trackid"
    extract(tagged, out, form)
    new = "ffffffff-7e6a-48da-86a9-c1c07a0f47ae"
    retag(tagged / "a.mp3", new)
    assert counts(extract(tagged, out, form)) == (0, 1, 0, 2)
    assert ids(out) == sorted([new, MBIDS[1], "c.mp3"])
    prepend(tagged / "c.mp3", ufid_tag(MBIDS[0]))  # tagged later: leaves its path
    assert counts(extract(tagged, out, form)) == (0, 1, 0, 2)
    assert ids(out) == sorted([new, *MBIDS])


def test_other_ids_for_the_same_files_open_nothing_and_leave_no_second_row(tagged, out):
    extract(tagged, out, "path")
    assert counts(extract(tagged, out, "tag:musicbrainz_trackid")) == (0, 0, 2, 1)
    assert ids(out) == sorted([*MBIDS, "c.mp3"])
    assert counts(extract(tagged, out, "path")) == (0, 0, 2, 1)
    assert ids(out) == ["a.mp3", "b.mp3", "c.mp3"]


def test_a_failed_file_goes_by_its_new_name_too(tagged, out):
    (tagged / "broken.mp3").write_bytes(b"no music" * 20)
    errors = out.with_name("vecs.errors.parquet")
    assert extract(tagged, out, "path").failed == 1
    assert ids(errors) == ["broken.mp3"]
    report = extract(tagged, out, "stem")
    assert (report.failed, report.failed_before) == (0, 1)
    assert ids(out) == ["a", "b", "c"]


def test_files_that_did_not_change_are_not_opened_for_their_tags(tagged, out, monkeypatch):
    form = "tag:musicbrainz_trackid"
    extract(tagged, out, form)
    opened = []
    monkeypatch.setattr(tags, "read_tag", lambda path, _tag: opened.append(Path(path).name))
    name = parse_naming(form, vectors=out)
    assert [name(str(tagged / n), n) for n in ("a.mp3", "b.mp3", "c.mp3")] == [*MBIDS, "c.mp3"]
    assert opened == []
    os.utime(tagged / "b.mp3", ns=(5, 5))
    name(str(tagged / "b.mp3"), "b.mp3")
    assert opened == ["b.mp3"]


def test_what_a_store_cannot_know(tmp_path, out):
    out.write_bytes(b"no store")
    assert known_names(out, "isrc") == {}
    assert known_names(tmp_path / "gone.parquet", "isrc") == {}
    assert known_names(out, "catalog_number") == {}
