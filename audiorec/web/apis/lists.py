"""The fused lists that ``recall run`` wrote, read one user at a time.

    OUT/fused.parquet ──`NightLists.open`──▶ users ──`of`──▶ a user's rows, best first
    OUT/default.parquet ──▶ the rows of everybody else

The file is opened once and stays open: a file that replaces it belongs to the next snapshot.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import StoreError
from audiorec.files.own_files import refuse_link
from audiorec.files.tables import TableFile
from audiorec.recall.contract.candidates import SCHEMA

FUSED = "fused.parquet"
NEWCOMERS = "default.parquet"


class NightLists:
    """Fused lists, with an index of each user's rows.

    Parameters
    ----------
    file : TableFile
        Its rows are grouped by user.
    default : sequence of dict
        Rows of the list for users who are not in the file.
    """

    def __init__(self, file: TableFile, default: Sequence[dict[str, Any]] = ()) -> None:
        self._file, self.default = file, default
        runs = pc.run_end_encode(file.read(["user_id"]).column("user_id").combine_chunks())
        users, ends = runs.values, np.asarray(runs.run_ends, np.int64)
        self._users, self._ends = users, ends
        if pc.count_distinct(users).as_py() != len(users):
            raise StoreError(f"{file.path}: rows are not grouped by user")

    @classmethod
    def open(cls, folder: Path) -> "NightLists | None":
        """Open the fused lists of a run; None if there are none."""
        path = folder / FUSED
        refuse_link(path)
        if not path.exists():
            return None
        refuse_link(folder / NEWCOMERS)
        if not (folder / NEWCOMERS).exists():  # written by an earlier revision
            return cls(TableFile.open(path))
        with TableFile.open(folder / NEWCOMERS) as rest:
            rows = rest.read(SCHEMA.names).sort_by("rank").to_pylist()
        return cls(TableFile.open(path), rows)

    def __len__(self) -> int:
        return len(self._users)

    def of(self, user_id: str) -> list[dict[str, Any]] | None:
        """Return a user's rows with the columns of `SCHEMA`, best first; None if unknown."""
        place = pc.index(self._users, pa.scalar(user_id, self._users.type)).as_py()
        if place < 0:
            return None
        start = int(self._ends[place - 1]) if place else 0
        table = self._file.take(np.arange(start, int(self._ends[place])), SCHEMA.names)
        rows: list[dict[str, Any]] = table.sort_by("rank").to_pylist()
        return rows
