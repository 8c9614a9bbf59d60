"""Who may ask: the token, names and pages of others, and files that are none of the page's."""

import http.client
import os
import shutil
import struct

import pytest
from made_library import series, song
from needs import needs
from served_library import BEARER, finished, serving
from web_server import AUDIO, SONGS, browsing, split_address, write_music

from audiorec.errors import SongError
from audiorec.library.library import open_store

httpx = needs("httpx")
needs("starlette")

from audiorec.web.application import BrowsePage
from audiorec.web.gate import HEADERS, AddressKeys, Gate
from audiorec.web.limits import RequestLimits
from audiorec.web.song_columns import SongColumns
from audiorec.web.sound import Roots, SoundFiles

SECRET = b"the secret of somebody\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def hostile(folder):
    """A store whose songs point where they should not."""
    outside = folder / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_bytes(SECRET)
    shutil.copy(AUDIO / "birds.ogg", outside / "birds.ogg")
    home = folder / "home"
    home.mkdir()
    music = home / "music"
    uris = {
        "absolute": "/etc/passwd",
        "above": str(music / ".." / ".." / "outside" / "birds.ogg"),
        "elsewhere": str(outside / "birds.ogg"),
        "link": str(music / "link.ogg"),
        "below-link": str(music / "folder" / "birds.ogg"),
        "text": str(music / "text.mp3"),
        "playlist": str(music / "list.mp3"),
        "gone": str(music / "gone.mp3"),
        "folder": str(music),
        "pipe": str(music / "pipe"),
        "remote": "s3://bucket/song.mp3",
        "relative": "music/jazz-vibraphone.mp3",
    }
    more = [song(f"x-{name}", series(n), uri=uri) for n, (name, uri) in enumerate(uris.items())]
    store = write_music(home, more=more)
    (music / "link.ogg").symlink_to(outside / "birds.ogg")
    (music / "folder").symlink_to(outside)
    (music / "text.mp3").write_bytes(SECRET)
    (music / "list.mp3").write_text(f"ffconcat version 1.0\nfile {outside}/secret.txt\n")
    os.mkfifo(music / "pipe")
    with browsing(store, "--root", music) as address:
        base, token = split_address(address)
        rows = {f"x-{name}": None for name in uris}
        bearer = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=base, headers=bearer, timeout=30) as client:
            ids = client.get("/api/texts").json()["id"]
            rows = {name: ids.index(f"x-{name}") for name in uris}
            yield client, token, rows, ids


@pytest.fixture(scope="module")
def keyed(hostile, folder):
    """The page of that store in this process, and its keys, also those that it tells nobody."""
    home = folder / "home"
    keys, gate = AddressKeys(), Gate(RequestLimits(rate=0))
    sound = SoundFiles(Roots([home / "music"]))
    shelf = SongColumns(open_store(home / "vecs.parquet"))
    page = BrowsePage(shelf, sound, keys, guesses=gate.guesses)

    async def ask(path):
        transport = httpx.ASGITransport(gate.around(page.application))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path)

    yield keys, lambda path: finished(ask(path))
    page.close()


@pytest.fixture(scope="module")
def client(hostile):
    return hostile[0]


def test_the_page_itself_needs_no_token_and_holds_nothing(client):
    found = client.get("/", headers={"Authorization": ""})
    assert found.status_code == 200
    assert "jazz" not in found.text
    for name, value in HEADERS.items():
        assert found.headers[name] == value
    assert "set-cookie" not in found.headers
    assert "unsafe" not in found.headers["content-security-policy"]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic {token}", "{token}"])
@pytest.mark.parametrize("path", ["/api/library", "/api/texts", "/api/song/0", "/api/state"])
def test_nothing_is_told_without_the_token(hostile, path, header):
    client, token, _, _ = hostile
    found = client.get(path, headers={"Authorization": header.format(token=token)})
    assert found.status_code == 401
    assert "jazz" not in found.text
    assert client.get(f"{path}?token={token}", headers={"Authorization": ""}).status_code == 401


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", ""),
        *("[::1].evil.example", "[::1]evil.example:80", "[127.0.0.1", "[::1]]", "127.0.0.1:80:80"),
    ],
)
def test_a_name_that_somebody_pointed_here_is_none_of_ours(client, host):
    for path in ("/", "/api/library", "/js/main.js"):
        assert client.get(path, headers={"Host": host}).status_code == 421
    assert client.get("/", headers={"Host": "localhost:80"}).status_code == 200
    assert client.get("/", headers={"Host": "[::1]:80"}).status_code == 200


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_of_another_site_gets_nothing(client, headers):
    song = client.get("/api/song/0").json()
    for path in ("/api/library", song["sound"]["url"], song["sound"]["cover"], "/js/main.js"):
        assert client.get(path, headers=headers).status_code == 403
    assert client.post("/api/undo", json={}, headers=headers).status_code == 403


def test_a_link_elsewhere_may_lead_to_the_page(client):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/", headers=headers).status_code == 200
    assert client.get("/song/a.mp3/title", headers=headers).status_code != 403


def test_only_json_is_taken_and_not_too_much_of_it(client):
    text = {"Content-Type": "text/plain"}
    assert client.post("/api/playlist", content="{}", headers=text).status_code == 415
    assert client.post("/api/playlist", json=[]).status_code == 400
    large = b'{"a": "' + b"x" * (2 << 20) + b'"}'
    as_json = {"Content-Type": "application/json"}
    assert client.post("/api/playlist", content=large, headers=as_json).status_code == 413
    in_parts = iter([large[:900_000], large[900_000:]])  # whose length is not stated
    assert client.post("/api/playlist", content=in_parts, headers=as_json).status_code == 413
    assert client.request("DELETE", "/api/song/0").status_code == 405


def test_a_key_opens_one_song_alone(client):
    own = client.get("/api/song/0").json()["sound"]["url"]
    key = own.partition("key=")[2]
    assert client.get(own).status_code == 200
    for path in (f"/audio/1?key={key}", f"/cover/0?key={key}", "/audio/0", "/audio/0?key="):
        assert client.get(path, headers={}).status_code == 401
    assert not AddressKeys().opens("/audio/0", key)


def test_a_key_opens_nothing_after_a_restart_with_another_store(tmp_path):
    home = tmp_path / "home"
    store = write_music(home)
    with serving(store) as (base, _):
        url = httpx.get(f"{base}/api/song/3", headers=BEARER).json()["sound"]["url"]
        assert httpx.get(base + url).status_code == 200
    other = write_music(tmp_path / "other", songs=SONGS[1:])
    with serving(other, "--root", home / "music", "--root", tmp_path / "other" / "music") as (
        base,
        _,
    ):
        assert httpx.get(base + url).status_code == 401


KEPT_OUT = ["absolute", "above", "elsewhere", "link", "below-link", "gone", "folder", "pipe"]


@pytest.mark.parametrize("name", [*KEPT_OUT, "remote", "relative", "text", "playlist"])
def test_what_is_no_song_below_a_root_is_not_served(hostile, keyed, name):
    client, _, rows, _ = hostile
    (keys, ask), row = keyed, rows[name]
    for path, more in ((f"/audio/{row}", ""), (f"/audio/{row}", "&as=wav"), (f"/cover/{row}", "")):
        found = ask(f"{path}?key={keys.key(path)}{more}")
        assert found.status_code in (400, 404), name
        assert SECRET not in found.content
        assert b"root:" not in found.content
    for what in ("wave", "sound"):
        assert client.get(f"/api/song/{row}/{what}").status_code in (400, 404)
    about = client.get(f"/api/song/{row}").json()["sound"]
    if name not in ("text", "playlist"):  # what is in a file is for a worker to say
        assert about["why_not"]
        assert "url" not in about


@pytest.mark.parametrize(
    "path",
    [
        *("/../access.py", "/..%2faccess.py", "/%2e%2e/access.py", "/js/../../access.py"),
        *("//etc/passwd", "/vendor/vendored.json", "/static/index.html", "/js/"),
        *("/js%00/main.js", "/.git/config"),
    ],
)
def test_there_is_no_way_out_of_the_files_of_the_page(client, path):
    """Asked by hand: a client would tidy the path."""
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port, timeout=10)
    connection.request("GET", path)
    found = connection.getresponse()
    assert found.status == 404
    assert b"Guard" not in found.read()
    connection.close()


@pytest.mark.parametrize(
    "row", ["99999999", "-1", "1.5", "abc", str(1 << 70), "9" * 5000, "\u0663"]
)
def test_rows_that_are_none(hostile, row):
    client, _, _, _ = hostile
    for path in (f"/api/song/{row}", f"/api/song/{row}/near", f"/api/path/0/1?steps={row}"):
        assert client.get(path).status_code in ((400, 404) if "steps" not in path else (200, 400))
    for path in (f"/audio/{row}", f"/cover/{row}"):
        assert client.get(path).status_code == 401


def test_parts_of_a_song(client):
    url = client.get("/api/song/0").json()["sound"]["url"]
    whole = client.get(url)
    assert whole.headers["accept-ranges"] == "bytes"
    n = len(whole.content)
    for asked, part in {
        "bytes=0-99": slice(0, 100),
        "bytes=100-": slice(100, n),
        "bytes=-50": slice(n - 50, n),
        f"bytes=0-{n + 99}": slice(0, n),
    }.items():
        found = client.get(url, headers={"Range": asked})
        assert found.status_code == 206
        assert found.content == whole.content[part]
        assert found.headers["content-range"] == f"bytes {part.start}-{part.stop - 1}/{n}"
    assert client.get(url, headers={"Range": f"bytes={n}-"}).status_code == 416
    old = {"Range": "bytes=0-9", "If-Range": '"another"'}
    assert client.get(url, headers=old).status_code == 200
    assert client.head(url).headers["content-length"] == str(n)


def test_what_no_browser_plays_comes_as_wav(hostile):
    client, _, _, ids = hostile
    for name in ("tabla-loop.m4a", "drum-loop.aiff"):
        row = ids.index(name)
        about = client.get(f"/api/song/{row}/sound").json()
        assert about["type"] == ""
        url = client.get(f"/api/song/{row}").json()["sound"]["url"]
        found = client.get(url, headers={"Range": "bytes=0-11"})
        assert (found.status_code, found.headers["content-type"]) == (206, "audio/wav")
        assert (found.content[:4], found.content[8:12]) == (b"RIFF", b"WAVE")


def test_roots_by_themselves(tmp_path):
    inside = tmp_path / "music"
    inside.mkdir()
    (inside / "a.mp3").write_bytes(b"a")
    other = tmp_path / "music-other"
    other.mkdir()
    (other / "b.mp3").write_bytes(b"b")
    (tmp_path / "alias").symlink_to(inside)
    roots = Roots([tmp_path / "alias"])
    for way in ("alias", "music"):  # the root is a link that the user named: both names hold
        with roots.open(str(tmp_path / way / "a.mp3")) as file:
            assert file.read() == b"a"
    for uri in (f"{other}/b.mp3", f"{inside}/./a.mp3", f"{inside}/a.mp3/", f"{inside}/../a", "/"):
        with pytest.raises(SongError):
            roots.open(uri)
    assert not roots.holds(str(other / "b.mp3"))
    with pytest.raises(SongError, match="no such file"):
        roots.open(str(inside / "none.mp3"))


def tagged(path, picture, mime=b"image/png"):
    """Write a clip with a picture in its ID3 tag."""
    frame = b"\0" + mime + b"\0\x03\0" + picture
    frame = b"APIC" + len(frame).to_bytes(4, "big") + b"\0\0" + frame
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\x03\0\0" + size + frame + (AUDIO / "blues-band.mp3").read_bytes())


def test_a_cover_is_a_picture_by_its_bytes(tmp_path):
    home = tmp_path / "covers"
    names = ("png.mp3", "html.mp3", "none.mp3", "large.mp3", "vast.mp3")
    more = [song(name, series(i), uri=str(home / "music" / name)) for i, name in enumerate(names)]
    store = write_music(home, songs=[], more=more)
    png, vast = (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", side, side) + b"x" * 100
        for side in (300, 60_000)
    )
    tagged(home / "music" / "vast.mp3", vast)
    tagged(home / "music" / "png.mp3", png)
    tagged(home / "music" / "html.mp3", b"<script>alert(1)</script>", b"image/png")
    tagged(home / "music" / "large.mp3", png + b"x" * (9 << 20))
    shutil.copy(AUDIO / "blues-band.mp3", home / "music" / "none.mp3")
    with browsing(store) as address:
        base, token = split_address(address)
        bearer = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=base, headers=bearer, timeout=30) as client:
            ids = client.get("/api/texts").json()["id"]
            for name in names:
                sound = client.get(f"/api/song/{ids.index(name)}").json()["sound"]
                found = client.get(sound["cover"])
                if name == "png.mp3":
                    assert found.content == png
                    assert found.headers["content-type"] == "image/png"
                else:
                    assert (found.status_code, found.content) == (204, b"")
                assert client.get(sound["url"], headers={"Range": "bytes=0-1"}).status_code == 206
            faces = client.post("/api/faces", json={"rows": [*range(len(ids))]}).json()["faces"]
            covers = {name: face["cover"] for name, face in zip(ids, faces, strict=True)}
            assert client.get(covers.pop("png.mp3")).content == png
            assert set(covers.values()) == {None}
            # From start to end six rings, of two genres, the share of the second, and the voice.
            assert all(len(face["rings"]) == 6 for face in faces)
            assert all(0 <= n <= 100 for face in faces for ring in face["rings"] for n in ring)
            none = client.get(f"/api/song/{ids.index('none.mp3')}").json()["sound"]["cover"]
            beside = home / "music" / "folder.png"
            for data, status in ((png, 200), (b"<script>", 204), (png + b"x" * (9 << 20), 204)):
                beside.write_bytes(data)
                assert client.get(none).status_code == status
            beside.unlink()
            (home / "cover.png").write_bytes(png)
            beside.symlink_to(home / "cover.png")  # a link may lead anywhere
            assert client.get(none).status_code == 204
