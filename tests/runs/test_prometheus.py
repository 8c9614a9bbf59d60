"""`audiorec.runs.prometheus`: a textfile that a strict reader of Prometheus' format takes."""

import re
from collections import Counter

import pytest
from made_runs import made_run

from audiorec.errors import InputError
from audiorec.runs.prometheus import read_metrics, write_job_metrics, write_metrics
from audiorec.runs.report import RunReport

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf'({NAME})(?:\{{((?:{NAME}="(?:[^"\\\n]|\\[\\"n])*",?)*)\}})? (\S+)')
LABEL = re.compile(rf'({NAME})="((?:[^"\\\n]|\\[\\"n])*)"')


def parse(text):
    """Read the text exposition format, version 0.0.4, and refuse what is not."""
    assert text.endswith("\n")
    kinds, helps, samples, current = {}, {}, {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, meaning = line[7:].split(" ", 1)
            assert name not in helps, "HELP twice"
            helps[name], current = meaning, name
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name == current, "TYPE apart from HELP"
            assert name not in kinds, "TYPE twice"
            assert kind in ("counter", "gauge")
            kinds[name] = kind
        else:
            match = SAMPLE.fullmatch(line)
            assert match, f"no sample: {line!r}"
            assert match[1] == current, "samples of a metric stand together"
            labels = tuple(sorted(LABEL.findall(match[2] or "")))
            assert len(dict(labels)) == len(labels)
            key = (match[1], labels)
            assert key not in samples, "a sample twice"
            samples[key] = float(match[3])
    assert set(kinds) == set(helps) == {name for name, _ in samples}
    for name, kind in kinds.items():  # what `promtool check metrics` says of names
        assert (kind == "counter") == name.endswith("_total")
    return samples


def report(**values):
    base = {
        "found": 12,
        "statuses": Counter(ok=7, short=1),
        "failures": Counter(not_audio=2),
        "unchanged": 2,
        "rows": {"vectors": 10, "errors": 2},
        "audio_s": 1234.5,
        "wall_s": 60.25,
        "cpu_s": {"decode": 1.5, "backbone": 20.0},
    }
    return RunReport(**{**base, **values})


def one(samples, name, **labels):
    return samples[name, tuple(sorted({"output": "out", **labels}.items()))]


def write(path, run, exit_code=3, now=1_700_000_000.0, output="out"):
    write_metrics(path, run, output=output, exit_code=exit_code, now=now)
    return parse(path.read_text())


def test_a_run_in_figures(tmp_path):
    found = write(tmp_path / "a.prom", report())
    assert one(found, "audiorec_songs_total", outcome="extracted", status="ok") == 7
    assert one(found, "audiorec_songs_total", outcome="failed", status="not_audio") == 2
    assert one(found, "audiorec_audio_seconds_total") == 1234.5
    assert one(found, "audiorec_cpu_seconds_total", stage="backbone") == 20
    assert one(found, "audiorec_run_duration_seconds") == 60.25
    assert one(found, "audiorec_run_songs", state="unchanged") == 2
    assert one(found, "audiorec_rows", kind="vectors") == 10
    assert one(found, "audiorec_runs_total", exit_code="3") == 1
    assert one(found, "audiorec_last_finish_timestamp_seconds") == 1_700_000_000
    assert [p.name for p in tmp_path.iterdir()] == ["a.prom"]


def test_counters_go_on_and_gauges_are_of_the_last_run(tmp_path):
    path = tmp_path / "a.prom"
    write(path, report())
    second = report(statuses=Counter(ok=1), failures=Counter(oom=1), audio_s=0.5, cpu_s={})
    second.rows = {"vectors": 11}
    found = write(path, second, exit_code=0, now=1_700_086_400.0)
    assert one(found, "audiorec_songs_total", outcome="extracted", status="ok") == 8
    assert one(found, "audiorec_songs_total", outcome="extracted", status="short") == 1
    assert one(found, "audiorec_songs_total", outcome="failed", status="oom") == 1
    assert one(found, "audiorec_audio_seconds_total") == 1235
    assert one(found, "audiorec_cpu_seconds_total", stage="decode") == 1.5
    assert one(found, "audiorec_runs_total", exit_code="0") == 1
    assert one(found, "audiorec_runs_total", exit_code="3") == 1
    assert one(found, "audiorec_run_songs", state="found") == 12
    assert one(found, "audiorec_rows", kind="vectors") == 11
    assert sum(name == "audiorec_rows" for name, _ in found) == 1  # no errors file any more
    assert one(found, "audiorec_last_success_timestamp_seconds") == 1_700_086_400


@pytest.mark.parametrize(
    ("exit_code", "finish", "success"), [(0, 2.0, 2.0), (3, 2.0, 1.0), (130, 1.0, 1.0)]
)
def test_the_last_success_stays_until_there_is_another(tmp_path, exit_code, finish, success):
    path = tmp_path / "a.prom"
    write(path, report(), exit_code=0, now=1.0)
    found = write(path, report(), exit_code=exit_code, now=2.0)
    assert one(found, "audiorec_last_run_timestamp_seconds") == 2
    assert one(found, "audiorec_last_finish_timestamp_seconds") == finish
    assert one(found, "audiorec_last_success_timestamp_seconds") == success


def test_a_run_that_never_succeeded_says_nothing_of_it(tmp_path):
    found = write(tmp_path / "a.prom", report(), exit_code=5)
    assert not any("success" in name or "finish" in name for name, _ in found)


def test_two_outputs_in_one_file_stay_apart(tmp_path):
    path = tmp_path / "a.prom"
    write(path, report())
    found = write(path, report(audio_s=1.0, rows={"vectors": 3}), output="other")
    assert one(found, "audiorec_audio_seconds_total") == 1234.5
    assert one(found, "audiorec_audio_seconds_total", output="other") == 1
    assert one(found, "audiorec_rows", kind="vectors") == 10
    assert one(found, "audiorec_rows", kind="vectors", output="other") == 3


def test_jobs_of_all_kinds_share_a_file(tmp_path):
    path = tmp_path / "a.prom"
    write(path, report())
    for code, error in ((0, ""), (4, "damaged")):
        run = made_run(
            output="lists", exit_code=code, error=error, warnings=("less",) * (code == 0)
        )
        write_job_metrics(path, run, now=1_700_000_100.0)
    found = parse(path.read_text())
    assert one(found, "audiorec_rows", kind="vectors") == 10  # of the extraction
    assert one(found, "audiorec_run_count", output="lists", count="rows") == 10_000
    assert one(found, "audiorec_runs_total", output="lists", exit_code="4") == 1
    assert one(found, "audiorec_run_warnings", output="lists") == 0
    assert (
        one(found, "audiorec_cpu_seconds_total", output="lists", stage="recall candidates") == 1101
    )
    write(path, report(), exit_code=0)
    assert one(parse(path.read_text()), "audiorec_run_count", output="lists", count="users") == 100


@pytest.mark.parametrize("output", ['a "b"\\c', "two\nlines", "ünï}{,=", "\udce9.parquet"])
def test_any_name_is_escaped_and_comes_back(tmp_path, output):
    path = tmp_path / "a.prom"
    write(path, report(), output=output)
    write(path, report(), output=output)
    (labels,) = read_metrics(path)["audiorec_audio_seconds_total"]
    shown = output.encode("utf-8", "backslashreplace").decode()
    assert dict(labels)["output"] == shown
    assert read_metrics(path)["audiorec_audio_seconds_total"][labels] == 2469.0


@pytest.mark.parametrize(
    "text", ["node_load1 0.5\n", "audiorec_songs_total 4\n", "\xff", "a" * 2**21]
)
def test_a_file_of_anothers_making_is_not_replaced(tmp_path, text):
    path = tmp_path / "notes.txt"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"notes\.txt"):
        write(path, report())
    assert path.read_bytes() == text.encode("latin-1")
