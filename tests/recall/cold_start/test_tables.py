"""`audiorec.recall.cold_start.tables`: parts by hand, and sums that never lose one."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from audiorec.files.tables import TableFile, table_writer
from audiorec.recall.cold_start.tables import (
    SHOWN_LISTS,
    SummaryList,
    list_schema,
    rank_weights,
    summarise_lists,
    taste_schema,
    tastes_path,
)

FORMATS = Path(__file__).parents[3] / "fixtures" / "formats"


def test_weights_fall_with_the_rank_by_hand():
    # The second is the reciprocal of the binary logarithm of 3.
    np.testing.assert_allclose(rank_weights(np.array([0, 2, 1])), [1, 0.5, 0.6309297535714575])


@given(lengths=st.lists(st.integers(1, 9), max_size=14), group_rows=st.integers(1, 20))
def test_a_summary_is_the_same_however_rows_are_grouped(tmp_path_factory, lengths, group_rows):
    rows = [
        (f"s{number:02}", f"u{rank}", 1 - rank / 100, rank, 0.0)
        for number, length in enumerate(lengths)
        for rank in range(1, length + 1)
    ]
    schema = list_schema("audience", {}, tastes=False)
    path = tmp_path_factory.mktemp("lists") / "audience.parquet"
    with table_writer(path, schema) as writer:
        for start in range(0, len(rows), group_rows):
            columns = zip(*rows[start : start + group_rows], strict=True)
            arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    found = summarise_lists(path, 4, candidates=3)
    assert (found.rows, found.filled) == (sum(lengths), len(lengths))
    assert found.full == sum(length >= 4 for length in lengths)
    shown = [(s.of, s.length, round(s.best, 2), s.first) for s in found.shown]
    assert shown == [
        (f"s{number:02}", length, 0.99, tuple(f"u{r}" for r in range(1, min(length, 3) + 1)))
        for number, length in enumerate(lengths[:SHOWN_LISTS])
    ]


def test_the_stored_sample_of_version_1_is_read_as_ever():
    lists, tastes = FORMATS / "audience-v1.parquet", FORMATS / "audience-v1.tastes.parquet"
    assert tastes_path(lists) == tastes
    found = summarise_lists(lists, 2)
    assert (found.rows, found.filled, found.full) == (4, 2, 2)
    first = SummaryList(of="new/one.flac", length=2, best=0.96, first=("eva", "ana"))
    assert replace(found.shown[0], best=round(found.shown[0].best, 2)) == first
    about = []
    for path in (lists, tastes):
        with TableFile.open(path) as file:
            table = file.read()
        content = json.loads(table.schema.metadata[b"audiorec"])
        about.append(content)
        info = {name: content[name] for name in ("plan", "songs", "users", "fingerprint")}
        schema = (
            taste_schema(info, 84) if path == tastes else list_schema("audience", info, tastes=True)
        )
        assert table.schema.equals(schema)
    assert [(a["kind"], a["format_version"]) for a in about] == [("audiences", 1), ("tastes", 1)]
    assert about[0]["fingerprint"] == about[1]["fingerprint"]
    shares = pq.read_table(lists, columns=["exposure_share"])["exposure_share"].to_pylist()
    assert [round(share, 3) for share in shares] == [0.613, 0.387, 0.613, 0.387]
    assert pq.read_table(tastes, columns=["user_id"])["user_id"].to_pylist() == ["ana", "ben"]
