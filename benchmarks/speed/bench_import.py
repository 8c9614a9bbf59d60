"""Time and memory of `audiorec listening import` on a history that is larger than memory should be.

    python -m benchmarks bench_import [--rows 1200000] [--kind spotify|listenbrainz]

Writes a history of that many rows over 50,000 songs, then
imports it without a store in a process of its own. Prints one JSON line: bytes, rows, CPU seconds,
and the largest resident size at a tenth of the rows and at all of them.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

SONGS = 50_000
START = 1_500_000_000  # seconds since 1970

SCRIPT = """
import json, resource, sys
from pathlib import Path
from audiorec.listening.imports.job import import_history
kind, source, out = sys.argv[1:]
found = import_history(kind, [Path(source)], Path(out))
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"rows": found.rows, "plays": found.plays,
                  "cpu_s": round(used.ru_utime + used.ru_stime, 1),
                  "peak_mb": round(used.ru_maxrss / 1024)}))
"""


def main() -> None:
    """Write, import, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_200_000)
    parser.add_argument("--kind", choices=("spotify", "listenbrainz"), default="spotify")
    args = parser.parse_args()
    report = {"bench": "listening import", "kind": args.kind}
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in (("a tenth", args.rows // 10), ("all", args.rows)):
            source = Path(folder) / ("endsong_0.json" if args.kind == "spotify" else "1.jsonl")
            write(source, args.kind, rows)
            found = measured(args.kind, source, Path(folder) / "plays.parquet")
            assert found["rows"] == found["plays"] == rows
            report[name] = {"bytes": source.stat().st_size, **found}
    report["machine"] = f"{platform.machine()} {platform.system()}"
    report["own_peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(report))


def measured(kind: str, source: Path, out: Path) -> dict[str, float]:
    """Import in a process of its own; return what it says."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, kind, source, out],
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def write(path: Path, kind: str, rows: int) -> None:
    """Write a history, row by row."""
    with path.open("w") as file:
        file.write("[" if kind == "spotify" else "")
        for n in range(rows):
            row = spotify(n) if kind == "spotify" else listen(n)
            file.write(("," if n and kind == "spotify" else "") + json.dumps(row) + "\n")
        file.write("]" if kind == "spotify" else "")


def spotify(n: int) -> dict[str, object]:
    """Return a stream with the fields that Spotify writes, which take most of the file."""
    song = n * 7919 % SONGS
    return {
        "ts": f"20{10 + n % 14}-{1 + n % 12:02}-{1 + n % 28:02}T{n % 24:02}:{n % 60:02}:00Z",
        "platform": "Android OS 13 API 33 (Fairphone, FP4)",
        "ms_played": 180_000 + n % 60_000,
        "conn_country": "DE",
        "ip_addr": "203.0.113.7",
        "master_metadata_track_name": f"Song number {song}",
        "master_metadata_album_artist_name": f"Artist number {song % 5000}",
        "master_metadata_album_album_name": f"Album number {song % 10_000}",
        "spotify_track_uri": f"spotify:track:{song:022}",
        "episode_name": None,
        "episode_show_name": None,
        "spotify_episode_uri": None,
        "audiobook_title": None,
        "audiobook_uri": None,
        "audiobook_chapter_uri": None,
        "audiobook_chapter_title": None,
        "reason_start": "trackdone",
        "reason_end": "trackdone" if n % 3 else "fwdbtn",
        "shuffle": False,
        "skipped": n % 3 == 0,
        "offline": False,
        "offline_timestamp": 1_600_000_000 + n,
        "incognito_mode": False,
    }


def listen(n: int) -> dict[str, object]:
    """Return a listen with the fields that ListenBrainz writes."""
    song = n * 7919 % SONGS
    artist = f"Artist number {song % 5000}"
    about = {"recording_mbid": f"{song:032x}", "artists": [{"artist_credit_name": artist}]}
    return {
        "listened_at": START + 60 * n,
        "inserted_at": START + 60 * n + 1.5,
        "track_metadata": {
            "artist_name": artist,
            "track_name": f"Song number {song}",
            "release_name": f"Album number {song % 10_000}",
            "recording_msid": f"{song:036x}",
            "additional_info": {"submission_client": "mpdscribble", "duration_ms": 200_000},
            "mbid_mapping": about,
        },
    }


if __name__ == "__main__":
    main()
