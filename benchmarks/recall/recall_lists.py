"""Whole playlists, recommended to whoever made half of one: on the lists of a real curator.

    python -m benchmarks recall_lists DATA LOG [--least 20] [--most 500]
    audiorec recall evaluate als item-knn vs-knn rules popular -i LOG --split whole-lists

Writes the playlists of so many different songs as a log, which the second command judges: a few
lists of thousands hold most others, so they are left out. DATA holds ``hari_playlists/``.
"""

import argparse
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def main() -> None:
    """Read the arguments and write the log."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("log", type=Path)
    parser.add_argument("--least", type=int, default=20)
    parser.add_argument("--most", type=int, default=500)
    of = parser.parse_args()
    lines = (of.data / "hari_playlists" / "playlists.tsv").read_text().splitlines()
    rows = []
    for line in lines:
        name, songs = line.split("\t")
        different = list(dict.fromkeys(songs.split()))
        if of.least <= len(different) <= of.most:
            rows += [("curator", song, "playlist", name) for song in different]
    columns = zip(("user_id", "song_id", "event", "list_id"), zip(*rows, strict=True), strict=True)
    pq.write_table(pa.table({name: list(values) for name, values in columns}), of.log)


if __name__ == "__main__":
    main()
