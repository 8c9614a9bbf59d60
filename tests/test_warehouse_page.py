"""`docs/warehouse.md` does what it says: its commands, its DAG and its Spark, with stand-ins."""

import re
import shlex
import sys
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import run_command
from made_days import write_part
from needs import needs

from audiorec.files import storage
from audiorec.files.storage import exists, files_in
from audiorec.listening.interactions import read_interactions

PAGE = (Path(__file__).parents[1] / "docs" / "warehouse.md").read_text()
SETTINGS = """
[recall]
interactions = "plays"
out = "serving"
channels = ["popular"]
k = 5
depth = 10
"""


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def audiorec(monkeypatch, capsys):
    return partial(run_command, monkeypatch, capsys)


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """What the page calls s3://bucket: a log of five days, and settings."""
    needs("fsspec")
    monkeypatch.setenv("AUDIOREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    uri, rng = f"memory://{uuid4().hex}", np.random.default_rng(0)
    for day in range(21, 26):
        rows = [
            (
                f"u{rng.integers(5)}",
                f"s{rng.integers(20)}",
                f"2026-11-{day} {rng.integers(24):02}:00",
            )
            for _ in range(30)
        ]
        name = f"dt=2026-11-{day}/part-00000.parquet"
        path = write_part(tmp_path / "plays", name, rows)
        storage.write(f"{uri}/plays/{name}", path.read_bytes())
    settings = SETTINGS.replace('"plays"', f'"{uri}/plays"')
    (tmp_path / "recall.toml").write_text(settings)
    return uri


def test_the_commands_of_the_page_work_one_after_the_other(bucket, audiorec):
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.strip()]
    assert len(lines) >= 6
    for line in lines:
        program, *words = shlex.split(line.replace("s3://bucket", bucket))
        assert program == "audiorec"
        code, _, said = audiorec(*words)
        assert code == 0, f"{line}: {said}"
    assert exists("lists/dt=2026-11-24/_SUCCESS")
    assert exists("serving/dt=2026-11-22/run.json")


class Waiting(list):
    """A task of a DAG that others may come after."""

    def __rshift__(self, other):
        other.insert(0, self)
        return other


def airflow(order, day):
    """Return stand-ins for as much of Airflow as the page asks for."""

    def task(**_settings):
        def add(function):
            def override(task_id):
                def call(*words):
                    one = Waiting()
                    order.append((task_id, lambda: function(*words, ds=day)))
                    return one

                return call

            return SimpleNamespace(override=override)

        return add

    def dag(**settings):
        assert settings["max_active_runs"] == 1
        return lambda function: function

    def sensor(**settings):
        order.append((settings["task_id"], settings["bucket_key"]))
        return Waiting()

    refused = type("AirflowFailException", (Exception,), {})
    made = {
        "airflow": {},
        "airflow.decorators": {"dag": dag, "task": task},
        "airflow.exceptions": {"AirflowFailException": refused},
        "airflow.providers": {},
        "airflow.providers.amazon": {},
        "airflow.providers.amazon.aws": {},
        "airflow.providers.amazon.aws.sensors": {},
        "airflow.providers.amazon.aws.sensors.s3": {"S3KeySensor": sensor},
    }
    modules = {}
    for name, content in made.items():
        modules[name] = ModuleType(name)
        modules[name].__dict__.update(content)
    return modules


def test_the_dag_runs_a_day_and_fails_for_good_where_a_retry_is_in_vain(
    bucket, audiorec, monkeypatch
):
    (code,) = [block for block in blocks("python") if "airflow" in block]
    order: list[tuple[str, object]] = []
    for name, module in airflow(order, "2026-11-25").items():
        monkeypatch.setitem(sys.modules, name, module)

    def run(command):
        return SimpleNamespace(returncode=audiorec(*command[1:])[0])

    names = {"__name__": "dag_of_the_page"}
    exec(code.replace("s3://bucket", bucket), names)  # noqa: S102 - the page is ours
    monkeypatch.setattr(names["subprocess"], "run", run)
    assert [name for name, _ in order] == ["arrived", "check", "lists"]
    assert order[0][1] == f"{bucket}/plays/dt={{{{ ds }}}}/_SUCCESS"
    for _, step in order[1:]:
        step()
    assert exists("serving/dt=2026-11-25/fused.parquet")
    storage.write(f"{bucket}/plays/dt=2026-11-25/part-00000.parquet", b"cut off")
    with pytest.raises(names["AirflowFailException"], match="check: 4, which no retry mends"):
        order[1][1]()


class Frame:
    """As much of a Spark frame as the page asks for; writes a table as Spark would."""

    def __init__(self, table, folder):
        self.table, self.folder, self.write = table, folder, self
        self.keys = []

    def select(self, *columns):
        self.table = self.table.select(columns)
        return self

    def repartition(self, _column):
        return self

    def mode(self, mode):
        assert mode == "overwrite"
        return self

    def option(self, name, value):
        assert (name, value) == ("partitionOverwriteMode", "dynamic")
        return self

    def partitionBy(self, *keys):
        self.keys = list(keys)
        return self

    def parquet(self, place):
        assert place == "s3a://bucket/plays"
        days = self.table.column("dt").unique().to_pylist()
        for day in days:
            rows = self.table.filter(pa.compute.equal(self.table.column("dt"), day))
            folder = self.folder / f"dt={day}"
            folder.mkdir(parents=True)
            part = folder / "part-00000-0e1d.c000.snappy.parquet"
            pq.write_table(rows.drop(self.keys), part, use_deprecated_int96_timestamps=True)
            (folder / f".{part.name}.crc").write_bytes(b"crc")
        (self.folder / "_SUCCESS").touch()


def test_what_spark_writes_is_a_log(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOREC_CACHE", str(tmp_path / "cache"))
    (code,) = [block for block in blocks("python") if "partitionBy" in block]
    table = pa.table(
        {
            "played_ratio": pa.array([0.5, 1.0]),
            "user_id": pa.array([1, 2], pa.int64()),
            "song_id": ["a", "b"],
            "event": ["skip", "finish"],
            "timestamp": pa.array([1_764_000_000_123_456, 1_764_086_400_000_000]).cast(
                pa.timestamp("us", tz="UTC")
            ),
            "dt": ["2025-11-24", "2025-11-25"],
            "other": [1, 2],
        }
    )
    exec(code, {"plays": Frame(table, tmp_path / "plays")})  # noqa: S102 - the page is ours
    log = read_interactions(tmp_path / "plays")
    assert (log.user_ids, log.song_ids) == (("1", "2"), ("a", "b"))
    assert log.timestamp.tolist() == [1_764_000_000.123456, 1_764_086_400.0]
    assert log.deliveries.late == log.deliveries.ahead == 0


def test_lists_of_days_are_a_table_with_a_partition(bucket, audiorec, tmp_path):
    duckdb = needs("duckdb")
    audiorec("recall", "train", "popular", "-i", "plays", "--out", "model", "-q")
    for day in ("2026-11-24", "2026-11-25"):
        audiorec("recall", "candidates", "model", "-i", "plays", "--day", day, "--out", "lists")
    found = duckdb.sql(
        "SELECT dt::VARCHAR, count(*) > 0 FROM read_parquet('lists/*/*.parquet', "
        "hive_partitioning = true) GROUP BY dt ORDER BY dt"
    ).fetchall()
    assert found == [("2026-11-24", True), ("2026-11-25", True)]
    assert [entry.name for entry in files_in(str(tmp_path / "lists")) if "_SUCCESS" in entry.name]
