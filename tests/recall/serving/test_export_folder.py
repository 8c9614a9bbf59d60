"""`recall.serving.export`: the folder, what is refused, kills, and reading in flat memory."""

import json
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_export import (
    USERS,
    events,
    export_world,
    manifest,
    read,
    sources_of,
)

from audiorec.errors import InputError, StoreError
from audiorec.listening.forget import forget
from audiorec.recall.serving.export.exporting import ExportRecipe
from audiorec.recall.serving.tables import USERS as USER_SCHEMA
from audiorec.recall.serving.tables import UserStream, merge_streams


def test_the_same_files_and_settings_are_not_exported_again(world, tmp_path):
    out = tmp_path / "export"
    assert export_world(world, out).is_new
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in out.rglob("*") if p.is_file()}
    assert not export_world(world, out).is_new
    assert export_world(world, out, days=2.0).is_new
    assert export_world(world, out).is_new
    after = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert after == {p: content for p, (_, content) in before.items()}  # byte for byte
    (out / "users" / "part-00000.parquet").unlink()
    assert export_world(world, out).is_new


def test_an_export_that_fails_leaves_the_old_one(world, tmp_path, monkeypatch):
    out = tmp_path / "export"
    export_world(world, out)
    before = manifest(out)
    monkeypatch.setattr(
        "audiorec.recall.serving.export.exporting.song_rows", lambda *_, **__: 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        export_world(world, out, days=1.0)
    assert manifest(out) == before
    assert [p.name for p in tmp_path.iterdir()] == ["export"]


def test_killed_by_the_system_it_begins_anew_and_writes_the_same_bytes(world, tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from made_export import export_world\n"
        "from audiorec.recall.serving.export import exporting\n"
        "exporting.song_rows = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        "export_world(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    out = tmp_path / "export"
    tests = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, str(world), str(out)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), *sys.path])},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert not out.exists()
    assert (tmp_path / "export.run" / "new" / "candidates").is_dir()
    export_world(world, out)
    export_world(world, tmp_path / "whole")
    found, whole = (
        {p.relative_to(f): p.read_bytes() for p in sorted(f.rglob("*")) if p.is_file()}
        for f in (out, tmp_path / "whole")
    )
    assert found == whole
    assert sorted(p.name for p in tmp_path.iterdir()) == ["export", "whole"]


def test_killed_between_the_two_renames_the_old_export_comes_back(world, tmp_path):
    out = tmp_path / "export"
    export_world(world, out)
    (tmp_path / "export.run").mkdir()
    out.rename(tmp_path / "export.run" / "old")
    report = export_world(world, out, days=1.0)
    assert report.is_new
    assert sorted(p.name for p in tmp_path.iterdir()) == ["export"]


def test_a_folder_with_other_things_is_never_replaced(world, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("miau")
    with pytest.raises(InputError, match="without an export"):
        export_world(world, tmp_path / "photos")
    out = tmp_path / "export"
    export_world(world, out)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="other files"):
        export_world(world, out, days=1.0)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        export_world(world, tmp_path / "file")
    (tmp_path / "link").symlink_to(out)
    with pytest.raises(StoreError, match="link"):
        export_world(world, tmp_path / "link")


def test_what_cannot_be_done_is_said(world, tmp_path):
    twice = (world / "rules.parquet",) * 2
    with pytest.raises(InputError, match="one table per channel"):
        export_world(world, tmp_path / "o", candidates=twice)
    pq.write_table(
        pa.concat_tables([pq.read_table(world / f"{n}.parquet") for n in ("rules", "vs-knn")]),
        tmp_path / "both.parquet",
    )
    with pytest.raises(InputError, match="several channels"):
        export_world(world, tmp_path / "o", candidates=(tmp_path / "both.parquet",))
    with pytest.raises(InputError, match="`vectors`"):
        export_world(world, tmp_path / "o", vectors=None)
    with pytest.raises(InputError, match="no such file"):
        export_world(world, tmp_path / "o", fused=tmp_path / "gone.parquet")
    with pytest.raises(InputError, match="shown_at"):
        export_world(world, tmp_path / "o", exposures=world / "rules.parquet")
    with pytest.raises(InputError, match="'weekly'; there are: daily, radio"):
        export_world(world, tmp_path / "o", entry="weekly")
    with pytest.raises(InputError, match="days"):
        ExportRecipe(days=0)
    with pytest.raises(InputError, match="no such folder"):
        sources_of(world).with_run(tmp_path / "gone")
    with pytest.raises(InputError, match="no finished run"):
        sources_of(world).with_run(world)
    assert not (tmp_path / "o").exists()


def test_a_person_can_be_forgotten_in_every_table_of_an_export(world, tmp_path):
    out = tmp_path / "export"
    export_world(world, out)
    paths = [p for p in sorted(out.rglob("*.parquet")) if p.parent.name != "songs"]
    found = forget(USERS[1], paths)
    assert sum(one.removed for one in found) > 30
    for path in paths:
        assert USERS[1] not in pq.read_table(path, columns=["user_id"]).column(0).to_pylist()
    assert export_world(world, out).is_new  # files are not those of the manifest any more


def test_all_rows_of_a_user_stand_in_one_row_group(world, tmp_path, monkeypatch):
    monkeypatch.setattr("audiorec.recall.serving.export.folder.GROUP_ROWS", 5)
    monkeypatch.setattr("audiorec.recall.serving.export.folder.PART_ROWS", 20)
    monkeypatch.setattr("audiorec.recall.serving.export.blocks.CHUNK_USERS", 1)
    export_world(world, tmp_path / "export")
    whole = export_world(world, tmp_path / "whole")
    for name in ("candidates", "samples_recall", "users"):
        paths = sorted((tmp_path / "export" / name).iterdir())
        groups = [
            set(pq.ParquetFile(path).read_row_group(g, ["user_id"]).column(0).to_pylist())
            for path in paths
            for g in range(pq.ParquetFile(path).num_row_groups)
        ]
        assert len(groups) > 1
        assert sum(map(len, groups)) == len(set().union(*groups))
        assert (
            read(tmp_path / "export", name).to_pylist()
            == read(tmp_path / "whole", name).to_pylist()
        )
    assert len(list((tmp_path / "export" / "samples_recall").iterdir())) > 1
    assert whole.rows["candidates"] == len(read(tmp_path / "export", "candidates"))


def test_streams_stay_short_where_one_file_has_few_rows_a_user(tmp_path):
    """The file that is ahead waits: nothing of it piles up."""
    long = pa.table({"user_id": np.repeat([f"u{n:04}" for n in range(200)], 50)}, USER_SCHEMA)
    short = pa.table({"user_id": [f"u{n:04}" for n in range(200)]}, USER_SCHEMA)
    streams = [
        UserStream(iter([t.slice(at, n) for at in range(0, len(t), n)]), USER_SCHEMA)
        for t, n in ((long, 100), (short, 10))
    ]
    largest, rows = [0, 0], 0
    for block in merge_streams(streams):
        rows += sum(map(len, block))
        largest = [max(a, len(s.table)) for a, s in zip(largest, streams, strict=True)]
    assert rows == len(long) + len(short)
    assert largest[0] <= 200
    assert largest[1] <= 20


def test_the_manifest_names_sources_models_and_columns(world, out):
    found = manifest(out)
    assert found["schema"] == "audiorec/recall-export/1"
    newest = datetime.fromisoformat(found["as_of"])
    assert newest.timestamp() == max(r[2] for r in events())
    assert set(found["sources"]) == {
        *("interactions", "fused", "exposures", "vectors", "side"),
        *("candidates/rules.parquet", "candidates/vs-knn.parquet"),
    }
    assert found["channels"][1] == {"column": "vs_knn", "channel": "vs-knn"}
    assert str(world) not in json.dumps(found)
    columns = [c["name"] for c in found["tables"]["candidates"]["columns"]]
    assert columns == read(out, "candidates").column_names
    for table in found["tables"].values():
        for file in table["files"]:
            assert (out / file["path"]).stat().st_size == file["bytes"]
