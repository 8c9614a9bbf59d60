"""Servers that are slow, busy, wrong, half there or elsewhere: typed errors, tries with limits."""

import gc
import json
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from urllib.parse import parse_qs

import pytest
from faulty_http import send, serving
from needs import needs

from audiorec.errors import InputError, LostPlayerError, PlayerError
from audiorec.players.contract import Account
from audiorec.players.mpd import Mpd
from audiorec.players.subsonic import HttpClient, Subsonic

QUICK = {
    "bounds.ANSWER_BYTES": 100_000,
    "subsonic.PAUSE_S": 0.01,
    "subsonic.LONGEST_PAUSE_S": 0.05,
}
GOOD = json.dumps({"subsonic-response": {"status": "ok"}}).encode()


SECRET = "the secret"  # noqa: S105
OPENED = []


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    """Close what a test opened; nothing waits for long."""
    for name, value in QUICK.items():
        monkeypatch.setattr(f"audiorec.players.{name}", value)
    yield
    while OPENED:
        OPENED.pop().close()


def opened(it):
    OPENED.append(it)
    return it


def client(url):
    return opened(HttpClient(url))


def cut(handler, body=b'{"subsonic-resp'):
    """Promise more than is sent, and hang up."""
    handler.send_response(200)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(body)
    handler.close_connection = True


def hang_up(handler):
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def test_what_passes_is_tried_again():
    faults = [lambda h: send(h, 503, Retry_After="1"), cut, hang_up, lambda h: send(h, 200, GOOD)]
    with serving(lambda handler, n: faults[n - 1](handler)) as (url, requests):
        assert client(url).post("/x", {"a": "1"}) == GOOD
    assert len(requests) == 4


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (lambda h: send(h, 500), "it answers 500"),
        (lambda h: send(h, 429, Retry_After="99999"), "it answers 429"),
        (cut, "IncompleteRead"),
        (hang_up, "without response"),
    ],
)
def test_what_stays_is_lost_after_four_tries(fault, says):
    faulty = serving(lambda handler, _: fault(handler))
    with faulty as (url, requests), pytest.raises(LostPlayerError, match=says):
        client(url).post("/x", {"p": "secret"})
    assert len(requests) == 4


def test_what_may_not_be_repeated_is_sent_once():
    faulty = serving(lambda handler, _: cut(handler))
    with faulty as (url, requests), pytest.raises(LostPlayerError):
        client(url).post("/x", {}, again=False)
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (lambda h: send(h, 401), "does not accept the account"),
        (lambda h: send(h, 404), "refuses a request: it answers 404"),
        (lambda h: send(h, 200, b"<html>"), "not JSON"),
    ],
)
def test_what_is_wrong_is_an_error_at_once(fault, says):
    faulty = serving(lambda handler, _: fault(handler))
    with faulty as (url, requests), pytest.raises(PlayerError, match=says) as caught:
        client(url).json("POST", "/x", {"p": "the secret"})
    assert not isinstance(caught.value, LostPlayerError)
    assert "the secret" not in str(caught.value)
    assert len(requests) == 1


def test_a_redirect_is_refused_and_the_secret_stays():
    with serving(lambda handler, _: send(handler)) as (other, at_other):

        def answer(handler, _):
            send(handler, 307, Location=f"{other}/")

        with serving(answer) as (url, _), pytest.raises(PlayerError, match=f"sends us to {other}"):
            client(url).post("/x", {"p": "secret"})
    assert at_other == []


def test_a_file_may_be_longer_than_other_answers_and_is_bounded_as_well(monkeypatch):
    monkeypatch.setattr("audiorec.players.bounds.LONG_BYTES", 300_000)
    with serving(lambda handler, _: send(handler, 200, b"R" * 200_000)) as (url, _):
        assert len(client(url).request("GET", "/x", is_long=True)) == 200_000
        with pytest.raises(PlayerError, match="over 100000 bytes"):
            client(url).request("GET", "/x")
        monkeypatch.setattr("audiorec.players.bounds.LONG_BYTES", 150_000)
        with pytest.raises(PlayerError, match="over 150000 bytes"):
            client(url).request("GET", "/x", is_long=True)


@pytest.mark.parametrize(
    ("name", "most", "says"),
    [
        ("RUN_ANSWERS", 2, "at most 2 answers"),
        ("RUN_BYTES", 150_000, "over 150000 bytes together"),
        ("RUN_S", 0.3, "took over 0.3 s together"),
    ],
)
def test_all_answers_of_a_run_are_bounded_together(name, most, says, monkeypatch):
    monkeypatch.setattr(f"audiorec.players.bounds.{name}", most)

    def answer(handler, _):
        time.sleep(0.11)
        send(handler, 200, b"x" * 50_000)

    with serving(answer) as (url, requests):
        one = client(url)
        with pytest.raises(PlayerError, match=says):
            [one.post("/x", {}) for _ in range(9)]
    assert len(requests) in (2, 3)


def test_nobody_there_is_lost():
    with pytest.raises(LostPlayerError, match="no answer"):
        client("http://127.0.0.1:9").post("/x", {})


def test_a_certificate_that_nobody_signed_is_refused(tmp_path):
    needs("cryptography")
    cert, key = _certificate(tmp_path)
    about = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    about.load_cert_chain(cert, key)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def once():
            line, _ = server.accept()
            try:
                about.wrap_socket(line, server_side=True)
            except OSError:
                line.close()

        threading.Thread(target=once, daemon=True).start()
        with pytest.raises(PlayerError, match="its certificate is not valid"):
            client(f"https://127.0.0.1:{server.getsockname()[1]}").post("/x", {})


def _certificate(folder):
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    made = made.public_key(key.public_key()).serial_number(1).not_valid_before(now)
    made = made.not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    (folder / "cert").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "cert", folder / "key"


@pytest.mark.parametrize(
    "url",
    [
        *("", "music.example.org", "file:///etc/passwd", "ftp://a", "http://", "http://ana:pw@a"),
        *("http://a/?p=pw", "http://a:port", "http://a:99999", "http://[a", "ftp://ana:pw@a"),
    ],
)
def test_an_address_is_checked_before_anything_is_sent(url):
    with pytest.raises(InputError) as caught:
        HttpClient(url)
    assert "pw" not in str(caught.value)


# OpenSubsonic over a server that answers as the specification says, or not.


def subsonic(url, **about):
    return opened(Subsonic(Account(url=url, **{"user": "ana", "secret": SECRET, **about})))


def answering(**content):
    def answer(handler, _):
        send(handler, 200, json.dumps({"subsonic-response": {"status": "ok", **content}}).encode())

    return answer


def test_the_secret_is_in_no_address_and_not_sent_as_it_is():
    with serving(answering()) as (url, requests):
        subsonic(url).lists()
        subsonic(url).lists()
    forms = [parse_qs(body.decode()) for _, body, _ in requests]
    assert all("secret" not in path and "?" not in path for path, _, _ in requests)
    assert all(b"secret" not in body for _, body, _ in requests)
    assert forms[0]["t"] != forms[1]["t"]  # a new salt each time
    assert forms[0]["u"] == ["ana"]


def test_an_api_key_goes_without_a_user():
    with serving(answering()) as (url, requests):
        subsonic(url, user="").lists()
    form = parse_qs(requests[0][1].decode())
    assert form["apiKey"] == ["the secret"]
    assert "u" not in form
    with pytest.raises(InputError, match="sign_in must be one of"):
        subsonic("http://a", sign_in="magic")
    with pytest.raises(InputError, match="without a user"):
        subsonic("http://a", sign_in="key")


SONG = {
    "id": "7",
    "path": "Ana/Etude.flac",
    "artist": "Ana",
    "title": "Etude",
    "album": "One",
    "duration": 61,
    "musicBrainzId": "8F3471B5-7E6A-48DA-86A9-C1C07A0F47AE",
    "isrc": ["USRC17607839"],
    "playCount": 12,
    "played": "2026-11-01T20:00:00Z",
    "starred": "2026-10-01T20:00:00Z",
}


def test_all_that_the_specification_has_of_a_song_is_read():
    with serving(answering(searchResult3={"song": [SONG, {"id": "8", "isVideo": True}]})) as (
        url,
        _,
    ):
        (found,) = subsonic(url).songs()
    assert found.song.mbid == "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae"
    assert (found.song.isrc, found.song.path) == ("USRC17607839", "Ana/Etude.flac")
    assert (found.plays, found.verdict) == (12, "like")
    assert found.verdict_s < found.played_s


@pytest.mark.parametrize("counted", [{}, {"playCount": 0}, {"playCount": 3}])
def test_what_is_played_now_counts_where_nothing_else_does(counted):
    playing = [
        {"id": "8", "username": "Ana", "minutesAgo": 2},
        {"id": "7", "username": "ben", "minutesAgo": 1},
        {"id": "9", "username": "ana", "minutesAgo": 1e99},
        {"id": "9"},
    ]
    songs = [{"id": "7", **counted}, {"id": "8"}, {"id": "9"}]
    content = {"searchResult3": {"song": songs}, "nowPlaying": {"entry": playing}}
    with serving(answering(**content)) as (url, _):
        found = {one.song.id: one.now_s for one in subsonic(url).songs()}
    assert set(found) == {"7", "8", "9"}
    assert (found["7"], found["9"]) == (None, None)
    assert (found["8"] is None) == bool(counted)
    assert counted or found["8"] == pytest.approx(time.time() - 120, abs=20)


def test_audio_is_bytes_and_an_error_of_the_server_is_none():
    with serving(lambda h, _: send(h, 200, b"RIFF")) as (url, _):
        assert subsonic(url).audio("7") == b"RIFF"
    failed = {"subsonic-response": {"status": "failed", "error": {"code": 50, "message": "no"}}}
    refusing = serving(lambda h, _: send(h, 200, json.dumps(failed).encode()))
    with refusing as (url, _), pytest.raises(PlayerError, match="download: no"):
        subsonic(url).audio("7")


@pytest.mark.parametrize(
    "content",
    [
        {"searchResult3": []},
        {"searchResult3": {"song": "all"}},
        {"searchResult3": {"song": [None, 7, "x", {}, {"id": 7}, {"id": ""}]}},
    ],
)
def test_an_answer_of_another_shape_has_no_songs(content):
    with serving(answering(**content)) as (url, _):
        assert list(subsonic(url).songs()) == []


def test_lists_are_those_of_the_user_however_the_name_is_written():
    owners = {"1": "Ana", "2": "ben", "3": ""}
    lists = [{"id": key, "name": f"L{key}", "owner": owner} for key, owner in owners.items()]
    with serving(answering(playlists={"playlist": lists})) as (url, _):
        assert [one.id for one in subsonic(url).lists()] == ["1", "3"]


def test_a_server_that_does_not_turn_pages_ends():
    with serving(answering(searchResult3={"song": [{"id": "7"}]})) as (url, requests):
        assert [one.song.id for one in subsonic(url).songs()] == ["7"]
    assert len([path for path, _, _ in requests if "search3" in path]) == 2


@pytest.mark.parametrize("body", [b"null", b'{"subsonic-response": 7}'])
def test_json_that_is_no_answer(body):
    wrong = serving(lambda handler, _: send(handler, 200, body))
    with wrong as (url, _), pytest.raises(PlayerError, match="not an answer of OpenSubsonic"):
        subsonic(url).lists()


# MPD over a socket that answers as it is told.


@contextmanager
def an_mpd(*says):
    """Greet, answer each line with the next text, then hang up; yields the address."""

    def run():
        with suppress(OSError):
            line, _ = server.accept()
            with line:
                for n, part in enumerate(says):
                    if n:
                        line.recv(1 << 16)
                    line.sendall(part)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=run)
        thread.start()
        yield f"mpd://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(
    ("says", "kind", "match"),
    [
        ([b"HTTP/1.1 400 Bad\r\n"], PlayerError, "is not an MPD"),
        ([b""], LostPlayerError, "the connection ended"),
        ([b"OK MPD 0.24.0\n", b"playlist: a\n"], LostPlayerError, "the connection ended"),
        ([b"OK MPD 0.24.0\n", b"ACK [4@0] {x} you \x1b[31m may not\n"], PlayerError, "may not"),
    ],
)
def test_an_mpd_that_fails(says, kind, match):
    with an_mpd(*says) as url, pytest.raises(kind, match=match) as caught:
        opened(Mpd(Account(url=url))).lists()
    assert "\x1b" not in str(caught.value)


def test_an_mpd_with_a_wrong_password_and_nobody_there(tmp_path):
    says = [b"OK MPD 0.24.0\n", b"ACK [3@0] {password} incorrect password\n"]
    with an_mpd(*says) as url, pytest.raises(PlayerError, match="accept the password") as caught:
        opened(Mpd(Account(url=url, secret=SECRET))).lists()
    assert "the secret" not in str(caught.value)
    left = str(tmp_path / "socket")  # as a server that was killed leaves it
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(left)
    for place in ("127.0.0.1:9", left):
        with pytest.raises(LostPlayerError):
            opened(Mpd(Account(url=f"mpd://{place}"))).lists()
    gc.collect()  # a connection that is left open is an error of the test
    for url in ("http://a", "mpd://", "mpd://ana:pw@a", "mpd://a:x", "mpd://[a", "x://ana:pw@a"):
        with pytest.raises(InputError) as refused:
            Mpd(Account(url=url))
        assert "pw" not in str(refused.value)
