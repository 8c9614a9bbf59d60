"""Tables and lists with odd content: one typed error each, with the file."""

import os
import random
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from command import run_command
from good_store import write_good_store
from made_songs import write_song

from audiorec.errors import AudiorecError, InputError, StoreError
from audiorec.extraction.catalogue import parse_naming
from audiorec.extraction.manifest import Manifest
from audiorec.files.user_files import read_table
from audiorec.labelling.songs import read_labels
from audiorec.library.library import Library
from audiorec.listening.check import count_verdicts, describe
from audiorec.listening.events import RowsError
from audiorec.listening.interactions import read_interactions
from audiorec.listening.profiles import Encoder, read_profiles
from audiorec.recall.cold_start.sides import _read_artists
from audiorec.store.aliases import read_aliases
from audiorec.store.embeddings import read_foreign
from audiorec.types import name_numbers

N = 12  # rows of the tables below
LOG = {
    "user_id": [f"u{i % 3}é" for i in range(N)],
    "song_id": [f"s{i}" for i in range(N)],
    "timestamp": pa.array([1_700_000_000_000_000 + i for i in range(N)], pa.timestamp("us", "UTC")),
    "event": ["like", "play", "finish", "skip"] * 3,
    "played_ratio": pa.array([0.5] * N, pa.float32()),
    "weight": pa.array([1.0, 2.0] * 6, pa.float32()),
    "playlist_id": ["p1"] * N,
}
HEADER = "user_id,song_id,timestamp,event,played_ratio,weight\n"
LABELS = {
    "path": [f"m/{i}.mp3" for i in range(N)],
    "label": ["a", "b"] * 6,
    "group": [f"g{i}" for i in range(N)],
}
MANIFEST = {
    "path": [f"m/{i}.mp3" for i in range(N)],
    "song_id": [str(i) for i in range(N)],
    "size": [5] * N,
    "mtime_ns": [7] * N,
    "alias": [f"x{i}" for i in range(N)],
}
PROFILES = {
    "user_id": [f"u{i}" for i in range(N)],
    "country": ["SE", "NO"] * 6,
    "age": pa.array([30.0, None] * 6),
    "paid": pa.array([True, None] * 6),
}
ALIASES = {"alias": ["a"] * N, "kind": ["csv"] * N, "song_id": [str(i) for i in range(N)]}
ARTISTS = {"song_id": [f"s{i}" for i in range(N)], "artist": ["A", "B"] * 6}
VECTOR = pa.array([[float(i), 1.0] for i in range(N)], pa.list_(pa.float32()))
NUMBERS = {"id": [f"u{i}" for i in range(N)], "x": ["1.5"] * N, "y": ["2"] * N}
FOREIGN = {"id": [f"u{i}" for i in range(N)], "embedding": VECTOR}


def write_parquet(path, columns):
    pq.write_table(pa.table(columns), path)
    return path


def write_csv(path, columns):
    texts = {name: pa.array(values).cast(pa.string()) for name, values in columns.items()}
    pa_csv.write_csv(pa.table(texts), path)
    return path


def interactions(path):
    log = read_interactions(path, skip_bad_rows=True)
    describe(log)
    count_verdicts(log)


def profiles(path):
    found = read_profiles(path)
    Encoder.fit(found).encode(found)


def manifest(path):
    with Manifest.open(str(path)) as opened:
        opened.sources(0, len(opened))


def ids(path):
    parse_naming(f"csv:{path}")("m/1.mp3", "x")


def artists(path):
    artist_of = _read_artists(path)
    name_numbers([artist_of.get(f"s{i}") for i in range(N)])


def foreign(path):
    read_foreign(path, id_column="id")


READERS = {
    "interactions": (interactions, LOG, (".csv", ".parquet")),
    "labels": (read_labels, LABELS, (".csv", ".parquet")),
    "manifest": (manifest, MANIFEST, (".csv", ".parquet")),
    "users": (profiles, PROFILES, (".csv", ".parquet")),
    "aliases": (read_aliases, ALIASES, (".parquet",)),
    "ids": (ids, MANIFEST, (".csv",)),
    "artists": (artists, ARTISTS, (".parquet",)),
    "foreign": (foreign, FOREIGN, (".parquet",)),
    "foreign numbers": (foreign, NUMBERS, (".csv",)),
}
WRITERS = {".csv": write_csv, ".parquet": write_parquet}


# A column with the worst of each type, shape (N,).
COLUMNS = {
    "int64 max as a time": lambda: pa.array([2**63 - 1] * N, pa.timestamp("us", "UTC")),
    "floats that overflow": lambda: pa.array([1e308, -1e308] * 6),
    "uint64 max": lambda: pa.array([2**64 - 1] * N, pa.uint64()),
    "structs": lambda: pa.array([{"a": 1}] * N),
    "bytes": lambda: pa.array([b"\xff\xfe"] * N, pa.binary()),
    "nulls": lambda: pa.nulls(N),
    "escapes": lambda: pa.array(["\x1b[2J\n\u202e"] * N),
    "a dictionary": lambda: pa.array(["a", "b"] * 6).dictionary_encode(),
    "lists that overflow": lambda: pa.array([[1e39, 2.0]] * N),
    "texts that are not UTF-8": lambda: pa.Array.from_buffers(
        pa.string(),
        N,
        [None, pa.py_buffer(np.arange(N + 1, dtype=np.int32)), pa.py_buffer(b"\xff" * N)],
    ),
}


def run(read, path):
    """Read a file; anything but a result or a typed error that names it fails the test."""
    told = str(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            read(path)
        except AudiorecError as error:
            told = str(error)
    assert str(path) in told


@pytest.mark.parametrize("name", [name for name in READERS if ".parquet" in READERS[name][2]])
@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_of_another_type_is_read_or_refused(name, kind, tmp_path):
    read, columns, _ = READERS[name]
    for column in columns:
        run(read, write_parquet(tmp_path / "t.parquet", columns | {column: COLUMNS[kind]()}))


ODD = (b"\xff", b"\x00", b'"', b",", b"\n", b"\r", b"\xe2\x80\xa8", b"9" * 400, b"1e308", b"nan")
ODD += (b"\x1b[2J", b"\xef\xbb\xbf", b"x" * 140_000, b"9223372036854775807", b"0001-01-01")


def mutate(rng, whole, other):
    content = bytearray(whole)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        at, way = rng.randrange(len(content) + 1), rng.randrange(6)
        if way == 0 and content:
            content[at % len(content)] ^= 1 << rng.randrange(8)
        elif way == 1:
            del content[at:]
        elif way == 2:
            content[at:at] = rng.choice(ODD)
        elif way == 3:
            del content[at : at + rng.randrange(1, 20)]
        elif way == 4:
            content[at:] = other[rng.randrange(len(other) + 1) :]
        else:
            content[at : at + 8] = rng.randbytes(8)
    return bytes(content)


@pytest.mark.parametrize("name", READERS)
def test_mutated_tables_are_read_or_refused(name, tmp_path):
    rng = random.Random(name)  # noqa: S311
    read, columns, endings = READERS[name]
    wholes = [WRITERS[end](tmp_path / f"whole{end}", columns).read_bytes() for end in endings]
    for number in range(20):
        which = number % len(endings)
        path = tmp_path / f"case{endings[which]}"
        path.write_bytes(mutate(rng, wholes[which], rng.choice(wholes)))
        run(read, path)


def test_the_largest_time_is_one_error_with_its_row(tmp_path):
    times = pa.array([*LOG["timestamp"].to_pylist()[:-1], None], pa.timestamp("us", "UTC"))
    times = pa.concat_arrays([times[:-1], pa.array([2**63 - 1], pa.timestamp("us", "UTC"))])
    path = write_parquet(tmp_path / "log.parquet", LOG | {"timestamp": times})
    with pytest.raises(RowsError, match=r"log\.parquet: 1 of 12 rows .*timestamp not between") as e:
        read_interactions(path)
    assert f"1 row ({N}), for example '9223372036854775807'" in str(e.value)


def test_a_weight_or_ratio_that_overflows_is_a_bad_row_and_no_warning(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(f"{HEADER}u,s,1700000000,play,-1e300,1\nu,s,1700000000,play,0.5,1e300\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RowsError) as caught:
            read_interactions(path)
    assert [problem.rows for problem in caught.value.problems] == [(1,), (2,)]


def test_short_rows_that_are_not_utf8_are_one_error_and_print_nothing(tmp_path, capfd):
    path = tmp_path / "log.csv"
    path.write_bytes(HEADER.encode() + b"u,s,1700000000,play,,\n" * 2000 + b"\xff\xfe,b\n")
    for skip in (False, True):
        with pytest.raises(
            InputError, match=r"log\.csv: cannot be read: is not UTF-8 in line 2002"
        ):
            read_interactions(path, skip_bad_rows=skip)
    assert capfd.readouterr() == ("", "")


def test_a_column_that_stands_twice_or_not_at_all(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("path,label,path\n1,2,3\n")
    with pytest.raises(InputError, match="'path' is duplicated"):
        read_labels(path)
    twice = pa.table([["a"], ["b"], ["c"]], names=["path", "label", "path"])
    pq.write_table(twice, tmp_path / "t.parquet")
    with pytest.raises(InputError, match="'path' is duplicated"):
        read_table(tmp_path / "t.parquet", "cannot read", needed=("path", "label"))
    with pytest.raises(InputError, match="has no column label; it has path"):
        read_table(
            write_parquet(tmp_path / "u.parquet", {"path": ["a"]}), "cannot read", needed=["label"]
        )


def test_only_line_feeds_end_a_line_of_a_list(tmp_path, monkeypatch, capfd):
    names = ("a\u2028b.wav", "c\x0bd\x85e.wav", "plain.wav")
    for seed, name in enumerate(names):
        write_song(tmp_path / name, seed=seed, seconds=1.6)
    (tmp_path / "list.txt").write_text("\n".join(names) + "\r\n", newline="")
    monkeypatch.chdir(tmp_path)
    asked = ("extract", "--from", "list.txt", "-j1", "-q", "--out", "v.parquet")
    code, _, err = run_command(monkeypatch, capfd, *asked)
    assert code == 0, err
    assert Library.open("v.parquet").ids == tuple(sorted(names))


def test_a_metrics_file_with_an_odd_path_is_known_again(tmp_path, monkeypatch, capfd):
    write_song(tmp_path / "songs" / "1.wav", seed=0, seconds=1.6)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        asked = (
            "-j1",
            "-q",
            "--out",
            "odd\u2028\x85\x0b name.parquet",
            "--metrics-textfile",
            "m.prom",
        )
        code, _, err = run_command(monkeypatch, capfd, "extract", "songs", *asked)
        assert code == 0, err
    assert 'exit_code="0"} 2' in (tmp_path / "m.prom").read_text()


def test_a_store_whose_texts_are_not_utf8_is_a_store_error(tmp_path):
    store = write_good_store(tmp_path)
    store.write_bytes(store.read_bytes().replace(b"title", b"\xe5itle"))
    with pytest.raises(StoreError, match="the name of a column is not UTF-8"):
        Library.open(store)


def test_what_is_read_twice_may_not_be_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "log.csv")
    with pytest.raises(InputError, match=r"log\.csv: .*is a pipe"):
        read_interactions(tmp_path / "log.csv")
