"""`audiorec serve` as a process: their end, a replaced store, bad clients."""

import errno
import importlib.util
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import date
from pathlib import Path

import pytest
from command import run_command
from needs import needs
from served_library import BEARER, SONGS, TOKEN, server_id, serving, write_served
from waiting import until
from web_server import write_recall

from audiorec.recall.serving.nightly.current import promote

httpx = needs("httpx")
ROOT = Path(__file__).parents[3]
SIMILAR = f"/v1/similar?id={server_id(0)}&k=50"


def test_the_address_has_the_token_only_where_the_server_made_it(store, tmp_path):
    with serving(store, token=TOKEN) as (base, _):
        assert httpx.get(base + SIMILAR, headers=BEARER).status_code == 200
    secret = tmp_path / "token"
    secret.write_text(f"{TOKEN}\nanother line\n")
    with serving(store, "--token-file", secret, token=None) as (base, _):
        assert httpx.get(base + SIMILAR, headers=BEARER).status_code == 200
    script = "from audiorec_cli.main import main; main()"
    command = [sys.executable, "-c", script, "serve", "-v", str(store)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as it:
        base, _, token = it.stdout.readline().strip().partition("/#token=")
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(base + SIMILAR, headers=headers).status_code == 200
        it.terminate()


def test_it_ends_well_and_answers_first_what_it_was_asked(store):
    with serving(store, "--no-page") as (base, process):
        port = int(base.rpartition(":")[2])

        def is_closed():
            with socket.socket() as other:
                return other.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED

        with socket.create_connection(("127.0.0.1", port)) as sock:
            body = json.dumps({"songs": [SONGS[0][0]], "k": 1}).encode()
            head = f"POST /v1/similar HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
            head += "Content-Type: application/json\r\nExpect: 100-continue\r\n"
            sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
            assert sock.recv(1000).startswith(b"HTTP/1.1 100")  # the request has begun
            process.send_signal(signal.SIGTERM)
            until(is_closed)
            sock.sendall(body)
            assert sock.recv(1000).startswith(b"HTTP/1.1 200")
        assert process.wait(timeout=60) == 0


def test_a_store_that_is_replaced_is_served_and_a_damaged_one_is_not(tmp_path):
    store = write_served(tmp_path)
    with serving(store, "--no-page") as (base, _), httpx.Client(headers=BEARER) as client:

        def served():
            return client.get(f"{base}/v1/store").json()["songs"]

        assert served() == 8
        write_served(tmp_path, SONGS[:5])
        until(lambda: served() == 5)
        assert client.get(base + SIMILAR).headers["audiorec-edition"] == "2"
        whole = store.read_bytes()
        part = tmp_path / "part"
        part.write_bytes(whole[: len(whole) // 2])
        part.replace(store)
        until(lambda: "audiorec_serve_stale 1" in client.get(f"{base}/metrics").text)
        assert served() == 5
        store.unlink()
        time.sleep(1.5)
        assert served() == 5
        part.write_bytes(whole)
        part.replace(store)
        until(lambda: "audiorec_serve_stale 0" in client.get(f"{base}/metrics").text)


def ask_often(base, asked, answers, ended, *, a_second=20):
    """Ask a server a number of times a second until `ended`; keep what each answer says."""
    with httpx.Client(headers=BEARER) as client:
        due = time.monotonic()
        while not ended.is_set():
            found = client.post(f"{base}/v1/recommend", json=asked)
            answers.append((found.status_code, found.headers["audiorec-edition"], found.text))
            due += 1 / a_second
            time.sleep(max(0.0, due - time.monotonic()))


def test_no_request_is_lost_while_a_night_is_promoted_taken_back_and_damaged(tmp_path):
    store = write_served(tmp_path)
    root = write_recall(store, days=(2, 3))
    answers, ended = {"user": [], "history": []}, threading.Event()
    with serving(store, "--recall", root, "--no-page", "--rate", 0) as (base, _):

        def night():
            return httpx.get(f"{base}/v1/store", headers=BEARER).json()["night"]

        def stale():
            return httpx.get(f"{base}/healthz").json()["stale"]

        assert (night(), stale()) == ("dt=2026-01-03", False)
        asked = {"user": {"user": "u1"}, "history": {"history": [SONGS[0][0]]}}
        threads = [
            threading.Thread(target=ask_often, args=(base, asked[name], answers[name], ended))
            for name in asked
        ]
        for thread in threads:
            thread.start()
        try:
            promote(root)
            until(lambda: night() == "dt=2026-01-02")
            model = next((root / "dt=2026-01-03/models/item-knn").glob("*.safetensors"))
            whole = model.read_bytes()
            model.write_bytes(whole[:-9])
            promote(root, date(2026, 1, 3))
            until(stale)
            assert night() == "dt=2026-01-02"  # the damaged one took nothing's place
            model.write_bytes(whole)
            promote(root, date(2026, 1, 3))  # otherwise it is tried again after half a minute
            until(lambda: night() == "dt=2026-01-03")
            assert not stale()
            # Both have asked the last night too, however slow the machine is.
            until(lambda: all(len({one[1] for one in list(a)}) == 3 for a in answers.values()))
        finally:
            ended.set()
            for thread in threads:
                thread.join(timeout=20)
    for found in answers.values():
        assert {code for code, *_ in found} == {200}
        texts = {edition: set() for _, edition, _ in found}
        for _, edition, text in found:
            texts[edition].add(text)
        assert len(texts) == 3
        assert all(len(of) == 1 for of in texts.values())  # nothing is mixed
    log = (tmp_path / "serve.log").read_text()
    assert log.count("still serving the last edition") == 1


def test_the_page_follows_the_night_that_is_served(tmp_path):
    store = write_served(tmp_path)
    root = write_recall(store, days=(2, 3))
    days = {json.loads((n / "run.json").read_text())["run_id"]: n.name for n in root.glob("dt=*")}
    with serving(store, "--recall", root) as (base, _), httpx.Client(timeout=20) as client:
        client.base_url, client.headers = base, BEARER

        def shown():
            return days[client.get("/api/library").json()["recall"]["run_id"]]

        assert shown() == "dt=2026-01-03"
        running = client.get("/api/running").json()["night"]
        promote(root)
        until(lambda: shown() == "dt=2026-01-02")
        assert client.get("/api/running").json()["night"] not in ("", running)
        assert client.get("/api/user", params={"id": "u1"}).json()["channels"]
        promote(root, date(2026, 1, 3))
        until(lambda: shown() == "dt=2026-01-03")
        assert client.get("/api/running").json()["night"] == running


def test_aliases_that_come_later_count(tmp_path):
    store = write_served(tmp_path, aliases=False)
    with serving(store, "--no-page") as (base, _):
        assert httpx.get(base + SIMILAR, headers=BEARER).status_code == 404
        write_served(tmp_path)
        until(lambda: httpx.get(base + SIMILAR, headers=BEARER).status_code == 200)


def test_who_sends_headers_slowly_is_let_go(store):
    with serving(store, "--no-page", "--seconds", "1") as (base, _):
        port = int(base.rpartition(":")[2])
        for sent in (
            b"",
            b"GET /healthz HTTP/1.1\r\nX: ",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        ):
            started = time.monotonic()
            with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
                sock.sendall(sent)
                if sent.endswith(b"\r\n\r\n"):  # a good request first, then half of one
                    answer = b""  # head and body may come apart
                    while not answer.endswith(b"}"):
                        answer += sock.recv(1000)
                    assert answer.startswith(b"HTTP/1.1 200")
                    started = time.monotonic()
                    sock.sendall(b"GET /healthz HT")
                assert sock.recv(100) == b""
                assert 0.9 < time.monotonic() - started < 30
        assert httpx.get(f"{base}/healthz").status_code == 200


def test_the_page_is_there_as_well_with_the_same_token(store):
    with serving(store) as (base, _):
        assert "<title>audiorec</title>" in httpx.get(base).text
        assert httpx.get(f"{base}/api/library", headers=BEARER).json()["songs"] == 8
        assert httpx.get(f"{base}/api/library").status_code == 401


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench", ROOT / "benchmarks/speed/bench_serve.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench"] = module
    spec.loader.exec_module(module)
    return module


def test_no_request_is_lost_or_mixed_while_the_store_is_replaced_twice(bench, tmp_path):
    """A small form of ``benchmarks/speed/bench_serve.py``."""
    found = bench.run(tmp_path, songs=500, requests=1000, clients=8)
    assert (found["lost"], found["mixed"]) == (0, 0), found
    assert found["replaced"] == 2
    assert sum(found["by_edition"].values()) == 1000
    assert found["token_in_log"] is False
    assert found["others"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--token-file", "gone"], "gone: cannot read a token"),
        (["--artists", "gone.csv"], "gone.csv: cannot read the artists: no such file"),
        (["--root", "gone"], "gone: no such folder"),
    ],
)
def test_what_is_wrong_is_one_line(store, monkeypatch, capsys, arguments, said):
    code, out, err = run_command(monkeypatch, capsys, "serve", "-v", store, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert said in err


@pytest.mark.parametrize("token", ["short", "with a blank in the middle"])
def test_a_token_is_long_and_plain(store, monkeypatch, capsys, tmp_path, token):
    (tmp_path / "token.txt").write_text(f"{token}\n")
    line = ("serve", "-v", store, "--token-file", tmp_path / "token.txt")
    code, out, err = run_command(monkeypatch, capsys, *line)
    assert (code, out) == (2, "")
    assert "at least 16 ASCII characters" in err


def test_without_the_extra_it_says_what_to_install(store, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    code, out, err = run_command(monkeypatch, capsys, "serve", "-v", store)
    assert (code, out) == (2, "")
    assert 'pip install "h11>=' in err
