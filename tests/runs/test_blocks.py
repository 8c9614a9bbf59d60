"""Maps over blocks: the same bytes by processes of which one is killed; poison blocks apart."""

from threading import Event

import numpy as np
import pyarrow as pa
import pytest
from made_engines import Broken, deadly, travelling

from audiorec.errors import InputError, LostBlocksError
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract import batch_recall
from audiorec.recall.contract.batch_recall import write_candidates
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.simple.counts import Popular
from audiorec.recall.simple.knn import ItemKNN
from audiorec.runs.tasks import engine_of, parse_runner, run_processes

USERS, SONGS = 300, 40


@pytest.fixture(scope="module")
def plays():
    rng = np.random.default_rng(4)
    lists = [[f"s{s}" for s in rng.zipf(1.4, rng.integers(2, 12)) % SONGS] for _ in range(USERS)]
    return Sequences.from_lists(lists, [f"user-{n:03}" for n in rng.permutation(USERS)])


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(batch_recall, "BLOCK_USERS", 100)
    monkeypatch.setattr("audiorec.recall.serving.tables.BATCH_ROWS", 512)


def three(stop=None):
    return engine_of(jobs=3, stop=stop)


def ask(path, plays, k=10, channel=ItemKNN, **options):
    fitted = channel().fit(RecallData(plays))
    return write_candidates(path, fitted, Queries(plays), k, exclude=plays, **options)


def test_candidates_of_three_processes_are_those_of_one_though_one_is_killed(plays, tmp_path):
    rows = ask(tmp_path / "one.parquet", plays)
    engine = deadly(three(), tmp_path / "mark")
    assert ask(tmp_path / "three.parquet", plays, engine=engine) == rows
    assert (tmp_path / "three.parquet").read_bytes() == (tmp_path / "one.parquet").read_bytes()
    assert (tmp_path / "mark").read_text() == "xx"  # was killed once
    assert not (tmp_path / "three.parquet.run").exists()


def test_a_poison_block_is_named_and_the_others_are_kept(plays, tmp_path):
    out = tmp_path / "lists.parquet"
    with pytest.raises(LostBlocksError) as caught:
        ask(out, plays, engine=deadly(three(), tmp_path / "mark", always=True))
    assert str(caught.value) == (
        f"{out}: 1 of 3 blocks could not be made (users 'user-100' to 'user-199': the worker was "
        "killed, most likely for running out of memory); the same command tries them again"
    )
    assert (tmp_path / "mark").read_text() == "xxx"
    assert not out.exists()
    kept = sorted(path.name for path in (tmp_path / "lists.parquet.run").iterdir())
    assert kept == ["block-000000.parquet", "block-000002.parquet", "job.json", "lock"]
    tried = []

    def noting(tasks):
        for task in tasks:
            tried.append(task.index)
            yield task.attempt()

    ask(out, plays, engine=noting)
    assert tried == [1]
    ask(tmp_path / "one.parquet", plays)
    assert out.read_bytes() == (tmp_path / "one.parquet").read_bytes()


def test_a_job_of_other_inputs_begins_anew(plays, tmp_path):
    out = tmp_path / "lists.parquet"

    def stopping(tasks):
        yield next(iter(tasks)).attempt()

    assert ask(out, plays, engine=stopping) is None
    of_ten = (tmp_path / "lists.parquet.run" / "block-000000.parquet").read_bytes()
    assert ask(out, plays, engine=travelling, k=9) == 9 * USERS - _short(plays, 9)
    assert ask(out, plays, engine=stopping, channel=Popular) is None
    assert (tmp_path / "lists.parquet.run" / "block-000000.parquet").read_bytes() != of_ten


def _short(plays, k):
    """Return how many places no song is left for."""
    left = SONGS - np.array([len(set(plays[u].tolist())) for u in range(len(plays))])
    return int(np.maximum(0, k - np.minimum(left, len(plays.song_ids))).sum())


def test_what_was_planted_in_the_run_folder_is_not_believed(plays, tmp_path):
    run = tmp_path / "lists.parquet.run"
    run.mkdir()
    (run / "shared.bin").write_bytes(b"anything")
    ask(tmp_path / "lists.parquet", plays, engine=travelling)
    ask(tmp_path / "one.parquet", plays)
    whole = (tmp_path / "one.parquet").read_bytes()
    assert (tmp_path / "lists.parquet").read_bytes() == whole
    run.mkdir()
    (run / "block-000000.bin").symlink_to(tmp_path / "one.parquet")
    ask(tmp_path / "lists.parquet", plays, engine=travelling)  # the link goes, not its target
    assert (tmp_path / "one.parquet").read_bytes() == whole


class Picky(ItemKNN):
    """Refuses one user."""

    name = "picky"

    def _similarities(self, queries):
        if "user-250" in queries.user_ids:
            raise InputError("user-250 cannot be looked at")
        return super()._similarities(queries)


def test_a_block_that_raises_is_poison_and_a_wrong_engine_a_mistake(plays, tmp_path):
    with pytest.raises(LostBlocksError, match="InputError: user-250 cannot be looked at"):
        ask(tmp_path / "lists.parquet", plays, channel=Picky, engine=travelling)
    with pytest.raises(InputError, match="runner must be one of local, ray"):
        engine_of("spark")
    with pytest.raises(InputError, match="an address needs"):
        engine_of(address="tcp://head:8786")


@pytest.mark.parametrize("text", ["", "spark", "local:auto", ":auto", "Ray"])
def test_a_runner_that_does_not_exist_is_refused(text):
    with pytest.raises(InputError, match=r"local or ray\[:ADDRESS\], got"):
        parse_runner(text)


def test_a_runner_and_its_address():
    assert parse_runner("local") == ("local", None)
    assert parse_runner("ray:auto") == ("ray", "auto")
    assert parse_runner("ray:ray://head:10001") == ("ray", "ray://head:10001")
    assert parse_runner("ray:") == ("ray", None)


def test_a_process_that_dies_of_a_bug_says_where(tmp_path):
    engine = deadly(lambda tasks: run_processes(tasks, Event(), max_tries=1), tmp_path / "mark")
    outcomes = list(engine([Broken(0), Broken(1)]))
    assert [(o[0], o[1].partition(" at ")[0]) for o in outcomes] == [
        (0, "unexpected ZeroDivisionError"),
        (1, "the worker was killed, most likely for running out of memory"),
    ]


def test_tables_that_are_row_groups_stay_row_groups(tmp_path):
    from audiorec.files.tables import TableFile, run_blocks

    schema = pa.schema([pa.field("n", pa.int64())])
    make = lambda i: [pa.table({"n": [i] * n}, schema=schema) for n in (i, 2)]  # noqa: E731
    assert run_blocks(tmp_path / "out.parquet", 3, make, schema=schema, fingerprint="f")
    with TableFile.open(tmp_path / "out.parquet") as file:
        groups = [file.read_group(g).column("n").to_pylist() for g in range(6)]
    assert groups == [[], [0, 0], [1], [1, 1], [2, 2], [2, 2]]
