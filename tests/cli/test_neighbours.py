"""``audiorec similar --out``: the nearest songs of every song, a job that can be stopped."""

import json
import threading

import pyarrow.parquet as pq
import pytest
from library_commands import files_in

from audiorec.search import near


def test_all_pairs_are_those_of_similar(in_library, music, tmp_path):
    out = tmp_path / "neighbours.parquet"
    code, document, err = in_library("similar", "--out", out, "-k", "3", "--json")
    assert code == 0, err
    assert json.loads(document)["schema"] == "audiorec/neighbours/1"
    table = pq.read_table(out).to_pylist()
    assert len(table) == 31 * 3
    mine = [r["neighbour_id"] for r in table if r["song_id"] == "album 3/song 03.opus"]
    listed = in_library("similar", "song 03", "-k", "3", "--also", "copies", "--json")[1]
    assert mine == [entry["song_id"] for entry in json.loads(listed)["songs"]]
    names = ["neighbours.parquet", "neighbours.parquet.run.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names


def test_all_pairs_can_be_stopped_and_go_on(in_library, music, tmp_path, monkeypatch):
    monkeypatch.setattr(near, "BLOCK_SONGS", 10)
    whole = threading.Event.is_set
    asked = []

    def stop_after_two(event):
        asked.append(event)
        return whole(event) or len(asked) > 2

    out = tmp_path / "neighbours.parquet"
    with monkeypatch.context() as patch:
        patch.setattr(threading.Event, "is_set", stop_after_two)
        code, _, err = in_library("similar", "--out", out)
    assert code == 130, err
    assert "run the same command to resume" in err
    assert not out.exists()
    assert (tmp_path / "neighbours.parquet.run").is_dir()
    assert in_library("similar", "--out", out)[0] == 0
    assert len(pq.read_table(out)) == 31 * 10


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--out", "nowhere/x.parquet"], 2, "its folder does not exist"),
        (["--out", "lists"], 2, "it is a folder"),
        (["--out", "x.parquet", "song 00"], 2, "and no songs"),
        (["--out", "x.parquet", "--only", "genre=jazz"], 2, "it takes --k, --by and --also"),
        (["--out", "x.parquet", "--by", "sound"], 2, "has no sound, as it was extracted without"),
        (["--out", "x.parquet", "--m3u8", "x.m3u8"], 2, "it takes --k, --by and --also"),
        (["--out", "vecs.parquet"], 2, "is the store itself"),
        (["--out", "x.parquet", "-v", "empty/vecs.parquet"], 4, "has no songs"),
    ],
)
def test_a_mistake_is_one_clear_line_and_writes_nothing(
    in_library, music, arguments, code, message
):
    before = files_in(music)
    found, out, err = in_library("similar", *arguments)
    assert (found, out) == (code, ""), err
    assert message in err
    assert files_in(music) == before
