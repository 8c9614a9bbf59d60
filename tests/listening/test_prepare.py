import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_engines import deadly, travelling

from audiorec.errors import InputError, LostBlocksError, MissingStoreError, StoreError
from audiorec.listening import prepare as module
from audiorec.listening.events import RowsError
from audiorec.listening.interactions import read_interactions
from audiorec.listening.prepare import PrepareSpec, prepare
from audiorec.listening.reading import buckets_of, read_prepared
from audiorec.listening.sequences import to_sequences
from audiorec.runs.tasks import engine_of

EVENTS = ["play", "finish", "skip", "like", "playlist"]


@pytest.fixture
def log(tmp_path):
    """Some 3,000 rows, several of one moment, some users without a finished play."""
    rng = np.random.default_rng(3)
    n = 3_000
    path = tmp_path / "log.parquet"
    ratio = np.where(rng.random(n) < 0.3, np.nan, rng.random(n)).astype(np.float32)
    table = pa.table(
        {
            "user_id": [f"użytkownik-{u}" for u in rng.integers(0, 211, n)],
            "song_id": [f"s{s}" for s in rng.zipf(1.5, n) % 300],
            "timestamp": 1_700_000_000 + rng.integers(0, 500, n) * 60,
            "event": rng.choice(EVENTS, n),
            "played_ratio": pa.array(ratio, from_pandas=True),
            "list_id": [f"l{number}" if number else None for number in rng.integers(0, 9, n)],
        }
    )
    pq.write_table(table, path, row_group_size=700)
    return path


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    monkeypatch.setattr("audiorec.listening.prepare.PIECE_ROWS", 900)
    monkeypatch.setattr("audiorec.listening.interactions.BLOCK_ROWS", 400)


def owners(sequences):
    return {
        owner: ([sequences.song_ids[s] for s in sequences[u]], sequences.time[a:b].tolist())
        for u, (owner, a, b) in enumerate(
            zip(sequences.owner_ids, sequences.starts[:-1], sequences.starts[1:], strict=True)
        )
    }


@pytest.mark.parametrize("by", ["user", "list"])
def test_prepared_sequences_are_those_of_memory(log, tmp_path, by):
    plain = to_sequences(read_interactions(log), by=by)
    manifest = prepare(log, tmp_path / "fed", PrepareSpec(by=by, buckets=7))
    found = read_prepared(tmp_path / "fed")
    parts = [owners(found.sequences(b)) for b in range(7)]
    assert found.song_ids == plain.song_ids
    assert sum(map(len, parts)) == len(plain) == manifest["owners"]
    assert {k: v for part in parts for k, v in part.items()} == owners(plain)
    assert manifest["plays"] == len(plain.song)
    assert not (tmp_path / "fed.run").exists()


def test_buckets_follow_from_the_bytes_of_an_id():
    # FNV-1a of "a" is af63dc4c8601ec8c; its halves are mixed.
    mixed = 0xAF63DC4C8601EC8C ^ (0xAF63DC4C8601EC8C >> 32)
    assert buckets_of(["a"], 1000).tolist() == [mixed % 1000]
    assert buckets_of(["", "a"], 1000).tolist()[1] == mixed % 1000
    sliced = pa.array(["x", "a", None], pa.string())[1:2]
    assert buckets_of(sliced, 1000).tolist() == [mixed % 1000]
    ids = [f"user-{n}" for n in range(20_000)]
    assert np.bincount(buckets_of(ids, 16)).min() > 1_000


def test_a_killed_job_goes_on_and_ends_the_same(log, tmp_path, monkeypatch):
    whole = prepare(log, tmp_path / "whole", PrepareSpec(buckets=4))
    made = []
    plain = module.bucket_sequences

    def killed_at_the_third(*args, **options):
        made.append(1)
        if len(made) == 3:
            raise KeyboardInterrupt
        return plain(*args, **options)

    monkeypatch.setattr(module, "bucket_sequences", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        prepare(log, tmp_path / "fed", PrepareSpec(buckets=4))
    assert not (tmp_path / "fed").exists()
    with pytest.raises(MissingStoreError):
        read_prepared(tmp_path / "fed")
    monkeypatch.setattr(module, "_spill", None)  # the log is not read again
    assert prepare(log, tmp_path / "fed", PrepareSpec(buckets=4)) == whole
    assert len(made) == 5  # two, the one that was killed, and two more
    for path in sorted((tmp_path / "whole").iterdir()):
        assert path.read_bytes() == (tmp_path / "fed" / path.name).read_bytes()


def in_threads(tasks):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(3) as pool:
        yield from pool.map(lambda task: task.attempt(), reversed(list(tasks)))


def test_a_bucket_that_cannot_be_made_does_not_stop_the_others(log, tmp_path):
    def losing(tasks):
        for task in tasks:
            yield task.lost("it died") if task.index == 2 else task.attempt()

    here = prepare(log, tmp_path / "here", PrepareSpec(buckets=4))
    with pytest.raises(LostBlocksError, match=r"1 of 4 blocks .*\(bucket 2: it died\)"):
        prepare(log, tmp_path / "there", PrepareSpec(buckets=4), engine=losing)
    made = sorted(path.name for path in (tmp_path / "there.run").glob("bucket-*"))
    assert made == ["bucket-000000.parquet", "bucket-000001.parquet", "bucket-000003.parquet"]
    with pytest.raises(KeyboardInterrupt):  # stopped before the last one
        prepare(log, tmp_path / "there", PrepareSpec(buckets=4), engine=lambda _tasks: iter(()))
    engine = deadly(engine_of(jobs=2), tmp_path / "mark", index=2)
    assert prepare(log, tmp_path / "there", PrepareSpec(buckets=4), engine=engine) == here
    for path in sorted((tmp_path / "here").iterdir()):
        assert path.read_bytes() == (tmp_path / "there" / path.name).read_bytes()


@pytest.mark.parametrize("engine", [in_threads, travelling])
def test_an_engine_makes_the_same_buckets(log, tmp_path, engine):
    spec = PrepareSpec(buckets=4, filters=("looped",))
    here = prepare(log, tmp_path / "here", spec)
    told = []
    there = prepare(
        log,
        tmp_path / "there",
        spec,
        progress=lambda what, done, total: told.append((what, done, total)),
        engine=engine,
    )
    assert here == there
    assert ("buckets", 4, 4) in told
    for path in sorted((tmp_path / "here").iterdir()):
        assert path.read_bytes() == (tmp_path / "there" / path.name).read_bytes()


def test_a_bucket_that_an_engine_lost_is_named_and_the_job_goes_on(log, tmp_path):
    def loses_one(tasks):
        (tmp_path / "fed.run" / "piece-000001.parquet").rename(tmp_path / "gone")
        yield from (task.attempt() for task in tasks)

    with pytest.raises(
        LostBlocksError, match=r"4 of 4 .*bucket 0: MissingStoreError: .*piece-0000"
    ):
        prepare(log, tmp_path / "fed", PrepareSpec(buckets=4), engine=loses_one)
    (tmp_path / "gone").rename(tmp_path / "fed.run" / "piece-000001.parquet")
    assert (
        prepare(log, tmp_path / "fed", PrepareSpec(buckets=4), engine=in_threads)["owners"] == 211
    )


def test_another_recipe_begins_anew(log, tmp_path, monkeypatch):
    def killed(*_args, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "bucket_sequences", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(log, tmp_path / "fed", PrepareSpec(buckets=4))
    found = prepare(log, tmp_path / "fed", PrepareSpec(buckets=3, filters=("looped",)))
    assert (found["buckets"], found["filters"]) == (3, ["looped"])
    assert sum(len(read_prepared(tmp_path / "fed").sequences(b)) for b in range(3)) == 211


def test_filters_are_those_of_memory(tmp_path):
    path = tmp_path / "log.csv"
    rows = [f"u{n % 2},a,{1_700_000_000 + n},finish" for n in range(30)]
    path.write_text("\n".join(["user_id,song_id,timestamp,event", *rows]) + "\n")
    prepare(path, tmp_path / "fed", PrepareSpec(buckets=2, filters=("looped",)))
    found = read_prepared(tmp_path / "fed")
    assert sorted(n for b in (0, 1) for n in found.sequences(b).lengths.tolist()) == [10, 10]
    with pytest.raises(InputError, match="a prepared log can be filtered by looped, flood"):
        PrepareSpec(filters=("doubled",))


def test_bad_rows_are_named_or_left_out(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(
        "user_id,song_id,timestamp,event\n"
        "a,x,1709294400,finish\na,y,1709294500,hum\nb,w,1709294400000,finish\nb,z,1709294600,play\n"
    )
    with pytest.raises(RowsError) as plain:
        read_interactions(path)
    with pytest.raises(RowsError) as prepared:
        prepare(path, tmp_path / "fed")
    assert str(prepared.value) == str(plain.value)
    assert not (tmp_path / "fed.run").exists()
    manifest = prepare(path, tmp_path / "fed", PrepareSpec(buckets=1, skip_bad_rows=True))
    assert manifest["rows_left_out"] == 2
    found, there = (
        read_prepared(tmp_path / "fed").sequences(0),
        read_interactions(path, skip_bad_rows=True),
    )
    assert owners(found) == owners(to_sequences(there))
    assert found.song_ids == there.song_ids == ("x", "z")


def test_an_old_folder_is_replaced_and_a_foreign_one_is_not(log, tmp_path):
    prepare(log, tmp_path / "fed", PrepareSpec(buckets=4))
    prepare(log, tmp_path / "fed", PrepareSpec(buckets=2))
    assert len(list((tmp_path / "fed").iterdir())) == 4
    (tmp_path / "fed" / "mine.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"mine\.txt"):
        prepare(log, tmp_path / "fed", PrepareSpec(buckets=2))
    with pytest.raises(InputError, match="no such file"):
        prepare(tmp_path / "none.csv", tmp_path / "other")


def test_damage_is_one_clear_error(log, tmp_path):
    fed = tmp_path / "fed"
    prepare(log, fed, PrepareSpec(buckets=2))
    manifest = json.loads((fed / "prepared.json").read_text())
    (fed / "prepared.json").write_text(json.dumps({**manifest, "songs": 1}))
    with pytest.raises(StoreError, match="damaged or changed"):
        read_prepared(fed)
    del manifest["content_sha256"]
    (fed / "prepared.json").write_text(json.dumps({**manifest, "songs": 1}))
    with pytest.raises(StoreError, match=r"a song number is not in songs\.parquet"):
        read_prepared(fed).sequences(0)
    (fed / "prepared.json").write_text(json.dumps({**manifest, "format_version": 2}))
    with pytest.raises(StoreError, match="reads prepared_listening of format 1"):
        read_prepared(fed)
    shutil.rmtree(fed)
    with pytest.raises(MissingStoreError, match="audiorec listening prepare"):
        read_prepared(fed)


def test_the_sample_of_version_1_is_read_for_good():
    found = read_prepared(Path("fixtures/formats/prepared-v1"))
    parts = {k: v[0] for b in range(2) for k, v in owners(found.sequences(b)).items()}
    assert parts == {
        "ana": ["piano/etude.flac"],
        "ben": ["rock/live.mp3", "piano/prelude.flac"],
        "eva": ["lost/gone.mp3"],
    }
    assert found.about["log_fingerprint"] == "1a608fcd10254c87"
