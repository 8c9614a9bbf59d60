"""The songs of earlier nights that count as shown, where no impressions are given.

fused.parquet ──note_shown──▶ exposures.parquet: the first places of every list, night by night

Nobody knows whether these songs were displayed. They keep a song away from the next lists, if the
plan says so (`NightlyPlan.shown_k`), and are never samples of a ranker.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ShownColumns
from audiorec.files.tables import TableFile, table_writer
from audiorec.recall.serving.nightly.promotion import chance_of

EXPOSURES = "exposures.parquet"
BATCH_ROWS = 1 << 18
EXPOSED = pa.schema(
    [
        pa.field(ShownColumns.USER, pa.string(), nullable=False),
        pa.field(ShownColumns.SONG, pa.string(), nullable=False),
        pa.field("entry", pa.string(), nullable=False),
        pa.field(ShownColumns.AT, pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field(ShownColumns.RUN, pa.string(), nullable=False),
    ]
)


def note_shown(
    out: Path,
    fused: Path,
    shown_k: int,
    *,
    chance: float = 1.0,
    entry: str,
    run_id: str,
    at: float,
    is_kept: bool,
) -> None:
    """Write the first `shown_k` places of the lists, after those of other runs.

    Parameters
    ----------
    out, fused : path
    shown_k : int
    chance : float
        That a user sees the list: users are drawn by their id and the run's.
    entry, run_id : str
    at : float
        Time of the lists, in seconds since 1970.
    is_kept : bool
        Whether rows of other runs that `out` holds are kept.
    """
    moment = pa.scalar(round(at * 1e6), pa.int64()).cast(EXPOSED.field(ShownColumns.AT).type)
    with table_writer(out, EXPOSED) as writer:
        if is_kept and out.is_file():
            with TableFile.open(out) as file:
                for table in file.batches(BATCH_ROWS):
                    writer.write_table(
                        table.filter(pc.not_equal(table.column(ShownColumns.RUN), run_id))
                    )
        with TableFile.open(fused) as lists:
            for table in lists.batches(BATCH_ROWS, [ShownColumns.USER, ShownColumns.SONG, "rank"]):
                first = table.filter(pc.less_equal(table.column("rank"), shown_k))
                users = first.column(ShownColumns.USER).unique()
                seen = [chance_of(f"{run_id} {user}") < chance for user in users.to_pylist()]
                there = users.filter(pa.array(seen, pa.bool_()))
                first = first.filter(pc.is_in(first.column(ShownColumns.USER), value_set=there))
                same = [pa.repeat(one, len(first)) for one in (pa.scalar(entry), moment)]
                columns = [first.column(ShownColumns.USER), first.column(ShownColumns.SONG), *same]
                columns.append(pa.repeat(pa.scalar(run_id), len(first)))
                writer.write_table(pa.Table.from_arrays(columns, schema=EXPOSED))
