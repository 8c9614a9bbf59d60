"""``audiorec playlists``: a table, files, the next night, mistakes."""

import json

import pytest
from library_commands import write_songs
from needs import needs


@pytest.fixture
def home(tmp_path, monkeypatch):
    needs("sklearn")
    write_songs(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUDIOREC_VECTORS", raising=False)
    return tmp_path


def test_lists_and_the_next_night(home, audiorec):
    code, out, _ = audiorec("playlists", "--size", "6")
    assert code == 0
    assert out.splitlines()[0] == "name\tshare\tsongs\tlength\tmost typical"
    assert not list(home.glob("**/*.m3u8"))
    code, out, err = audiorec("playlists", "--size", "6", "--out", "lists", "--json")
    first = json.loads(out)
    assert (code, first["schema"]) == (0, "audiorec/playlists/1")
    assert "lists written" in err
    files = {path.name for path in (home / "lists").glob("*.m3u8")}
    assert files == {one["file"] for one in first["lists"]}
    assert all(one["share"] is None or one["share"] >= 0.5 for one in first["lists"])
    code, out, err = audiorec("playlists", "--size", "6", "--out", "lists", "--json")
    again = json.loads(out)
    assert [one["songs"] for one in again["lists"]] == [one["songs"] for one in first["lists"]]
    assert "0 new songs, 0 moved to another list" in err
    assert "0 lists written" in err
    code, _, err = audiorec("playlists", "--size", "6", "--out", "lists", "--regroup")
    assert (code, "new songs" in err) == (0, True)


def test_mistakes(home, audiorec):
    code, _, err = audiorec("playlists", "--out", "gone/lists")
    assert (code, "does not exist; create it first" in err) == (2, True)
    code, _, err = audiorec("playlists", "--only", "duration>9:00:00")
    assert (code, "no eligible songs" in err) == (2, True)
    (home / "lists").mkdir()
    (home / "lists" / "playlists.json").write_text("{}")
    code, _, err = audiorec("playlists", "--out", "lists")
    assert (code, "playlists.json" in err) == (4, True)
