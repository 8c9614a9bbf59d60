"""Tables and columns of an export: the single source of Parquet schema and manifest.

`ExportParts` (channels, spaces, widths of vectors) ──export_tables──▶ `ExportTable`, ...
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from audiorec.columns import ListColumns, ShownColumns
from audiorec.listening.side import RELEASED
from audiorec.recall.serving.one_user.reasons import KINDS

ColumnKind = Literal[
    "text", "int32", "int64", "float32", "bool", "time", "date", "texts", "floats", "vector"
]
TIME = pa.timestamp("us", tz="UTC")
ARROW: dict[str, Any] = {
    "text": pa.string(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "bool": pa.bool_(),
    "time": TIME,
    "date": pa.date32(),
    "texts": pa.list_(pa.string()),
    "floats": pa.list_(pa.float32()),
    # Not a fixed-size list, although the width is constant: older Arrow cannot write nulls in one.
    "vector": pa.list_(pa.field("element", pa.float32(), nullable=False)),
}
LONGEST_SLUG = 40  # characters; column names in databases are limited to 63
HORIZONS = ("long", "short")
DESCRIPTIONS = ("title", "artist", "album", "genre", "language", "version")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportColumn:
    """One column: name, kind and meaning."""

    name: str
    kind: ColumnKind
    about: str
    nullable: bool = True
    width: int = 0  # numbers of a vector

    @property
    def field(self) -> Any:
        """The `pyarrow.Field`."""
        return pa.field(self.name, ARROW[self.kind], nullable=self.nullable)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportTable:
    """One table: name, meaning, key and columns."""

    name: str
    about: str
    key: tuple[str, ...]  # columns that rows are sorted by; unique unless `is_unique` is False
    columns: tuple[ExportColumn, ...]
    is_unique: bool = True

    @property
    def schema(self) -> Any:
        """The `pyarrow.Schema`."""
        return pa.schema([column.field for column in self.columns])

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [column.name for column in self.columns]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceColumns:
    """A model whose embeddings of songs, and of users or interests, are exported."""

    slug: str
    channel: str
    width: int
    of_interests: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportParts:
    """Inputs that determine the tables and columns of an export.

    Attributes
    ----------
    channels : sequence of (slug, name)
    spaces : sequence of SpaceColumns
    vector, unit : int
        Widths of a song's vector and of its unit; 0: not exported.
    """

    channels: Sequence[tuple[str, str]] = ()
    spaces: Sequence[SpaceColumns] = ()
    vector: int = 0
    unit: int = 0


def slugs(names: Sequence[str]) -> list[str]:
    """Return a unique column prefix per channel: lower-case letters, digits and underscores.

    Examples
    --------
    >>> slugs(["vs-knn", "external:/tmp/A b.parquet", "vs_knn", "7"])
    ['vs_knn', 'external_tmp_a_b_parquet', 'vs_knn_2', 'c_7']
    """
    result: list[str] = []
    for name in names:
        slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:LONGEST_SLUG] or "channel"
        slug = slug if slug[0].isalpha() else f"c_{slug}"
        nth, first = 1, slug
        while slug in result:
            nth += 1
            slug = f"{first}_{nth}"
        result.append(slug)
    return result


def _column(name: str, kind: ColumnKind, about: str, *, nullable: bool = True) -> ExportColumn:
    return ExportColumn(name=name, kind=kind, about=about, nullable=nullable)


def _always(name: str, kind: ColumnKind, about: str) -> ExportColumn:
    return _column(name, kind, about, nullable=False)


USER, SONG = (
    _always(ListColumns.USER, "text", "the user"),
    _always(ListColumns.SONG, "text", "the song"),
)
# t is the time of a row; docs/reference/ranker.md has the full formulas.
FEATURES = (
    _always("user_plays", "int32", "finished plays of the user before t"),
    _always("user_song_plays", "int32", "finished plays of this song by the user before t"),
    _column("days_since_played", "float32", "days from the last of these plays to t"),
    _always("song_plays", "int32", "finished plays of the song by all users before t"),
    _column("song_plays_short", "int32", "the same in the 7 days before t"),
    _always("song_listeners", "int32", "users who finished the song before t"),
    _always("popularity", "float32", "ln(1 + song_plays) / ln(1 + all finished plays before t)"),
    _column("artist_affinity", "float32", "weighted share of songs wanted before t by the artist"),
    _column("artist_affinity_short", "float32", "the same in the 7 days before t"),
    _column("genre_affinity", "float32", "weighted share of songs wanted before t in the genre"),
    _column("genre_affinity_short", "float32", "the same in the 7 days before t"),
    _column("audio_similarity", "float32", "mean similarity to the songs wanted before t"),
    _column("audio_similarity_short", "float32", "the same in the 7 days before t"),
    _column("days_since_released", "float32", "days from the release to t, null if after t"),
)


def served_columns(parts: ExportParts) -> tuple[ExportColumn, ...]:
    """Return the columns that are known only when a list is made: output of channels and models."""
    columns = [
        _column("fused_rank", "int32", "place in the fused list of the user, from 1"),
        _column("fused_weight", "float32", "weight in the fused list, relative to the largest"),
        _column("channels", "int32", "number of channels that proposed the pair"),
    ]
    for slug, name in parts.channels:
        columns.append(_column(f"{slug}_rank", "int32", f"place in the list of {name}, from 1"))
        columns.append(
            _column(f"{slug}_similarity", "float32", f"similarity by {name}, on its own scale")
        )
    columns += [
        _column(f"dot_{space.slug}", "float32", f"dot product in the space of {space.channel}")
        for space in parts.spaces
        if not space.of_interests
    ]
    return tuple(columns)


def export_tables(parts: ExportParts) -> tuple[ExportTable, ...]:
    """Return the tables of an export, in loading order."""
    tables = [
        _songs(parts),
        _users(parts),
        *(_interests(space) for space in parts.spaces if space.of_interests),
        ExportTable(
            name="candidates",
            about="Candidates: one row per user and song, with features for a ranker.",
            key=(ListColumns.USER, ListColumns.SONG),
            columns=(USER, SONG, *_REASONS, *served_columns(parts), *FEATURES),
        ),
        ExportTable(
            name="samples_recall",
            about="Events of users in every product, to train models that propose songs.",
            key=(ListColumns.USER, "happened_at", ListColumns.SONG),
            columns=(USER, SONG, *_RECALL, *FEATURES),
            is_unique=False,
        ),
        ExportTable(
            name="samples_ranking",
            about="Exposures in one product with their outcome, to train a ranker.",
            key=(ListColumns.USER, "happened_at", ListColumns.SONG),
            columns=(USER, SONG, *_RANKING, *served_columns(parts), *FEATURES),
            is_unique=False,
        ),
        ExportTable(
            name="served",
            about="Candidates as they were served each night, kept until their outcome is known.",
            key=(ListColumns.USER, ShownColumns.RUN, ListColumns.SONG),
            columns=(USER, SONG, *_SERVED, *served_columns(parts), *FEATURES),
        ),
    ]
    return tuple(tables)


_REASONS = (
    _always("channel", "text", "the channel that contributed most to the pair"),
    _always("reason", "text", "why that channel proposes the song"),
    _column("evidence", "text", "the song of the history that the reason refers to"),
    _column("interest", "int32", "the interest of the user that the song was found by"),
    _always("cold", "bool", "nobody has played the song"),
)
_RECALL = (
    _always("happened_at", "time", "time of the event"),
    _column("entry", "text", "the product that the user was in"),
    _always("event", "text", "kind of the event"),
    _always("label", "int32", "1: wanted, 0: not wanted"),
    _always("weight", "float32", "weight of the event"),
)
_RANKING = (
    _always("happened_at", "time", "time of the exposure, or of the play without exposures"),
    _column("entry", "text", "the product"),
    _column(ShownColumns.RUN, "text", "the nightly run that made the list"),
    _always("label", "int32", "1: played to the end in the days after, 0: not"),
    _always("outcome", "text", "finish, skip, dislike or none"),
    _column("played_at", "time", "time of the finished play"),
    _always("as_served", "bool", "features were stored when served, including those of channels"),
    _column("ranked_at", "time", "time of the night whose ranks these are; null: of no night"),
)
_SERVED = (
    _always(ShownColumns.RUN, "text", "the nightly run"),
    _always(ShownColumns.AT, "time", "the newest time of its log"),
    _always("entry", "text", "the product"),
)


def _songs(parts: ExportParts) -> ExportTable:
    columns = [SONG]
    columns += [_column(name, "text", f"{name} of the song") for name in DESCRIPTIONS]
    columns += [
        _column(RELEASED, "date", "date of release"),
        _column("duration_s", "float32", "length in seconds"),
        _always("plays", "int64", "finished plays"),
        _always("listeners", "int64", "users who finished it"),
        _always("likes", "int64", "users who like it, by the default rule"),
        _column("finish_rate", "float32", "finished plays as a share of all plays"),
        _column("first_played", "time", "first finished play"),
        _column("last_played", "time", "last finished play"),
        _always("cold", "bool", "nobody has played it"),
    ]
    vectors = [("vector", parts.vector, "vector as stored, not suitable for a cosine")]
    vectors.append(
        ("unit", parts.unit, "scaled vector of length 1, dot products as in audiorec similar")
    )
    vectors += [
        (f"embedding_{space.slug}", space.width, f"embedding by the model {space.channel}")
        for space in parts.spaces
    ]
    columns += [_vector(*vector) for vector in vectors if vector[1]]
    return ExportTable(
        name="songs",
        about="All songs of the log, the candidates and the store.",
        key=(ListColumns.SONG,),
        columns=tuple(columns),
    )


def _vector(name: str, width: int, about: str, *, nullable: bool = True) -> ExportColumn:
    return ExportColumn(name=name, kind="vector", about=about, nullable=nullable, width=width)


def _users(parts: ExportParts) -> ExportTable:
    columns = [
        USER,
        _always("plays", "int64", "finished plays"),
        _always("songs", "int64", "different songs among them"),
        _always("likes", "int64", "songs that the user likes, by the default rule"),
        _column("first_played", "time", "first finished play"),
        _column("last_played", "time", "last finished play"),
    ]
    for kind in KINDS:
        for horizon in HORIZONS:
            name = f"{kind}s_{horizon}"
            columns.append(_always(name, "texts", f"{horizon} portrait, the largest share first"))
            columns.append(_always(f"{name}_share", "floats", "their shares"))
    columns += [
        _vector(f"embedding_{space.slug}", space.width, f"embedding by the model {space.channel}")
        for space in parts.spaces
        if not space.of_interests
    ]
    return ExportTable(
        name="users",
        about="All users of the log and the candidates.",
        key=(ListColumns.USER,),
        columns=tuple(columns),
    )


def _interests(space: SpaceColumns) -> ExportTable:
    return ExportTable(
        name=f"interests_{space.slug}",
        about=f"Interests of users by {space.channel}, the heaviest first.",
        key=(ListColumns.USER, "interest"),
        columns=(
            USER,
            _always("interest", "int32", "as in candidates"),
            _always("weight", "float32", "share of the history, sums to 1 per user"),
            _vector("embedding", space.width, "embedding of length 1", nullable=False),
        ),
    )
