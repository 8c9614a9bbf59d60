"""The reference says of an export what there is; a stored export of version 1 stays readable."""

import hashlib
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from made_export import read

from audiorec.recall.serving.export.folder import is_whole, read_manifest
from audiorec.recall.serving.export.schema import (
    FEATURES,
    ExportParts,
    export_tables,
)

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "ranker.md").read_text()
SAMPLE = ROOT / "fixtures" / "formats" / "export-v1"


def test_the_page_has_a_formula_for_every_feature():
    _, _, rest = PAGE.partition("## Features\n")
    formulas = rest.partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+`) \|", formulas, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(column.name for column in FEATURES)


def test_an_export_of_version_1_is_read():
    found = read_manifest(SAMPLE)
    assert found["format_version"] == 1
    assert is_whole(SAMPLE, found)
    parts = ExportParts(channels=[("vs_knn", "vs-knn")], vector=84, unit=42)
    for table in export_tables(parts):
        about = found["tables"][table.name]
        stored = read(SAMPLE, table.name)
        kept = pa.schema([f for f in table.schema if f.name in stored.column_names])
        assert stored.schema.remove_metadata() == kept  # columns may be added
        assert len(stored) == about["rows"]
        for file in about["files"]:
            assert (
                hashlib.sha256((SAMPLE / file["path"]).read_bytes()).hexdigest() == file["sha256"]
            )


def test_files_are_such_as_old_readers_open():
    for path in SAMPLE.rglob("*.parquet"):
        metadata = pq.ParquetFile(path).metadata
        for group in range(metadata.num_row_groups):
            columns = [metadata.row_group(group).column(n) for n in range(metadata.num_columns)]
            assert {column.compression for column in columns} == {"SNAPPY"}
            used = {name for column in columns for name in column.encodings}
            assert used <= {"PLAIN", "RLE", "RLE_DICTIONARY", "PLAIN_DICTIONARY"}
