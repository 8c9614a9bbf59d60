"""The plugin of beets in a real beets: import, fields, queries, smart playlists."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from needs import needs
from web_server import SONGS, write_music

needs("beets")
PLUGIN = Path(__file__).parents[2] / "plugins" / "beets-audiorec" / "beetsplug"
CONFIG = """
directory: {home}/music
library: {home}/beets.db
pluginpath: [{plugin}]
plugins: audiorec smartplaylist
import: {{copy: no, write: no, autotag: no, quiet: yes, timid: no}}
audiorec:
  store: {store}
  columns: [{columns}]
  auto: {auto}
smartplaylist:
  relative_to: {home}/music
  playlist_dir: {home}/lists
  playlists:
    - {{name: jazz.m3u, query: 'audiorec_genre:jazz'}}
    - {{name: loud.m3u, query: 'audiorec_metal:0.6..'}}
"""


class Beets:
    """A beets of its own: its library, its configuration, its folder."""

    def __init__(self, home, store, *, auto="no", columns="codec, duration_s"):
        self.home = home
        (home / "lists").mkdir()
        words = {"home": home, "store": store, "plugin": PLUGIN, "auto": auto, "columns": columns}
        (home / "config.yaml").write_text(CONFIG.format(**words))

    def __call__(self, *arguments, ok=True):
        script = "from beets.ui import main; main()"
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script, *map(str, arguments)],
            env={**os.environ, "BEETSDIR": str(self.home)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done.stdout + done.stderr

    def listed(self, *query, form="$path"):
        lines = self("ls", "-f", form, *query).splitlines()
        return {line.rpartition("/")[2] for line in lines if line}


@pytest.fixture(scope="module")
def clips():
    return [one for one in SONGS if not one[0].startswith(("folk", "man"))]  # sane tags


@pytest.fixture(scope="module")
def beets(tmp_path_factory, clips):
    home = tmp_path_factory.mktemp("beets")
    it = Beets(home, write_music(home, clips))
    it("import", "-A", home / "music")
    return it


def test_fields_are_filled_and_asked_by(beets, clips):
    before = {p: p.read_bytes() for p in (beets.home / "music").iterdir()}
    assert beets.listed("audiorec_genre:jazz") == set()
    assert f"{len(clips)} of {len(clips)} songs filled" in beets("-v", "audiorec")
    jazz = beets.listed("audiorec_genre:jazz")
    assert {"jazz-vibraphone.mp3", "jazz-vibraphone-later.ogg"} <= jazz
    loud = beets.listed("audiorec_metal:0.6..")
    assert "death-metal-band.ogg" in loud
    assert not jazz & loud
    assert beets.listed("audiorec_codec:flac") == beets.listed()
    assert len(beets.listed("audiorec_duration_s:17..19")) == len(clips)
    assert {p: p.read_bytes() for p in (beets.home / "music").iterdir()} == before


def test_smart_playlists_are_made_by_query(beets):
    beets("audiorec")
    beets("splupdate")
    jazz = (beets.home / "lists" / "jazz.m3u").read_text().split()
    assert "jazz-vibraphone.mp3" in jazz
    assert set(jazz) == beets.listed("audiorec_genre:jazz")


def test_songs_that_sound_alike_are_listed(beets):
    found = beets("soundslike", "path::vibraphone.mp3", "-n", "3", "-f", "$path").splitlines()
    assert len(found) <= 3
    assert found[0].endswith("jazz-vibraphone-later.ogg")
    assert not any(one.endswith("jazz-vibraphone.mp3") for one in found)


def test_pretending_changes_nothing_and_clearing_takes_all_back(beets):
    beets("audiorec", "--clear")
    assert beets.listed("audiorec_genre:jazz") == set()
    assert "genre=jazz" in beets("audiorec", "--pretend", "path::vibraphone.mp3")
    assert beets.listed("audiorec_genre:jazz") == set()


def test_songs_are_filled_as_they_are_imported_where_the_store_has_them(tmp_path, clips):
    it = Beets(tmp_path, write_music(tmp_path, clips[:3]), auto="yes", columns="")
    extra = tmp_path / "music" / "strange.ogg"
    extra.write_bytes((tmp_path / "music" / clips[1][0]).read_bytes())
    it("import", "-A", tmp_path / "music")
    assert len(it.listed()) == 4
    assert "strange.ogg" not in it.listed("audiorec_version::.")
    assert len(it.listed("audiorec_version::.")) == 3


def test_what_is_missing_is_said(tmp_path):
    it = Beets(tmp_path, tmp_path / "gone.parquet")
    assert "gone.parquet: no such file" in it("audiorec", ok=False)


def test_a_file_that_moved_is_found_by_its_recording(tmp_path):
    sys.path.insert(0, str(PLUGIN.parent))
    try:
        import beetsplug
        from beets.library import Item
        from good_store import MBID, write_good_store

        if str(PLUGIN) not in beetsplug.__path__:
            beetsplug.__path__ = [*beetsplug.__path__, str(PLUGIN)]
        from beetsplug.audiorec import Sounds

        store = write_good_store(tmp_path, ids=("a.flac",), musicbrainz_trackid=MBID)
        sounds = Sounds(str(store))
        moved = Item(path=b"/elsewhere/a.flac", mb_trackid=MBID.upper())
        assert sounds.row(moved) == 0
        assert sounds.row(Item(path=b"/elsewhere/a.flac")) is None
    finally:
        sys.path.remove(str(PLUGIN.parent))


def test_a_damaged_store_is_said_and_stops_no_import(tmp_path, clips):
    """Its damage shows where a column is read, which is behind its opening."""
    store = write_music(tmp_path, clips[:3])
    group, content = pq.ParquetFile(store).metadata.row_group(0), bytearray(store.read_bytes())
    for column in map(group.column, range(group.num_columns)):
        begin = column.dictionary_page_offset or column.data_page_offset
        if column.path_in_schema.partition(".")[0] in ("vector", "codec"):
            content[begin + column.total_compressed_size - 3] ^= 0x10
    store.write_bytes(content)
    it = Beets(tmp_path, store, auto="yes")
    said = it("import", "-A", tmp_path / "music")
    assert f"{store.name}" in said
    assert "Traceback" not in said
    assert len(it.listed()) == 3
    for command in (["audiorec"], ["soundslike", "path::ogg"]):
        said = it(*command, ok=False)
        assert store.name in said
        assert "Traceback" not in said
