"""Run an import: read a history, match its songs, write the log, and count the results.

    FILE ──import_history──▶ plays.parquet            the log for recall and `listening check`
                             plays.unmatched.parquet  events whose song is not in the store
                             plays.rejected.parquet   rows that are invalid, or not about listening
    `SongRef` ──KnownSongs.find──▶ a row of the store, and how it was found

Every row of the source is in exactly one of the three files. They are written atomically,
``plays.parquet`` last.
"""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import LogColumns
from audiorec.distribution import created_by
from audiorec.errors import DamagedFileError, InputError
from audiorec.files.arrow import arrow_array, mask, string_array
from audiorec.files.own_files import replaced
from audiorec.files.tables import table_writer, write_plain
from audiorec.listening.events import MICROSECONDS, SCHEMA
from audiorec.listening.imports.rows import (
    ImportedBlock,
    ImportedEvent,
    RejectedRow,
    SongRef,
    SourceRow,
)
from audiorec.listening.imports.table import TableColumns, meaning_of
from audiorec.runs.entry_points import Registry
from audiorec.store.aliases import AliasKind, alias_table
from audiorec.store.schema import METADATA_KEY
from audiorec.store.store import VectorStore
from audiorec.types import normalised_name

WAYS = ("id", "mbid", "isrc", "path", "tags")
SAME_LENGTH_S = 3.0  # between two rips of one recording
LEAST_SHARED = 2  # parts of two paths: the file and its folder
NO_SUCH, SEVERAL = "no such song", "several songs"
MOST_KEPT = 1 << 18  # cached results


class FoundSong(NamedTuple):
    """A song of the store, or why there is none.

    Attributes
    ----------
    row : int
        Its row in the store; -1 for none.
    way : str
        How it was found, one of `WAYS`; or why not: `NO_SUCH` or `SEVERAL`.
    """

    row: int
    way: str


class KnownSongs:
    """Lookup of a store's songs by id, MusicBrainz id, ISRC, path and tags.

    ===========  =======================================================================
    ``id``       the song's id, or an alias that the user added (`store aliases --add`)
    ``mbid``     MusicBrainz recording id in the file's tags
    ``isrc``     ISRC in the file's tags
    ``path``     the same path; or the only file with the same folder and file name
    ``tags``     artist and title, compared by `audiorec.types.normalised_name`
    ===========  =======================================================================

    They are tried in this order. If several songs match, the album decides, then the length; songs
    of the same length (within three seconds) are the same recording, and the first id is taken.
    Otherwise the row is not matched.
    """

    def __init__(self, store: VectorStore) -> None:
        self.ids = store.ids
        self.durations: list[float] = store.column("duration_s").to_pylist()
        names = ("uri", "title", "artist", "album", "isrc", "musicbrainz_trackid")
        uris, titles, artists, albums, isrcs, mbids = (store.column(n).to_pylist() for n in names)
        self._albums = [normalised_name(name) for name in albums]
        self._titles = [normalised_name(name) for name in titles]
        self._by_id: dict[str, list[int]] = {name: [n] for n, name in enumerate(self.ids)}
        ids, aliases = frozenset(self.ids), alias_table(store)
        own = aliases.filter(_equal(aliases.column("kind"), AliasKind.CSV.value))
        for alias, name in zip(
            *(own.column(c).to_pylist() for c in ("alias", LogColumns.SONG)), strict=True
        ):
            if alias not in self._by_id:
                self._by_id[alias] = list(self._by_id[name])
            elif alias not in ids and self._by_id[name][0] not in self._by_id[alias]:
                self._by_id[alias] += self._by_id[name]
        self._by_mbid = _table(_lower(mbids))
        self._by_isrc = _table(_plain_isrc(code) for code in isrcs)
        self._by_uri = _table(uris)
        self._by_file = _table(_parts(uri)[-1] for uri in uris)
        self._uris = uris
        tags = zip(map(normalised_name, artists), self._titles, strict=True)
        self._by_tags = _table(key if all(key) else None for key in tags)
        self._kept: dict[SongRef, FoundSong] = {}

    def find(self, song: SongRef) -> FoundSong:
        """Return the matching song; results are cached."""
        result = self._kept.get(song)
        if result is None:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            result = self._kept[song] = self._found(song)
        return result

    def _found(self, song: SongRef) -> FoundSong:
        reason = NO_SUCH
        for way, rows in self._candidates(song):
            row = self._one_of(rows, song)
            if row >= 0:
                return FoundSong(row, way)
            reason = SEVERAL if rows else reason
        return FoundSong(-1, reason)

    def _candidates(self, song: SongRef) -> Iterator[tuple[str, Sequence[int]]]:
        yield "id", self._by_id.get(song.id, ())
        yield "mbid", self._by_mbid.get(song.mbid, ())
        yield "isrc", self._by_isrc.get(_plain_isrc(song.isrc) or "", ())
        yield "path", self._find_path(song.path)
        yield (
            "tags",
            self._by_tags.get((normalised_name(song.artist), normalised_name(song.title)), ()),
        )

    def _find_path(self, path: str) -> Sequence[int]:
        if not path:
            return ()
        path = path.replace("\\", "/")
        exact = self._by_uri.get(path) or self._by_id.get(path)
        if exact:
            return exact
        parts = _parts(path)
        shared = {
            row: _shared(parts, _parts(self._uris[row])) for row in self._by_file.get(parts[-1], ())
        }
        most = max(shared.values(), default=0)
        if most < min(LEAST_SHARED, len(parts)):
            return ()
        return [row for row, n in shared.items() if n == most]

    def _one_of(self, rows: Sequence[int], song: SongRef) -> int:
        """Choose one of several candidate rows; -1 if ambiguous."""
        if len(rows) > 1 and song.album:
            album = normalised_name(song.album)
            rows = [row for row in rows if self._albums[row] == album] or rows
        if len(rows) > 1 and song.duration_s:
            rows = [r for r in rows if self._is_near(r, song.duration_s)] or rows
        if len(rows) > 1 and all(self._is_near(row, self.durations[rows[0]]) for row in rows):
            rows = rows[:1]
        return rows[0] if len(rows) == 1 else -1

    def _is_near(self, row: int, duration_s: float) -> bool:
        return abs(self.durations[row] - duration_s) <= SAME_LENGTH_S

    def of_title(self, songs: Iterable[SongRef]) -> Mapping[str, str]:
        """Return song ids by title, for titles that only one song has.

        They are hints for people who review unmatched songs, since artists have many spellings.
        """
        wanted = {title for song in songs if (title := normalised_name(song.title))}
        result: dict[str, list[str]] = defaultdict(list)
        for row, title in enumerate(self._titles):
            if title in wanted:
                result[title].append(self.ids[row])
        return {title: ids[0] for title, ids in result.items() if len(ids) == 1}


def own_id(song: SongRef) -> str:
    """Return the id of a song that is not in a store: the service's id, or artist and title.

    Examples
    --------
    >>> own_id(SongRef(artist="Nina  Simone", title="Sinnerman", mbid="8f3471b5"))
    'nina simone - sinnerman'
    """
    if song.id:
        return song.id
    if song.artist and song.title:
        return f"{normalised_name(song.artist)} - {normalised_name(song.title)}"
    return song.mbid or song.isrc or song.path


def _table(keys: Iterable[object]) -> dict[object, list[int]]:
    table: dict[object, list[int]] = {}
    for row, key in enumerate(keys):
        if key:
            table.setdefault(key, []).append(row)
    return table


def _lower(texts: Iterable[str | None]) -> Iterator[str | None]:
    return (text and text.lower() for text in texts)


def _plain_isrc(code: str | None) -> str | None:
    return code and code.replace("-", "").upper()


def _parts(path: str) -> list[str]:
    return path.replace(os.sep, "/").split("/")


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many trailing components two paths share."""
    n = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        n += 1
    return n


def _equal(column: object, value: str) -> object:
    import pyarrow.compute as pc

    return pc.equal(column, value)


IMPORTS = Registry("audiorec.imports", "kind of history")
NOBODY = "me"  # default user id, if neither the source nor the caller gives one
BLOCK_ROWS = 1 << 14  # rows buffered as Python objects: about 15 MB
FORMAT_VERSION = 1
ENTRY = pa.field("entry", pa.string())
NAMES = ("id", "mbid", "isrc", "path", "artist", "title", "album")
PLAYS = SCHEMA.append(ENTRY)
COUNTS = PLAYS.remove(PLAYS.names.index(LogColumns.TIME))
UNMATCHED = pa.schema(
    [*PLAYS.remove(1), ("reason", pa.string()), *((n, pa.string()) for n in NAMES)]
)
REJECTED = pa.schema(
    [
        (LogColumns.USER, pa.string()),
        ("file", pa.string()),
        ("row", pa.int64()),
        ("reason", pa.string()),
        ("is_mistake", pa.bool_()),
        ("content", pa.string()),
    ]
)
REPORT = pa.schema(
    [
        ("rows", pa.int64()),
        ("reason", pa.string()),
        *((n, pa.string()) for n in NAMES),
        ("near", pa.string()),
    ]
)
CSV, PARQUET = ".csv", ".parquet"


@dataclass(slots=True, kw_only=True)
class Imported:
    """Counts of an import.

    Attributes
    ----------
    rows, plays, unmatched, rejected : int
        Rows of the source, and of each of the three files; the first is the sum of the others.
    mistakes : int
        Rejected rows that are invalid; other rejected rows are not songs, or not listening.
    songs, unmatched_songs : int
        Distinct songs in the log, and distinct songs that are not in the store.
    users : int
    first_s, last_s : float or None
        Times of the first and last event of the log, in seconds since 1970.
    ways : mapping of str to int
        Number of rows by how their song was matched, or why it was not.
    reasons : mapping of str to int
        Number of rejected rows by reason.
    """

    rows: int = 0
    plays: int = 0
    unmatched: int = 0
    rejected: int = 0
    mistakes: int = 0
    songs: int = 0
    unmatched_songs: int = 0
    users: int = 0
    first_s: float | None = None
    last_s: float | None = None
    ways: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        content: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        return content | {name: dict(content[name].most_common()) for name in ("ways", "reasons")}


def path_beside(out: Path, what: str) -> Path:
    """Return the path of a file beside a log, such as ``plays.unmatched.parquet``."""
    return out.with_name(f"{out.stem}.{what}{PARQUET}")


def import_history(
    kind: str,
    files: Sequence[Path],
    out: Path,
    *,
    store: VectorStore | None = None,
    user: str = "",
    keep_unmatched: bool = False,
    report: Path | None = None,
    columns: TableColumns | None = None,
    progress: Callable[[int], None] | None = None,
) -> Imported:
    """Convert a listening history to a log.

    Parameters
    ----------
    kind : str
        A name of `IMPORTS`, or ``module:function``: a function ``read(files, user)`` that yields
        `SourceRow`; ``user`` is empty, or the user of rows without one.
    files : sequence of Path
        Files, zips or folders of the service, or databases of the server.
    out : Path
        The log to write, ``.parquet``.
    store : VectorStore, optional
        The store to match songs with. Without one, songs get the service's ids, or ids made of
        artist and title.
    user : str
        The user id of rows for which the source does not give one.
    keep_unmatched : bool
        Keep events whose song is not in the store in the log, with the ids that they would get
        without a store.
    report : Path, optional
        Table to write, ``.csv`` or ``.parquet``, of the songs that are not in the store, most
        rows first.
    columns : TableColumns, optional
        The columns of a ``table``.
    progress : callable, optional
        Called with the number of rows read so far.

    Raises
    ------
    InputError
        If a file is missing, damaged or of another kind, or none of its rows can be used; nothing
        is written then.
    """
    for path, ends in ((out, (PARQUET,)), (report, (CSV, PARQUET))):
        if path is not None and path.suffix.lower() not in ends:
            raise InputError(f"{path}: its name must end in {' or '.join(ends)}")
    given = {} if columns is None else {"columns": columns}
    rows = IMPORTS.named(kind)(files, user, **given)
    # A log without the column is one of counts; with an empty one it would lack times.
    timed = kind != "table" or "time" in meaning_of(files, columns, user).names
    about = {"source": kind} | (
        {"times": "made up: Yambda counts from an unpublished origin"} if kind == "yambda" else {}
    )
    with ExitStack() as stack:
        # The log is closed and renamed into place after the others.
        plays, unmatched, rejected = (
            stack.enter_context(table_writer(path, _schema(schema, of, about)))
            for path, schema, of in (
                (out, PLAYS if timed else COUNTS, "interactions"),
                (path_beside(out, "unmatched"), UNMATCHED, "unmatched_plays"),
                (path_beside(out, "rejected"), REJECTED, "rejected_rows"),
            )
        )
        known = KnownSongs(store) if store is not None else None
        work = _Import(known, user or NOBODY, keep_unmatched, plays, unmatched, rejected)
        work.go(rows, progress)
        if not work.found.plays and not work.found.unmatched:
            reasons = "; ".join(f"{n} {why}" for why, n in work.found.reasons.most_common(3))
            where = f"{files[0]}{' and others' if len(files) > 1 else ''}"
            none = f"{where}: none of its {work.found.rows} rows can be used"
            raise DamagedFileError(f"{none}: {reasons}" if reasons else none)
        if report is not None:
            _write_report(report, work.lost, known)
    return work.found


def _schema(schema: Any, kind: str, about: Mapping[str, Any]) -> Any:
    content = {
        "kind": kind,
        "format_version": FORMAT_VERSION,
        "created_by": created_by(),
        **about,
    }
    return schema.with_metadata({METADATA_KEY: json.dumps(content, sort_keys=True).encode()})


class _Import:
    """State of an import: buffered rows and counts."""

    def __init__(
        self,
        known: KnownSongs | None,
        user: str,
        keep_unmatched: bool,
        plays: Any,
        unmatched: Any,
        rejected: Any,
    ) -> None:
        self.known, self.user, self.keep_unmatched = known, user, keep_unmatched
        self.writers = {"plays": plays, "unmatched": unmatched, "rejected": rejected}
        self.found = Imported()
        self.lost: Counter[tuple[SongRef, str]] = Counter()
        self.waiting: dict[str, list[Any]] = {"plays": [], "unmatched": [], "rejected": []}
        self.users: set[str] = set()
        self.songs: set[str] = set()

    def go(self, rows: Iterator[SourceRow], progress: Callable[[int], None] | None) -> None:
        """Process and write all rows."""
        for row in rows:
            if isinstance(row, ImportedBlock):
                self._block(row)
            elif isinstance(row, RejectedRow):
                self._aside(row)
            else:
                self._heard(row)
            if progress is not None:
                progress(self.found.rows)
        for name in self.waiting:
            self._flush(name)
        self.found.users, self.found.songs = len(self.users), len(self.songs)
        self.found.unmatched_songs = len(self.lost)

    def _aside(self, row: RejectedRow) -> None:
        self.found.rows += 1
        self.found.rejected += 1
        self.found.mistakes += row.is_mistake
        self.found.reasons[row.reason] += 1
        self._wait("rejected", row)

    def _heard(self, row: ImportedEvent) -> None:
        self.found.rows += 1
        result = self.known.find(row.song) if self.known is not None else FoundSong(-1, "")
        if result.way:
            self.found.ways[result.way] += 1
        if result.row < 0 and self.known is not None:
            self.lost[row.song, result.way] += 1
            if not self.keep_unmatched:
                self.found.unmatched += 1
                self._wait("unmatched", (row, result.way))
                return
        song_id, ratio = own_id(row.song), row.played_ratio
        if result.row >= 0 and self.known is not None:
            song_id, length_s = self.known.ids[result.row], self.known.durations[result.row]
            if ratio is None and row.played_s is not None and length_s > 0:
                ratio = min(row.played_s / length_s, 1.0)
        self.found.plays += 1
        self._seen(row.time_s, row.time_s)
        self.songs.add(song_id)
        self.users.add(row.user or self.user)
        self._wait("plays", (row, song_id, ratio))

    def _block(self, block: ImportedBlock) -> None:
        """Process a block of rows whose songs have only ids."""
        encoded = block.song.dictionary_encode()
        ids = encoded.dictionary.to_pylist()
        numbers = encoded.indices.to_numpy()
        self.found.rows += len(block)
        names, mask = encoded.dictionary, np.ones(len(block), np.bool_)
        if self.known is not None:
            result = [self.known.find(SongRef(id=name)) for name in ids]
            counts = np.bincount(numbers, minlength=len(ids)).tolist()
            for name, one, rows in zip(ids, result, counts, strict=True):
                self.found.ways[one.way] += rows
                if one.row < 0:
                    self.lost[SongRef(id=name), one.way] += rows
            names = string_array(
                [
                    n if f.row < 0 else self.known.ids[f.row]
                    for n, f in zip(ids, result, strict=True)
                ]
            )
            if not self.keep_unmatched:
                mask = np.array([one.row >= 0 for one in result])[numbers]
        kept = pa.array(mask)
        table = _table_of(block, names.take(encoded.indices))
        if not mask.all():
            away = table.filter(pc.invert(kept))
            self.found.unmatched += len(away)
            self.writers["unmatched"].write_table(_unmatched_block(away))
        table = table.filter(kept)
        if len(table):
            self.found.plays += len(table)
            times = block.time_s[mask]
            if not np.isnan(times).any():
                self._seen(float(times.min()), float(times.max()))
            self.songs.update(table.column(LogColumns.SONG).unique().to_pylist())
            self.users.update(table.column(LogColumns.USER).unique().to_pylist())
            self.writers["plays"].write_table(table.select(self.writers["plays"].schema.names))

    def _seen(self, first_s: float, last_s: float) -> None:
        result = self.found
        result.first_s = first_s if result.first_s is None else min(result.first_s, first_s)
        result.last_s = last_s if result.last_s is None else max(result.last_s, last_s)

    def _wait(self, name: str, row: Any) -> None:
        self.waiting[name].append(row)
        if len(self.waiting[name]) >= BLOCK_ROWS:
            self._flush(name)

    def _flush(self, name: str) -> None:
        rows, self.waiting[name] = self.waiting[name], []
        if rows:
            make: dict[str, Callable[[Any], Any]] = {
                "plays": self._plays,
                "unmatched": self._unmatched,
                "rejected": self._rejected,
            }
            self.writers[name].write_table(make[name](rows))

    def _plays(self, rows: Sequence[tuple[ImportedEvent, str, float | None]]) -> Any:
        events = [heard for heard, _, _ in rows]
        columns = self._events(events, [ratio for _, _, ratio in rows])
        columns[LogColumns.SONG] = string_array([song_id for _, song_id, _ in rows])
        return _as(columns, PLAYS)

    def _unmatched(self, rows: Sequence[tuple[ImportedEvent, str]]) -> Any:
        columns = self._events([heard for heard, _ in rows], [h.played_ratio for h, _ in rows])
        columns["reason"] = string_array([why for _, why in rows])
        for name in NAMES:
            columns[name] = pa.array([getattr(h.song, name) or None for h, _ in rows], pa.string())
        return _as(columns, UNMATCHED)

    def _rejected(self, rows: Sequence[RejectedRow]) -> Any:
        columns: dict[str, Any] = {
            name: pa.array([getattr(row, name) for row in rows], REJECTED.field(name).type)
            for name in REJECTED.names[1:]
        }
        columns[LogColumns.USER] = string_array([row.user or self.user for row in rows])
        return _as(columns, REJECTED)

    def _events(
        self, rows: Sequence[ImportedEvent], ratios: Sequence[float | None]
    ) -> dict[str, Any]:
        return {
            LogColumns.USER: string_array([row.user or self.user for row in rows]),
            LogColumns.TIME: _stamps(np.array([row.time_s for row in rows])),
            LogColumns.EVENT: string_array([row.event for row in rows]),
            LogColumns.PLAYED_RATIO: pa.array(ratios, pa.float32()),
            LogColumns.WEIGHT: pa.array([row.weight for row in rows], pa.float32()),
            "entry": pa.array([row.entry or None for row in rows], pa.string()),
        }


def _table_of(block: ImportedBlock, songs: Any) -> Any:
    n = len(block)
    weight = np.ones(n, np.float32) if block.weight is None else block.weight
    columns = {
        LogColumns.USER: block.user,
        LogColumns.SONG: songs,
        LogColumns.TIME: _stamps(block.time_s),
        LogColumns.EVENT: pa.repeat(block.event, n).cast(pa.string()),
        LogColumns.PLAYED_RATIO: pa.array(block.played_ratio, mask=np.isnan(block.played_ratio)),
        LogColumns.WEIGHT: arrow_array(weight, pa.float32()),
        "entry": block.entry,
    }
    return _as(columns, PLAYS)


def _unmatched_block(table: Any) -> Any:
    columns = {name: table.column(name) for name in table.column_names if name != LogColumns.SONG}
    columns |= {name: pa.nulls(len(table), pa.string()) for name in NAMES}
    columns["id"] = table.column(LogColumns.SONG)
    columns["reason"] = pa.repeat(NO_SUCH, len(table)).cast(pa.string())
    return _as(columns, UNMATCHED)


def _as(columns: Mapping[str, Any], schema: Any) -> Any:
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _stamps(times_s: Any) -> Any:
    known = ~np.isnan(times_s)
    whole = np.rint(np.where(known, times_s, 0.0) * MICROSECONDS).astype(np.int64)
    stamps = arrow_array(whole, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    return pc.if_else(mask(known), stamps, None)


def _write_report(path: Path, lost: Counter[tuple[SongRef, str]], known: KnownSongs | None) -> None:
    """Write the songs that are not in the store, most rows first."""
    from audiorec.types import normalised_name

    ordered = lost.most_common()
    near = known.of_title(song for (song, _), _ in ordered) if known is not None else {}
    columns: dict[str, Any] = {
        "rows": pa.array([rows for _, rows in ordered], pa.int64()),
        "reason": string_array([why for (_, why), _ in ordered]),
        "near": pa.array(
            [near.get(normalised_name(song.title)) for (song, _), _ in ordered], pa.string()
        ),
    }
    for name in NAMES:
        columns[name] = pa.array(
            [getattr(song, name) or None for (song, _), _ in ordered], pa.string()
        )
    table = _as(columns, REPORT)
    if path.suffix.lower() == PARQUET:
        write_plain(path, table)
        return
    import pyarrow.csv

    with replaced(path) as temporary:
        pyarrow.csv.write_csv(table, temporary)
