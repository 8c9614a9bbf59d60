"""`audiorec.runs.record`: runs of a folder, by output or id, and two of them compared."""

import numpy as np
import pytest
from made_runs import heard, made_run, two_nights

from audiorec.errors import InputError, MissingFileError, StoreError
from audiorec.runs.record import compare_runs, find_run, find_runs, runs_of, write_run


@pytest.fixture
def folder(tmp_path):
    two_nights(tmp_path / "a.parquet.run.json", output="a.parquet")
    two_nights(tmp_path / "b.run.json", output="b", ids=("aaaa00000000", "aaaa11111111"))
    (tmp_path / "b").mkdir()
    (tmp_path / "parts").mkdir()
    write_run(str(tmp_path / "parts" / "run.json"), made_run(output="parts", run_id="c" * 12))
    return tmp_path


def test_the_newest_runs_come_first_and_other_files_are_told_of(folder):
    (folder / "odd.run.json").write_text("[]")
    (folder / "run.json").write_text('{"schema": "audiorec/recall-run/1"}')
    (folder / "link.run.json").symlink_to(folder / "b.run.json")
    runs, problems = find_runs(folder)
    assert [run.started_at[8:10] for run in runs] == ["26", "26", "25", "25"]
    assert [text.split(": ")[1].split(",")[0] for text in problems] == [
        "is a link",
        "not a record of a run",
    ]
    with pytest.raises(MissingFileError, match="no such folder"):
        find_runs(folder / "gone")


def test_a_run_has_several_names(folder):
    a, b, parts = (str(folder / name) for name in ("a.parquet", "b", "parts"))
    last = "77b02e000000"
    assert find_run(a).run_id == find_run(f"{a}.run.json").run_id == last
    assert find_run(b).run_id == find_run(f"{b}/").run_id == "aaaa11111111"
    assert find_run(parts).run_id == find_run(f"{parts}/run.json").run_id == "c" * 12
    assert find_run("3fa9", folder).run_id == "3fa91c000000"
    assert len(runs_of(b)) == 2
    with pytest.raises(InputError, match="the ids of 2 runs begin with it"):
        find_run("aaaa", folder)
    for name in ("beef", "3fa", "c.parquet"):
        with pytest.raises(MissingFileError, match="to list runs: audiorec runs"):
            find_run(name, folder)
    (folder / "d.run.json").write_text("{}")
    with pytest.raises(StoreError, match="not a record"):
        find_run(str(folder / "d"))


def test_what_differs_is_told_and_what_does_not_is_not():
    rng = np.random.default_rng(0)
    before = made_run(scores=heard(300, rng))
    now = made_run(
        run_id="77b02e000000",
        arguments=(*before.arguments, "--k", "20"),
        versions={"audiorec": "10.0", "python": "3.11.7", "numpy": "2.1"},
        counts={"users": 120, "cold": 5},
        scores=heard(300, rng, shares=(1, 6, 1)),
        extractor_id="abc",
    )
    found = compare_runs(before, now)
    assert (found.left_out, found.added) == ((), ("--k", "20"))
    changed = {"audiorec": ("9.9", "10.0"), "numpy": ("", "2.1"), "extractor_id": ("", "abc")}
    assert found.versions == changed
    assert found.counts["rows"] == (10_000, None)
    assert found.counts["users"] == (100, 120)
    assert found.counts["wall_s"] == (600.0, 600.0)
    assert {one.name: one.is_drift for one in found.drifts}["genre/jazz"]
