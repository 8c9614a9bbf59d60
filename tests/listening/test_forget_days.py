"""A person is forgotten in folders, of days or of a nightly job, and in what killed jobs left."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_days import write_days, write_part

from audiorec.errors import DamagedFileError, InputError
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


def of_night(folder):
    """Make the output of a nightly job, with all that it may hold."""
    night = folder / "serving" / "dt=2026-11-25"
    lists = {"user_id": ["ana", "ben"], "song_id": ["a", "b"], "rank": [1, 1]}
    for name in ("candidates/rules", "fused"):
        (night / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(lists), night / f"{name}.parquet")
    (night / "export").mkdir()
    pq.write_table(
        pa.table({"song_id": ["a"], "duration_s": [1.0]}), night / "export/songs.parquet"
    )
    (night / "models" / "rules").mkdir(parents=True)
    (night / "models/rules/model.json").write_text(json.dumps({"log_fingerprints": []}))
    (night / "report.md").write_text("40 users")
    return folder / "serving"


def test_a_folder_of_a_nightly_job_is_taken_whole(tmp_path):
    serving = of_night(tmp_path)
    songs = (serving / "dt=2026-11-25/export/songs.parquet").read_bytes()
    found = {str(one.path.relative_to(serving)): one for one in forget("ana", [serving])}
    assert {name: (str(one.kind), one.removed, one.left) for name, one in found.items()} == {
        "dt=2026-11-25/fused.parquet": ("candidates", 1, 1),
        "dt=2026-11-25/candidates/rules.parquet": ("candidates", 1, 1),
        "dt=2026-11-25/models/rules": ("model", 0, 0),
    }
    assert not any(b"ana" in path.read_bytes() for path in serving.rglob("*.*"))
    assert (serving / "dt=2026-11-25/export/songs.parquet").read_bytes() == songs


def test_an_unfinished_night_is_refused_before_anything_changes(tmp_path):
    serving = of_night(tmp_path)
    (serving / "_dt=2026-11-26.run").mkdir()
    with pytest.raises(InputError, match=r"_dt=2026-11-26\.run: holds an unfinished run"):
        forget("ana", [serving])
    assert b"ana" in (serving / "dt=2026-11-25/fused.parquet").read_bytes()


def test_what_a_killed_job_left_goes_whatever_its_age(tmp_path):
    plays = write_days(tmp_path / "days", DAYS)
    log = tmp_path / "plays.parquet"
    shutil.copy(next(plays.rglob("*.parquet")), log)
    left = [tmp_path / f".plays.parquet.{'0a' * 6}.tmp", plays / f"dt=2026-11-24/.x.{'0b' * 6}.tmp"]
    other = tmp_path / f".other.parquet.{'0c' * 6}.tmp"
    for path in (*left, other):
        path.write_bytes(b"ana, half of her plays")
    forget("ben", [log, plays])
    assert [path.exists() for path in (*left, other)] == [False, False, True]
