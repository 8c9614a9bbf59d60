"""Write the folder of an export atomically: table parts, SQL and a manifest.

    with export_folder(out) as fresh:            a folder beside `out`
        with PartWriter(fresh, table) as part:   part.write(rows of whole users)
        write_manifest(fresh, ...)               at the end, `fresh` replaces `out`

Files are readable by other tools: snappy compression, only encodings that older readers know, and
all rows of a user in one row group. A folder with other files than an export is never replaced.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from audiorec.errors import InputError, StoreError
from audiorec.files.json_files import parse_json, sealed, unsealed
from audiorec.files.own_files import (
    RunFolder,
    check_tree,
    read_own,
    refuse_link,
    remove_tree,
    run_folder_path,
    sync,
)
from audiorec.recall.serving.export.schema import ExportTable
from audiorec.store.schema import METADATA_KEY

MANIFEST = "manifest.json"
SCHEMA_NAME = "audiorec/recall-export/1"
KIND = "recall_export"
FORMAT_VERSION = 1
GROUP_ROWS = 1 << 16  # minimum rows of a row group, which ends after a whole user
PART_ROWS = 1 << 23  # rows of a file, after which a new one starts
MAX_MANIFEST_BYTES = 16 << 20
_PARTS = (
    r"[a-z0-9_]+/part-\d{5}\.parquet|sql/[a-z_]+\.sql|csv/[a-z0-9_]+\.csv|manifest\.json|"
    r"[a-z0-9_]+/"  # folders, which may be empty, as csv/ is at first
)
EXPORT_FILES = re.compile(_PARTS)
WRITING: Mapping[str, Any] = {
    "compression": "snappy",
    "version": "2.4",
    "data_page_version": "1.0",
    "write_page_checksum": True,
    "coerce_timestamps": "us",
}


class PartWriter:
    """Writer of one table as files of bounded size, without splitting users."""

    def __init__(self, folder: Path, table: ExportTable) -> None:
        self.table, self.rows = table, 0
        self._folder = folder / table.name
        self._folder.mkdir()
        about = {"kind": KIND, "table": table.name, "format_version": FORMAT_VERSION}
        self.schema = table.schema.with_metadata({METADATA_KEY: json.dumps(about).encode()})
        self._waiting: list[Any] = []
        self._files: list[Path] = []
        self._in_file = 0
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *exc_info: object) -> None:
        if kind is None:
            self._flush()
            if not self._files:
                self._open()
        if self._writer is not None:
            self._writer.close()

    def write(self, rows: Any) -> None:
        """Add all rows of some users, as a `pyarrow.Table` or a mapping of names to arrays."""
        if not isinstance(rows, pa.Table):
            arrays = [rows[field.name] for field in self.schema]
            rows = pa.Table.from_arrays(
                [_cast(a, f.type) for a, f in zip(arrays, self.schema, strict=True)],
                schema=self.schema,
            )
        if not len(rows):
            return
        self._waiting.append(rows.cast(self.schema))
        if sum(map(len, self._waiting)) >= GROUP_ROWS:
            self._flush()

    def described(self) -> dict[str, Any]:
        """Return the entry of the table in the manifest; call after writing."""
        return {
            "about": self.table.about,
            "key": list(self.table.key),
            "rows": self.rows,
            "columns": [_described(column) for column in self.table.columns],
            "files": [
                {
                    "path": path.relative_to(self._folder.parent).as_posix(),
                    "bytes": path.stat().st_size,
                    "sha256": sha256_of(path),
                }
                for path in self._files
            ],
        }

    def _flush(self) -> None:
        if not self._waiting:
            return
        group = pa.concat_tables(self._waiting)
        self._waiting = []
        if self._writer is None or self._in_file >= PART_ROWS:
            self._open()
        self._writer.write_table(group, row_group_size=max(1, len(group)))
        self.rows += len(group)
        self._in_file += len(group)

    def _open(self) -> None:
        if self._writer is not None:
            self._writer.close()
        path = self._folder / f"part-{len(self._files):05}.parquet"
        texts = [f.name for f in self.schema if pa.types.is_string(f.type)]
        self._writer = pq.ParquetWriter(path, self.schema, use_dictionary=texts, **WRITING)
        self._files.append(path)
        self._in_file = 0


def _described(column: Any) -> dict[str, Any]:
    found = {"name": column.name, "kind": column.kind, "nullable": column.nullable}
    found |= {"width": column.width} if column.width else {}
    return {**found, "about": column.about}


def _cast(array: Any, kind: Any) -> Any:
    return array if array.type == kind else array.cast(kind)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_target(out: Path) -> None:
    """Raise `InputError` if `out` is a file, or a folder that is not an export."""
    refuse_link(out)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; give a folder for the export")
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise InputError(f"{out}: is a folder without an export; give a new one")
    try:
        if out.is_dir():
            check_tree(out, EXPORT_FILES)
    except StoreError as error:
        raise InputError(
            f"{out}: holds other files than an export; give a new folder ({error})"
        ) from error


@contextmanager
def export_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `out` at the end, unless the body raises.

    It lies in the run folder of `out`, which only one process can hold. Leftovers of a killed job
    are removed; if it was killed between the two final renames, the old export is restored first.
    """
    check_target(out)
    run = RunFolder(out, rf"(?:new|old)/|(?:new|old)/(?:{_PARTS})")
    try:
        fresh, old = run_folder_path(out) / "new", run_folder_path(out) / "old"
        if not out.exists() and (old / MANIFEST).is_file():  # killed between the two renames
            old.rename(out)
        run.clear()
        fresh.mkdir()
        yield fresh
        for path in sorted(fresh.rglob("*")):
            sync(path)
        if out.exists():
            out.rename(old)
        fresh.rename(out)
        sync(out.parent)
        if old.exists():
            remove_tree(old, EXPORT_FILES)
            old.rmdir()
    except BaseException:
        run.clear()
        raise
    finally:
        run.release(remove=True)


def write_manifest(folder: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Write and return the manifest, with a digest of its content."""
    whole = sealed({"schema": SCHEMA_NAME, "format_version": FORMAT_VERSION, **content})
    text = json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / MANIFEST).write_text(f"{text}\n", encoding="utf-8")
    return whole


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of an export; None if there is none.

    Raises
    ------
    StoreError
        If the manifest is damaged, or of another format version.
    """
    path = folder / MANIFEST
    try:
        content = unsealed(
            parse_json(read_own(path, MAX_MANIFEST_BYTES), max_bytes=MAX_MANIFEST_BYTES)
        )
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StoreError(f"{path}: {error}") from error
    if content.get("schema") != SCHEMA_NAME:
        raise StoreError(
            f"{path}: has schema {content.get('schema')!r}, this audiorec reads {SCHEMA_NAME!r}"
        )
    return content


def is_whole(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Return whether all files of a manifest exist with the sizes given there."""
    files = [file for table in manifest["tables"].values() for file in table["files"]]
    sizes = {f["path"]: f["bytes"] for f in files}
    return all(
        (folder / path).is_file() and (folder / path).stat().st_size == size
        for path, size in sizes.items()
    )
