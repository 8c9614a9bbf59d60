"""A small world with all that an export reads: odd ids, a store, side information, nights."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from made_candidates import table_of
from made_library import series, song, write_library

from audiorec.recall.serving.export.exporting import ExportRecipe, export_recall
from audiorec.recall.serving.export.sources import ExportSources

DAY = 86_400
START = 1_700_000_000
# What breaks statements, CSV and lists that are not quoted well.
ODD = (
    "it's; DROP TABLE songs; --",
    'double "quotes"',
    "new\nline\tand tab",
    "back\\slash \\N {a,b} [1]",
    "",
    "été 日本 🎵",
    "${env:HOME}",
    "NULL",
)
SONGS = tuple(f"{text}/{number:02}" for number, text in enumerate((*ODD, *["plain"] * 12)))
USERS = ("ana", "ben \"the 'ear'\"", "eva\n2", "無名", "zoe")
SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        ("song_id", pa.string()),
        ("timestamp", pa.timestamp("us", tz="UTC")),
        ("event", pa.string()),
        ("played_ratio", pa.float32()),
        ("entry", pa.string()),
    ]
)


def events(days=10, users=USERS, songs=SONGS):
    """Rows of a log: each user plays four songs a day, skips one, and likes one now and then."""
    rows = []
    for day in range(days):
        for at, user in enumerate(users):
            for turn in range(4):
                song_id = songs[(at * 5 + day * (1 + at % 3) + turn * turn) % (len(songs) - 2)]
                event = ("finish", "play", "skip", "finish")[turn]
                ratio = {"play": 0.9, "skip": 0.1}.get(event)
                moment = START + day * DAY + 3_600 * (8 + turn) + 60 * at
                rows.append((user, song_id, moment, event, ratio, ("daily", "radio")[turn % 2]))
            if day % 3 == at % 3:
                rows.append((user, songs[at], START + day * DAY + 80_000 + at, "like", None, None))
    return rows


def write_log(path, rows):
    """Write rows of `events` as Parquet."""
    users, songs, moments, kinds, ratios, entries = zip(*rows, strict=True)
    micro = pa.array([int(m * 1e6) if m is not None else None for m in moments])
    columns = [users, songs, micro.cast(pa.timestamp("us", tz="UTC")), kinds, ratios, entries]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA), path)
    return path


def write_world(folder, *, days=10):
    """Write a log, a store, side information, candidates of two channels, and exposures."""
    folder.mkdir(parents=True, exist_ok=True)
    write_log(folder / "plays.parquet", events(days))
    rows = [
        song(name, series(n, genre=(n % 3, n % 4, 0)), artist=f"Artist {n % 4}", title=f"T {n}")
        for n, name in enumerate(SONGS[:-1])
    ]
    write_library(folder, sorted(rows, key=lambda row: row[0]["song_id"]))
    side = {
        "song_id": list(SONGS[:6]),
        "genre": ["jazz", 'ro"ck', "jazz", "it's", "pop\\", "pop"],
        "released": ["2001", "2019-05-04", "2023-11-20", None, "1999-01", "2060"],
    }
    pq.write_table(pa.table(side), folder / "side.parquet")
    rng = np.random.default_rng(0)
    lists = {
        name: {u: [SONGS[s] for s in rng.permutation(len(SONGS))[:n]] for u in (*USERS[:4], "new")}
        for name, n in (("rules", 6), ("vs-knn", 5), ("fused", 4))
    }
    for name, of in lists.items():
        cold = (SONGS[-1], SONGS[-2])
        pq.write_table(
            table_of(name, dict(sorted(of.items())), cold=cold), folder / f"{name}.parquet"
        )
    write_exposures(folder / "exposures.parquet", days)
    return folder


def write_exposures(path, days, *, entry="daily", run="night"):
    """Three songs to each user every second night, at the end of the day, plus one of radio."""
    rows = [
        (user, SONGS[(at * 5 + day + n * 3) % len(SONGS)], START + day * DAY + 86_000, entry)
        for day in range(0, days, 2)
        for at, user in enumerate(sorted(USERS))
        for n in range(3)
    ]
    rows.append((USERS[0], SONGS[1], START + DAY, "radio"))
    users, songs, moments, entries = zip(*rows, strict=True)
    at = pa.array([m * 1_000_000 for m in moments]).cast(pa.timestamp("us", tz="UTC"))
    runs = [f"{run}-{(m - START) // DAY}" for m in moments]
    names = ("user_id", "song_id", "entry", "shown_at", "run_id")
    columns = (pa.array(users), pa.array(songs), pa.array(entries), at, pa.array(runs))
    pq.write_table(pa.table(dict(zip(names, columns, strict=True))), path)


def sources_of(folder, **changes):
    """Return the files of a world."""
    given = {
        "interactions": folder / "plays.parquet",
        "candidates": (folder / "rules.parquet", folder / "vs-knn.parquet"),
        "fused": folder / "fused.parquet",
        "exposures": folder / "exposures.parquet",
        "vectors": folder / "vecs.parquet",
        "side": folder / "side.parquet",
    }
    return ExportSources(**(given | changes))


def export_world(folder, out, *, days=3.0, units=True, entry="daily", **changes):
    """Export a world; return the report."""
    recipe = ExportRecipe(units=units, entry=entry, days=days)
    return export_recall(sources_of(folder, **changes), out, recipe)


def read(out, table):
    """Return all rows of a table."""
    return pq.ParquetDataset(out / table).read()


def by_key(table, *keys):
    """Return rows as dicts by the values of some columns."""
    return {tuple(row[k] for k in keys): row for row in table.to_pylist()}


def manifest(out):
    return json.loads((out / "manifest.json").read_text())
