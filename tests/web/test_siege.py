"""Both servers under clients that mean no good: others are answered, and a signal ends them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from made_library import series, song
from needs import needs
from served_library import TOKEN, serving, write_served
from waiting import until
from web_server import browsing, split_address, write_music

httpx = needs("httpx")
needs("starlette")

WORST = "title=" + "*?" * 12 + "*Z"  # 32 letters that once took longer than anybody waits
ENEMY = "127.0.0.2"
LETTERS = "a" * 60
MOST_MB = 40  # that a siege may add to a server's memory
COUNT = 300


@contextmanager
def served(kind, folder, script=""):
    """Serve songs with long titles; gives address, token, process id, and a path that has `only`.

    `script` is Python that runs before the server does.
    """
    if kind == "serve":
        store = write_served(folder, [("a.flac", "A", "B", LETTERS, (0, 0, 0), 20)] * 1)
        with serving(store, "--no-page", script=script) as (base, process):
            yield base, TOKEN, process, "/v1/similar?id=a.flac&only="
        return
    more = [song(name, series(n), title=LETTERS + name) for n, name in enumerate("ab")]
    store = write_music(folder, songs=[], more=more)
    with browsing(store, script=script, process=True) as (address, process):
        base, token = split_address(address)
        yield base, token, process, "/api/find?only="


both = pytest.mark.parametrize("kind", ["serve", "browse"])


def client_of(base, token, address="127.0.0.1"):
    transport = httpx.HTTPTransport(local_address=address)
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=base, headers=headers, transport=transport, timeout=15)


def connect(base, address=ENEMY):
    port = int(base.rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(address, 0))


def answered_in(client, path):
    started = time.monotonic()
    assert client.get(path).status_code == 200
    return time.monotonic() - started


def memory_mb(process):
    return (
        int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1]) >> 10
    )


def ends_soon(process, sign=signal.SIGTERM):
    """Whether a signal ends a process: within two seconds, or more where tests share the cores."""
    process.send_signal(sign)
    return process.wait(timeout=10) is not None


def request_only(base, token, path):
    """Send a request and do not wait for its answer."""
    sock = connect(base)
    sock.sendall(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    return sock


@both
def test_no_condition_keeps_others_waiting_or_the_process_alive(tmp_path, kind):
    with served(kind, tmp_path / "home") as (base, token, process, path), ExitStack() as stack:
        client = stack.enter_context(client_of(base, token))
        for _ in range(20):
            stack.enter_context(request_only(base, token, path + quote(WORST)))
        time.sleep(0.3)
        assert max(answered_in(client, f"{path}version=vocal") for _ in range(3)) < 8
        assert ends_soon(process)


ENDLESS = """
def endless(*_, **__):
    while True:
        pass
import audiorec.web.apis.messages, audiorec.web.apis.own, audiorec.web.song_columns
audiorec.web.apis.own.near = endless
audiorec.web.song_columns.matching = endless
"""


@pytest.mark.parametrize(("kind", "sign"), [("serve", signal.SIGTERM), ("browse", signal.SIGINT)])
def test_a_signal_ends_the_process_whatever_runs(tmp_path, kind, sign):
    with served(kind, tmp_path / "home", ENDLESS) as (base, token, process, path), ExitStack() as s:
        for _ in range(6):
            s.enter_context(request_only(base, token, f"{path}version=vocal"))
        time.sleep(0.5)
        assert ends_soon(process, sign)
        assert process.returncode == 0


@both
def test_idle_and_half_open_connections_of_one_address_shut_out_no_other(tmp_path, kind):
    with served(kind, tmp_path / "home") as (base, token, process, path), ExitStack() as stack:
        client = stack.enter_context(client_of(base, token))
        good = f"{path}version=vocal"
        answered_in(client, good)
        before, slowest = memory_mb(process), 0.0
        for n in range(COUNT):
            idle = stack.enter_context(connect(base))
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            half = stack.enter_context(connect(base))
            half.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
            if n % 50 == 49:
                with client_of(base, token) as fresh:
                    slowest = max(slowest, answered_in(client, good), answered_in(fresh, good))
        with client_of(base, token) as fresh:
            slowest = max(slowest, answered_in(client, good), answered_in(fresh, good))
        descriptors = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
        assert slowest < 8  # who is shut out waits for ten seconds
        assert memory_mb(process) - before < MOST_MB
        assert descriptors < 200  # 128 of one address, and what the process has open besides
    log = tmp_path / "home" / "serve.log"
    text = log.read_text() if kind == "serve" else process.told
    lines = [json.loads(line) for line in text.splitlines()]
    lines = [line for line in lines if line.get("refused") == "connections"]
    assert {line["client"] for line in lines} == {ENEMY}
    assert 1 <= len(lines) < 60  # a line a second, however many were closed


@both
def test_bodies_that_do_not_come_are_waited_for_no_longer(tmp_path, kind):
    with served(kind, tmp_path / "home") as (base, token, _, _):
        path = "/v1/similar" if kind == "serve" else "/api/playlist"
        with connect(base) as sock:
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            head += "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
            sock.sendall(head.encode())
            sock.settimeout(1)
            answer = b""
            started = time.monotonic()
            while b"\r\n\r\n" not in answer and time.monotonic() - started < 60:
                try:
                    sock.sendall(b" ")
                    answer += sock.recv(1000)
                except TimeoutError:
                    continue
            assert answer.startswith(b"HTTP/1.1 408"), answer
            assert 8 < time.monotonic() - started < 120


@pytest.mark.parametrize(
    ("kind", "path"), [("browse", "/api/library"), ("serve", "/v1/store"), ("page", "/api/library")]
)
def test_wrong_tokens_cost_their_address_the_right_one_and_no_other(tmp_path, kind, path):
    store = write_served(tmp_path / "home")
    with ExitStack() as stack:
        if kind == "browse":
            base, token = split_address(stack.enter_context(browsing(store)))
        else:
            (base, _), token = stack.enter_context(serving(store, "--rate", 10_000)), TOKEN
        client = stack.enter_context(client_of(base, token))
        assert client.get(path).status_code == 200

        def wrong(n):
            return client.get(path, headers={"Authorization": f"Bearer {n:020}"}).status_code

        def right_is_refused():
            for _ in iter(lambda: wrong(0), 401):  # the one of this second; the next is far
                pass
            return client.get(path).status_code == 429

        began = time.monotonic()
        codes = [wrong(n) for n in range(100)]
        assert codes[:10] == [401] * 10
        assert codes.count(401) < 30 + time.monotonic() - began  # one a second
        until(right_is_refused)
        with client_of(base, token, ENEMY) as other:
            assert other.get(path).status_code == 200
        time.sleep(2)
        assert client.get(path).status_code == 200


def test_no_other_user_sees_the_token_in_a_command_line(tmp_path, browser):
    """The browser is given a private file, which leads to the page."""
    store = write_music(tmp_path / "home")
    seen = tmp_path / "seen.txt"
    command = tmp_path / "browser"
    command.write_text(f'#!/bin/sh\necho "$@" > {seen}.part && mv {seen}.part {seen}\n')
    command.chmod(0o755)
    environment = {**os.environ, "BROWSER": f"{command} %s", "TMPDIR": str(tmp_path)}
    script = "from audiorec_cli.main import main; main()"
    command = [sys.executable, "-c", script, "browse", "-v", str(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        _, token = split_address(process.stdout.readline().strip())
        until(seen.exists)
        given = seen.read_text().strip()
        assert token not in given
        file = Path(given.removeprefix("file://"))
        assert token in file.read_text()
        assert (file.parent.stat().st_mode & 0o777, file.parent.stat().st_uid) == (
            0o700,
            os.getuid(),
        )
        page = browser.new_page()
        page.goto(given)
        page.wait_for_selector(".hero h1")
        assert "token" not in page.url
        page.close()
        process.terminate()
        assert process.wait(timeout=60) == 0
    assert not file.parent.exists()


def test_a_song_that_is_left_early_is_closed_at_once(tmp_path):
    store = write_music(tmp_path)
    with browsing(store, process=True) as (address, process):
        base, token = split_address(address)
        with client_of(base, token) as client:
            song = client.get("/api/song/0").json()
        path = Path(song["columns"]["uri"])
        with path.open("ab") as file:
            file.truncate(64 << 20)  # more than a socket holds
        for _ in range(100):
            with connect(base) as sock:
                sock.sendall(
                    f"GET {song['sound']['url']} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
                )
                assert sock.recv(100).startswith(b"HTTP/1.1 200")

        def held():
            found = []
            for link in Path(f"/proc/{process.pid}/fd").iterdir():
                with suppress(FileNotFoundError):
                    found.append(link.readlink())
            return path in found

        until(lambda: not held())
        with client_of(base, token) as client:
            assert client.get("/api/song/0").status_code == 200


def test_without_a_rate_wrong_tokens_lock_nobody_out(tmp_path):
    store = write_served(tmp_path)
    with serving(store, "--no-page", "--rate", 0) as (base, _):
        for _ in range(20):
            with client_of(base, "wrong") as client:
                assert client.get("/v1/store").status_code == 401
        with client_of(base, TOKEN) as client:
            assert client.get("/v1/store").status_code == 200
