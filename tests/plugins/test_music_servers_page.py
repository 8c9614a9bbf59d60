"""The commands of docs/music_servers.md, where they need no other program."""

import configparser
import csv
import os
import re
import shlex
import shutil
import sqlite3
from pathlib import Path

import pytest
from command import run_command
from needs import needs

needs("h11")

from served_library import document, snapshot_of
from web_server import SONGS, write_music

from audiorec.web.listener import GRACE_S
from audiorec_cli.main import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# What starts a server, is the business of another program, or makes the store that is here already.
OTHERS = (
    "pip ",
    "openssl ",
    "mpc ",
    "audiorec serve",
    "audiorec extract",
)


def lines(page):
    text = (DOCS / page).read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with a store, and with Navidrome's database of the same songs."""
    needs("starlette")
    write_music(tmp_path, SONGS[:10])
    for name in ("playlists", "cache"):
        (tmp_path / name).mkdir()
    with sqlite3.connect(tmp_path / "navidrome.db") as base:
        base.execute("create table media_file (id text, path text, missing integer)")
        base.execute("create table artist (id text, name text)")
        rows = [(f"id-{n:022}", name, 0) for n, (name, *_) in enumerate(SONGS[:10])]
        base.executemany("insert into media_file values (?, ?, ?)", [*rows, ("old", "gone.mp3", 1)])
        base.execute("insert into artist values ('artist-1', 'Dread'), ('artist-2', 'Eve')")
    base.close()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sqlite(line):
    """Do what ``sqlite3 -header -csv FILE "QUERY" > OUT`` does."""
    head, _, out = line.rpartition(" > ")
    *_, name, query = shlex.split(head)
    base = sqlite3.connect(name)
    found = base.execute(query)
    with Path(out).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column[0] for column in found.description])
        writer.writerows(found)
    base.close()


def test_the_commands_of_the_page_work_one_after_the_other(home, monkeypatch, capsys):
    for line in lines("music_servers.md"):
        if line.startswith("sqlite3"):
            sqlite(line)
        elif line.startswith("ln -sf"):
            source, target = shlex.split(line)[2:]
            Path(target).symlink_to(source.replace("$PWD", str(home)))
        elif line == "bliss-mixer --help":
            from audiorec_bliss.mixer import main

            with pytest.raises(SystemExit):
                main(["--help"])
        elif not line.startswith(OTHERS):
            words = shlex.split(line)
            assert words[0] == "audiorec", line
            code, _, err = run_command(monkeypatch, capsys, *words[1:])
            assert code == 0, (line, err)
    assert (home / "playlists" / "like-vibes.m3u").read_text().startswith("#EXTM3U")
    from audiorec.web.apis.audiomuse import HANDLERS
    from audiorec.web.apis.messages import ApiRequest

    snapshot = snapshot_of(home / "vecs.parquet", artists=home / "artists.csv")
    asked = ApiRequest("/api/similar_tracks", {"item_id": [f"id-{0:022}"], "n": ["3"]})
    tracks = document(HANDLERS["/api/similar_tracks"](snapshot, asked))
    assert tracks
    assert all(t["item_id"].startswith("id-") for t in tracks)
    asked = ApiRequest("/api/similar_artists", {"artist": ["artist-1"]})
    found = document(HANDLERS["/api/similar_artists"](snapshot, asked))
    assert "artist-2" in {artist["artist_id"] for artist in found}
    from audiorec_bliss.mixer import store_of

    assert store_of(home / "cache" / "bliss.db") == home / "vecs.parquet"


def test_each_command_of_audiorec_parses():
    command = app
    found = [line for line in lines("music_servers.md") if line.startswith("audiorec ")]
    assert found
    for line in found:
        words, at = shlex.split(line)[1:], command
        while hasattr(at, "commands"):
            at = at.commands[words.pop(0)]
        with at.make_context("audiorec", [os.path.expanduser(word) for word in words]):  # noqa: PTH111
            pass


def test_the_unit_of_systemd_is_one_and_starts_what_there_is():
    text = (DOCS / "reference" / "server.md").read_text()
    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str
    unit.read_string(re.search(r"^```ini\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1])
    assert unit.sections() == ["Unit", "Service", "Install"]
    words = shlex.split(unit["Service"]["ExecStart"])
    with app.commands["serve"].make_context("serve", words[2:]):
        pass
    name = unit["Service"]["LoadCredential"].partition(":")[0]
    assert f"%d/{name}" in words
    if shutil.which("systemd-analyze") is None:
        return
    assert int(unit["Service"]["TimeoutStopSec"]) > 2 * GRACE_S  # longer than the server's own


def test_the_table_of_the_api_is_that_of_the_document():
    from audiorec.web.apis.own import OPERATIONS

    text = (DOCS / "reference" / "server.md").read_text()
    told = {(m.lower(), p) for m, p in re.findall(r"^\| `(GET|POST) (/v1/\w+)", text, re.MULTILINE)}
    assert told == {(o.method, o.path) for o in OPERATIONS}
