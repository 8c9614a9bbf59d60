"""The tables of an export, described once: Parquet, manifest, SQL and documentation follow from it.

`ExportParts` (channels, spaces, what is known of songs) ──export_tables──▶ `ExportTable`, ...
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from audiorec.listening.side import RELEASED
from audiorec.recall.serving.portrait import KINDS

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
    # Of one width, but not a list of fixed size: older Arrow releases cannot write a null in one.
    "vector": pa.list_(pa.field("element", pa.float32(), nullable=False)),
}
LONGEST_SLUG = 40  # letters; names of databases end at 63
HORIZONS = ("long", "short")
DESCRIPTIONS = ("title", "artist", "album", "genre", "language", "version")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportColumn:
    """One column: its name, its kind, and what it means."""

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
    """One table: its columns, and those whose values stand once."""

    name: str
    about: str
    key: tuple[str, ...]  # of the rows, in their order; not unique for samples
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
    """A model whose embeddings are exported: of songs and users, or of interests of users."""

    slug: str
    channel: str
    width: int
    of_interests: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportParts:
    """What decides which tables and columns there are.

    Attributes
    ----------
    channels : sequence of (slug, name)
    spaces : sequence of SpaceColumns
    vector, unit : int
        Numbers of a song's vector and of its unit; 0: not exported.
    """

    channels: Sequence[tuple[str, str]] = ()
    spaces: Sequence[SpaceColumns] = ()
    vector: int = 0
    unit: int = 0


def slugs(names: Sequence[str]) -> list[str]:
    """Return a name for columns for each name of a channel: small letters, digits, underscores.

    Examples
    --------
    >>> slugs(["vs-knn", "external:/tmp/A b.parquet", "vs_knn", "7"])
    ['vs_knn', 'external_tmp_a_b_parquet', 'vs_knn_2', 'c_7']
    """
    found: list[str] = []
    for name in names:
        slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:LONGEST_SLUG] or "channel"
        slug = slug if slug[0].isalpha() else f"c_{slug}"
        nth, first = 1, slug
        while slug in found:
            nth += 1
            slug = f"{first}_{nth}"
        found.append(slug)
    return found


def _column(name: str, kind: ColumnKind, about: str, *, nullable: bool = True) -> ExportColumn:
    return ExportColumn(name=name, kind=kind, about=about, nullable=nullable)


def _always(name: str, kind: ColumnKind, about: str) -> ExportColumn:
    return _column(name, kind, about, nullable=False)


USER, SONG = _always("user_id", "text", "the user"), _always("song_id", "text", "the song")
# Formulas are of the moment t of a row; docs/ranker.md has them in full.
FEATURES = (
    _always("user_plays", "int32", "finished plays of the user before t"),
    _always("user_song_plays", "int32", "finished plays of this song by the user before t"),
    _column("days_since_played", "float32", "days from the last of these to t"),
    _always("song_plays", "int32", "finished plays of the song before t, by everybody"),
    _column("song_plays_short", "int32", "those of the 7 days before t"),
    _always("song_listeners", "int32", "users that finished the song before t"),
    _always("popularity", "float32", "ln(1 + song_plays) / ln(1 + all finished plays before t)"),
    _column("artist_affinity", "float32", "share of what the user wanted before t, by the artist"),
    _column("artist_affinity_short", "float32", "the same of the 7 days before t"),
    _column("genre_affinity", "float32", "share of what the user wanted before t, of the genre"),
    _column("genre_affinity_short", "float32", "the same of the 7 days before t"),
    _column("audio_similarity", "float32", "mean similarity to what the user wanted before t"),
    _column("audio_similarity_short", "float32", "the same of the 7 days before t"),
    _column("days_since_released", "float32", "days from the release to t, null if it comes later"),
)


def served_columns(parts: ExportParts) -> tuple[ExportColumn, ...]:
    """Return the columns that only the night of a list knows: what channels and models said."""
    found = [
        _column("fused_rank", "int32", "place in the one list of the user, from 1"),
        _column("fused_weight", "float32", "weight there, as a part of the largest"),
        _column("channels", "int32", "how many channels proposed the pair"),
    ]
    for slug, name in parts.channels:
        found.append(_column(f"{slug}_rank", "int32", f"place in the list of {name}, from 1"))
        found.append(
            _column(f"{slug}_similarity", "float32", f"of {name}: not to be compared with others")
        )
    found += [
        _column(f"dot_{space.slug}", "float32", f"user times song in the space of {space.channel}")
        for space in parts.spaces
        if not space.of_interests
    ]
    return tuple(found)


def export_tables(parts: ExportParts) -> tuple[ExportTable, ...]:
    """Return the tables of an export, in the order in which they can be loaded."""
    found = [
        _songs(parts),
        _users(parts),
        *(_interests(space) for space in parts.spaces if space.of_interests),
        ExportTable(
            name="candidates",
            about="What may be shown to whom: a row a user and song, with features for a ranker.",
            key=("user_id", "song_id"),
            columns=(USER, SONG, *_REASONS, *served_columns(parts), *FEATURES),
        ),
        ExportTable(
            name="samples_recall",
            about="What users did, in every product: for models that propose songs.",
            key=("user_id", "happened_at", "song_id"),
            columns=(USER, SONG, *_RECALL, *FEATURES),
            is_unique=False,
        ),
        ExportTable(
            name="samples_ranking",
            about="What was shown in one product, and what became of it: for a ranker.",
            key=("user_id", "happened_at", "song_id"),
            columns=(USER, SONG, *_RANKING, *served_columns(parts), *FEATURES),
            is_unique=False,
        ),
        ExportTable(
            name="served",
            about="Candidates as they were shown, night by night, until their outcome is known.",
            key=("user_id", "run_id", "song_id"),
            columns=(USER, SONG, *_SERVED, *served_columns(parts), *FEATURES),
        ),
    ]
    return tuple(found)


_REASONS = (
    _always("channel", "text", "the channel that stands for the pair"),
    _always("reason", "text", "why that channel proposes it"),
    _column("evidence", "text", "the song of the history that the reason is about"),
    _column("interest", "int32", "the interest of the user that brought it"),
    _always("cold", "bool", "nobody has played the song"),
)
_RECALL = (
    _always("happened_at", "time", "when"),
    _column("entry", "text", "the product that the user was in"),
    _always("event", "text", "what happened"),
    _always("label", "int32", "1: wanted, 0: not wanted"),
    _always("weight", "float32", "how often the row counts"),
)
_RANKING = (
    _always("happened_at", "time", "when it was shown, or heard where nothing says what was shown"),
    _column("entry", "text", "the product"),
    _column("run_id", "text", "the nightly run that showed it"),
    _always("label", "int32", "1: played to the end in the days after, 0: not"),
    _always("outcome", "text", "finish, skip, dislike or none"),
    _column("played_at", "time", "when it was played to the end"),
    _always("as_served", "bool", "features are those of the night, channels included"),
)
_SERVED = (
    _always("run_id", "text", "the nightly run"),
    _always("shown_at", "time", "the newest time of its log"),
    _always("entry", "text", "the product"),
)


def _songs(parts: ExportParts) -> ExportTable:
    columns = [SONG]
    columns += [_column(name, "text", f"{name} of the song") for name in DESCRIPTIONS]
    columns += [
        _column(RELEASED, "date", "when it came out"),
        _column("duration_s", "float32", "length in seconds"),
        _always("plays", "int64", "finished plays"),
        _always("listeners", "int64", "users that finished it"),
        _always("likes", "int64", "users that like it, by the default rule"),
        _column("finish_rate", "float32", "finished plays as a part of all listenings"),
        _column("first_played", "time", "first finished play"),
        _column("last_played", "time", "last finished play"),
        _always("cold", "bool", "nobody has played it"),
    ]
    vectors = [("vector", parts.vector, "numbers of the store, as they are: not for a cosine")]
    vectors.append(
        ("unit", parts.unit, "prepared vector of length 1: products are those of similar")
    )
    vectors += [
        (f"embedding_{space.slug}", space.width, f"of the model {space.channel}")
        for space in parts.spaces
    ]
    columns += [_vector(*vector) for vector in vectors if vector[1]]
    return ExportTable(
        name="songs",
        about="Every song of the log, the candidates and the store, once.",
        key=("song_id",),
        columns=tuple(columns),
    )


def _vector(name: str, width: int, about: str, *, nullable: bool = True) -> ExportColumn:
    return ExportColumn(name=name, kind="vector", about=about, nullable=nullable, width=width)


def _users(parts: ExportParts) -> ExportTable:
    columns = [
        USER,
        _always("plays", "int64", "finished plays"),
        _always("songs", "int64", "songs among them"),
        _always("likes", "int64", "songs that the user likes, by the default rule"),
        _column("first_played", "time", "first finished play"),
        _column("last_played", "time", "last finished play"),
    ]
    for kind in KINDS:
        for horizon in HORIZONS:
            name = f"{kind}s_{horizon}"
            columns.append(_always(name, "texts", f"{horizon} portrait, the largest first"))
            columns.append(_always(f"{name}_share", "floats", "their shares"))
    columns += [
        _vector(f"embedding_{space.slug}", space.width, f"of the model {space.channel}")
        for space in parts.spaces
        if not space.of_interests
    ]
    return ExportTable(
        name="users",
        about="Every user of the log and the candidates, once.",
        key=("user_id",),
        columns=tuple(columns),
    )


def _interests(space: SpaceColumns) -> ExportTable:
    return ExportTable(
        name=f"interests_{space.slug}",
        about=f"Interests of users by {space.channel}, the heaviest first.",
        key=("user_id", "interest"),
        columns=(
            USER,
            _always("interest", "int32", "as in candidates"),
            _always("weight", "float32", "part of the history, 1 for all of a user"),
            _vector("embedding", space.width, "of length 1", nullable=False),
        ),
    )
