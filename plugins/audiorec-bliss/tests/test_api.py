"""What Lyrion's plugin BlissMixer sends, by its `Plugin.pm` and by `API.md` of bliss-mixer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import needs

needs("starlette")
needs("audiorec_bliss")

from served_library import SONGS, asked, snapshot_of, write_served

from audiorec.errors import InputError
from audiorec.web.apis.routes import all_routes
from audiorec_bliss.api import GETS, POSTS, mix, path_of, routes

BLUE, RED, LOUD = (f"file:///music/{SONGS[n][0]}" for n in (0, 2, 3))
# `_getMixData` of the plugin, as Perl writes it.
PLUGIN = {
    "count": 5,
    "filtergenre": 0,
    "filterxmas": 1,
    "min": 0,
    "max": 0,
    "previous": [],
    "shuffle": 0,
    "norepart": 15,
    "norepalb": 25,
    "genregroups": [],
    "mpath": "/music",
}


def ask(snapshot, name="mix", **wish):
    reply = POSTS[f"/api/{name}"](snapshot, asked(f"/api/{name}", body={**PLUGIN, **wish}))
    assert reply.media_type.startswith("text/plain")
    return reply.body.decode().splitlines()


def test_the_server_has_it_behind_the_token():
    there = {path: route.api for path, route in all_routes().items() if path in routes()}
    assert there == dict.fromkeys(["/api/ready", "/api/mix", "/api/list"], "+bliss")


def test_it_is_ready(snapshot):
    assert GETS["/api/ready"](snapshot, asked("/api/ready")).body == b"1"


def test_a_mix_is_a_line_a_file_in_the_form_that_was_asked_in(snapshot):
    urls = ask(snapshot, tracks=[BLUE])
    assert urls
    assert all(one.startswith("file:///music/") for one in urls)
    paths = ask(snapshot, tracks=["/music/ann/blue.flac"])
    assert [path_of(one) for one in urls] == paths
    relative = ask(snapshot, tracks=["ann/blue.flac"])
    assert [f"/music/{one}" for one in relative] == paths


def test_a_url_names_the_bytes_of_the_file(snapshot):
    found = ask(snapshot, tracks=[BLUE], norepart=0, norepalb=0, count=50)
    assert "file:///music/cee/soft%20%26%20sweet.ogg" in found
    assert "file:///music/cee/caf%C3%A9.ogg" not in found  # its title is that of the seed


def test_a_name_with_a_line_break_is_left_out(tmp_path):
    songs = [*SONGS[:7], ("ann/two\nlines.flac", "New", "New", "New", (2.9, 0, 0), 20)]
    found = ask(snapshot_of(write_served(tmp_path, songs)), tracks=["/music/ann/blue.flac"])
    assert found
    assert not any("lines" in one for one in found)


def test_no_artist_comes_again_while_it_was_just_heard(snapshot):
    found = ask(snapshot, tracks=[LOUD], previous=[BLUE], norepalb=0, count=50)
    assert not any("/ann/" in one for one in found)
    again = ask(snapshot, tracks=[LOUD], previous=[BLUE], norepart=0, norepalb=0, count=50)
    assert any("/ann/" in one for one in again)
    assert BLUE not in again


def test_no_album_comes_twice_in_a_mix(snapshot):
    found = ask(snapshot, tracks=[LOUD], norepart=0, norepalb=0, count=50)
    assert sum("ann/blue" in one or "ann/green" in one for one in found) <= 1


def test_two_songs_come_even_if_all_were_just_heard(tmp_path):
    songs = [(f"ann/{n}.mp3", "Ann", "One", f"S{n}", (3, 0, 0), 20) for n in range(5)]
    snapshot = snapshot_of(write_served(tmp_path, [*songs, SONGS[3]]))
    only = {"tracks": ["/music/ann/0.mp3"], "previous": ["/music/ann/1.mp3"], "max": 61}
    assert len(ask(snapshot, **only)) == 2


def test_lengths_and_genres_limit_a_mix(snapshot):
    all_of_them = {"norepart": 0, "norepalb": 0, "count": 50}
    long = ask(snapshot, tracks=[BLUE], min=100, max="185", **all_of_them)
    assert set(long) <= {RED, LOUD, f"file:///music/{SONGS[4][0]}"}
    groups = {"filtergenre": 1, "genregroups": [["Jazz", "Blues"], ["Met*"]]}
    jazz = ask(snapshot, tracks=[BLUE], **groups, **all_of_them)
    assert jazz
    assert all("/ann/" in one for one in jazz)


def test_shuffling_takes_from_a_larger_pool(snapshot):
    turned = []

    def shuffle(rows):
        turned.append(len(rows))
        rows.reverse()

    wish = {**PLUGIN, "tracks": [BLUE], "shuffle": 1, "norepart": 0, "norepalb": 0, "count": 2}
    reply = mix(snapshot, asked("/api/mix", body=wish), shuffle)
    assert turned[0] > 2
    assert len(reply.body.splitlines()) == 2


def test_the_list_of_one_artist(snapshot):
    found = ask(snapshot, "list", track="/music/ann/blue.flac", byartist=1, count=50)
    assert found == ["/music/ann/green.flac", "/music/ann/red.flac"]
    assert len(ask(snapshot, "list", track="/music/ann/blue.flac", byartist=0, count=50)) > 2


@pytest.mark.parametrize("tracks", [[], ["nobody"], ["file:///etc/passwd"], [None, 7, {}]])
def test_songs_that_nobody_knows_make_an_empty_mix(snapshot, tracks):
    assert ask(snapshot, tracks=tracks) == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"tracks": "one"}', b"[" * 100_000])
def test_what_is_no_request_is_refused(snapshot, body):
    with pytest.raises(InputError):
        mix(snapshot, asked("/api/mix", body=body))


@given(st.dictionaries(st.sampled_from([*PLUGIN, "byartist"]), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3), max_leaves=5)))  # fmt: skip
def test_odd_values_are_refused_or_answered(snapshot_of_all, wish):
    try:
        reply = mix(snapshot_of_all, asked("/api/mix", body={"tracks": [BLUE], **wish}))
    except InputError:
        return
    assert len(reply.body.splitlines()) <= 50


@pytest.fixture(scope="module")
def snapshot_of_all(snapshot):
    return snapshot


@given(st.text(st.characters(exclude_characters="\0#", exclude_categories=["Cs"]), min_size=1))
def test_a_url_leads_back_to_the_path(name):
    from urllib.parse import quote

    assert path_of(f"file:///music/{quote(name)}") == f"/music/{name}"


def test_bytes_that_are_no_utf8_go_both_ways(tmp_path):
    songs = [*SONGS[:6], ("ann/caf\\xe9.flac", "New", "New", "New", (2.9, 0, 0), 20)]
    snapshot = snapshot_of(write_served(tmp_path, songs))
    found = ask(snapshot, tracks=[BLUE], count=50, norepart=0)
    assert "file:///music/ann/caf%E9.flac" in found
    assert ask(snapshot, tracks=["file:///music/ann/caf%E9.flac"])
