"""Listening in folders of days, made by hand in the tests."""

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq

ORDINARY = pa.schema(
    [
        ("user_id", pa.string()),
        ("song_id", pa.string()),
        ("timestamp", pa.timestamp("ms", tz="UTC")),
        ("event", pa.string()),
        ("played_ratio", pa.float32()),
    ]
)


def moment(text):
    """Return milliseconds since 1970 of ``2026-11-25 13:00``, in UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def write_part(folder, name, rows, schema=ORDINARY):
    """Write rows of (user, song, ``2026-11-25 13:00``[, event[, ratio]]) as one Parquet file."""
    full = [(*row, *("finish", 1.0)[len(row) - 3 :]) for row in rows]
    times = pa.array([moment(row[2]) for row in full], pa.int64()).cast(
        pa.timestamp("ms", tz="UTC")
    )
    table = pa.table(
        {
            "user_id": [row[0] for row in full],
            "song_id": [row[1] for row in full],
            "timestamp": times,
            "event": [row[3] for row in full],
            "played_ratio": pa.array([row[4] for row in full], pa.float32()),
        }
    )
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.select(schema.names).cast(schema), path)
    return path


def write_days(folder, days, key="dt"):
    """Write a folder with one file a day, of a mapping of days to rows."""
    for day, rows in days.items():
        write_part(folder, f"{key}={day}/part-00000.parquet", rows)
    return folder
