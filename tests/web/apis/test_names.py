"""What other programs call a song: exact, both ways, and never by a part."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served_library import SONGS, server_id, snapshot_of, write_served

from audiorec.errors import InputError, UnknownSongError
from audiorec.library.library import open_store
from audiorec.store.aliases import add_own_aliases, alias_table, resolve


def test_a_song_is_found_by_its_id_first_and_by_each_kind_of_alias(snapshot):
    ids = snapshot.library.ids
    for text, kind in [
        ("ann/blue.flac", "id"),
        (server_id(0), "csv"),
        ("/music/ann/blue.flac", "path"),
        ("blue", "stem"),
    ]:
        found = snapshot.names.find(text)
        assert (ids[found.row], found.kind) == ("ann/blue.flac", kind)


@pytest.mark.parametrize("text", ["ann/blue", "blue.flac", "", "nobody", "x" * 5000, "\ud800"])
def test_a_part_of_an_id_is_no_name(snapshot, text):
    with pytest.raises(UnknownSongError):
        snapshot.names.find(text)


def test_an_alias_of_two_songs_names_neither(tmp_path):
    store = write_served(tmp_path)
    add_own_aliases(tmp_path / "aliases.parquet", [("same", i) for i, *_ in SONGS[:2]])
    with pytest.raises(InputError, match="'same' is the csv of 2 songs"):
        snapshot_of(store).names.find("same")


def test_songs_are_called_by_the_kind_that_was_asked_by(snapshot):
    rows = [snapshot.library.ids.index(SONGS[n][0]) for n in (3, 7)]
    names = snapshot.names
    assert names.called(rows, names.find(server_id(0))) == [server_id(3), None]
    assert names.called(rows, names.find("ann/blue.flac")) == [SONGS[3][0], SONGS[7][0]]
    assert names.called(rows[:1], names.find("/music/ann/blue.flac")) == ["/music/bob/loud.mp3"]


def test_of_several_aliases_the_one_as_long_as_the_question_is_told(tmp_path):
    store = write_served(tmp_path, aliases=False)
    pairs = [("1", SONGS[0][0]), ("navidrome-0", SONGS[0][0])]
    pairs += [("2", SONGS[1][0]), ("navidrome-1", SONGS[1][0])]
    add_own_aliases(tmp_path / "aliases.parquet", pairs)
    names = snapshot_of(store).names
    row = names.find(SONGS[1][0]).row
    assert names.called([row], names.find("1")) == ["2"]
    assert names.called([row], names.find("navidrome-0")) == ["navidrome-1"]


def test_who_has_no_name_is_known(snapshot):
    names = snapshot.names
    assert names.nameless(names.find(server_id(0))) == {SONGS[7][0]}
    assert names.nameless(names.find("ann/blue.flac")) == frozenset()
    assert names.usual.kind == "csv"


def test_without_aliases_songs_are_told_by_their_ids(tmp_path):
    names = snapshot_of(write_served(tmp_path, aliases=False)).names
    assert names.usual.kind == "id"


@pytest.fixture(scope="module")
def rows(store):
    return alias_table(open_store(store)).to_pylist()


@given(st.data())
def test_each_alias_of_the_table_is_found_as_the_library_finds_it(snapshot, rows, data):
    row = data.draw(st.sampled_from(rows))
    try:
        wanted = resolve(snapshot.library, row["alias"])
    except InputError:
        with pytest.raises(InputError):
            snapshot.names.find(row["alias"])
        return
    assert snapshot.names.id_of(snapshot.names.find(row["alias"]).row) == wanted
