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
SPOILT = [
    *(("started_at", "yesterday"), ("started_at", None), ("exit_code", "0"), ("wall_s", None)),
    *(("counts", {"rows": "many"}), ("counts", None), ("arguments", 5), ("scores", [])),
    ("scores", {"songs": 3}),
]


@pytest.mark.parametrize(
    "history", [5, {}, [5], [[]], *([{**GOOD, name: value}] for name, value in SPOILT)], ids=str
)
def test_what_is_no_run_is_refused_in_one_line(place, history):
    place.write_text(json.dumps({"schema": "audiorec/run/1", "history": history}))
    with pytest.raises(StoreError, match=r"run\.json: not a record of a run: "):
        read_runs(place)
    with pytest.raises(StoreError, match="left alone"):
        write_run(str(place), made_run())


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


def test_a_record_keeps_no_person_and_no_endless_command():
    words = ["audiorec", "plot", "--user", "ana", "-i", "log.csv", "--user=ana"]
    assert "ana" not in " ".join(safe_arguments(words))
    many = safe_arguments([str(n) for n in range(5000)])
    assert len(many) == MAX_WORDS
    assert many[-1] == f"... {5000 - MAX_WORDS + 1} more"


def test_where_a_record_is():
    assert record_of("lists/") == record_of("lists") == "lists.run.json"
    assert JobRun.from_dict(made_run().to_dict()) == made_run()
