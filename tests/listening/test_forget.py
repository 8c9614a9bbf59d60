import gzip
import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audiorec.errors import AudiorecError, InputError, StoreError
from audiorec.listening.forget import forget
from audiorec.listening.interactions import read_interactions
from audiorec.listening.log_files import log_fingerprint
from audiorec.listening.prepare import PrepareSpec, prepare
from audiorec.listening.reading import read_prepared
from audiorec.recall.contract.candidates import read_candidates
from audiorec.store.embeddings import EmbeddingTable
from audiorec.store.verify import verify

FORMATS = Path("fixtures/formats")


@pytest.fixture
def at(tmp_path):
    """Copy a sample to where it may be changed."""

    def copy(name):
        source = FORMATS / name
        target = tmp_path / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
        return target

    return copy


def counts(found):
    return [(str(f.kind), f.removed, f.left) for f in found]


@pytest.mark.parametrize("name", ["interactions-v1.csv", "interactions-v1.parquet"])
def test_a_log_loses_the_rows_of_one_user(at, name):
    log = at(name)
    before = read_interactions(log)
    mine = int((before.user == before.user_ids.index("ana")).sum())
    assert counts(forget("ana", [log])) == [("log", mine, len(before) - mine)]
    after = read_interactions(log)
    assert after.user_ids == tuple(u for u in before.user_ids if u != "ana")
    assert len(after) == len(before) - mine
    assert b"ana," not in log.read_bytes()
    assert [p.name for p in log.parent.iterdir()] == [name]
    assert counts(forget("ana", [log])) == [("log", 0, len(after))]


@pytest.mark.parametrize("column", ["timestamp", "weight"])
def test_plays_alone_and_counts_are_logs_too(tmp_path, column):
    log = tmp_path / "log.csv"
    log.write_text(f"user_id,song_id,{column}\nana,a,1709294400\nben,a,1709294401\n")
    assert counts(forget("ana", [log])) == [("log", 1, 1)]
    assert "ana" not in log.read_text()


def test_what_is_not_there_leaves_a_file_as_it_is(at):
    paths = [at(n) for n in ("interactions-v1.csv", "candidates-v1.parquet", "prepared-v1")]
    files = [p for path in paths for p in ([path] if path.is_file() else path.iterdir())]
    before = {p: (p.read_bytes(), p.stat().st_ino) for p in files}
    assert [f.removed for f in forget("an", paths)] == [0, 0, 0]
    assert {p: (p.read_bytes(), p.stat().st_ino) for p in files} == before


def test_candidates_and_tables_of_users_stay_whole_and_sealed(at):
    lists, users = at("candidates-v1.parquet"), at("users-v1.parquet")
    user = EmbeddingTable.open(users, kind="users").ids[0]
    left = len(EmbeddingTable.open(users, kind="users").ids) - 1
    assert counts(forget("ana", [lists])) == [("candidates", 3, 1)]
    assert counts(forget(user, [users])) == [("users", 1, left)]
    assert read_candidates(lists).ranked.owner_ids == ("ben",)
    assert user not in EmbeddingTable.open(users, kind="users").ids
    for path in (lists, users):
        assert not list(verify(path).problems)


def test_a_prepared_log_loses_one_sequence(at):
    fed = at("prepared-v1")
    assert counts(forget("ben", [fed])) == [("prepared", 2, 2)]
    found = read_prepared(fed)
    owners = [owner for b in range(2) for owner in found.sequences(b).owner_ids]
    assert sorted(owners) == ["ana", "eva"]
    assert (found.about["owners"], found.about["plays"]) == (2, 2)
    assert not any(b"ben" in path.read_bytes() for path in fed.iterdir())


def test_a_prepared_log_is_that_of_the_log_without_the_user(at, tmp_path):
    log = at("interactions-v1.csv")
    spec = PrepareSpec(buckets=3)
    prepare(log, tmp_path / "fed", spec)
    forget("ana", [log, tmp_path / "fed"])
    prepare(log, tmp_path / "again", spec)
    for bucket in range(3):
        one, other = (read_prepared(tmp_path / name).sequences(bucket) for name in ("fed", "again"))
        assert one.owner_ids == other.owner_ids
        assert [one.song_ids[s] for s in one.song] == [other.song_ids[s] for s in other.song]


def test_sessions_without_a_user_are_their_own(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text(
        "session_id,user_id,song_id,event\r\ns1,,a,finish\r\ns1,u,a,finish\r\n"
        's2,,"a,\n""b""",finish\r\n',
        newline="",
    )
    assert counts(forget("s1", [log])) == [("log", 1, 2)]
    assert log.read_bytes() == (
        b"session_id,user_id,song_id,event\r\ns1,u,a,finish\r\n" + b's2,,"a,\n""b""",finish\r\n'
    )


def test_sessions_of_a_parquet_are_their_own_as_well(tmp_path):
    log = tmp_path / "log.parquet"
    columns = {"user_id": [None, "", "u"], "list_id": ["l", "l", "l"], "song_id": ["a", "b", "c"]}
    pq.write_table(pa.table({**columns, "event": ["playlist"] * 3}), log)
    assert counts(forget("l", [log])) == [("log", 2, 1)]
    assert pq.read_table(log).column("song_id").to_pylist() == ["c"]


def test_an_id_is_the_whole_id(at, tmp_path):
    prepare(at("interactions-v1.csv"), tmp_path / "fed", PrepareSpec(buckets=1))
    for other in ("be", "bene", "BEN", "ben "):
        assert forget(other, [tmp_path / "fed", tmp_path / "interactions-v1.csv"])[0].removed == 0


def test_numbers_and_packed_files(tmp_path):
    log = tmp_path / "log.parquet"
    table = pa.table({"user_id": [7, 77], "song_id": ["a", "b"], "event": ["like"] * 2})
    pq.write_table(table, log)
    assert counts(forget("7", [log])) == [("log", 1, 1)]
    assert pq.read_table(log).to_pylist() == [{"user_id": 77, "song_id": "b", "event": "like"}]
    packed = tmp_path / "log.csv.gz"
    packed.write_bytes(gzip.compress(b"user_id,song_id,event,more\nu,a,like,1\nv,a,like\n\n"))
    assert counts(forget("u", [packed])) == [("log", 1, 1)]
    assert gzip.decompress(packed.read_bytes()) == b"user_id,song_id,event,more\nv,a,like\n\n"


def test_models_that_learnt_from_a_log_are_named(at, tmp_path):
    log = at("interactions-v1.csv")
    of = log_fingerprint(log)
    says = {"mine": [of], "other": ["0" * 16], "silent": None}
    for name, fingerprints in says.items():
        (tmp_path / name).mkdir()
        config = {"kind": "recall/x"} | ({"log_fingerprints": fingerprints} if fingerprints else {})
        (tmp_path / name / "model.json").write_text(json.dumps(config))
    found = forget("ana", [log, *(tmp_path / name for name in says)])
    assert [f.train_again for f in found] == [False, True, False, True]
    assert "does not record its training log" in found[3].note


@pytest.mark.parametrize("place", [0, 1])
def test_nothing_changes_unless_all_files_are_known(at, tmp_path, place):
    log, foreign = at("interactions-v1.csv"), tmp_path / "letters.csv"
    foreign.write_text("user_id,text\nana,dear\n")
    before = log.read_bytes()
    paths = [log, foreign] if place else [foreign, log]
    with pytest.raises(InputError, match="is not a listening log, table of users"):
        forget("ana", paths)
    assert log.read_bytes() == before


def test_what_must_not_be_touched_is_refused(at, tmp_path):
    log = at("interactions-v1.csv")
    (tmp_path / "link.csv").symlink_to(log)
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("ana")
    os.mkfifo(tmp_path / "pipe.csv")
    prepare_by = tmp_path / "by-list"
    listed = tmp_path / "lists.csv"
    listed.write_text("list_id,song_id,event\nl,a,playlist\n")
    prepare(listed, prepare_by, PrepareSpec(by="list", buckets=1))
    for name, message in {
        "link.csv": "is a link",
        "folder": "is neither a folder of prepared listening",
        "notes.txt": "is not a .parquet",
        "none.csv": "no such file",
        "pipe.csv": "is a pipe",
        "by-list": "holds sessions or lists",
    }.items():
        with pytest.raises(AudiorecError, match=message):
            forget("ana", [tmp_path / name])
    with pytest.raises(InputError, match="holds vectors, which has no rows per user"):
        forget("ana", [at("vecs-v1.parquet")])
    with pytest.raises(InputError, match="is empty"):
        forget("", [log])


def test_a_file_that_is_damaged_halfway_stays(tmp_path):
    log = tmp_path / "log.csv"
    content = b"user_id,song_id,event\nu,a,like\nv,\xff,like\n"
    log.write_bytes(content)
    with pytest.raises(InputError, match="UTF-8"):
        forget("u", [log])
    assert log.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["log.csv"]


def test_a_broken_model_file_is_an_error(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.json").write_text("{")
    with pytest.raises(StoreError, match="not JSON"):
        forget("u", [tmp_path / "m"])
