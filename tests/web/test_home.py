"""`web.home` and `web.glance`: places with names, an evening, what was heard, and honest bars."""

from datetime import date
from io import BytesIO

import numpy as np
import pytest
from made_library import series, song
from needs import needs
from pyarrow.csv import read_csv
from pyarrow.parquet import write_table
from web_server import SONGS, write_music

needs("starlette")

from audiorec.errors import InputError
from audiorec.library.library import open_store
from audiorec.web.gate import AddressKeys
from audiorec.web.glance import glance_of
from audiorec.web.home import MOODS, NAMES, home_of
from audiorec.web.lists import CopiesView
from audiorec.web.song_columns import SongColumns
from audiorec.web.song_view import SongView
from audiorec.web.sound import Roots


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    store = write_music(tmp_path_factory.mktemp("home"), attributes=True)
    lines = ["user_id,song_id,timestamp,event,played_ratio"]
    songs = open_store(store).ids
    for month, row, ratio in ((1, 0, 1), (1, 0, 1), (1, 1, 1), (6, 2, 0.4), (6, 3, 1)):
        lines.append(f"me,{songs[row]},2026-0{month}-01T20:00:00Z,play,{ratio}")
    plays = read_csv(BytesIO("\n".join(lines).encode()))
    write_table(plays, store.with_name("plays.parquet"))
    return SongColumns(open_store(store))


def test_home_has_places_an_evening_and_what_was_heard(shelf):
    home = home_of(shelf, today=date(2026, 12, 2))
    names = [place["name"] for place in home["places"]]
    assert len(names) >= 3
    assert len({*names}) == len(names)
    rows = [row for place in home["places"] for row in place["rows"]]
    assert len({*rows}) == len(rows)
    assert home["evening"]["energy"] == sorted(home["evening"]["energy"])
    assert len(home["evening"]["rows"]) == 9
    assert (home["continue"], home["rediscover"]) == ([2], [0])
    assert home == home_of(shelf, today=date(2026, 12, 2))


def test_there_are_sixty_names():
    names = [name for text in NAMES.values() for name in text.split("|")]
    assert len({*names}) == len(names) == len(NAMES) * len(MOODS) == 60


def test_a_bar_selects_as_many_songs_as_it_says(shelf):
    glance = glance_of(shelf)
    assert glance["songs"] == len(SONGS)
    for chart in ("tempo", "length", "artist", "genre"):
        bars = glance["charts"][chart]
        assert bars
        for bar in bars:
            bits = np.frombuffer(shelf.find(bar["only"]), np.uint8)
            assert np.unpackbits(bits).sum() == bar["songs"]


def test_a_script_quotes_what_names_hold(shelf, monkeypatch):
    class Verdict:
        value = "same"

    class Group:
        verdict, why = Verdict, ""
        surplus = {"b": "larger\nrm -rf /", "c": "smaller"}  # noqa: RUF012

    copies = CopiesView(shelf)
    names = {"a": "/m/a\nrm x", "b": "/m/$(id)'b", "c": "s3://b/c"}
    songs = [(n, {"song_id": name, "uri": uri}) for n, (name, uri) in enumerate(names.items())]
    monkeypatch.setattr(copies, "_found", lambda: [(Group, songs)])
    text = copies.given({"as": "script", "verdicts": ["same"]})["text"]
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines == ["rm -v -- '/m/$(id)'\"'\"'b'"]
    nothing = copies.given({"as": "script", "verdicts": ["same"], "rows": [3]})["text"]
    assert "rm " not in nothing


def test_what_the_owner_says_of_a_song_is_read_back_and_can_be_taken_back(tmp_path):
    def view():
        shelf = SongColumns(open_store(store))
        return SongView(shelf, Roots([tmp_path]), AddressKeys())

    store = write_music(tmp_path, SONGS[:3], attributes=True)
    said = view().correct(0, {"genre": "soul", "version": "vocal", "bpm": 72.5, "music": True})
    assert said == "You said: genre soul, version voice alone, tempo 72.5, music yes."
    song = view().song(0)
    assert song["corrected"] == {"genre": "soul", "version": "vocal", "bpm": 72.5, "music": True}
    assert song["columns"]["bpm"] == 72.5
    assert view().song(1)["corrected"] == {}
    for wrong in ({}, {"bpm": float("nan")}, {"music": "yes"}, {"genre": 1}, {"version": "loud"}):
        with pytest.raises(InputError):
            view().correct(0, wrong)
    view().correct(0, {"undo": True})
    assert view().song(0)["corrected"] == {}


def test_of_songs_heard_in_one_day_the_newest_file_is_first(tmp_path):
    about = {"title": "New", "artist": "Bo", "mtime_ns": 1_900_000_000_000_000_000}
    new = song("b.ogg", series(0, segments=6), **about)
    shelf = SongColumns(open_store(write_music(tmp_path, SONGS[:4], more=[new])))
    added = home_of(shelf)["added"]["rows"]
    assert len(added) == 5
    assert shelf.library.ids[added[0]] == "b.ogg"
