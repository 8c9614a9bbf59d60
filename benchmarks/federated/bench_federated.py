"""Measure a federated training: two parties as two processes, over TLS on the loopback.

    python -m benchmarks bench_federated [--users 5000] [--songs 5000] [--dimension 64]
        [--batch 256] [--epochs 2] [--float16]

Prints one JSON line: bytes of a step in either direction, steps a second of both parties together
and of the same model in one process, what the wire alone takes, CPU seconds and memory of each
party. Both trainings are on the same made-up plays, and take as many steps, which is checked.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.recall.federated.protocol import Message, MessageKind, encode, pack

ROLES = ("music", "partner")
ROUNDS = 300  # messages that the wire alone is timed by
AUDIOREC = [sys.executable, "-m", "audiorec_cli.main"]
SETTINGS = """[federated]
role = "{role}"
keys = "{role}-keys"
peer = "{other}-keys/certificate.pem"
address = "127.0.0.1:{port}"
model = "two-tower"
alignment = "{role}.parquet"
out = "{role}-model"
{holds}
recipe = {{ dimension = {dimension}, width = {dimension}, hidden = [128], negatives = 1024, \
batch_size = {batch}, passes = 2, max_epochs = {epochs}, patience = {epochs} }}
defence = {{ rounding = "{dtype}" }}
"""
HOLDS = {"music": 'interactions = "plays.csv"', "partner": 'profiles = "profiles.csv"'}


def main() -> None:
    """Make a world, train it twice, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (
        ("users", 5000),
        ("songs", 5000),
        ("dimension", 64),
        ("batch", 256),
        ("epochs", 2),
    ):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--float16", action="store_true")
    args = parser.parse_args()
    dtype = "float16" if args.float16 else "float32"
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, args, dtype)
        for role in ROLES:
            _run(folder, "federated", "keys", "--out", f"{role}-keys", "--json")
        _both(folder, "align", "--yes")
        split = _both(folder, "train", "--json")
        central = {**_central(folder), **_wire(args.batch, args.dimension, folder)}
    steps = central.pop("steps")
    assert split["music"]["steps"] == split["partner"]["steps"] == central.pop("last_steps")
    sizes = _step_bytes(args.batch, args.dimension, dtype)
    report: dict[str, Any] = {"bench": "federated", **vars(args), **sizes}
    report["steps"] = steps
    report["steps_s"] = round(steps / split["music"]["train_s"], 1)
    report |= central
    for role in ROLES:
        report[f"{role}_cpu_s"] = split[role]["cpu_s"]
        report[f"{role}_peak_mb"] = split[role]["peak_mb"]
    report |= {"load_before": round(load, 2), "cores": os.cpu_count()}
    report["machine"] = f"{platform.machine()} {platform.system()}"
    print(json.dumps(report))


def _write(folder: Path, args: argparse.Namespace, dtype: str) -> None:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    for role, other in zip(ROLES, reversed(ROLES), strict=True):
        about = {"role": role, "other": other, "port": port, "dtype": dtype, "holds": HOLDS[role]}
        text = SETTINGS.format(
            **about, dimension=args.dimension, batch=args.batch, epochs=args.epochs
        )
        (folder / f"{role}.toml").write_text(text)
    rng = np.random.default_rng(0)
    taste = rng.integers(0, 20, args.users)
    lines = ["user_id,song_id,event,timestamp"]
    for user in range(args.users):
        songs = (rng.zipf(1.3, 20) * 20 + taste[user]) % args.songs
        lines += [f"u{user},s{song},finish,2026-01-01T00:00:00Z" for song in songs.tolist()]
    (folder / "plays.csv").write_text("\n".join(lines) + "\n")
    rows = [f"u{user},taste {taste[user]},{20 + user % 60}" for user in range(args.users)]
    (folder / "profiles.csv").write_text("\n".join(["user_id,taste,age", *rows]) + "\n")


def _run(folder: Path, *words: str) -> None:
    subprocess.run([*AUDIOREC, *words], cwd=folder, check=True, capture_output=True)


def _both(folder: Path, *words: str) -> dict[str, Any]:
    """Run a command on both sides; return what each printed, its CPU seconds and its memory."""
    started = {
        role: subprocess.Popen(
            [*AUDIOREC, "federated", words[0], "--config", f"{role}.toml", *words[1:]],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for role in ROLES
    }
    found: dict[str, Any] = {}
    began = 0.0
    music = started["music"]
    assert music.stderr is not None
    for line in music.stderr:
        if line.startswith("training starts"):
            began = time.perf_counter()
    train_s = time.perf_counter() - began
    for role, process in started.items():
        assert process.stdout is not None
        text = process.stdout.read()
        said = "" if process.stderr is None or role == "music" else process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, said
        found[role] = json.loads(text) if text.startswith("{") else {}
        found[role] |= {
            "cpu_s": round(used.ru_utime + used.ru_stime, 2),
            "peak_mb": round(used.ru_maxrss / 1024),
            "train_s": train_s,
        }
    return found


def _central(folder: Path) -> dict[str, Any]:
    """Train the same model in this process."""
    from audiorec.listening.profiles import read_profiles
    from audiorec.recall.federated.alignment import read_alignment
    from audiorec.recall.federated.halves import ItemSide, UserSide
    from audiorec.recall.federated.plan import PartyPlan, music_data
    from audiorec.recall.federated.split import train_here

    music, partner = (PartyPlan.read(folder / f"{role}.toml") for role in ROLES)
    aligned = read_alignment(music.alignment).user_ids
    recipe = music.settings()
    items = ItemSide.of(music_data(music), aligned)
    users = UserSide.of(read_profiles(partner.needs("profiles")), aligned, recipe)
    started, cpu = time.perf_counter(), time.process_time()
    done = train_here(users, items, recipe)
    seconds, used = time.perf_counter() - started, time.process_time() - cpu
    assert done.refit is not None
    steps = done.chosen.steps + done.refit.steps
    return {
        "central_steps_s": round(steps / seconds, 1),
        "central_cpu_ms_a_step": round(1e3 * used / steps, 2),
        "last_steps": done.refit.steps,
        "steps": steps,
    }


def _wire(batch: int, dimension: int, folder: Path) -> dict[str, float]:
    """Time messages of a step over TLS on the loopback, both ends in this process."""
    import threading

    from audiorec.errors import LostPeerError
    from audiorec.recall.federated.keys import read_keys
    from audiorec.recall.federated.link import Caller, FlightDesk, FlightTransport, PartyRun

    music, partner = (read_keys(folder / f"{role}-keys") for role in ROLES)
    at = {"epoch": 1, "step": 1}
    shape, payload = pack(np.zeros((batch, dimension), np.float32))

    class Answering:
        is_done = False

        def greet(self, hello: Message, nonces: tuple[str, str]) -> None:
            pass

        def answer(self, message: Message) -> Any:
            message.array()
            return MessageKind.GRADIENTS, {**at, **shape}, payload

    def serve() -> None:
        with suppress(LostPeerError):
            server.desk.serve(Answering(), PartyRun(wait_s=5))

    with FlightDesk("127.0.0.1:0", music, partner.certificate) as server:
        threading.Thread(target=serve, daemon=True).start()
        caller = Caller(FlightTransport(f"127.0.0.1:{server.port}", partner, music.certificate))
        caller.hello("train")
        fields = {**at, **shape, "dtype": "float32"}
        wall, cpu = [], time.process_time()
        for _ in range(ROUNDS):
            started = time.perf_counter()
            caller.ask(MessageKind.VECTORS, fields, payload, expect=MessageKind.GRADIENTS).array()
            wall.append(time.perf_counter() - started)
        used = time.process_time() - cpu
    return {
        "wire_ms_a_step": round(1e3 * float(np.median(wall)), 2),
        "wire_cpu_ms_a_step": round(1e3 * used / ROUNDS, 2),
    }


def _step_bytes(batch: int, dimension: int, dtype: str) -> dict[str, int]:
    """Return the bytes of the two messages of a step."""
    at = {"epoch": 10, "step": 1000}
    values = np.zeros((batch, dimension), np.float32)
    shape, payload = pack(values, dtype)
    session = {"session": "0" * 32, "number": 10_000}
    there = {**at, **shape, "dtype": dtype}
    vectors = Message(kind=MessageKind.VECTORS, **session, fields=there, payload=payload)
    shape, payload = pack(values)
    back = Message(kind=MessageKind.GRADIENTS, **session, fields={**at, **shape}, payload=payload)
    return {"bytes_there": len(encode(vectors)), "bytes_back": len(encode(back))}


if __name__ == "__main__":
    main()
