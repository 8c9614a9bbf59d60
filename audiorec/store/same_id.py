"""Which row stands where several have one song id.

    rows sorted by id ──without_duplicates──▶ one row an id

Rows that are equal in every column are one row, whatever the policy: a part that was made
twice, or given twice, changes nothing.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import InputError
from audiorec.files.arrow import flags, integers

PART = "part"  # column beside those of the file: the number of the part that a row is from
# Columns that say when a row was made.
TIMES = ("extracted_at", "failed_at")

OnDuplicate = Literal["error", "same", "newest", "first"]


def without_duplicates(table: Any, names: Sequence[str], policy: OnDuplicate) -> Any:
    """Keep one row of each song id.

    Parameters
    ----------
    table : pyarrow.Table
        Sorted by ``song_id``; with the column `PART`.
    names : sequence of str
        What the parts are called, for the message.
    policy : {"error", "same", "newest", "first"}
        What happens to rows of one id that differ. ``error`` refuses them. ``same`` takes
        the newest if they are one sound (one ``content_hash``; for failures one ``uri``)
        and refuses them otherwise. ``newest`` takes the newest. ``first`` takes the one of
        the first part. Which row that is does not depend on the order of the parts, but
        for ``first``.

    Returns
    -------
    table : pyarrow.Table
        Rows in the same order.

    Raises
    ------
    InputError
        If rows differ that must not; names the id and both parts.
    """
    ids = table.column("song_id").combine_chunks()
    if len(ids) < 2:
        return table
    repeated = np.flatnonzero(flags(pc.equal(ids[1:], ids[:-1])))
    if not len(repeated):
        return table
    kept = np.ones(len(ids), np.bool_)
    for start, stop in _runs(repeated):
        kept[start:stop] = False
        kept[start + _chosen(table.slice(start, stop - start), names, policy)] = True
    return table.take(integers(np.flatnonzero(kept)))


def _runs(repeated: Any) -> Iterator[tuple[int, int]]:
    """Yield the rows from `start` to before `stop` of each id that stands more than once.

    `repeated` are the numbers of rows whose successor has the same id.
    """
    breaks = np.flatnonzero(np.diff(repeated) > 1)
    starts = repeated[np.concatenate([[0], breaks + 1])]
    ends = repeated[np.concatenate([breaks, [len(repeated) - 1]])]
    yield from zip(starts.tolist(), (ends + 2).tolist(), strict=True)


def _chosen(rows: Any, names: Sequence[str], policy: OnDuplicate) -> int:
    """Return the number of the row that stands, of rows with one id."""
    content = rows.drop_columns([PART])
    first = content.slice(0, 1)
    different = [n for n in range(1, len(rows)) if not content.slice(n, 1).equals(first)]
    parts = rows.column(PART).to_pylist()
    if policy == "first" or not different:
        return int(parts.index(min(parts)))
    values = content.to_pylist()
    sound = "content_hash" if "content_hash" in content.column_names else "uri"
    sounds = {value[sound] for value in values}
    if policy == "error" or (policy == "same" and len(sounds) > 1):
        a, b = names[parts[0]], names[parts[different[0]]]
        what = "different songs have" if len(sounds) > 1 else "different rows have"
        raise InputError(f"{what} the id {values[0]['song_id']!r}: one in {a}, one in {b}")
    return max(range(len(values)), key=lambda n: _age(values[n]))


def _age(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what the newest row has most of; rows of one time differ in their text."""
    return (*(row[name] for name in TIMES if name in row), repr(row))


def with_part(table: Any, number: int) -> Any:
    """Add the column `PART`.

    Parameters
    ----------
    table : pyarrow.Table
    number : int
    """
    column = integers(np.full(len(table), number, np.int64))
    return table.append_column(pa.field(PART, pa.int64(), nullable=False), column)
