"""Parquet files of some kilobytes that unfold to gigabytes, wherever one may be given."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import audiorec
from audiorec.errors import InputError, StoreError
from audiorec.extraction.catalogue import read_manifest
from audiorec.extraction.manifest import Manifest
from audiorec.files import arrow
from audiorec.labelling.songs import read_labels
from audiorec.listening.profiles import read_profiles
from audiorec.store.aliases import read_aliases
from audiorec.store.embeddings import read_foreign
from audiorec.store.schema import Kind, open_checked

FORMATS = Path(__file__).parents[2] / "fixtures" / "formats"
MIB_ALLOWED = 60


@pytest.fixture
def _small_limits(monkeypatch):
    """A hundredth of the limits: bombs of gigabytes take half a minute to make."""
    monkeypatch.setattr(arrow, "LEAST_BYTES", 10 << 20)
    monkeypatch.setattr(arrow, "LEAST_ROWS", 10_000)


def stored(name):
    return pq.read_table(FORMATS / name)


def bomb(path, table, *, times):
    """Write the rows of a table again and again, as row groups: small on disk."""
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(times):
            writer.write_table(table)
    assert path.stat().st_size < 2_000_000
    return path


def repeated(table, row, changes, count):
    """One row of a table, changed, `count` times."""
    one = table.slice(row, 1)
    for name, value in changes.items():
        at, field = one.schema.get_field_index(name), one.schema.field(name)
        one = one.set_column(at, field, pa.array([value], field.type))
    return one.take(pa.array(np.zeros(count, np.int32)))


def test_a_store_with_ids_of_a_gigabyte(tmp_path, peak_mib):
    table = repeated(stored("vecs-v1.parquet"), 0, {"song_id": "x" * 100_000}, 2_000)
    path = bomb(tmp_path / "vecs.parquet", table, times=10)
    with peak_mib() as peak, pytest.raises(StoreError, match=r"vecs\.parquet: would expand"):
        audiorec.open_store(path)
    assert peak.grown < MIB_ALLOWED


@pytest.mark.usefixtures("_small_limits")
def test_a_store_of_rows_without_end_is_refused_by_its_footer(tmp_path, peak_mib):
    table = repeated(stored("vecs-v1.parquet"), 0, {"vector": [0.0] * 84}, 16_000)
    path = bomb(tmp_path / "vecs.parquet", table, times=20)
    del table
    with peak_mib() as peak, pytest.raises(StoreError, match=r"claims|would expand|two rows"):
        audiorec.open_store(path)
    assert peak.grown < MIB_ALLOWED


@pytest.mark.usefixtures("_small_limits")
@pytest.mark.parametrize("kind", [Kind.SCORES, Kind.FEATURES])
def test_scores_and_features_without_end(tmp_path, kind, peak_mib):
    table = stored(f"{kind}-v1.parquet")
    column = next(f for f in table.schema if pa.types.is_list(f.type) and f.name != "start_s")
    rows = [[0.0] * column.type.value_type.list_size] * 20_000
    one = repeated(table, 0, {column.name: rows}, 1)
    path = bomb(tmp_path / f"{kind}.parquet", one, times=200)
    checked = open_checked(path, kind)
    with peak_mib() as peak, pytest.raises(StoreError, match="would expand"):
        checked.read([column.name])
    assert peak.grown < MIB_ALLOWED
    assert len(checked.read_group(3, [column.name])) == 1  # one row of it is no bomb


def test_a_manifest_of_gigabytes(tmp_path, peak_mib):
    table = pa.table({"path": ["x" * 100_000], "song_id": ["1"]})
    path = bomb(tmp_path / "m.parquet", table.take(pa.array(np.zeros(2_000, np.int32))), times=10)
    with peak_mib() as peak, pytest.raises(InputError, match=r"m\.parquet: would expand"):
        read_manifest(path)
    assert peak.grown < MIB_ALLOWED


def test_a_manifest_of_a_million_times_the_same_song(tmp_path, peak_mib):
    table = pa.table({"path": ["a.mp3"], "song_id": ["1"]})
    table = table.take(pa.array(np.zeros(1 << 20, np.int32)))
    path = bomb(tmp_path / "m.parquet", table, times=2)
    with peak_mib() as peak, pytest.raises(InputError, match="claims 2097152 rows in"):
        read_manifest(path)
    assert peak.grown < MIB_ALLOWED


def foreign(path):
    return read_foreign(path, id_column="id", embedding_column="age")


def test_a_manifest_of_shards_is_refused_where_its_rows_are_read(tmp_path, peak_mib):
    table = pa.table({"path": ["x" * 100_000], "song_id": ["1"]})
    path = bomb(tmp_path / "m.parquet", table.take(pa.array(np.zeros(12_000, np.int32))), times=1)
    refusal = pytest.raises(InputError, match=r"m\.parquet: would expand")
    with Manifest.open(str(path)) as manifest, peak_mib() as peak, refusal:
        manifest.sources(0, 10)
    assert peak.grown < MIB_ALLOWED


@pytest.mark.usefixtures("_small_limits")
@pytest.mark.parametrize("read", [read_labels, read_aliases, read_profiles, foreign])
def test_every_other_table_that_one_may_be_given(tmp_path, read, peak_mib):
    names = ("path", "label", "song_id", "alias", "user_id", "id", "age", "kind")
    column = pa.array(["x" * 100_000]).take(pa.array(np.zeros(1_000, np.int32)))
    path = bomb(tmp_path / "t.parquet", pa.table(dict.fromkeys(names, column)), times=1)
    with peak_mib() as peak, pytest.raises((InputError, StoreError), match="would expand"):
        read(path)
    assert peak.grown < MIB_ALLOWED
