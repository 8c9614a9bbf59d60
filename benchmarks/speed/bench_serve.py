"""Ask `audiorec serve` 10,000 questions from eight clients while its store is replaced twice.

    python -m benchmarks bench_serve [--songs 20000] [--requests 10000] [--clients 8] [--work DIR]

Three stores of made-up songs take each other's place; each song's title says of which store it is.
So an answer is *mixed* if it names songs of two stores, or of another than earlier answers with the
same header ``audiorec-edition`` do, and *lost* if it is not of status 200, or none. A store that is
replaced at once is never served, so there may be fewer editions than stores. Beside the eight, a
slow client sends its headers a byte at a time, and a hostile one sends wrong tokens, bodies that
are too large, broken requests and odd names. One JSON line: requests, lost, mixed, answers by
edition, the times of the clients in milliseconds (they share the machine with the server), memory
of the server before and after, its CPU seconds, and what became of the slow and the hostile client.
"""

import argparse
import http.client
import json
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.store.aliases import add_own_aliases
from audiorec.store.schema import Kind, StoreMetadata, schema_of, write_table
from audiorec.types import STATISTICS

TOKEN = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of the benchmark alone
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HEADS = {"version": 4, "genre": 10}
EDITIONS = 3
BODY = 1 << 20  # bytes, the limit of the server
MIX_PATH = "/music/{}.flac"


def write_edition(path: Path, edition: int, songs: int) -> None:
    """Write a store of random songs whose titles begin with the number of the edition."""
    rng = np.random.default_rng(edition)
    classes = tuple(f"{head}/{head[0]}{n}" for head, count in HEADS.items() for n in range(count))
    metadata = StoreMetadata(
        kind=Kind.VECTORS,
        extractor_id="0123456789abcdef",
        classes=classes,
        created_by="bench_serve",
    )
    means = [rng.dirichlet(np.full(count, 0.5), songs) for count in HEADS.values()]
    mean = np.concatenate(means, axis=1)[:, :, None]
    vectors = np.abs(rng.normal(0, 0.05, (songs, len(classes), len(STATISTICS)))) + mean
    vectors = vectors.clip(0, 1).astype(np.float32).reshape(songs, -1)
    ids = [f"song{n:06d}" for n in range(songs)]
    columns: dict[str, Any] = {
        "song_id": ids,
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]),
        "content_hash": [f"{edition}-{n}" for n in range(songs)],
        "uri": [MIX_PATH.format(song_id) for song_id in ids],
        "size": [1_000_000] * songs,
        "mtime_ns": [edition] * songs,
        "duration_s": rng.uniform(90, 400, songs).astype(np.float32),
        "claimed_s": pa.nulls(songs, pa.float32()),
        "loudness_lufs": pa.nulls(songs, pa.float32()),
        "segments": [60] * songs,
        "status": ["ok"] * songs,
        "source_rate": [44_100] * songs,
        "source_channels": [2] * songs,
        "codec": ["flac"] * songs,
        "decoder": ["soundfile"] * songs,
        "packet_errors": [0] * songs,
        "title": [f"edition {edition} song {n}" for n in range(songs)],
        "artist": [f"edition {edition} artist {n % (songs // 10)}" for n in range(songs)],
        "album": [f"edition {edition} album {n % (songs // 5)}" for n in range(songs)],
        "isrc": pa.nulls(songs, pa.string()),
        "musicbrainz_trackid": pa.nulls(songs, pa.string()),
        "extractor_id": [metadata.extractor_id] * songs,
        "extracted_at": [datetime(2026, 1, edition, tzinfo=UTC)] * songs,
    }
    schema = schema_of(metadata)
    arrays = [pa.array(columns[f.name]).cast(f.type) for f in schema]
    write_table(path, pa.table(arrays, schema=schema), metadata)


@contextmanager
def serving(store: Path, *more: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Serve a store in a process of its own, with more options; gives its port."""
    script = "from audiorec_cli.main import main; main()"
    options = ["--rate", "0", "--seconds", "20", "--no-page", *more]
    secret = store.with_name("token.txt")
    secret.write_text(TOKEN)
    options += ["--token-file", str(secret)]
    command = [sys.executable, "-c", script, "serve", "-v", str(store), *options]
    with (
        store.with_name("serve.log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        try:
            yield int(address.rstrip("/").rsplit(":", 1)[1]), process
        finally:
            process.terminate()
            process.wait(timeout=30)


@dataclass
class Outcome:
    """What became of the requests of the eight."""

    lost: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    stores: dict[str, str] = field(default_factory=dict)  # by edition
    editions: Counter[str] = field(default_factory=Counter)
    ms: dict[str, list[float]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


def questions(rng: random.Random, songs: int) -> tuple[str, str, str, bytes | None]:
    """Return an API, method, address and body: the mix that a music server asks."""
    one, other = (f"song{rng.randrange(songs):06d}" for _ in range(2))
    alias = f"server-{rng.randrange(songs):06d}"
    user = f"u=me&p={TOKEN}&f=json"
    draw = rng.random()
    if draw < 0.45:
        return "similar_tracks", "GET", f"/api/similar_tracks?item_id={alias}&n=20", None
    if draw < 0.75:
        return "sonic", "GET", f"/rest/getSonicSimilarTracks?{user}&id={one}&count=20", None
    if draw < 0.9:
        return "v1", "GET", f"/v1/similar?id={one}&k=10&per_artist=2", None
    if draw < 0.98:
        wish = {"tracks": [MIX_PATH.format(one), MIX_PATH.format(other)], "count": 10}
        return "mix", "POST", "/api/mix", json.dumps(wish).encode()
    ends = f"start_song_id={one}&end_song_id={other}&max_steps=8"
    return "find_path", "GET", f"/api/find_path?{ends}", None


def client(
    port: int, songs: int, take: Callable[[], int | None], outcome: Outcome, seed: int
) -> None:
    """Ask until there are no more questions to be taken."""
    rng = random.Random(seed)  # noqa: S311 - which song is asked for
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while take() is not None:
        api, method, address, body = questions(rng, songs)
        started = time.perf_counter()
        try:
            headers = {**BEARER, "Content-Type": "application/json"}
            connection.request(method, address, body, headers)
            reply = connection.getresponse()
            text = reply.read().decode()
        except OSError as error:
            with outcome.lock:
                outcome.lost.append(f"{api}: {error!r}")
            connection.close()
            continue
        took = 1000 * (time.perf_counter() - started)
        with outcome.lock:
            outcome.ms.setdefault(api, []).append(took)
            judge(outcome, api, reply, text)
    connection.close()


def judge(outcome: Outcome, api: str, reply: http.client.HTTPResponse, text: str) -> None:
    """Count an answer as lost, mixed, or of an edition."""
    if reply.status != 200 or '"status":"failed"' in text or not text:
        outcome.lost.append(f"{api}: {reply.status} {text[:100]}")
        return
    edition = reply.headers.get("audiorec-edition", "")
    named = {one for one in map(str, range(1, EDITIONS + 1)) if f"edition {one} " in text}
    if api != "mix" and named != {outcome.stores.setdefault(edition, min(named, default=""))}:
        outcome.mixed.append(f"{api}: {edition} names {sorted(named)}")
    outcome.editions[edition] += 1


def slow_client(port: int, ended: threading.Event, told: Counter[str]) -> None:
    """Send headers a byte at a time, until the server lets go; then again."""
    while not ended.is_set():
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            for byte in f"GET /v1/similar?id=song000001 HTTP/1.1\r\nX: {'y' * 4096}".encode():
                if ended.wait(0.2):
                    return
                sock.sendall(bytes([byte]))
        told["slow: let go"] += 1


def hostile_client(port: int, ended: threading.Event, told: Counter[str]) -> None:
    """Send what no client should."""
    rng = random.Random(13)  # noqa: S311
    wishes: list[tuple[str, str, dict[str, str], bytes | None]] = [
        ("GET", "/v1/similar?id=song000001", {"Authorization": "Bearer wrong"}, None),
        ("GET", "/rest/ping?u=me&p=wrong&f=json", {}, None),
        ("POST", "/api/mix", BEARER, b"x" * (BODY + 1)),
        ("POST", "/api/mix", BEARER, b'{"tracks": ' + b"[" * 20_000),
        ("GET", "/v1/similar?id=..%2F..%2Fetc%2Fpasswd", BEARER, None),
        ("GET", "/v1/similar?id=song000001&k=" + "9" * 1000, BEARER, None),
        ("GET", "/v1/similar?id=song000001&only=%00%ff((((", BEARER, None),
        ("DELETE", "/v1/similar", BEARER, None),
        ("GET", "/" + "a" * 3000, BEARER, None),
        ("GET", "/v1/similar?" + "&".join(f"a{n}=1" for n in range(1000)), BEARER, None),
    ]
    while not ended.wait(0.05):
        if rng.random() < 0.2:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as sock:
                sock.sendall(rng.randbytes(200) + b"\r\n\r\n")
                sock.recv(1000)
                told["hostile: garbage"] += 1
            continue
        method, address, headers, body = rng.choice(wishes)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request(method, address, body, headers)
            told[f"hostile: {connection.getresponse().status}"] += 1
        except (OSError, http.client.HTTPException):
            told["hostile: closed"] += 1
        finally:
            connection.close()


def replace_store(store: Path, edition: int) -> None:
    """Let the next edition take the place of the store, as a run does."""
    part = store.with_suffix(".part")
    shutil.copy(store.with_name(f"edition{edition}.parquet"), part)
    part.replace(store)


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process."""
    numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / 100


def memory_mb(pid: int, what: str) -> int:
    """Return memory of a process: VmRSS now, VmHWM at most."""
    return int(Path(f"/proc/{pid}/status").read_text().split(f"{what}:")[1].split()[0]) // 1024


def first_edition(work: Path, songs: int) -> Path:
    """Write all editions and the names of a server; return the store that is served first."""
    for edition in range(1, EDITIONS + 1):
        write_edition(work / f"edition{edition}.parquet", edition, songs)
    pairs = [(f"server-{n:06d}", f"song{n:06d}") for n in range(songs)]
    add_own_aliases(work / "aliases.parquet", pairs)
    return Path(shutil.copy(work / "edition1.parquet", work / "vecs.parquet"))


def run(work: Path, *, songs: int, requests: int, clients: int) -> dict[str, Any]:
    """Measure; return the line."""
    store = first_edition(work, songs)
    outcome, told, ended = Outcome(), Counter[str](), threading.Event()
    left = iter(range(requests))
    lock = threading.Lock()
    replaced = []

    def take() -> int | None:
        with lock:
            number = next(left, None)
            if number in (requests // 4, requests * 6 // 10):
                replace_store(store, 2 + len(replaced))
                replaced.append(number)
            return number

    with serving(store) as (port, process):
        before, cpu_before = memory_mb(process.pid, "VmRSS"), cpu_s(process.pid)
        others = [
            threading.Thread(target=one, args=(port, ended, told))
            for one in (slow_client, hostile_client)
        ]
        asking = [
            threading.Thread(target=client, args=(port, songs, take, outcome, seed))
            for seed in range(clients)
        ]
        started = time.perf_counter()
        for thread in [*others, *asking]:
            thread.start()
        for thread in asking:
            thread.join()
        took = time.perf_counter() - started
        ended.set()
        for thread in others:
            thread.join()
        after, most = memory_mb(process.pid, "VmRSS"), memory_mb(process.pid, "VmHWM")
        cpu = cpu_s(process.pid) - cpu_before
    log = store.with_name("serve.log").read_text()
    times = {api: quantiles(ms) for api, ms in sorted(outcome.ms.items())}
    return {
        "songs": songs,
        "clients": clients,
        "requests": requests,
        "replaced": len(replaced),
        "lost": len(outcome.lost),
        "mixed": len(outcome.mixed),
        "by_edition": dict(sorted(outcome.editions.items())),
        "wall_s": round(took, 1),
        "server_cpu_s": round(cpu, 1),
        "ms_p50_p95_p99": {
            "all": quantiles([t for ms in outcome.ms.values() for t in ms]),
            **times,
        },
        "memory_mb": {"before": before, "after": after, "most": most},
        "others": dict(sorted(told.items())),
        "log_lines": log.count("\n"),
        "token_in_log": TOKEN in log,
        "first_lost": outcome.lost[:3],
        "first_mixed": outcome.mixed[:3],
    }


def quantiles(ms: list[float]) -> list[float]:
    """Return the median, the 95th and the 99th percentile."""
    return [round(float(np.quantile(ms, q)), 1) for q in (0.5, 0.95, 0.99)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--songs", type=int)
    parser.add_argument("--requests", type=int)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = given.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        songs, requests = given.songs or 20_000, given.requests or 10_000
        line = run(work, songs=songs, requests=requests, clients=given.clients)
    print(json.dumps(line))
    sys.exit(bool(line["lost"] or line["mixed"] or line["token_in_log"]))


if __name__ == "__main__":
    main()
