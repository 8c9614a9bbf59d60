"""`recall.serving.tables.UserRows`: what requests read of a night, from several threads."""

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from audiorec.errors import StoreError
from audiorec.files.tables import write_plain
from audiorec.recall.contract.candidates import SCHEMA
from audiorec.recall.serving.tables import UserRows

USERS, SONGS = 500, 40


def rows_of(users):
    """Return a table of candidates: of each user 40 songs, named after it."""
    names = [name for name in users for _ in range(SONGS)]
    numbers = [*range(SONGS)] * len(users)
    texts = {name: [name] * len(names) for name in ("channel", "reason", "model_id")}
    columns = {
        **texts,
        "user_id": names,
        "song_id": [f"{name}/{number}" for name, number in zip(names, numbers, strict=True)],
        "rank": [number + 1 for number in numbers],
        "similarity": [0.5] * len(names),
        "evidence": [None if number % 2 else f"e{number}" for number in numbers],
        "interest": [None] * len(names),
        "cold": [False] * len(names),
    }
    return pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)


def test_eight_threads_get_the_rows_of_every_user(tmp_path):
    users = [f"u{number:03}" for number in range(USERS)]
    table = rows_of(users)
    write_plain(tmp_path / "fused.parquet", table)  # of two row groups
    rows = UserRows(tmp_path / "fused.parquet", SCHEMA)
    with ThreadPoolExecutor(8) as pool:
        found = [*pool.map(rows.of, users * 4)]
    for number, own in enumerate(found):
        assert own.equals(table.slice(number % USERS * SONGS, SONGS)), number
    assert list(rows.users) == users
    assert rows.of("u007", 3).column("rank").to_pylist() == [1, 2, 3]
    assert rows.of("nobody").equals(SCHEMA.empty_table())


def test_a_list_without_rows_and_one_whose_users_lie_apart(tmp_path):
    write_plain(tmp_path / "empty.parquet", SCHEMA.empty_table())
    assert not UserRows(tmp_path / "empty.parquet", SCHEMA).users
    write_plain(tmp_path / "apart.parquet", rows_of(["u1", "u2", "u1"]))
    with pytest.raises(StoreError, match="not grouped by user"):
        UserRows(tmp_path / "apart.parquet", SCHEMA).of("u1")
