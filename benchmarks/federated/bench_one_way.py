"""Measure one-way between two parties: two processes over TLS, counted on the way.

    python -m benchmarks bench_one_way [--users 100000] [--kill]

Both parties align and train by their commands, through a forwarder on the loopback that counts the
bytes in either direction. With --kill, the partner is killed once half of the vectors have crossed,
then the music side once all have; each is started again. Prints one JSON line: wall time, CPU
seconds of both sides together, bytes there and back, of each command.
"""

import argparse
import json
import os
import resource
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from federated_rehearsal import rehearse

PIECE = 1 << 16
WIDTH = 128 * 4  # bytes of a vector


class Forwarder:
    """Forwards connections to another port, and counts bytes there and back."""

    def __init__(self, port: int) -> None:
        self.counts, self._port = [0, 0], port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            try:
                far = socket.create_connection(("127.0.0.1", self._port))
            except OSError:  # the other side does not listen yet
                near.close()
                continue
            for way, pair in enumerate(((near, far), (far, near))):
                threading.Thread(target=self._forward, args=(way, *pair), daemon=True).start()

    def _forward(self, way: int, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(PIECE):
                self.counts[way] += len(data)
                target.sendall(data)
        except OSError:
            pass
        finally:
            source.close()
            target.close()


def made_up(users: int) -> Any:
    """Return plays of five songs each, and profiles of ten values that tell the taste."""
    rng = np.random.default_rng(0)
    taste = rng.integers(0, 50, users)
    songs = taste[:, None] + 50 * (rng.zipf(1.5, (users, 5)) % 100)
    values = (taste[:, None] + rng.integers(0, 5, (users, 10))) % 50 + 50 * rng.integers(
        0, 40, (users, 10)
    )
    names = [f"user-{n}" for n in range(users)]
    plays = {u: [f"song-{s}" for s in own] for u, own in zip(names, songs.tolist(), strict=True)}
    known = {
        u: {"interests": "|".join(f"value {v}" for v in own)}
        for u, own in zip(names, values.tolist(), strict=True)
    }
    return plays, known, {}


def timed(folder: Path, line: str, way: Forwarder, *, kill: bool, users: int) -> dict[str, Any]:
    """Run a command on both sides; with `kill`, kill and start each again on the way."""
    way.counts[:] = 0, 0
    cpu, started = _cpu(), time.perf_counter()

    def start(role: str) -> Any:
        return rehearse.run(folder / role, f"federated {line} --config {role}.toml", wait=False)

    running = {role: start(role) for role in ("music", "partner")}
    if kill:
        for role, share in (("partner", 0.5), ("music", 1.5)):
            while way.counts[0] < share * users * WIDTH:
                assert running[role].poll() is None, running[role].communicate()
                time.sleep(0.005)
            running[role].send_signal(signal.SIGKILL)
            running[role].communicate()
            running[role] = start(role)
    for process in running.values():
        rehearse.finished(process)
    there, back = way.counts
    return {
        "wall_s": round(time.perf_counter() - started, 1),
        "cpu_s": round(_cpu() - cpu, 1),
        "bytes_there": there,
        "bytes_back": back,
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--kill", action="store_true")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), rehearse.free_port()
        way = Forwarder(port)
        rehearse.write_parties(folder, made_up(given.users), address=f"127.0.0.1:{port}")
        settings = folder / "partner" / "partner.toml"
        settings.write_text(settings.read_text().replace(f":{port}", f":{way.port}"))
        for role, other in zip(rehearse.PARTIES, reversed(rehearse.PARTIES), strict=True):
            rehearse.run(folder / role, f"federated align --config {role}.toml")
            certificate = (folder / role / "keys" / "certificate.pem").read_bytes()
            (folder / other / f"{role}.pem").write_bytes(certificate)
        aligned = timed(folder, "align --yes", way, kill=False, users=given.users)
        trained = timed(folder, "train", way, kill=given.kill, users=given.users)
    about = {"bench": "one-way", "users": given.users, "kill": given.kill}
    print(json.dumps({**about, "align": aligned, "train": trained, "load_before": round(load, 1)}))


if __name__ == "__main__":
    main()
