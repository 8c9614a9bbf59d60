"""Find re-encodings among parts of songs that all have one length.

    python benchmarks/eval_same_song.py MUSIC --work WORK     makes the audio and the stores
    python benchmarks/eval_duplicates.py WORK

WORK holds the same 30-second parts as FLAC, MP3 (128 kbit/s) and Ogg Vorbis, up to eight of one
song; the 10 dB quieter ones are left out, since they are other audio. All are put into one store.
Lengths tell nothing here, and parts of one song are the nearest misses that there are.

One JSON line a check (vectors alone; the store alone, with its embeddings; and, if WORK has them,
score series, features, both): pairs of encodings of one part
that are found; pairs that are found and are other parts of one song, which loops make alike; songs
of which parts are found together, by name, to be listened to; and, over the pairs that are
compared, the mismatches of true pairs and of others.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audiorec.library.library import Library
from audiorec.search import duplicates
from audiorec.search.duplicates import find_duplicates
from audiorec.store.features import SeriesFile, open_series
from audiorec.store.parquet import write_table
from audiorec.store.schema import METADATA_KEY, Kind, StoreMetadata

ENCODINGS = ("flac", "mp3", "vorbis")


def joined(work: Path, name: str, folder: Path) -> Path:
    """Write the rows of all encodings to one file; ids are ``<encoding>/<part>``."""
    tables = []
    for encoding in ENCODINGS:
        table = pq.read_table(work / encoding / name)
        ids = [f"{encoding}/{Path(i).with_suffix('')}" for i in table["song_id"].to_pylist()]
        at = table.schema.get_field_index("song_id")
        field = table.schema.field(at)
        tables.append(table.set_column(at, field, pa.array(ids)))
    whole = pa.concat_tables(tables)
    metadata = StoreMetadata.from_json(whole.schema.metadata[METADATA_KEY])
    write_table(folder / name, whole, metadata)
    return folder / name


def vectors_alone(path: Path, out: Path) -> Library:
    """Return a copy of a store without what stands beside its vectors."""
    store = Library.open(path)
    table = store.table().drop_columns(list(store.metadata.lists))
    write_table(out, table, replace(store.metadata, lists={}, sound_id=""))
    return Library.open(out)


def judge(store: Library, series: Sequence[SeriesFile]) -> dict[str, object]:
    """Count true and false pairs, over all pairs within a group that was found."""
    parts = [song_id.partition("/")[2] for song_id in store.ids]
    songs = [part.rpartition("/")[0] for part in parts]
    true = sum(n * (n - 1) // 2 for n in np.unique(parts, return_counts=True)[1])
    good = of_one_song = 0
    others: set[tuple[str, str]] = set()
    for group in find_duplicates(store, series):
        for i, a in enumerate(group.rows):
            for b in group.rows[:i]:
                good += parts[a] == parts[b]
                of_one_song += parts[a] != parts[b] and songs[a] == songs[b]
                if songs[a] != songs[b]:
                    others.add((min(songs[a], songs[b]), max(songs[a], songs[b])))
    return {
        "songs": len(store),
        "true_pairs": int(true),
        "found": int(good),
        "other_parts_of_one_song": int(of_one_song),
        "two_songs": sorted(others),
    }


def margins(store: Library, file: SeriesFile) -> dict[str, float]:
    """Return the mismatches of true pairs and of the other candidates that lie nearest."""
    songs = duplicates._Audio(store)
    candidates = duplicates._candidates(songs)
    parts = [song_id.partition("/")[2] for song_id in store.ids]
    true, other = [], []
    for (a, b), value in duplicates._mismatches(store, candidates, file):
        (true if parts[a] == parts[b] else other).append(value)
    return {
        "candidates": len(candidates),
        "true_p99": round(float(np.quantile(true, 0.99)), 3),
        "true_largest": round(max(true), 3),
        "other_smallest": round(min(other), 3),
        "others_under_0.5": int(np.sum(np.asarray(other) < 0.5)),
    }


def main() -> None:
    """Join the stores, judge each check, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        store = Library.open(joined(args.work, "vecs.parquet", folder))
        plain = vectors_alone(store.path, folder / "plain.parquet")
        checks: dict[str, list[SeriesFile]] = {"vectors alone": [], "the store alone": []}
        for kind in (Kind.SCORES, Kind.FEATURES):
            if all((args.work / e / f"{kind}.parquet").exists() for e in ENCODINGS):
                file = joined(args.work, f"{kind}.parquet", folder)
                checks[kind] = [open_series(store, file, kind)]
        if len(checks) == 4:
            checks["both"] = [*checks[Kind.SCORES], *checks[Kind.FEATURES]]
        for check, series in checks.items():
            report = judge(plain if check == "vectors alone" else store, series)
            if len(series) == 1:
                report |= margins(store, series[0])
            print(json.dumps({"bench": "duplicates", "check": check, **report}), flush=True)


if __name__ == "__main__":
    main()
