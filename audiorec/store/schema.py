"""Columns and metadata of the four kinds of file, which are opened checked and written whole.

==========  ===============================================  ==================
kind        one row per song                                 usual name
==========  ===============================================  ==================
vectors     the vector and where it comes from               vecs.parquet
scores      the score series behind it                       scores.parquet
features    backbone outputs, per segment and as a mean      features.parquet
errors      why a song has no vector                         vecs.errors.parquet
==========  ===============================================  ==================

Each file carries one JSON object, `StoreMetadata`, under the key ``audiorec``: what made the
numbers, and what the columns of a vector mean. The widths of all lists follow from it.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import StoreColumns
from audiorec.errors import InputError, SpecMismatchError, StoreError
from audiorec.files.arrow import booleans, float_array, one_chunk, view
from audiorec.files.own_files import replaced
from audiorec.files.tables import GROUP_ROWS, TableFile, check_columns, parquet_writer, store_errors
from audiorec.types import STATISTICS, Int64Array

FORMAT_VERSION = 1
METADATA_KEY = b"audiorec"
MAX_WIDTH = 65_536  # numbers in a vector or in one backbone output
# Parquet's own name for list elements, so that schemas survive a round trip.
ELEMENT = "element"
# Optional columns of vecs.parquet for tempo, key and moods. An analysed song always has a number
# in `HEARD`, even if it is 0.
ATTRIBUTE = re.compile(r"bpm|bpm_confidence|bpm_other|key|scale|key_confidence|tag_\w+", re.ASCII)
TEXT_ATTRIBUTES = ("key", "scale")
HEARD = "bpm_confidence"
# Lists beside the vector, with the type of their numbers; null where a song was extracted without.
LISTS = {"sound": "float32", "embedding": "float16", "heard_tags": "float16"}
# Tags of the file that stores lack which were begun before them, with the type of each.
GENRE_TAG, LANGUAGE = "genre_tag", "language"
TAGS = {GENRE_TAG: "text", "year": "int", LANGUAGE: "text"}
# One column of each group that a store may lack: null in a row that was made without the group.
MARKS = (HEARD, "sound")
# Columns of features.parquet other than the backbone outputs.
RESERVED = (StoreColumns.ID, "content_hash", "segments", "start_s", "extractor_id")


class Kind(StrEnum):
    """Which of the four files."""

    VECTORS = "vectors"
    SCORES = "scores"
    FEATURES = "features"
    ERRORS = "errors"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreMetadata:
    """What made a file and what its columns mean.

    Attributes
    ----------
    kind : Kind
    extractor_id : str
        Fingerprint of everything that changes the numbers. Files from two extractors are never
        mixed.
    classes : tuple of str, length H
        Score columns in order, as ``head/class``.
    statistics : tuple of str
        Statistics in order; a vector is ``reshape(H, len(statistics))``.
    spec : mapping
        Settings of the front end: everything between a file and the backbone's input.
    weights : tuple of mapping
        ``name``, ``sha256`` and ``licence`` of each weights file.
    features : mapping of str to int
        Backbone outputs in ``features.parquet``: column name to width.
    attributes : mapping of str to str
        Columns of tempo, key and moods in ``vecs.parquet``, and what made each; empty in a store
        of vectors only.
    tags : mapping of str to str
        Which of `TAGS` ``vecs.parquet`` has, and how they were read.
    lists : mapping of str to int
        Which of `LISTS` ``vecs.parquet`` has, and their widths; empty in a store of vectors only.
    sound_id : str
        What made `sound` of `embedding`: stores compare by sound only if it is the same.
    packages : mapping of str to str
        Versions of the packages involved.
    created_by : str
        For example ``audiorec 0.1.0``.
    format_version : int

    Raises
    ------
    StoreError
        If the format is another one, or names occur twice.
    """

    kind: Kind
    extractor_id: str
    classes: tuple[str, ...]
    statistics: tuple[str, ...] = STATISTICS
    spec: Mapping[str, Any] = field(default_factory=dict)
    weights: tuple[Mapping[str, str], ...] = ()
    features: Mapping[str, int] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, int] = field(default_factory=dict)
    sound_id: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    created_by: str = ""
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        _check_version(self.format_version)
        for name in ("classes", "statistics"):
            value = getattr(self, name)
            good = bool(value) and len(set(value)) == len(value)
            _check(good, name, "a list of different texts", value)
        names = [*RESERVED, *self.features, *(f"{name}_mean" for name in self.features)]
        _check(len(set(names)) == len(names), "features", "other column names", self.features)

    @property
    def optional(self) -> dict[str, str]:
        """The columns that a store may lack, and what made each."""
        made = {name: f"{width} of {self.sound_id}" for name, width in self.lists.items()}
        return {**self.attributes, **self.tags, **made}

    @property
    def marks(self) -> tuple[str, ...]:
        """Those of `MARKS` that the store has."""
        return tuple(mark for mark in MARKS if mark in self.optional)

    @property
    def dimension(self) -> int:
        """Numbers in a vector: classes times statistics."""
        return len(self.classes) * len(self.statistics)

    def mean_columns(self, head: str) -> dict[str, int]:
        """Return where in a vector the mean score of each class of a head is; empty without means.

        Examples
        --------
        >>> two = StoreMetadata(
        ...     kind=Kind.VECTORS, extractor_id="a", classes=("g/a", "h/a", "h/b"),
        ...     statistics=("max", "mean"),
        ... )
        >>> two.mean_columns("h")
        {'a': 3, 'b': 5}
        """
        if "mean" not in self.statistics:
            return {}
        width, mean = len(self.statistics), self.statistics.index("mean")
        named = (name.partition("/") for name in self.classes)
        return {label: n * width + mean for n, (of, _, label) in enumerate(named) if of == head}

    def what_differs(self, other: "StoreMetadata") -> str:
        """Describe how two extractors differ; ``there`` means `other`.

        Examples
        --------
        >>> from dataclasses import replace
        >>> short = StoreMetadata(
        ...     kind=Kind.VECTORS, extractor_id="a", classes=("g/jazz",), spec={"hop_s": 3.0}
        ... )
        >>> long = replace(short, extractor_id="b", spec={"hop_s": 6.0})
        >>> short.what_differs(long)
        'hop_s is 6.0 there and 3.0 here'
        """
        parts = self.spec.keys() & other.spec.keys()
        result = [
            f"{name} is missing {'there' if name in self.spec else 'here'}"
            for name in sorted(self.spec.keys() ^ other.spec.keys())
        ]
        here, there = (_flat({n: of.spec[n] for n in parts}) for of in (self, other))
        result += [
            f"{name} is {there.get(name)} there and {here.get(name)} here"
            for name in sorted(here.keys() | there.keys())
            if here.get(name) != there.get(name)
        ]
        if self.classes != other.classes:
            result.append("the classes differ")
        elif [dict(w) for w in self.weights] != [dict(w) for w in other.weights]:
            result.append("the weights differ")
        return ", ".join(result) or "made by another version"

    def to_json(self) -> str:
        """Return the metadata as one line of JSON, keys sorted, without what a store lacks."""
        content = asdict(self)
        for name in ("attributes", "tags", "lists", "sound_id"):
            if not content[name]:
                content.pop(name)
        return json.dumps(content, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "StoreMetadata":
        """Parse what `to_json` wrote; unknown keys are ignored.

        Raise `StoreError` if the text is not JSON, of another format, or fails a check.
        """
        content = metadata_object(text)
        # Checked first: another format may have other keys.
        _check_version(content.get("format_version"))
        known = {f.name: content[f.name] for f in fields(cls) if f.name in content}
        try:
            known["kind"] = Kind(known["kind"])
            for name in {"classes", "statistics", "weights"} & known.keys():
                known[name] = tuple(known[name])
            result = cls(**known)
            schema_of(result)  # all names and widths
        except (KeyError, TypeError, ValueError, AttributeError, pa.ArrowException) as error:
            raise StoreError(f"the audiorec metadata is not that of a store: {error}") from error
        return result


def metadata_object(text: str | bytes) -> dict[str, Any]:
    """Parse the JSON stored under `METADATA_KEY`; raise `StoreError` if it is not an object."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"the audiorec metadata is not JSON: {error}") from error
    _check(isinstance(content, dict), "content", "an object", content)
    return content


def own_metadata(schema: Any) -> dict[str, Any]:
    """Return what a file of ours says about itself; empty for a file of another program."""
    return metadata_object((schema.metadata or {}).get(METADATA_KEY, b"{}"))


def feature_column(output: str) -> str:
    """Return the column name of a backbone output: ``msd.tags`` → ``msd_tags``."""
    return output.replace(".", "_")


def schema_of(metadata: StoreMetadata) -> Any:
    """Return the Arrow schema of the file that `metadata` describes, with the metadata as JSON.

    The kind determines the columns; classes, statistics and features determine their widths.
    Lists and their elements are declared not null, which makes reading a column of a million
    vectors three times as fast.
    """
    types = {
        **_TYPES,
        "vector": vector_type(metadata.dimension),
        "series": series_type(len(metadata.classes)),
    }
    columns = []
    for column in _COLUMNS[metadata.kind].split(","):
        name, kind = column.split()
        columns.append(pa.field(name, types[kind.rstrip("?")], nullable=kind.endswith("?")))
    if metadata.kind == Kind.VECTORS:
        kinds = {
            name: types["text" if name in TEXT_ATTRIBUTES else "float"]
            for name in metadata.attributes
        }
        kinds |= {name: types[TAGS[name]] for name in metadata.tags}
        kinds |= {name: list_type(name) for name in metadata.lists}
        columns[-2:-2] = [pa.field(name, kind) for name, kind in sorted(kinds.items())]
    if metadata.kind == Kind.FEATURES:
        outputs = []
        for name, width in sorted(metadata.features.items()):
            outputs.append(pa.field(f"{name}_mean", vector_type(width), nullable=False))
            outputs.append(pa.field(name, series_type(width), nullable=False))
        columns[-1:-1] = outputs
    return pa.schema(columns, metadata={METADATA_KEY: metadata.to_json().encode()})


def vector_type(width: int) -> Any:
    """Return ``fixed_size_list<float32 not null>[width]``."""
    return pa.list_(pa.field(ELEMENT, pa.float32(), nullable=False), width)


def vector_array(rows: Any) -> Any:
    """Return rows (n, width) as an array of `vector_type`."""
    flat = float_array(rows.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, type=vector_type(rows.shape[1]))


def series_type(width: int | None = None) -> Any:
    """Return the list type of a series over segments: numbers, or vectors of `width` numbers."""
    of = pa.float32() if width is None else vector_type(width)
    return pa.list_(pa.field(ELEMENT, of, nullable=False))


def list_type(name: str) -> Any:
    """Return the type of one of `LISTS`.

    Lists of any length, since older Arrow cannot write null lists of a fixed length.
    """
    kind = pa.float16() if LISTS[name] == "float16" else pa.float32()
    return pa.list_(pa.field(ELEMENT, kind, nullable=False))


_TYPES = {
    "text": pa.string(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "time": pa.timestamp("us", tz="UTC"),
    "numbers": series_type(),
}
# Columns in order; a question mark means nullable. In a features file the columns of each output
# and its mean come before extractor_id.
_COLUMNS = {
    Kind.VECTORS: """song_id text, vector vector, content_hash text, uri text, size long,
        mtime_ns long, duration_s float, claimed_s float?, loudness_lufs float?, segments int,
        status text,
        source_rate int, source_channels int, codec text, decoder text, packet_errors int,
        title text?, artist text?, album text?, isrc text?, musicbrainz_trackid text?,
        extractor_id text, extracted_at time""",
    Kind.SCORES: """song_id text, content_hash text, start_s numbers, scores series,
        extractor_id text""",
    Kind.FEATURES: """song_id text, content_hash text, segments int, start_s numbers,
        extractor_id text""",
    Kind.ERRORS: """song_id text, uri text, size long, mtime_ns long, stage text, status text,
        message text, decoder text?, attempts int, failed_at time""",
}


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested objects: map each leaf to its dotted name."""
    flat: dict[str, Any] = {}
    for name, value in content.items():
        is_nested = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{name}.") if is_nested else {prefix + name: value}
    return flat


def _check(good: bool, name: str, expected: str, got: object) -> None:
    if not good:
        raise StoreError(f"metadata {name!r}: expected {expected}, got {str(got)[:80]}")


def _check_version(version: object) -> None:
    is_number = isinstance(version, int) and not isinstance(version, bool)
    _check(is_number, "format_version", "a whole number", version)
    if version != FORMAT_VERSION:
        raise StoreError(
            f"format version {version}, this audiorec reads {FORMAT_VERSION}; to make it anew: "
            "audiorec extract FOLDER --overwrite --out STORE"
        )


def number_names(metadata: StoreMetadata) -> list[str]:
    """Return a name for each number of a vector, in vector order (class-major): length V.

    For example ``genre_hip_hop_max``. Raise `InputError` if two numbers would get the same name.
    """
    names = [
        f"{plain}_{statistic}"
        for plain in map(_plain, metadata.classes)
        for statistic in metadata.statistics
    ]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two numbers of a vector would be named {twice[0]!r}: rename a class")
    return names


def _plain(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_").lower()


GROUP_BYTES = 32 << 20
TEXT_BYTES = 64  # assumed size of a text when row groups are sized
# Text columns with few distinct values; for the others dictionaries only cost time.
DICTIONARY_COLUMNS = ["status", "codec", "decoder", "artist", "album", "stage", "extractor_id"]


@dataclass(frozen=True, slots=True)
class Checked(TableFile):
    """A file of one of the four kinds that passed every check that does not read its rows."""

    metadata: StoreMetadata


def open_checked(path: Path, kind: Kind, *, extra_columns: bool = True) -> Checked:
    """Open a Parquet file and check it before any row is read.

    It must be of this kind and a supported format version, with the columns of that kind;
    `extra_columns` permits others, for example a user's own. The `StoreError` is one line and names
    the file.
    """
    opened = TableFile.open(path)
    try:
        with store_errors(path):
            result = (opened.schema.metadata or {}).get(METADATA_KEY)
            if result is None:
                raise StoreError(
                    "a Parquet file without audiorec's metadata: not written by audiorec"
                )
            metadata = StoreMetadata.from_json(result)
            _check_schema(opened.schema, metadata, kind, extra_columns)
    except StoreError:
        opened.close()
        raise
    return Checked(path, opened.file, opened.whole, opened.scan, metadata)


def check_ids(ids: Any, path: Path, column: str = StoreColumns.ID) -> bool:
    """Check that no id is empty or repeated; return whether they are in ascending order."""
    ids = one_chunk(ids)
    if len(ids) == 0:
        return True
    if ids.null_count or pc.min(pc.binary_length(ids)).as_py() == 0:
        raise StoreError(f"{path}: a row has no {column}")
    if pc.all(pc.less(ids[:-1], ids[1:])).as_py() is not False:
        return True
    if pc.count_distinct(ids).as_py() != len(ids):
        counts = pc.value_counts(ids)
        twice = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"]
        raise StoreError(f"{path}: two rows have the {column} {twice.as_py()!r}")
    return False


def checked_lists(
    column: Any, width: int, name: str, path: Path, *, dtype: str = ""
) -> tuple[Int64Array, npt.NDArray[Any]]:
    """Return which rows of a nullable column of lists have one, (m,), and the lists, (m, width)."""
    column = one_chunk(column)
    there = np.flatnonzero(booleans(pc.is_valid(column)))
    lengths = view(pc.list_value_length(column.drop_null()), np.int32)
    if (lengths != width).any():
        raise StoreError(
            f"{path}: a {name} has {lengths[lengths != width][0]} numbers, not {width}"
        )
    flat = column.flatten()  # leaves out null lists
    values = view(flat, dtype or LISTS[name])
    if not np.isfinite(values).all():
        raise StoreError(f"{path}: a {name} is not finite")
    return there, values.reshape(-1, width)


def write_table(path: Path, table: Any, metadata: StoreMetadata) -> None:
    """Write a table as one file, sorted by ``song_id``, atomically.

    Raise `SpecMismatchError` for rows from another extractor, and `StoreError` for wrong columns or
    types, nulls, vectors that are not finite, and empty or repeated ids.
    """
    schema = schema_of(metadata)
    with store_errors(path):
        if sorted(table.column_names) != sorted(schema.names):
            odd = set(table.column_names) ^ set(schema.names)
            raise StoreError(f"{path}: columns missing or unexpected: {', '.join(sorted(odd))}")
        _check_values(table, schema)
        table = table.select(schema.names).cast(schema)
    if not check_ids(table.column(StoreColumns.ID), path):
        table = table.sort_by(StoreColumns.ID)
    if "extractor_id" in schema.names:
        _check_extractor(table.column("extractor_id"), metadata.extractor_id, path)
    with replaced(path) as temporary:
        write_batches(temporary, table.to_batches(), metadata)


def write_batches(path: Path, batches: Iterable[Any], metadata: StoreMetadata) -> int:
    """Write sorted, checked batches to `path`, one row group at a time; return the row count.

    Floats are byte-stream-split and compressed with zstd, without dictionaries: a million vectors
    of 84 numbers take 286 MB and are read in a third of a second. Row groups are small enough to
    read the rows of a few neighbours without the rest of the file.
    """
    schema = schema_of(metadata)
    written = 0
    texts = [name for name in DICTIONARY_COLUMNS if name in schema.names]
    with store_errors(path), parquet_writer(path, schema, texts=texts) as writer:
        for table in _groups(batches, schema):
            writer.write_table(table, row_group_size=max(1, table.num_rows))
            written += table.num_rows
    return written


def _check_schema(found: Any, metadata: StoreMetadata, kind: Kind, extra_columns: bool) -> None:
    if metadata.kind != kind:
        raise StoreError(f"holds {metadata.kind}, not {kind}")
    expected = schema_of(metadata)
    check_columns(found, expected)
    if not extra_columns and len(found) != len(expected):
        odd = [name for name in found.names if name not in expected.names]
        raise StoreError(f"has extra columns, which would be lost: {', '.join(odd)}")


def _check_values(table: Any, schema: Any) -> None:
    for column in schema:
        if not column.nullable and table.column(column.name).null_count:
            raise StoreError(f"column {column.name!r} has rows without a value")
    if "vector" in schema.names:
        for chunk in table.column("vector").chunks:
            numbers = chunk.flatten()
            if numbers.null_count or pc.all(pc.is_finite(numbers)).as_py() is False:
                raise StoreError("a vector is not finite")
    for name in LISTS.keys() & set(schema.names):
        for chunk in table.column(name).chunks:
            if pc.all(pc.is_finite(chunk.flatten().cast(pa.float32()))).as_py() is False:
                raise StoreError(f"a {name} is not finite")


def _check_extractor(column: Any, extractor_id: str, path: Path) -> None:
    others = [name for name in pc.unique(column).to_pylist() if name != extractor_id]
    if others:
        raise SpecMismatchError(
            f"{path}: has rows from extractor {others[0]}, expected only {extractor_id}"
        )


def _groups(batches: Iterable[Any], schema: Any) -> Iterator[Any]:
    """Join small batches and split large ones into tables of one row group each.

    Group boundaries depend only on the rows, not on how they are batched: the same rows always
    make the same file.
    """
    pending: list[Any] = []
    rows = size = 0
    for batch in batches:
        ends = np.cumsum(_row_bytes(batch))
        start = before = 0
        while start < len(batch):
            fit = int(np.searchsorted(ends, before + GROUP_BYTES - size, side="right")) - start
            fit = min(fit, GROUP_ROWS - rows)
            if fit <= 0 and rows:
                yield pa.Table.from_batches(pending, schema).combine_chunks()
                pending, rows, size = [], 0, 0
                continue
            piece = batch.slice(start, max(1, fit))
            pending.append(piece)
            start, rows = start + len(piece), rows + len(piece)
            size, before = size + int(ends[start - 1]) - before, int(ends[start - 1])
    if pending:
        yield pa.Table.from_batches(pending, schema).combine_chunks()


def _row_bytes(batch: Any) -> Int64Array:
    """Estimate the bytes that each row takes: shape (rows,); a text counts as 64."""
    total = np.zeros(len(batch), np.int64)
    for column in batch.columns:
        if pa.types.is_list(column.type):
            counts = view(pc.list_value_length(column), np.int32)
            if column.null_count:  # not `fill_null`, which imports pandas
                counts = np.where(booleans(pc.is_valid(column)), counts, 0)
            total += counts * np.int64(_cell_bytes(column.type.value_type))
        else:
            total += _cell_bytes(column.type)
    return total


def _cell_bytes(kind: Any) -> int:
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size) * _cell_bytes(kind.value_type)
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:  # a type without a fixed width
        return TEXT_BYTES
