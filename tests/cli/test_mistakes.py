"""One mistake has one exit code, in every command that can meet it (docs/reference/runs.md)."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from good_store import METADATA, write_good_store
from made_runs import made_run
from needs import needs

from audiorec.listening.interactions import read_interactions
from audiorec.listening.sequences import to_sequences
from audiorec.recall.contract.data import RecallData
from audiorec.recall.simple.counts import Popular
from audiorec.runs.record import write_run
from audiorec.store.embeddings import write_embeddings

MISSING, DAMAGED, OTHER = "gone", "cut", "other"
CODES = {MISSING: 2, DAMAGED: 4, OTHER: 4}

# A command line for each kind of file; {kind} is a file that it reads.
LINES = [
    "info -v {store}",
    "start {folder}",
    "similar a/one.flac --from {list}",
    "similar a/one.flac --by {songs}",
    "similar a/one.flac --head {unread}",
    "sync home -v vecs.parquet --config {toml}",
    "retag . --undo {undo}",
    "classify --head {head} song.wav",
    "classify {audio} --tags 3",
    "plot {table} -o out.png",
    "extract --from {paths} -o out",
    "extract song.wav --id-from csv:{ids} -o out",
    "shards {manifest} 0/1 -o out",
    "store verify --beside {checked}",
    "store merge vecs.parquet {store} -o out",
    "listening check {log}",
    "listening check plays.csv --rule {rule}",
    "listening import yambda {table} --keep any -o out.parquet",
    "listening import navidrome {database} --keep any -o out.parquet",
    "recall users --import {embeddings} -o out",
    "recall train user-audio -i listened.csv -v vecs.parquet -u {users} -o out",
    "recall candidates {model} -i listened.csv -o out",
    "recall fuse lists.csv --tuned {tuned} -o out",
    "cold-start audience --songs {songs} --users users.parquet -o out",
    "runs --in {record}",
    "heads {labels} --task t -o out",
]
# Where a damaged or another file is no mistake: any text is a list or settings, any bytes are
# paths, a head is not read for a song that the store has, and verify counts what it finds.
NEVER = {
    MISSING: set(),
    DAMAGED: {"folder", "rule", "toml", "paths", "unread", "checked"},
    OTHER: {"folder", "toml", "list", "ids", "table", "rule", "labels", "audio"}
    | {"paths", "unread", "checked", "tuned"},
}
LEARNT = "youtube-dnn|sasrec|mind|comirec-sa|song2vec|eges|graphsage|user-audio"
TORCH = re.compile(f"heads .*--task|recall train ({LEARNT})")
CASES = [
    (line, mistake, kind)
    for line in LINES
    for mistake in CODES
    if (kind := re.search(r"\{(\w+)\}", line)[1]) not in NEVER[mistake]
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with one good file of each kind, cut ones, and other ones."""
    home = tmp_path_factory.mktemp("mistakes")
    store = write_good_store(home)
    users = [f"u{n}" for n in range(6)]
    rng = np.random.default_rng(0)
    ids = ["x", "y", "z"]
    for name, kind, names in (("songs", "songs", ids), ("users", "users", users)):
        about = {"kind": kind, "model_id": "m", "space": "m"}
        values = rng.normal(size=(len(names), 4))
        write_embeddings(home / f"{name}.parquet", names, values, **about)
    song_ids = pq.read_table(store).column("song_id").to_pylist()
    rows = [f"{u},{s},2024-05-01T10:00:00Z,like" for u in users for s in song_ids[:3]]
    (home / "plays.csv").write_text("\n".join(["user_id,song_id,timestamp,event", *rows]) + "\n")
    played = (home / "plays.csv").read_text().replace(",like", ",finish")
    (home / "listened.csv").write_text(played)
    (home / "lists.csv").write_text(f"user_id,song_id\nu0,{song_ids[3]}\n")
    (home / "targets.csv").write_text(f"user_id,song_id\nu0,{song_ids[3]}\nu1,{song_ids[3]}\n")
    listened = to_sequences(read_interactions(home / "listened.csv"))
    Popular().fit(RecallData(listened)).save(home / "channel")
    (home / "labels.csv").write_text("path,label\nsong.wav,a\nsong.wav,b\n")
    (home / "song.wav").write_bytes(b"")
    whole = store.read_bytes()
    (home / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (home / "cut.csv").write_bytes(b"user_id,\xff\xfe\n\x00" + rng.bytes(300))
    (home / "other.parquet").write_bytes(b"")
    pq.write_table(pa.table({"number": [1, 2]}), home / "other.parquet")
    for name in ("cut", "other"):
        (home / f"{name}-model").mkdir()
        (home / f"{name}-model" / "model.json").write_text("{" if name == "cut" else "{}")
        (home / f"{name}-model" / "model.safetensors").write_bytes(b"cut")
    write_run(str(home / "model.parquet.run.json"), made_run())
    (home / "cut.run.json").write_text("{")
    (home / "other.run.json").write_text("[]")
    (home / "cut.db").write_bytes(b"SQLite format 3\0" + rng.bytes(5000))
    (home / "other.db").write_bytes(b"no database")
    (home / "cut.safetensors").write_bytes(whole[:100])
    (home / "cut.wav").write_bytes(b"RIFF" + rng.bytes(100))
    assert METADATA.features
    return home


def named(mistake, kind):
    """Return the name of a file of that kind that is not there, damaged, or another."""
    endings = {
        **dict.fromkeys(("list", "rule", "ids", "labels", "log", "table", "tuned"), ".csv"),
        "head": ".safetensors",
        "model": "-model",
        "audio": ".wav",
        "folder": "",
        "toml": ".toml",
        "database": ".db",
        "record": ".run.json",
    }
    if mistake == OTHER and kind in ("log", "head"):
        return "other.parquet"
    return f"{mistake}{endings.get(kind, '.parquet')}"


@pytest.mark.parametrize(("line", "mistake", "kind"), CASES)
def test_a_mistake_has_its_exit_code(line, mistake, kind, folder, audiorec, monkeypatch):
    if TORCH.search(line):
        needs("torch")
    if line.startswith(("browse", "serve")):
        needs("starlette")
    if line.startswith("plot"):
        needs("audiorec_plots")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("AUDIOREC_VECTORS", raising=False)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    path = named(mistake, kind)
    code, out, err = audiorec(*line.format(**{kind: path}).split())
    assert (code, out) == (CODES[mistake], ""), err
    told = [one for one in err.splitlines() if one.startswith("error: ")]
    assert len(told) == 1, err
    assert Path(path).name in told[0]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_no_songs(folder, audiorec, monkeypatch, tmp_path):
    (tmp_path / "none").mkdir()
    monkeypatch.chdir(tmp_path)
    for line in ("extract none", "classify none", "manifest none -o m.parquet"):
        code, out, err = audiorec(*line.split())
        assert (code, out) == (4, ""), err
        assert err == "error: no songs found: no file there looks like audio\n"
