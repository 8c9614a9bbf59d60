"""`audiorec.files.tables`: order, resume after a kill, locks, nothing half written."""

import os
import signal
import subprocess
import sys
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audiorec.errors import StoreError
from audiorec.files.own_files import RunFolder
from audiorec.files.tables import run_blocks

SCHEMA = pa.schema([("n", pa.int64()), ("name", pa.string())], metadata={b"audiorec": b"{}"})


class Maker:
    """Makes blocks of `number + 1` rows and remembers which; may break at one."""

    def __init__(self, breaks_at=None):
        self.made = []
        self.breaks_at = breaks_at

    def __call__(self, number):
        if number == self.breaks_at:
            raise RuntimeError("out of luck")
        self.made.append(number)
        numbers = [10 * number + i for i in range(number + 1)]
        # Other column order and another width: it is fitted to the schema.
        return pa.table({"name": [f"b{n}" for n in numbers], "n": pa.array(numbers, pa.int32())})


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.parquet"


def run(out, maker, n_blocks=3, fingerprint="f", **more):
    return run_blocks(out, n_blocks, maker, schema=SCHEMA, fingerprint=fingerprint, **more)


def test_blocks_are_joined_in_their_order(out):
    told = []
    assert run(out, Maker(), progress=lambda *at: told.append(at))
    table = pq.read_table(out)
    assert table.column("n").to_pylist() == [0, 10, 11, 20, 21, 22]
    assert table.column("name")[4].as_py() == "b21"
    assert table.schema.equals(SCHEMA, check_metadata=True)
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert [p.name for p in out.parent.iterdir()] == ["out.parquet"]


def test_no_blocks_is_an_empty_table(out):
    assert run(out, Maker(), n_blocks=0)
    assert pq.read_table(out).num_rows == 0


def test_goes_on_after_a_failure_and_leaves_the_old_output_until_then(out):
    out.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="luck"):
        run(out, Maker(breaks_at=2))
    assert out.read_bytes() == b"old"
    again, told = Maker(), []
    assert run(out, again, progress=lambda *at: told.append(at))
    assert again.made == [2]
    assert told == [(2, 3), (3, 3)]
    assert pq.read_table(out).num_rows == 6


def test_a_job_that_made_nothing_leaves_nothing(out):
    with pytest.raises(RuntimeError):
        run(out, Maker(breaks_at=0))
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("changed", [{"fingerprint": "g"}, {"n_blocks": 4}])
def test_another_job_starts_anew(out, changed):
    with pytest.raises(RuntimeError):
        run(out, Maker(breaks_at=2))
    maker = Maker()
    assert run(out, maker, **changed)
    assert maker.made == list(range(changed.get("n_blocks", 3)))


def test_a_torn_block_is_made_again(out):
    with pytest.raises(RuntimeError):
        run(out, Maker(breaks_at=2))
    folder = out.with_name("out.parquet.run")
    (folder / "block-000001.parquet").write_bytes(b"PAR1 torn")
    (folder / ".block-000002.parquet.0123456789ab.tmp").write_bytes(b"half")
    maker = Maker()
    assert run(out, maker)
    assert maker.made == [1, 2]
    assert not folder.exists()


def test_stop_ends_after_the_block_in_work(out):
    stop = threading.Event()
    first = Maker()

    def halt(done, total):
        if done == 1:
            stop.set()

    assert run(out, first, progress=halt, stop=stop) is False
    assert first.made == [0]
    assert not out.exists()
    second = Maker()
    assert run(out, second)
    assert second.made == [1, 2]


def test_a_second_job_is_refused_and_the_first_goes_on(out):
    lock = RunFolder(out, "block")
    with pytest.raises(StoreError, match="another run is writing"):
        run(out, Maker())
    lock.release(remove=True)
    assert run(out, Maker())


def test_the_run_of_another_command_is_left_alone(out):
    folder = out.with_name("out.parquet.run")
    folder.mkdir()
    (folder / "vectors-0001.rows").write_bytes(b"hours of work")
    with pytest.raises(
        StoreError, match=r"holds 'vectors-0001.rows', which does not belong to this run"
    ):
        run(out, Maker())
    assert (folder / "vectors-0001.rows").read_bytes() == b"hours of work"


def test_a_kill_loses_only_the_block_in_work(out):
    script = (
        "import os, signal, pyarrow as pa\n"
        "from pathlib import Path\n"
        "from audiorec.files.tables import run_blocks\n"
        "def make(i):\n"
        "    if i == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return pa.table({'n': [10 * i + j for j in range(i + 1)], 'name': ['k'] * (i + 1)})\n"
        "schema = pa.schema([('n', pa.int64()), ('name', pa.string())], {b'audiorec': b'{}'})\n"
        f"run_blocks(Path({os.fspath(out)!r}), 3, make, schema=schema, fingerprint='f')\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    maker = Maker()
    assert run(out, maker)
    assert maker.made == [2]
    assert pq.read_table(out).column("name").to_pylist()[:3] == ["k", "k", "k"]
