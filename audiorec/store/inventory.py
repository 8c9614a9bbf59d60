"""Describe what a store holds and which songs failed; vectors are not read.

"library/vecs.parquet"  ──inventory──────▶  rows, extractor, statuses, seconds, files beside
                        ──files_beside───▶  {scores: library/scores.parquet, ...}
                        ──read_failures──▶  rows of "library/vecs.errors.parquet"
"""

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import StoreError
from audiorec.files.own_files import run_folder_path
from audiorec.files.tables import TableFile
from audiorec.store.schema import (
    MARKS,
    METADATA_KEY,
    Checked,
    Kind,
    StoreMetadata,
    open_checked,
    own_metadata,
    schema_of,
)


def errors_path(vectors: Path) -> Path:
    """Return the default path of a store's errors file.

    Examples
    --------
    >>> errors_path(Path("library/vecs.parquet")).as_posix()
    'library/vecs.errors.parquet'
    """
    return vectors.with_name(f"{vectors.name.removesuffix('.parquet')}.errors.parquet")


def read_failures(vectors: Path) -> Any:
    """Read the failures of a store as a `pyarrow.Table`; None if there is no errors file.

    Raises
    ------
    StoreError
        If the errors file is damaged.
    """
    path = errors_path(vectors)
    if not path.exists():
        return None
    with open_checked(path, Kind.ERRORS) as failures:
        return failures.read(failures.schema.names)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Columns to count, and the key of their counts.
COUNTED = {
    "status": "statuses",
    "codec": "codecs",
    "source_rate": "source_rates",
    "source_channels": "source_channels",
}
MAKER = (
    *("extractor_id", "created_by", "format_version", "dimension", "classes", "statistics"),
    *("spec", "weights", "packages"),
)
USUAL_NAMES = {
    Kind.SCORES: "scores.parquet",
    Kind.FEATURES: "features.parquet",
}


def inventory(vectors: Path, given: Mapping[Kind, Path | None] | None = None) -> dict[str, Any]:
    """Describe a store in plain values that JSON can hold.

    Parameters
    ----------
    vectors : Path
        A ``vecs.parquet``.
    given : mapping of Kind to Path, optional
        Paths of the files beside it that do not have their usual names.

    Returns
    -------
    description : dict
        ``rows``, ``bytes``, what made it, counts by status, codec, rate and channels,
        ``duration_s`` (total, least, most), ``extracted_at`` (first, last), extra columns,
        and ``beside``: the other files by kind.

    Raises
    ------
    StoreError
        If it is not a store. Invalid files beside it do not raise; their problem is described.

    Examples
    --------
    >>> found = inventory(Path("fixtures/formats/vecs-v1.parquet"))
    >>> found["rows"], found["statuses"]
    (5, {'ok': 3, 'truncated': 1, 'short': 1})
    """
    with open_checked(vectors, Kind.VECTORS) as file:
        about = {**json.loads(file.metadata.to_json()), "dimension": file.metadata.dimension}
        return {
            "vectors": str(vectors),
            **_size(file),
            "songs_with": {
                name: _with_value(file, mark) if mark in file.metadata.marks else 0
                for name, mark in zip(("tempo_and_key", "sound"), MARKS, strict=True)
            },
            **{name: about[name] for name in MAKER},
            **_counts(file),
            "beside": [_beside(k, p, file) for k, p in files_beside(vectors, given).items()],
            "unfinished_run": run_folder_path(vectors).is_dir(),
        }


def _with_value(file: Checked, name: str) -> int:
    """Count the songs that have a value in a column."""
    column = file.read([name]).column(name)
    return len(column) - int(column.null_count)


def _size(file: Checked) -> dict[str, Any]:
    footer = file.file.metadata
    groups = [footer.row_group(n) for n in range(footer.num_row_groups)]
    chunks = [group.column(n) for group in groups for n in range(group.num_columns)]
    vector_bytes = sum(
        chunk.total_compressed_size
        for chunk in chunks
        if chunk.path_in_schema.startswith("vector.")
    )
    own = set(schema_of(file.metadata).names)
    return {
        "rows": len(file),
        "bytes": file.path.stat().st_size,
        "vector_bytes": vector_bytes,
        "row_groups": len(groups),
        "columns_of_your_own": [n for n in file.schema.names if n not in own],
    }


def _counts(file: Checked) -> dict[str, Any]:
    """Summarise the small columns, one row group at a time."""
    names = ["duration_s", "extracted_at", *COUNTED]
    counts: dict[str, Counter[Any]] = {name: Counter() for name in COUNTED}
    total, ends, times = 0.0, [], []
    for group in range(file.file.num_row_groups):
        table = file.read_group(group, names)
        if len(table) == 0:
            continue
        for name in COUNTED:
            for pair in pc.value_counts(table.column(name)).to_pylist():
                counts[name][pair["values"]] += pair["counts"]
        lengths = table.column("duration_s")
        total += pc.sum(lengths.cast(pa.float64())).as_py()
        ends += [pc.min(lengths).as_py(), pc.max(lengths).as_py()]
        stamps = table.column("extracted_at").cast(pa.int64())
        times += [pc.min(stamps).as_py(), pc.max(stamps).as_py()]
    return {
        **{
            name: {str(value): n for value, n in counts[column].most_common()}
            for column, name in COUNTED.items()
        },
        "duration_s": {
            "total": round(total, 3),
            "least": round(min(ends, default=0.0), 3),
            "most": round(max(ends, default=0.0), 3),
        },
        "extracted_at": {
            "first": _moment(min(times)) if times else None,
            "last": _moment(max(times)) if times else None,
        },
    }


def _moment(microseconds: int) -> str:
    return (EPOCH + timedelta(microseconds=microseconds)).isoformat()


def _beside(kind: Kind, path: Path, store: Checked) -> dict[str, Any]:
    """Describe a file beside the store; if it is invalid, say why under ``problem``."""
    result: dict[str, Any] = {"kind": kind.value, "path": str(path)}
    try:
        file = open_checked(path, kind)
    except StoreError as error:
        return {**result, "problem": str(error).removeprefix(f"{path}: ")}
    with file:
        result |= {"rows": len(file), "bytes": path.stat().st_size}
        if file.metadata.extractor_id != store.metadata.extractor_id and kind != Kind.ERRORS:
            result["problem"] = f"made by another extractor: {file.metadata.extractor_id}"
    return result


def files_beside(
    vectors: Path, given: Mapping[Kind, Path | None] | None = None
) -> dict[Kind, Path]:
    """Return the paths of scores, features and errors that belong to a store.

    Paths in `given` are returned even if they do not exist, so that a wrong name is noticed; the
    others only if they exist under their usual names.
    """
    result = {}
    for kind in (*USUAL_NAMES, Kind.ERRORS):
        path = (given or {}).get(kind)
        if path is not None:
            result[kind] = path
        elif (usual := default_path(vectors, kind)) != vectors and usual.exists():
            result[kind] = usual
    return result


def default_path(vectors: Path, kind: Kind) -> Path:
    """Return the default path of a store's scores, features or errors."""
    return errors_path(vectors) if kind == Kind.ERRORS else vectors.with_name(USUAL_NAMES[kind])


def songs_lacking(vectors: Path, kind: Kind) -> int:
    """Count the songs of a store that its scores or features file (usual name) does not have.

    Return 0 if there is no such file, or it belongs to another store or extractor.

    Examples
    --------
    >>> songs_lacking(Path("fixtures/formats/vecs-v1.parquet"), Kind.SCORES)
    0
    """
    path = default_path(vectors, kind)
    try:
        with open_checked(vectors, Kind.VECTORS) as store, open_checked(path, kind) as file:
            if file.metadata.extractor_id != store.metadata.extractor_id:
                return 0
            ours, theirs = (one.read(["content_hash"]).column(0) for one in (store, file))
            there = pc.sum(pc.is_in(ours, value_set=theirs.combine_chunks())).as_py() or 0
    except StoreError:
        return 0
    return len(ours) - there if there else 0


def kind_of(path: Path) -> Kind | None:
    """Return which of the four kinds a Parquet file is; None if it is not one of them."""
    with TableFile.open(path) as file:
        metadata = file.schema.metadata or {}
    try:
        return StoreMetadata.from_json(metadata[METADATA_KEY]).kind
    except (KeyError, StoreError):
        return None


def declared_kind(path: Path) -> str:
    """Return the ``kind`` in a file's audiorec metadata, unchecked.

    Empty if there is none or the file cannot be read.
    """
    with suppress(StoreError), TableFile.open(path) as file:
        kind = own_metadata(file.schema).get("kind")
        return kind if isinstance(kind, str) else ""
    return ""
