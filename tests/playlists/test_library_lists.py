"""A whole library in playlists: names, steadiness, what stays out, what others wrote."""

import json
import os
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from made_library import series, song, write_library
from needs import needs

from audiorec import open_store
from audiorec.errors import InputError, StoreError
from audiorec.files import own_files
from audiorec.playlists.library_lists import INDEX, _called, divide_library, read_lists
from audiorec.playlists.list_folder import write_lists
from audiorec.search.questions import Choice

needs("sklearn")

JAZZ, METAL, POP = (3, 0, 0), (0, 3, 0), (0, 0, 3)
VOICE, NONE = (2, -2), (-2, 2)


def songs_of(kind, genre, version, count, first=0, **more):
    """Rows of songs of one kind and artist, with files that might be there."""
    more = {"artist": kind.title()} | more
    return [
        song(
            f"{kind}/{n:02}.mp3",
            series(1000 * len(kind) + n, genre=genre, version=version, spread=0.4),
            uri=f"/music/{kind}/{n:02}.mp3",
            duration_s=100.0 + 7.3 * n + 11 * len(kind),
            **more,
        )
        for n in range(first, first + count)
    ]


LIBRARY = [
    *songs_of("jazz", JAZZ, NONE, 10),
    *songs_of("sungjazz", JAZZ, VOICE, 10),
    *songs_of("metal", METAL, VOICE, 10),
    *songs_of("pop", POP, NONE, 10),
]


@pytest.fixture
def library(tmp_path):
    """Write rows as a store and open it; by default four kinds of ten songs."""

    def write(rows=LIBRARY):
        return open_store(write_library(tmp_path, rows))

    return write


def by_name(divided):
    return {one.name: set(one.song_ids) for one in divided}


def kinds(divided):
    return {one.name: {i.partition("/")[0] for i in one.song_ids} for one in divided}


def test_lists_are_named_by_artist_and_version(library):
    found = kinds(divide_library(library(), size=10))
    assert found == {
        "Jazz, instrumental": {"jazz"},
        "Sungjazz, voices alone": {"sungjazz"},
        "Metal, voices alone": {"metal"},
        "Pop, instrumental": {"pop"},
    }


def test_every_song_stands_in_one_list(library):
    divided = divide_library(library(), size=7)
    songs = [song_id for one in divided for song_id in one]
    assert sorted(songs) == sorted(row["song_id"] for row, _ in LIBRARY)
    assert all(2 <= len(one) <= 14 for one in divided)


def test_no_two_lists_have_one_name(library):
    rows = [*songs_of("jazz", JAZZ, NONE, 40), *songs_of("metal", METAL, VOICE, 20)]
    divided = divide_library(library(rows), size=6)
    names = [one.name.casefold() for one in divided]
    assert len(names) > 6
    assert len(set(names)) == len(names)
    assert sum(name.startswith("jazz") for name in names) > 3


def test_a_name_says_what_most_songs_have_and_the_share_is_told(library):
    divided = divide_library(library(), size=10)
    assert {one.naming.share for one in divided} == {1.0}
    assert ("version", "instrumental") in divided["Pop, instrumental"].naming.says


def test_an_earlier_name_that_is_no_longer_true_goes_and_its_file_too(library, tmp_path):
    folder = tmp_path / "lists"
    write_lists(divide_library(library(), size=10), folder)
    rows = [
        ({**row, "artist": "Zoe"} if row["song_id"].startswith("pop/") else row, scores)
        for row, scores in LIBRARY
    ]
    again = divide_library(library(rows), size=10, earlier=read_lists(folder))
    assert again["Zoe, instrumental"].went_on == "Pop, instrumental"
    assert (again.moved, again.new) == (0, 0)
    write_lists(again, folder)
    assert not (folder / "Pop, instrumental.m3u8").exists()
    assert (folder / "Zoe, instrumental.m3u8").is_file()
    assert read_lists(folder).lists[-1].says == (("artist", "Zoe"), ("version", "instrumental"))


def test_the_order_of_the_rows_decides_nothing(library):
    shuffled = [LIBRARY[i] for i in np.random.default_rng(0).permutation(len(LIBRARY))]
    assert by_name(divide_library(library(), size=10)) == by_name(
        divide_library(library(shuffled), size=10)
    )


def test_what_is_no_music_and_near_copies_stay_out(library):
    original, scores = LIBRARY[0]
    better = {**original, "song_id": "copy.flac", "size": 9_000_000}
    silent = {**original, "song_id": "silent.wav", "content_hash": "s", "status": "silent"}
    divided = divide_library(library([*LIBRARY, (better, scores), (silent, scores)]), size=10)
    songs = {song_id for one in divided for song_id in one}
    assert "copy.flac" in songs
    assert original["song_id"] not in songs
    assert "silent.wav" not in songs
    assert (divided.copies, divided.not_music) == (1, 1)
    choice = Choice(also=("copies", "non-music"))
    assert sum(map(len, divide_library(library(), size=10, choice=choice))) == 40


def test_no_song_may_come(library):
    with pytest.raises(InputError, match="no eligible songs"):
        divide_library(library(), choice=Choice(only="duration>9:00:00"))


def test_the_next_night_goes_on(library, tmp_path):
    folder = tmp_path / "lists"
    first = divide_library(library(), size=10)
    write_lists(first, folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = divide_library(library(), size=10, earlier=read_lists(folder))
    assert by_name(again) == by_name(first)
    written = write_lists(again, folder)
    assert (written.written, written.unchanged, written.removed) == (0, 4, 0)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    # Two new songs, one gone: nobody else moves, and nothing has another name.
    rows = [*LIBRARY[1:], *songs_of("metal", METAL, VOICE, 2, first=20)]
    third = divide_library(library(rows), size=10, earlier=read_lists(folder))
    assert (third.new, third.moved, third.joined) == (2, 0, 2)
    assert sorted(by_name(third)) == sorted(by_name(first))
    for one in third:
        known = [s for s in one.song_ids if s[:-4] not in ("metal/20", "metal/21")]
        assert known == [s for s in first[one.name].song_ids if s != LIBRARY[0][0]["song_id"]]
    for name, songs in by_name(third).items():
        assert {s for s in songs if s in by_name(first)[name]} == songs - {
            "metal/20.mp3",
            "metal/21.mp3",
        }
    assert write_lists(third, folder).written == 2
    assert read_lists(folder).joined == 2


def test_another_size_divides_anew_and_keeps_names_that_fit(library, tmp_path):
    first = divide_library(library(), size=10)
    write_lists(first, tmp_path / "lists")
    smaller = divide_library(library(), size=5, earlier=read_lists(tmp_path / "lists"))
    went_on = [one.went_on for one in smaller if one.went_on]
    assert len(smaller) > len(first)
    assert sorted(went_on) == sorted(by_name(first))


def test_files_of_others_are_never_replaced(library, tmp_path):
    folder = tmp_path / "lists"
    folder.mkdir()
    theirs = folder / "Pop, instrumental.m3u8"
    theirs.write_text("mine")
    (folder / "METAL, Voices Alone.M3U8").write_text("also mine")
    divided = divide_library(library(), size=10)
    written = write_lists(divided, folder)
    assert theirs.read_text() == "mine"
    assert written.files["Pop, instrumental"] == "Pop, instrumental (2).m3u8"
    assert "Pop, instrumental.m3u8" in written.left_alone
    # One of ours that somebody edits is theirs from then on.
    edited = folder / written.files["Jazz, instrumental"]
    edited.write_text(edited.read_text() + "# my favourite\n")
    next_night = divide_library(library(), size=10, earlier=read_lists(folder))
    again = write_lists(next_night, folder)
    assert edited.read_text().endswith("# my favourite\n")
    assert again.files["Jazz, instrumental"] == "Jazz, instrumental (2).m3u8"
    assert edited.name in again.left_alone
    # And it stays when the list is no more.
    rest = divide_library(
        library(), size=10, choice=Choice(exclude=["jazz/"]), earlier=read_lists(folder)
    )
    write_lists(rest, folder)
    assert edited.exists()
    assert theirs.read_text() == "mine"


def test_a_link_in_the_place_of_a_list_leads_nowhere(library, tmp_path):
    folder, victim = tmp_path / "lists", tmp_path / "victim"
    folder.mkdir()
    victim.write_text("mine")
    (folder / "Pop, instrumental.m3u8").symlink_to(victim)
    write_lists(divide_library(library(), size=10), folder)
    assert victim.read_text() == "mine"
    assert (folder / "Pop, instrumental.m3u8").is_symlink()


def test_lists_that_are_no_more_are_removed(library, tmp_path):
    folder = tmp_path / "lists"
    write_lists(divide_library(library(), size=10), folder)
    few = divide_library(
        library(), size=10, choice=Choice(only="genre=pop"), earlier=read_lists(folder)
    )
    written = write_lists(few, folder)
    assert written.removed == 3
    assert sorted(path.name for path in folder.iterdir()) == [
        "Pop, instrumental.m3u8",
        INDEX,
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "other"},
        {"lists": [{"name": "a", "file": "../a.m3u8", "songs": [], "digests": []}]},
        {"lists": [{"name": "a", "file": "a.txt", "songs": [], "digests": []}]},
        {"lists": [{"name": "a", "file": "a.m3u8", "songs": [1], "digests": []}]},
        {"lists": [{"name": n, "file": f"{n}.m3u8", "songs": [], "digests": []} for n in "aA"]},
        {"size": "many"},
    ],
)
def test_an_index_that_is_not_ours_is_refused(library, tmp_path, change):
    folder = tmp_path / "lists"
    write_lists(divide_library(library(), size=10), folder)
    content = json.loads((folder / INDEX).read_text())
    del content["content_sha256"]
    (folder / INDEX).write_text(json.dumps(content | change))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(StoreError, match=r"playlists\.json"):
        write_lists(divide_library(library(), size=10), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_kill_at_any_step_leaves_whole_files_that_are_known_as_ours(library, tmp_path):
    folder = tmp_path / "lists"
    first = divide_library(library(), size=10)
    rows = [*LIBRARY[:30], *songs_of("metal", METAL, VOICE, 5, first=20)]
    for step in range(1, 40):
        write_lists(divide_library(library(), size=10), folder)
        second = divide_library(library(rows), size=10, earlier=read_lists(folder))
        texts = {path.name: path.read_bytes() for path in folder.glob("*.m3u8")}
        if not dies_at(step, lambda: write_lists(second, folder)):  # noqa: B023 - called at once
            break
        assert read_lists(folder) is not None
        for path in folder.glob("*.m3u8"):
            assert path.read_bytes().startswith(b"#EXTM3U\n#PLAYLIST:")
            assert path.read_bytes().endswith(b".mp3\n")
        done = write_lists(
            divide_library(library(rows), size=10, earlier=read_lists(folder)), folder
        )
        assert done.left_alone == ()
        assert len(list(folder.glob("*.m3u8"))) == len(done.files)
        assert len(texts) == len(first)
    assert step > 3


def dies_at(step, work):
    child = os.fork()
    if child == 0:
        calls, real = 0, own_files.replaced

        def deadly(path):
            nonlocal calls
            calls += 1
            if calls == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(path)

        own_files.replaced = deadly
        unlink = Path.unlink

        def dead(self, **more):
            nonlocal calls
            calls += self.suffix == ".m3u8"
            if calls == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return unlink(self, **more)

        Path.unlink = dead
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_song_without_a_title_is_called_by_its_folder_if_its_name_is_not_enough():
    files = Counter({"song": 2, "etude": 1})
    assert _called({"song_id": "sectoid/song.ogg", "title": None}, files) == "sectoid/song"
    assert _called({"song_id": "song.ogg", "title": None}, files) == "song"
    assert _called({"song_id": "piano/etude.ogg", "title": ""}, files) == "etude"
    assert _called({"song_id": "song.ogg", "title": "A", "artist": None}, files) == "A"
