"""Real servers for the tests of `audiorec sync`: supysonic and MPD, each a process of its own."""

import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from needs import needs
from waiting import until

USERS = {"ana": "ana secret", "ben": "ben secret", "cleo": "cleo secret"}
# Makes the database, scans the music, and answers requests on a free port, which it prints.
SUPYSONIC = """
import json, sys
home, users = sys.argv[1], json.loads(sys.argv[2])
from supysonic.config import DefaultConfig
config = DefaultConfig()
config.BASE = {**config.BASE, "database_uri": f"sqlite:///{home}/supysonic.db"}
config.WEBAPP = {**config.WEBAPP, "cache_dir": f"{home}/cache", "mount_webui": False}
from supysonic.db import init_database, open_connection, close_connection
from supysonic.managers.user import UserManager
from supysonic.managers.folder import FolderManager
from supysonic.scanner import Scanner
import os
is_new = not os.path.exists(f"{home}/supysonic.db")
init_database(config.BASE["database_uri"])
open_connection(reuse=True)
if is_new:
    for name, password in users.items():
        UserManager.add(name, password)
    FolderManager.add("music", f"{home}/music")
scanner = Scanner()
scanner.queue_folder("music")
scanner.run()
close_connection()
from supysonic.web import create_application
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, create_application(config), threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
"""
MPD = """
music_directory "{home}/music"
playlist_directory "{home}/saved"
db_file "{home}/db"
sticker_file "{home}/stickers"
bind_to_address "{home}/socket"
audio_output {{
  type "null"
  name "none"
}}
"""


@contextmanager
def supysonic(home, users=USERS):
    """Serve the songs of ``home/music``; yields the address, and the process."""
    import json

    needs("supysonic")
    words = [sys.executable, "-c", SUPYSONIC, str(home), json.dumps(users)]
    with (
        (home / "supysonic.log").open("a") as log,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True) as server,
    ):
        try:
            line = server.stdout.readline().strip()
            assert line, (home / "supysonic.log").read_text()
            yield f"http://127.0.0.1:{line}", server
        finally:
            server.kill()


def ask(url, user, method, **form):
    """Ask supysonic as a client of the user's would."""
    import json

    signed = {"u": user, "p": USERS[user], "v": "1.12.0", "c": "test", "f": "json", **form}
    with urlopen(f"{url}/rest/{method}.view", urlencode(signed, doseq=True).encode()) as answer:  # noqa: S310
        found = json.load(answer)["subsonic-response"]
    assert found["status"] == "ok", found
    return found


def listen(url, user, song):
    """Play a song to its end as a client of the user's would: the stream, then a scrobble."""
    signed = {"u": user, "p": USERS[user], "v": "1.12.0", "c": "test", "id": song}
    with urlopen(f"{url}/rest/stream.view", urlencode(signed).encode()) as answer:  # noqa: S310
        assert answer.read()
    ask(url, user, "scrobble", id=song)


@contextmanager
def mpd(home):
    """Play the songs of ``home/music`` to nobody; yields the address, and the process."""
    if not all(map(shutil.which, ("mpd", "mpc"))):
        pytest.skip("needs the programs mpd and mpc: apt-get install mpd mpc")
    (home / "saved").mkdir(exist_ok=True)
    (home / "mpd.conf").write_text(MPD.format(home=home))
    words = ["mpd", "--no-daemon", "--stderr", str(home / "mpd.conf")]
    with (home / "mpd.log").open("a") as log, subprocess.Popen(words, stderr=log) as server:

        def listens():  # the socket is there a moment before
            with socket.socket(socket.AF_UNIX) as line:
                return line.connect_ex(str(home / "socket")) == 0 or server.poll() is not None

        try:
            until(listens, told=(home / "mpd.log").read_text)
            say(home, "update")
            until(lambda: "updating_db" not in say(home, "status"))
            yield f"mpd://{home}/socket", server
        finally:
            server.kill()
            (home / "socket").unlink(missing_ok=True)


def say(home, command):
    """Send a command to MPD, and return its answer."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(home / "socket"))
        file = line.makefile("rwb")
        assert file.readline().startswith(b"OK MPD")
        file.write(f"{command}\n".encode())
        file.flush()
        found = b""
        while not (found.endswith(b"OK\n") or b"ACK [" in found):
            found += file.readline()
    assert b"ACK [" not in found, found
    return found.decode()
