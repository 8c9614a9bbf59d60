"""A person is forgotten in folders of days as in one file."""

import pyarrow.parquet as pq
import pytest
from made_days import write_days, write_part

from audiorec.errors import DamagedFileError
from audiorec.listening.forget import forget
from audiorec.listening.log_files import file_fingerprints, opened_log

DAYS = {
    "2026-11-24": [("ana", "a", "2026-11-24 09:00"), ("ben", "b", "2026-11-24 10:00")],
    "2026-11-25": [("ben", "c", "2026-11-25 09:00")],
}


def test_every_day_loses_the_persons_rows_and_others_stay_as_they_are(tmp_path):
    plays = write_days(tmp_path / "plays", DAYS)
    before = [path.read_bytes() for path in sorted(plays.rglob("*.parquet"))]
    (found,) = forget("ana", [plays])
    assert (found.kind, found.removed, found.left) == ("log", 1, 2)
    first, second = sorted(plays.rglob("*.parquet"))
    assert pq.read_table(first, partitioning=None).column("user_id").to_pylist() == ["ben"]
    assert second.read_bytes() == before[1]
    assert first.read_bytes() != before[0]


def test_nothing_changes_where_one_file_is_not_known(tmp_path):
    plays = write_days(tmp_path / "plays", DAYS)
    path = write_part(plays, "dt=2026-11-26/p.parquet", [("ana", "a", "2026-11-26 09:00")])
    pq.write_table(pq.read_table(path, partitioning=None).drop(["song_id"]), path)
    prints = file_fingerprints(opened_log(plays))
    with pytest.raises(DamagedFileError, match=r"dt=2026-11-26/p.parquet: is not a listening log"):
        forget("ana", [plays])
    assert file_fingerprints(opened_log(plays)) == prints
