"""#nowplaying as files for ``audiorec recall``: the log to learn from, histories and targets.

    python benchmarks/recall_sets.py DATA OUT

DATA holds ``nowplaying_gcegnn/`` as its repository has it. Tables of all channels on this set and
others: ``benchmarks/recall_tables.py``.
"""

import argparse
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def nowplaying(data: Path, out: Path) -> None:
    """Write sessions as a log; the prefixes of one test session are one group."""
    folder = data / "nowplaying_gcegnn"
    sessions = [line.split() for line in (folder / "train_sessions.txt").open()]
    prefixes, wanted, group = [], [], []
    for line in (folder / "test_prefix_label.txt").open():
        prefix, _, label = line.rstrip("\n").partition("\t")
        songs = prefix.split()
        # Prefixes of a session follow each other, each one song shorter than the one before.
        goes_on = bool(prefixes) and prefixes[-1][:-1] == songs
        group.append((group[-1] if group else -1) + (not goes_on))
        prefixes.append(songs)
        wanted.append(label)
    out.mkdir(parents=True, exist_ok=True)
    write_log(out / "train.parquet", sessions, "s")
    write_log(out / "histories.parquet", prefixes, "p")
    users = [f"p{row:06}" for row in range(len(wanted))]
    groups = [f"g{number}" for number in group]
    table = pa.table({"user_id": users, "song_id": wanted, "group_id": groups})
    pq.write_table(table, out / "targets.parquet")
    print(f"{len(sessions)} sessions, {len(wanted)} prefixes of {group[-1] + 1} sessions: {out}")


def write_log(path: Path, lists: list[list[str]], prefix: str) -> None:
    """Write lists as sessions that are their own users, in order and without times."""
    owner = [f"{prefix}{row:06}" for row, songs in enumerate(lists) for _ in songs]
    songs = [song for songs in lists for song in songs]
    columns = {"user_id": owner, "session_id": owner, "song_id": songs}
    pq.write_table(pa.table({**columns, "event": ["finish"] * len(songs)}), path)


def main() -> None:
    """Read the arguments and write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    nowplaying(arguments.data, arguments.out)


if __name__ == "__main__":
    main()
