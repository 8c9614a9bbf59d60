"""`audiorec.store.embeddings`: three formats, one result; every fault with its row."""

import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audiorec.errors import InputError
from audiorec.store.embeddings import content_id, read_foreign, to_unit

IDS = ("b", "007")
NUMBERS = np.float32([[0.5, -2, 1], [4, 0, 3]])


def parquet(path, kind, rows=None):
    rows = NUMBERS.tolist() if rows is None else rows
    ids = list(IDS) + [f"x{i}" for i in range(len(rows) - 2)]
    pq.write_table(pa.table({"uid": ids, "e": pa.array(rows, kind)}), path)
    return path


def read(path):
    return read_foreign(path, id_column="uid", embedding_column="e")


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float64()),
        pa.large_list(pa.float32()),
        pa.list_(pa.float32(), 3),
        pa.list_(pa.int8()),
    ],
)
def test_parquet_lists_of_any_type(tmp_path, kind):
    rows = [[1, -2, 1], [4, 0, 3]]
    ids, numbers = read(parquet(tmp_path / "t.parquet", kind, rows))
    assert ids == IDS
    np.testing.assert_array_equal(numbers, np.float32(rows))
    assert numbers.dtype == np.float32


def test_parquet_in_many_row_groups(tmp_path):
    table = pa.table({"uid": [str(i) for i in range(7)], "e": [[i, 0.5] for i in range(7)]})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=3)
    ids, numbers = read(tmp_path / "t.parquet")
    assert ids[-1] == "6"
    assert numbers[:, 0].tolist() == list(range(7))


def test_csv_keeps_the_order_of_columns_and_ids_as_texts(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("z,uid,a,m\n0.5,b,-2,1\n4,007,0,3\n")
    ids, numbers = read(path)
    assert ids == IDS
    np.testing.assert_array_equal(numbers, NUMBERS)


def test_npz(tmp_path):
    np.savez(tmp_path / "t.npz", ids=np.array(IDS), embeddings=NUMBERS.astype(np.float64))
    ids, numbers = read(tmp_path / "t.npz")
    assert ids == IDS
    np.testing.assert_array_equal(numbers, NUMBERS)
    np.savez(tmp_path / "n.npz", ids=np.array([3, 12]), embeddings=NUMBERS)
    assert read(tmp_path / "n.npz")[0] == ("3", "12")


def test_nothing_pickled_is_read(tmp_path):
    np.savez(tmp_path / "t.npz", ids=np.array(IDS, object), embeddings=NUMBERS)
    with pytest.raises(InputError, match=r"t.npz: .*allow_pickle=False"):
        read(tmp_path / "t.npz")
    (tmp_path / "p.npz").write_bytes(pickle.dumps({"ids": IDS}))
    with pytest.raises(InputError, match=r"p.npz: "):
        read(tmp_path / "p.npz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user,a\nb,1\n", "needs one column 'uid', has user, a"),
        ("uid\nb\n", "a separate column"),
        ("uid,a,a\nb,1,2\n", "a separate column"),
        ("uid,a\nb,1\nc,\n", "row 2 has no 'a'"),
        ("uid,a\nb,1\nc,x\n", "cannot be read as csv"),
        ("uid,a\nb,1\nb,2\n", "rows 1 and 2 have the id 'b'"),
        ("uid,a\nb,1\nc,nan\n", r"row 2 \('c'\) has a number that is not finite"),
        ("uid,a\nb,1\n,2\n", "row 2 has no id"),
        ("uid,a\nb,1,3\n", "cannot be read as csv"),
    ],
)
def test_faults_of_a_csv(tmp_path, text, message):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=f"t.csv: .*{message}"):
        read(path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1.0, 2.0], [1.0]], "row 2 has 1 numbers, the rows before it 2"),
        ([[1.0, 2.0], None], "a row has no e"),
        ([[1.0, 2.0], [1.0, None]], "has a number missing"),
        ([[1.0, 2.0], [1.0, float("inf")]], r"row 2 \('007'\) has a number"),
    ],
)
def test_faults_of_a_parquet(tmp_path, rows, message):
    path = parquet(tmp_path / "t.parquet", pa.list_(pa.float64()), rows)
    with pytest.raises(InputError, match=f"t.parquet: .*{message}"):
        read(path)


def test_other_files(tmp_path):
    with pytest.raises(InputError, match=r"expected \.parquet, \.csv or \.npz"):
        read(tmp_path / "t.pkl")
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "t.csv")
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="cannot be read as parquet"):
        read(tmp_path / "t.parquet")
    pq.write_table(pa.table({"uid": ["a"], "e": [1.0]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="'e' is double, expected a list"):
        read(tmp_path / "t.parquet")
    np.savez(tmp_path / "t.npz", ids=np.array(["a"]))
    with pytest.raises(InputError, match=r"'embeddings\\.npy'|embeddings is not a file"):
        read(tmp_path / "t.npz")
    np.savez(tmp_path / "t.npz", ids=np.array(["a"]), embeddings=np.ones((2, 3)))
    with pytest.raises(InputError, match=r"1 ids for embeddings of shape \(2, 3\)"):
        read(tmp_path / "t.npz")


def test_unit_length_and_what_has_none():
    found = to_unit("t", IDS, NUMBERS)
    np.testing.assert_allclose(found[1], [0.8, 0, 0.6], rtol=1e-6)
    with pytest.raises(InputError, match=r"t: row 2 \('007'\) has length 0"):
        to_unit("t", IDS, NUMBERS * [[1], [0]])


def test_the_name_of_a_space_follows_its_content():
    assert content_id(IDS, NUMBERS) == content_id(list(IDS), NUMBERS.copy())
    assert content_id(IDS, NUMBERS) != content_id(IDS, NUMBERS + 1)
    assert content_id(IDS, NUMBERS) != content_id(("b", "7"), NUMBERS)
