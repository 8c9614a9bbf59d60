"""`audiorec.runs.record`: what made the output that lies beside it, and every run before."""

import json

import numpy as np
import pytest
from made_runs import heard, made_run

from audiorec.errors import MissingStoreError, StoreError
from audiorec.runs.record import (
    MAX_HISTORY,
    MAX_RECORD_BYTES,
    MAX_WORDS,
    JobRun,
    read_runs,
    record_of,
    runs_before,
    safe_arguments,
    write_run,
)

OLD = {  # of audiorec 0.1, which had one run and no history
    "schema": "audiorec/run/1",
    "started_at": "2025-02-28T00:00:00+00:00",
    "ended_at": "2025-02-28T00:10:00+00:00",
    "exit_code": 3,
    "arguments": ["audiorec", "extract", "music"],
    "versions": {"audiorec": "0.1.0", "python": "3.11.7", "platform": "Linux x86_64"},
    "extractor_id": "abc",
    "spec": {"mel": {"n_mels": 96}},
    "weights": [{"name": "musicnn_msd", "sha256": "0", "licence": "ISC"}],
    "report": {
        "found": 5,
        "failed": 1,
        "statuses": {"ok": 4},
        "stopped": None,
        "wall_s": 9.5,
        "cpu_s": {"backbone": 4.0, "decode": 1.5},
    },
}


@pytest.fixture
def place(tmp_path):
    return tmp_path / "vecs.parquet.run.json"


def test_a_record_says_what_made_the_output_and_keeps_the_runs_before(place):
    scores = heard(60, np.random.default_rng(0))
    first = made_run(exit_code=3, scores=scores, extractor_id="abc", warnings=("odd",))
    second = made_run(run_id="77b02e000000", arguments=("audiorec", "caf\udce9"))
    write_run(str(place), first, {"spec": {"n_mels": 96}, "report": {"found": 3}})
    assert json.loads(place.read_text())["spec"] == {"n_mels": 96}
    write_run(str(place), second, {"spec": {"n_mels": 128}})
    found = json.loads(place.read_text())
    assert (found["schema"], found["run_id"]) == ("audiorec/run/1", "77b02e000000")
    assert (found["spec"], found["arguments"][1]) == ({"n_mels": 128}, "caf\udce9")
    one, two = read_runs(place)
    assert two == second
    assert one.scores.bins == scores.bins
    assert one.scores.sums == pytest.approx(scores.sums, abs=1e-4)
    assert [p.name for p in place.parent.iterdir()] == [place.name]


def test_the_last_hundred_runs_stay(place):
    for number in range(MAX_HISTORY + 3):
        write_run(str(place), made_run(run_id=f"{number:012x}"))
    runs = read_runs(place)
    assert [int(run.run_id, 16) for run in runs] == list(range(3, MAX_HISTORY + 3))
    assert len(json.loads(place.read_text())["history"]) == MAX_HISTORY
    assert place.stat().st_size < 100_000


def test_an_error_is_noted_and_leaves_what_made_the_output(place):
    failed = made_run(run_id="f" * 12, exit_code=4, error="plays.csv: cannot be read")
    write_run(str(place), failed)
    assert not place.exists()  # a first run that fails leaves nothing
    write_run(str(place), made_run(), {"spec": {"n_mels": 96}})
    write_run(str(place), failed)
    found = json.loads(place.read_text())
    assert (found["run_id"], found["spec"]) == ("3fa91c000000", {"n_mels": 96})
    assert [run.error for run in read_runs(place)] == ["", "plays.csv: cannot be read"]


def test_a_record_of_0_1_is_one_run_and_goes_on(place):
    place.write_text(json.dumps(OLD))
    (old,) = read_runs(place)
    assert (old.job, old.output, old.exit_code) == ("extract", "vecs.parquet", 3)
    assert (old.wall_s, old.cpu_s, old.counts["failed"]) == (9.5, 5.5, 1)
    assert (len(old.run_id), old.versions["audiorec"]) == (12, "0.1.0")
    write_run(str(place), made_run(job="extract"))
    assert [run.run_id for run in read_runs(place)] == [old.run_id, "3fa91c000000"]
    place.write_text('{"schema": "audiorec/run/0", "old": true}')
    assert read_runs(place) == []


def test_a_record_may_lie_in_an_object_store():
    from needs import needs

    needs("fsspec")
    place = "memory://records/parts/run.json"
    write_run(place, made_run())
    write_run(place, made_run(run_id="77b02e000000"))
    assert [run.run_id[:3] for run in read_runs(place)] == ["3fa", "77b"]


@pytest.mark.parametrize("content", ['{"schema": "mine/1"}', "[]", "{", "\xff", '{"a": 1}'])
def test_a_file_that_is_no_record_is_left_alone(place, content):
    place.write_bytes(content.encode("latin-1"))
    with pytest.raises(StoreError, match="not a record of a run and was left alone"):
        write_run(str(place), made_run())
    with pytest.raises(StoreError, match=r"run\.json: not a record of a run"):
        read_runs(place)
    assert runs_before(str(place)) == []
    assert place.read_bytes() == content.encode("latin-1")


GOOD = made_run(scores=heard(3, np.random.default_rng(1)), warnings=("a",)).to_dict()
BINS = GOOD["scores"]["bins"]
SPOILT = [
    ("run_id", 5),
    ("job", ["recall run"]),
    ("started_at", "yesterday"),
    ("started_at", "0001-01-01T00:00:00"),
    ("ended_at", None),
    ("exit_code", -1),
    ("exit_code", True),
    ("exit_code", 10**400),
    ("arguments", "audiorec"),
    ("arguments", [1]),
    ("versions", {"audiorec": 1}),
    ("versions", []),
    ("wall_s", -1),
    ("wall_s", 10**400),
    ("cpu_s", "5"),
    ("counts", {"rows": "many"}),
    ("counts", {str(n): 1 for n in range(1001)}),
    ("counts", None),
    ("warnings", {}),
    ("scores", []),
    ("scores", {**GOOD["scores"], "songs": 4}),
    ("scores", {**GOOD["scores"], "squares": 2}),
    ("scores", {**GOOD["scores"], "squares": 10}),
    ("scores", {**GOOD["scores"], "means": {"genre/jazz": 0.5}}),
    ("scores", {**GOOD["scores"], "means": dict.fromkeys(BINS, 2)}),
    ("scores", {**GOOD["scores"], "bins": {name: row[1:] for name, row in BINS.items()}}),
    ("scores", {**GOOD["scores"], "bins": {name: [-1, *row[1:]] for name, row in BINS.items()}}),
]


@pytest.mark.parametrize(("name", "value"), SPOILT, ids=str)
def test_what_was_planted_is_refused_and_not_believed(place, name, value):
    history = [{**GOOD, name: value}]
    place.write_text(json.dumps({"schema": "audiorec/run/1", "history": history}))
    with pytest.raises(StoreError, match=r"run\.json: not a record of a run: "):
        read_runs(place)
    with pytest.raises(StoreError, match="left alone"):
        write_run(str(place), made_run())


@pytest.mark.parametrize("history", [5, {}, [5], [[]]])
def test_a_history_of_something_else_is_refused(place, history):
    place.write_text(json.dumps({"schema": "audiorec/run/1", "history": history}))
    with pytest.raises(StoreError, match="not a record of a run"):
        read_runs(place)


def test_size_links_and_later_forms_are_refused(place, tmp_path):
    place.write_text('{"schema": "audiorec/run/2", "history": []}')
    with pytest.raises(StoreError, match=r"its form is audiorec/run/2, this audiorec reads"):
        read_runs(place)
    with place.open("wb") as file:
        file.truncate(MAX_RECORD_BYTES + 1)
    with pytest.raises(StoreError, match="the limit is"):
        read_runs(place)
    place.unlink()
    with pytest.raises(MissingStoreError, match="no such file"):
        read_runs(place)
    (tmp_path / "other").write_text('{"schema": "audiorec/run/1", "history": []}')
    place.symlink_to(tmp_path / "other")
    for call in (read_runs, lambda path: write_run(str(path), made_run())):
        with pytest.raises(StoreError, match="is a link"):
            call(place)


def test_a_long_text_is_cut_and_a_long_history_keeps_the_newest(place):
    place.write_text(
        json.dumps({"schema": "audiorec/run/1", "history": [{**GOOD, "job": "x" * 9999}] * 200})
    )
    runs = read_runs(place)
    assert len(runs) == MAX_HISTORY
    assert len(runs[0].job) == 2000


def test_a_record_keeps_no_person_and_no_endless_command():
    words = ["audiorec", "recall", "users", "--portrait", "ana", "-i", "log.csv", "--user=ana"]
    assert "ana" not in " ".join(safe_arguments(words))
    many = safe_arguments([str(n) for n in range(5000)])
    assert len(many) == MAX_WORDS
    assert many[-1] == f"... {5000 - MAX_WORDS + 1} more"


def test_where_a_record_is():
    assert record_of("lists/") == record_of("lists") == "lists.run.json"
    assert JobRun.from_dict(made_run().to_dict()) == made_run()
