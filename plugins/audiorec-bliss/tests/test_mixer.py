"""`bliss-mixer` as a process: it finds its store, tells Lyrion its port, and answers."""

import http.server
import json
import os
import subprocess
import sys
import threading

import pytest
from needs import needs

httpx = needs("httpx")
needs("audiorec_bliss")

from audiorec.errors import InputError
from audiorec_bliss.mixer import store_of, tell_lyrion


class Lyrion:
    """A server that is told a port, as `slim.request` of Lyrion is."""

    def __init__(self):
        told = self.told = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def test_lyrion_is_told_the_port():
    lyrion = Lyrion()
    try:
        tell_lyrion(f"http://127.0.0.1:{lyrion.server.server_port}/jsonrpc.js", 4711)
    finally:
        lyrion.server.shutdown()
        lyrion.server.server_close()
    command = ["blissmixer", "port", "number:4711"]
    assert lyrion.told == [{"id": 1, "method": "slim.request", "params": ["", command]}]


def test_a_lyrion_that_is_not_there_is_said(capsys):
    tell_lyrion("http://127.0.0.1:9/jsonrpc.js", 4711)
    assert "cannot report the port 4711" in capsys.readouterr().err


def test_the_mixer_is_started_as_the_plugin_starts_it(store, tmp_path):
    """``bliss-mixer --db CACHE/bliss.db --address 127.0.0.1 --port N``: the link is a store's."""
    link = tmp_path / "bliss.db"
    link.symlink_to(store)
    script = "from audiorec_bliss.mixer import main; main()"
    command = [sys.executable, "-c", script, "--db", str(link), "--address", "127.0.0.1"]
    with subprocess.Popen(
        [*command, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            base = process.stdout.readline().strip().rstrip("/")
            assert httpx.get(f"{base}/api/ready").text == "1"
            wish = {"count": 2, "tracks": ["file:///music/ann/blue.flac"], "genregroups": []}
            found = httpx.post(f"{base}/api/mix", json=wish).text.splitlines()
            assert len(found) == 2
            assert all(one.startswith("file:///music/") for one in found)
        finally:
            process.terminate()
            _, told = process.communicate(timeout=20)
    assert told == ""
    assert process.returncode == 0


def test_the_mixer_finds_its_store(store, tmp_path, monkeypatch):
    monkeypatch.delenv("AUDIOREC_VECTORS", raising=False)
    assert store_of(store) == store.resolve()
    other = tmp_path / "bliss.db"
    other.write_bytes(b"SQLite format 3\0")
    with pytest.raises(InputError, match="not a store of audiorec; make it a link to a store"):
        store_of(other)
    with pytest.raises(InputError, match="no such file"):
        store_of(tmp_path / "gone.db")
    monkeypatch.setenv("AUDIOREC_VECTORS", os.fspath(store))
    assert store_of(other) == store
