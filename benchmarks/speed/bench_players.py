"""Sync 50,000 songs of a music server for three members: seconds, CPU and memory.

    python -m benchmarks bench_players [--songs 50000] [--work DIR]

A process of its own answers as an OpenSubsonic server does. Of twenty songs it tells fifteen by
their path, four by artist and title with another path, and one that the store does not have. Each
member has played a tenth of them. One JSON line for the first sync, with two lists for each member,
and one for the second, which has nothing to change: seconds of the clock and CPU seconds of this
process, until the songs are matched and the log is written, and for all of it; its peak memory in
MB; songs matched.
"""

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from bench_serve import write_edition

from audiorec.library import open_store
from audiorec.players import Server, sync
from audiorec.players.settings import ServerMember
from audiorec.store.store import VectorStore

MEMBERS = ("ana", "ben", "cleo")
EVERY = 10  # a member has played every tenth song


def child_of(n: int, row: dict[str, Any], member: int) -> dict[str, Any]:
    """Return a song as an OpenSubsonic server tells it to a member."""
    path = row["uri"].removeprefix("/music/")
    known, moved = n % 20 < 15, n % 20 < 19
    return {
        "id": f"tr-{n:06d}",
        "path": path if known else f"Artists/{n % 97}/{n}.flac",
        "title": row["title"] if moved else f"unknown {n}",
        "artist": row["artist"],
        "album": row["album"],
        "duration": int(row["duration_s"]),
        **(
            {"playCount": 1 + n % 7, "played": f"2026-11-{1 + n % 28:02d}T20:{n % 60:02d}:00Z"}
            if n % EVERY == member
            else {}
        ),
    }


def serve(store: Path, ports: Any) -> None:
    """Answer requests for the songs of a store, and keep lists in memory."""
    opened = VectorStore.open(store)
    names = ("uri", "title", "artist", "album", "duration_s")
    columns = {name: opened.column(name).to_pylist() for name in names}
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    lists: dict[str, dict[str, Any]] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 20

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = parse_qs(body, keep_blank_values=True)
            user = form["u"][0]
            content = answer(self.path.removeprefix("/rest/").removesuffix(".view"), form, user)
            text = json.dumps({"subsonic-response": {"status": "ok", **content}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    def answer(method: str, form: dict[str, list[str]], user: str) -> dict[str, Any]:
        own = {key: one for key, one in lists.items() if one["owner"] == user}
        if method == "search3":
            first = int(form["songOffset"][0])
            page = rows[first : first + int(form["songCount"][0])]
            member = MEMBERS.index(user)
            song = [child_of(first + n, row, member) for n, row in enumerate(page)]
            return {"searchResult3": {"song": song}}
        if method == "getPlaylists":
            about = [{"id": key, **one, "entry": None} for key, one in own.items()]
            return {"playlists": {"playlist": about}}
        if method == "getPlaylist":
            return {"playlist": {"entry": [{"id": s} for s in lists[form["id"][0]]["songs"]]}}
        if method == "createPlaylist":
            key = form.get("playlistId", [f"pl-{len(lists)}"])[0]
            name = form.get("name", [lists.get(key, {}).get("name", "")])[0]
            lists[key] = {"name": name, "owner": user, "songs": form["songId"]}
        return {}

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ports.put(server.server_port)
    server.serve_forever()


def measured(server: Server, store: Path, log: Path) -> dict[str, Any]:
    """Sync, and return what it took."""
    started, before = time.monotonic(), time.process_time()
    pulled: list[float] = []

    def say(line: str) -> None:
        if "lists" in line and not pulled:
            pulled[:] = time.monotonic() - started, time.process_time() - before

    (report,) = sync([server], open_store(store), log, say=say)
    changes = [one.action for lists in report.lists.values() for one in lists]
    return {
        "matched_s": round(pulled[0], 1),
        "matched_cpu_s": round(pulled[1], 1),
        "seconds": round(time.monotonic() - started, 1),
        "cpu_s": round(time.process_time() - before, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "songs": report.songs,
        "matched": report.matched,
        "by": report.ways,
        "rows": report.new["plays"],
        "lists": {action: changes.count(action) for action in sorted(set(changes))},
        "failed": report.failed,
    }


def main() -> None:
    """Print a line for the first sync and one for the second."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--songs", type=int, default=50_000)
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        store, log = Path(folder) / "vecs.parquet", Path(folder) / "plays.parquet"
        write_edition(store, 1, given.songs)
        os.environ["AUDIOREC_DATA"], os.environ["SECRET"] = folder, "secret"
        context = multiprocessing.get_context("spawn")
        ports = context.Queue()
        process = context.Process(target=serve, args=(store, ports), daemon=True)
        process.start()
        members = tuple(ServerMember(user=user, secret="env:SECRET") for user in MEMBERS)  # noqa: S106
        url = f"http://127.0.0.1:{ports.get(timeout=60)}"
        server = Server(name="home", kind="subsonic", url=url, members=members)
        for which in ("first", "second"):
            print(json.dumps({"sync": which, **measured(server, store, log)}), flush=True)
        process.kill()


if __name__ == "__main__":
    main()
