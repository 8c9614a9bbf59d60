"""Time an alignment: two parties as two processes on this machine, over TLS on the loopback.

    python -m benchmarks bench_psi [--ids 100000] [--common 50000] [--jobs 1] [--single]

Each party computes in `--jobs` processes of its own, so one job each is two processes that work at
the same time. `--single` times the library alone instead, both parties in this one thread. Prints
one JSON line; the answer is compared with a plain intersection before anything is reported.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROLES = ("music", "partner")
ADDRESS = "127.0.0.1:{port}"


def main() -> None:
    """Make ids, align, check, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ids", type=int, default=100_000)
    parser.add_argument("--common", type=int, default=50_000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--single", action="store_true")
    args = parser.parse_args()
    shift = args.ids - args.common
    music = [f"user-{n}@example.org" for n in range(args.ids)]
    partner = [f"user-{n}@example.org" for n in range(shift, shift + args.ids)]
    found = _single(music, partner) if args.single else _aligned(music, partner, args.jobs)
    assert found.pop("common") == sorted(set(music) & set(partner)), "another intersection"
    report = {
        "bench": "psi",
        "ids": args.ids,
        "common": args.common,
        "jobs_a_party": 0 if args.single else args.jobs,
        **found,
        "load_before": round(LOAD, 2),
        "cores": os.cpu_count(),
        "machine": f"{platform.machine()} {platform.system()}",
    }
    print(json.dumps(report))


LOAD = os.getloadavg()[0]


def _single(music: list[str], partner: list[str]) -> dict[str, object]:
    """Intersect with the library alone, one process and one thread for both parties."""
    import private_set_intersection.python as psi

    started, cpu = time.perf_counter(), time.process_time()
    server, client = psi.server.CreateWithNewKey(True), psi.client.CreateWithNewKey(True)
    setup = server.CreateSetupMessage(1e-9, len(partner), music, psi.DataStructure.RAW)
    request = client.CreateRequest(partner)
    places = client.GetIntersection(setup, server.ProcessRequest(request))
    seconds = {
        "wall_s": round(time.perf_counter() - started, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
    }
    return {**seconds, "common": sorted(partner[place] for place in places)}


def _aligned(music: list[str], partner: list[str], jobs: int) -> dict[str, object]:
    """Align by the commands of both parties."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, {"music": music, "partner": partner}, jobs)
        started = time.perf_counter()
        processes = [
            subprocess.Popen(
                [*AUDIOREC, "align", "--config", f"{role}.toml", "--yes", "-q"], cwd=folder
            )
            for role in ROLES
        ]
        assert [process.wait() for process in processes] == [0, 0]
        wall = time.perf_counter() - started
        import pyarrow.parquet as pq

        tables = [
            pq.read_table(folder / f"{role}.parquet")["user_id"].to_pylist() for role in ROLES
        ]
        assert tables[0] == tables[1], "two orders"
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "wall_s": round(wall, 2),
            "cpu_s": round(used.ru_utime + used.ru_stime, 2),
            "largest_process_mb": round(used.ru_maxrss / 1024),
            "common": sorted(tables[0]),
        }


AUDIOREC = [sys.executable, "-m", "audiorec_cli.main", "federated"]
SETTINGS = """[federated]
role = "{role}"
keys = "{role}-keys"
peer = "{other}-keys/certificate.pem"
address = "{address}"
alignment = "{role}.parquet"
ids = "{role}.txt"
jobs = {jobs}
"""


def _write(folder: Path, ids: dict[str, list[str]], jobs: int) -> None:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        address = ADDRESS.format(port=one.getsockname()[1])
    for role, other in zip(ROLES, reversed(ROLES), strict=True):
        (folder / f"{role}.txt").write_text("\n".join(ids[role]) + "\n")
        text = SETTINGS.format(role=role, other=other, address=address, jobs=jobs)
        (folder / f"{role}.toml").write_text(text)
        made = [*AUDIOREC, "align", "--config", f"{role}.toml", "--json"]
        subprocess.run(made, cwd=folder, check=True, capture_output=True)


if __name__ == "__main__":
    main()
