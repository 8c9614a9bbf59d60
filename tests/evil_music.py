"""A music server that wants the time or the memory of who asks it; each kind does it in its way."""

import json
import socket
import threading
import time
from contextlib import contextmanager, suppress
from urllib.parse import parse_qs

LONG = "x" * 4000
WIDE = "\U0001f600" + LONG[:3900]  # four bytes for each letter
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
# What is sent once, and what then follows without end.
ENDLESS = {
    "silence": (b"", b""),
    "dripstatus": (b"", b"H"),
    "dripheader": (HEAD, b"X"),
    "dripbody": (HEAD + b"Content-Length: 100000\r\n\r\n", b" "),
    "dripchunk": (CHUNKED, b"1"),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: y\r\n"),
    "continue100": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "huge": (HEAD + b"Content-Length: 99999999999\r\n\r\n", b" " * 65536),
}
ONCE = {
    "deep": b"[" * (3 << 20),
    "objects": b'{"subsonic-response":{"status":"ok","x":[' + b'{"":{}},' * (1 << 20) + b"0]}}",
    "xml": b'<!DOCTYPE a [<!ENTITY x "xx"><!ENTITY y "&x;&x;">]><a>&y;</a>',
    "floatbomb": b'{"subsonic-response":{"status":"ok","x":' + b"9" * (3 << 20) + b"}}",
}
ODD = [
    *(None, True, -1, 1e308, float("inf"), "1e999", 10**400, "9" * 5000, [], {}, [[]], "\ud800"),
    *("x" * 100_000, "\x00", "../../etc/passwd", "\x1b[31m", "9999-99-99T00:00:00Z"),
]
KEYS = "id title artist album path duration playCount played starred userRating isrc".split()
OF_MPD = {
    "mpdlines": lambda _: b"sticker: playCount=" + b"y" * 60_000 + b"\n",
    "mpdsmall": lambda n: b"".join(
        b"file: %d\nsticker: like=1\n" % (n * 999 + i) for i in range(999)
    ),
    "mpdlong": lambda _: LONG.encode() * 9,
    "mpdblank": lambda _: b"\n" * 9999,
    "mpddrip": lambda _: b"f",
}
HTTP_KINDS = [
    *ENDLESS,
    *ONCE,
    *("redirectfile", "redirecthost", "busy", "odd"),
    *("longsongs", "manysongs", "manyids", "manyvideos", "endlessalbums"),
]
MPD_KINDS = [*OF_MPD, "mpdendless"]
PAGE = 120  # songs with long texts, 3 MB of them


@contextmanager
def evil_music(kind):
    """Serve; yields the address."""
    ended = threading.Event()

    def answer(line):
        with line, suppress(OSError):
            (_mpd if kind in MPD_KINDS else _http)(kind, line, ended)

    def accept():
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=server.accept()[:1], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        scheme = "mpd" if kind in MPD_KINDS else "http"
        yield f"{scheme}://127.0.0.1:{server.getsockname()[1]}"
        ended.set()
        server.shutdown(socket.SHUT_RDWR)


def _http(kind, line, ended):
    file = line.makefile("rb")
    while head := file.readline():
        path, length = head.split()[1].decode(), 0
        while (field := file.readline().strip()) != b"":
            name, _, value = field.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        form = {k: v[0] for k, v in parse_qs(file.read(length).decode()).items()}
        if kind in ENDLESS:
            first, then = ENDLESS[kind]
            line.sendall(first)
            while not ended.wait(0 if kind == "huge" else 0.05):
                line.sendall(then)
        elif kind.startswith("redirect"):
            to = b"file:///etc/passwd" if kind == "redirectfile" else b"http://127.0.0.1:1/\x1b[31m"
            line.sendall(
                b"HTTP/1.1 302 Found\r\nLocation: " + to + b"\r\nContent-Length: 0\r\n\r\n"
            )
        elif kind == "busy":
            line.sendall(b"HTTP/1.1 429 No\r\nRetry-After: 99999\r\nContent-Length: 0\r\n\r\n")
        else:
            body = ONCE.get(kind) or _body(kind, path.rpartition("/")[2].partition(".")[0], form)
            line.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def _body(kind, method, form):
    at = int(form.get("songOffset", form.get("offset", 0)))
    content = {}
    if method == "search3" and kind != "endlessalbums" and not (kind == "odd" and at):
        content = {"searchResult3": {"song": _songs(kind, at)}}
    if method == "getAlbumList2":
        content = {"albumList2": {"album": [{"id": f"al{at + i}"} for i in range(500)]}}
    if method == "getAlbum":
        content = {"album": {"song": [{"id": "one", "title": "t"}]}}
    return json.dumps({"subsonic-response": {"status": "ok", **content}}).encode()


def _songs(kind, at):
    if kind == "odd":
        return [
            {"id": f"{key}{n}", "title": "t", "artist": "a", key: value}
            for key in KEYS
            for n, value in enumerate(ODD)
        ]
    if kind == "manyids":
        return [{"id": str(at + i)} for i in range(100_000)]
    if kind == "manyvideos":
        return [{"id": f"{at + i}{LONG[:3900]}", "isVideo": True} for i in range(900)]
    n = 4 * PAGE if kind == "longsongs" else PAGE
    texts = ("title", "artist", "path", "album", "musicBrainzId", "isrc")
    return [{"id": f"{at + i}", **dict.fromkeys(texts, f"{WIDE}{at + i}")} for i in range(n)]


def _mpd(kind, line, ended):
    file, said = line.makefile("rb"), b"\xf0\x9f\x98\x80" + LONG[:1900].encode()
    line.sendall(b"OK MPD 0.23.5\n")
    while asked := file.readline():
        n = 0
        while kind in OF_MPD and asked.startswith(b"sticker"):
            line.sendall(OF_MPD[kind](n := n + 1))
            if kind == "mpddrip":
                time.sleep(0.05)
        if asked.startswith(b"find"):
            at = int(asked.split(b"window ")[1].split(b":")[0])
            rows = (b"file: %d/%s\nTitle: %s\n" % (at + i, said, said) for i in range(1000))
            line.sendall(b"".join(rows))
        line.sendall(b"OK\n")
