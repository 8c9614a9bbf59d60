"""OpenSubsonic's extension `sonicSimilarity` 1, by its specification and by a client of PyPI."""

import hashlib
import json
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import needs
from served_library import SONGS, TOKEN, asked, document, finished, server_id, serving

from audiorec.web.apis.messages import ApiRequest
from audiorec.web.apis.subsonic import SubsonicError, answer, check_password

NAMESPACE = "{http://subsonic.org/restapi}"
SALT = "c19b2d"
DIGEST = hashlib.md5((TOKEN + SALT).encode(), usedforsecurity=False).hexdigest()


def ask(snapshot, name, **query):
    reply = answer(snapshot, asked(f"/rest/{name}", {"f": "json", **query}))
    found = document(reply)["subsonic-response"]
    assert found["version"] == "1.16.1"
    assert found["openSubsonic"] is True
    assert {"type", "serverVersion", "status"} <= set(found)
    return found


def code(**query):
    """Return the code that a request is refused by; None where it passes."""
    try:
        check_password(ApiRequest("/rest/ping", {n: [v] for n, v in query.items()}), TOKEN)
    except SubsonicError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"u": "me", "p": TOKEN}, None),
        ({"u": "me", "p": "enc:" + TOKEN.encode().hex()}, None),
        ({"u": "me", "t": DIGEST, "s": SALT}, None),
        ({"u": "me", "t": DIGEST.upper(), "s": SALT}, None),
        ({"apiKey": TOKEN}, None),
        ({}, 10),
        ({"u": "me"}, 10),
        ({"p": TOKEN}, 10),
        ({"u": "me", "t": DIGEST}, 10),
        ({"u": "me", "p": "wrong"}, 40),
        ({"u": "me", "p": "enc:zz"}, 40),
        ({"u": "me", "p": "enc:" + b"\xff".hex()}, 40),
        ({"u": "me", "t": DIGEST, "s": "other1"}, 40),
        ({"u": "me", "apiKey": TOKEN}, 43),
        ({"apiKey": TOKEN, "t": DIGEST, "s": SALT}, 43),
        ({"u": "me", "p": TOKEN, "t": DIGEST, "s": SALT}, 43),
        ({"apiKey": "wrong"}, 44),
    ],
)
def test_a_password_is_checked_by_the_codes_of_the_specification(query, expected):
    assert code(**query) == expected


@given(st.dictionaries(st.sampled_from(["u", "p", "t", "s", "apiKey"]), st.text(max_size=40)))
def test_no_other_password_passes(query):
    if TOKEN not in (query.get("p"), query.get("apiKey")):
        assert code(**query) is not None


def test_extensions_are_what_is_answered(snapshot):
    found = ask(snapshot, "getOpenSubsonicExtensions.view")["openSubsonicExtensions"]
    assert {"name": "sonicSimilarity", "versions": [1]} in found
    assert all(set(one) == {"name", "versions"} for one in found)


def test_similar_tracks_are_entries_with_a_similarity(snapshot):
    found = ask(snapshot, "getSonicSimilarTracks", id=server_id(0), count=3)["sonicMatch"]
    assert [m["entry"]["id"] for m in found][:2] == [server_id(1), server_id(2)]
    assert all(0 <= m["similarity"] <= 1 for m in found)
    similarities = [m["similarity"] for m in found]
    assert similarities == sorted(similarities, reverse=True)
    entry = found[0]["entry"]
    assert entry["isDir"] is False
    assert (entry["title"], entry["artist"], entry["duration"]) == ("Green", "Ann", 90)
    assert (entry["type"], entry["mediaType"], entry["suffix"]) == ("music", "song", "flac")


def test_ten_songs_are_usual(snapshot):
    assert len(ask(snapshot, "getSonicSimilarTracks", id=SONGS[5][0])["sonicMatch"]) <= 10


def test_a_path_holds_both_ends_and_begins_at_one(snapshot):
    ends = {"startSongId": server_id(0), "endSongId": server_id(4)}
    found = ask(snapshot, "findSonicPath", **ends, count=4)["sonicMatch"]
    ids = [m["entry"]["id"] for m in found]
    assert (ids[0], ids[-1]) == (server_id(0), server_id(4))
    assert 2 <= len(ids) <= 4
    assert found[0]["similarity"] == 1.0


def test_a_path_of_two_is_its_ends_and_one_song_is_its_own_path(snapshot):
    ends = {"startSongId": server_id(0), "endSongId": server_id(4), "count": 2}
    assert len(ask(snapshot, "findSonicPath", **ends)["sonicMatch"]) == 2
    same = {"startSongId": server_id(0), "endSongId": server_id(0)}
    assert len(ask(snapshot, "findSonicPath", **same)["sonicMatch"]) == 1


@pytest.mark.parametrize(
    ("name", "query", "expected"),
    [
        ("getSonicSimilarTracks", {}, 10),
        ("getSonicSimilarTracks", {"id": "nobody"}, 70),
        ("getSonicSimilarTracks", {"id": server_id(0), "count": 0}, 0),
        ("findSonicPath", {"startSongId": server_id(0)}, 10),
        ("findSonicPath", {"startSongId": server_id(0), "endSongId": "nobody"}, 70),
        ("findSonicPath", {"startSongId": server_id(0), "endSongId": server_id(1), "count": 1}, 0),
        ("getAlbumList", {}, 0),
    ],
)
def test_what_is_wrong_is_a_code(snapshot, name, query, expected):
    found = ask(snapshot, name, **query)
    assert (found["status"], found["error"]["code"]) == ("failed", expected)


def test_what_is_not_answered_here_is_not_found(snapshot):
    assert answer(snapshot, asked("/rest/getAlbumList")).status == 404


def test_xml_says_the_same_as_json(snapshot):
    query = {"id": server_id(6), "count": 7}
    reply = answer(snapshot, asked("/rest/getSonicSimilarTracks.view", query))
    assert reply.media_type == "application/xml"
    root = ElementTree.fromstring(reply.body)  # noqa: S314 - our own answer
    assert root.tag == f"{NAMESPACE}subsonic-response"
    assert (root.get("status"), root.get("openSubsonic")) == ("ok", "true")
    told = [
        (float(m.get("similarity")), m.find(f"{NAMESPACE}entry").attrib)
        for m in root.findall(f"{NAMESPACE}sonicMatch")
    ]
    plain = ask(snapshot, "getSonicSimilarTracks", **query)["sonicMatch"]
    wanted = [
        (
            m["similarity"],
            {k: str(v).lower() if v is False else str(v) for k, v in m["entry"].items()},
        )
        for m in plain
    ]
    assert told == wanted
    assert any("<&>" in entry["title"] for _, entry in told)


def test_a_name_that_xml_cannot_hold_does_not_break_it(snapshot):
    ends = {"startSongId": "ann/blue.flac", "endSongId": "dee/odd\x01.ogg"}
    reply = answer(snapshot, asked("/rest/findSonicPath", ends))
    root = ElementTree.fromstring(reply.body)  # noqa: S314 - our own answer
    assert "dee/odd\ufffd.ogg" in {entry.get("id") for entry in root.iter()}


def test_jsonp_calls_only_what_is_a_name(snapshot):
    reply = answer(snapshot, asked("/rest/ping", {"f": "jsonp", "callback": "go"}))
    assert json.loads(reply.body.removeprefix(b"go(").removesuffix(b");"))
    bad = answer(snapshot, asked("/rest/ping", {"f": "jsonp", "callback": "alert(1);"}))
    assert b"alert" not in bad.body


async def _as_a_client(client, base, way):
    known = {"api_key": TOKEN} if way == "key" else {"username": "me", "password": TOKEN}
    host, _, port = base.rpartition(":")
    connection = client.AsyncConnection(
        host, port=int(port), legacy_auth=way == "legacy", use_get=way == "get", **known
    )
    try:
        assert await connection.ping()
        names = {one.name for one in await connection.get_open_subsonic_extensions()}
        assert "sonicSimilarity" in names
        found = await connection.get_sonic_similar_tracks(server_id(0), count=2)
        assert [m.entry.id for m in found] == [server_id(1), server_id(2)]
        path = await connection.find_sonic_path(server_id(0), server_id(4), count=4)
        assert (path[0].entry.id, path[-1].entry.id) == (server_id(0), server_id(4))
        with pytest.raises(client.errors.DataNotFoundError):
            await connection.get_sonic_similar_tracks("nobody")
    finally:
        await connection.cleanup()


def test_a_client_of_pypi_is_answered(store):
    client = needs("libopensonic")
    with serving(store, "--no-page") as (base, _):
        for way in ("password", "legacy", "key", "get"):
            finished(_as_a_client(client, base, way))
