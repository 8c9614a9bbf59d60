"""Read a store with other tools: it is plain Parquet, and opens in all of them as it is.

    python examples/read_a_store.py

pyarrow comes with audiorec; pandas, DuckDB and polars are used where they are installed.
"""

from importlib.util import find_spec

import numpy as np
import pyarrow.parquet as pq

STORE = "fixtures/formats/vecs-v1.parquet"

table = pq.read_table(STORE, columns=["song_id", "vector", "duration_s"])
vectors = np.stack(table.column("vector").to_numpy())
print(f"pyarrow: {table.num_rows} songs, vectors {vectors.shape} {vectors.dtype}")

# 14 classes x 6 statistics; column 2 is the mean.
print("highest mean score of each song:", vectors.reshape(-1, 14, 6)[:, :, 2].max(axis=1).round(2))

if find_spec("pandas"):
    import pandas as pd

    frame = pd.read_parquet(STORE, columns=["song_id", "status", "duration_s"])
    print("pandas:", frame.groupby("status")["duration_s"].sum().to_dict())

if find_spec("duckdb"):
    import duckdb

    query = f"SELECT song_id FROM '{STORE}' WHERE duration_s > 60 ORDER BY duration_s DESC"  # noqa: S608
    print("duckdb:", [row[0] for row in duckdb.sql(query).fetchall()])

if find_spec("polars"):
    import polars as pl

    longest = pl.scan_parquet(STORE).select(pl.col("duration_s").max()).collect()
    print("polars: the longest song takes", longest.item(), "seconds")
