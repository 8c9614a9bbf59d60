"""Public sets as files for ``audiorec recall``.

    python -m benchmarks recall_sets DATA OUT [nowplaying|beauty]

==========  ===============================================================================
nowplaying  ``train.parquet``, its last 20,000 sessions as ``newest.parquet``, and of the test set
            ``histories.parquet``, ``targets.parquet``
beauty      ``beauty.parquet``, all of it in order, and ``kinds.csv``: an attribute a product
==========  ===============================================================================

DATA holds ``nowplaying_gcegnn/`` and ``beauty_s3/`` as their repositories have them. Tables of all
channels on these sets and others: ``benchmarks/recall/recall_tables.py``.
"""

import argparse
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv
from recall_tables import s3_kinds, s3_lists

NEWEST = 20_000  # sessions of the log that README judges models on


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
    write_log(out / "newest.parquet", sessions[-NEWEST:], "s")
    write_log(out / "histories.parquet", prefixes, "p")
    users = [f"p{row:06}" for row in range(len(wanted))]
    groups = [f"g{number}" for number in group]
    table = pa.table({"user_id": users, "song_id": wanted, "group_id": groups})
    pq.write_table(table, out / "targets.parquet")
    print(f"{len(sessions)} sessions, {len(wanted)} prefixes of {group[-1] + 1} sessions: {out}")


def beauty(data: Path, out: Path) -> None:
    """Write baskets of products as a log, and the attribute that each product has most often."""
    folder = data / "beauty_s3"
    lists, kinds = s3_lists(folder), s3_kinds(folder)["kind"]
    out.mkdir(parents=True, exist_ok=True)
    write_log(out / "beauty.parquet", lists, "u")
    table = pa.table({"song_id": list(kinds), "kind": list(kinds.values())})
    csv.write_csv(table, out / "kinds.csv")
    print(f"{len(lists)} users, {len(kinds)} products: {out}")


SETS = {"nowplaying": nowplaying, "beauty": beauty}


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
    parser.add_argument("name", choices=SETS, nargs="?", default="nowplaying")
    arguments = parser.parse_args()
    SETS[arguments.name](arguments.data, arguments.out)


if __name__ == "__main__":
    main()
