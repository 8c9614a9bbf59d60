"""`audiorec.store.compact`: one row an id, and which."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from audiorec.errors import InputError
from audiorec.store.compact import PART, with_part, without_duplicates

NAMES = ["one.parquet", "two.parquet", "three.parquet"]
OLD, NEW = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


def table(*rows):
    """Rows of (id, hash, part, time, title)."""
    names = ["song_id", "content_hash", PART, "extracted_at", "title"]
    columns = [pa.array(column) for column in zip(*rows, strict=True)]
    return pa.table(columns, names=names)


def titles(found):
    return found.column("title").to_pylist()


def test_nothing_twice_is_the_table_itself():
    rows = table(("a", "x", 0, OLD, "1"), ("b", "x", 0, OLD, "2"))
    assert without_duplicates(rows, NAMES, "error") is rows
    assert without_duplicates(rows.slice(0, 0), NAMES, "error").num_rows == 0


def test_equal_rows_are_one_row_under_every_policy():
    rows = table(
        ("a", "x", 0, OLD, "1"),
        ("b", "x", 0, OLD, "2"),
        ("b", "x", 1, OLD, "2"),
        ("b", "x", 2, OLD, "2"),
        ("c", "x", 1, OLD, "3"),
        ("d", "x", 1, OLD, "4"),
        ("d", "x", 2, OLD, "4"),
    )
    for policy in ("error", "same", "newest", "first"):
        found = without_duplicates(rows, NAMES, policy)
        assert found.column("song_id").to_pylist() == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("policy", "title"), [("same", "newer"), ("newest", "newer"), ("first", "older")]
)
def test_one_sound_twice(policy, title):
    rows = table(("b", "x", 0, OLD, "older"), ("b", "x", 2, NEW, "newer"))
    assert titles(without_duplicates(rows, NAMES, policy)) == [title]


@pytest.mark.parametrize(("policy", "title"), [("newest", "newer"), ("first", "older")])
def test_two_sounds_of_one_id(policy, title):
    rows = table(("b", "x", 1, OLD, "older"), ("b", "y", 2, NEW, "newer"))
    assert titles(without_duplicates(rows, NAMES, policy)) == [title]
    with pytest.raises(
        InputError, match=r"different songs have the id 'b': one in two\.parquet, on"
    ):
        without_duplicates(rows, NAMES, "same")


def test_error_names_both_parts():
    rows = table(("a", "x", 0, OLD, ""), ("b", "x", 1, OLD, "1"), ("b", "x", 2, OLD, "2"))
    match = r"different rows have the id 'b': one in two\.parquet, one in three\.parquet"
    with pytest.raises(InputError, match=match):
        without_duplicates(rows, NAMES, "error")


def test_first_is_the_first_part_wherever_its_row_stands():
    rows = table(("b", "y", 2, NEW, "2"), ("b", "x", 0, OLD, "0"), ("b", "z", 1, NEW, "1"))
    assert titles(without_duplicates(rows, NAMES, "first")) == ["0"]


def test_which_row_is_the_newest_does_not_depend_on_the_parts():
    rows = [("b", "x", 0, NEW, "p"), ("b", "x", 1, NEW, "q"), ("b", "x", 2, OLD, "z")]
    swapped = [(i, h, 2 - part, at, title) for i, h, part, at, title in rows][::-1]
    assert titles(without_duplicates(table(*rows), NAMES, "newest")) == ["q"]
    assert titles(without_duplicates(table(*swapped), NAMES, "newest")) == ["q"]


def test_failures_of_one_file_are_one_failure():
    names = ["song_id", "uri", PART, "failed_at", "title"]
    rows = table(("b", "/m/b", 0, OLD, "old"), ("b", "/m/b", 1, NEW, "new")).rename_columns(names)
    assert titles(without_duplicates(rows, NAMES, "same")) == ["new"]


def test_with_part():
    assert with_part(pa.table({"a": [1, 2]}), 7).column(PART).to_pylist() == [7, 7]
