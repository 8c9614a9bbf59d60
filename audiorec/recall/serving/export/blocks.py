"""Make all rows of an export that belong to users, one block of users at a time.

    log, candidates, exposures, earlier nights ──UserBlocks──▶ (table, rows), ... for each block
    tables (one per channel and the fused one) ──merge_candidates──▶ `CandidatePairs`
    features, samples, embeddings ──feature_arrays, ...──▶ Arrow columns

Blocks hold whole users. The number of rows of every stream bounds their size, including the events
of the log.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ListColumns, ShownColumns
from audiorec.errors import InputError
from audiorec.files.arrow import encoded, integers
from audiorec.listening.events import EVENTS
from audiorec.listening.rule import Rule, judge_pairs
from audiorec.listening.sequences import DAY_S, Sequences, to_sequences
from audiorec.recall.contract.candidates import DEFAULT, SCHEMA
from audiorec.recall.contract.space import InterestSpace
from audiorec.recall.serving.exclusions import SHOWN
from audiorec.recall.serving.export.features import (
    EventHistory,
    FeatureColumn,
    UserEventHistory,
    moments,
    user_columns,
    vectors,
)
from audiorec.recall.serving.export.folder import (
    OUTCOMES,
    SampleCounts,
    Samples,
    ShownSongs,
    event_samples,
    exposure_samples,
    play_samples,
)
from audiorec.recall.serving.export.schema import (
    FEATURES,
    ExportParts,
    export_tables,
    served_columns,
)
from audiorec.recall.serving.export.sources import (
    OpenSources,
    ids_stream,
    read_served,
    shown_stream,
)
from audiorec.recall.serving.tables import (
    BATCH_ROWS,
    CandidateRows,
    UserStream,
    candidates_by_user,
    merge_streams,
)
from audiorec.types import BoolArray, FloatArray, IdMap, Int64Array, string_array

LAST = np.iinfo(np.int64).max
KEPT = ("channel", "reason", "evidence", "interest", "cold")


@dataclass(frozen=True, slots=True, eq=False)
class CandidatePairs:
    """n pairs of a user and a song, sorted by user, fused songs first in their order.

    Attributes
    ----------
    user, song : ndarray, shape (n,), int64
        Positions in `user_ids` and `song_ids`, both sorted.
    user_ids, song_ids : pyarrow.StringArray
    rank, similarity : ndarray, shape (n, C)
        By table, the fused one last; rank 0 if the table does not contain the pair.
    rows : pyarrow.Table
        `KEPT` columns of one row per pair: the fused one, else that of the best rank.
    """

    user: Int64Array
    song: Int64Array
    user_ids: Any
    song_ids: Any
    rank: Int64Array
    similarity: FloatArray
    rows: Any

    def columns(self, slugs: Sequence[str]) -> Mapping[str, Any]:
        """Return ranks, similarities and the number of channels of each pair as Arrow arrays."""
        *_, fused = range(self.rank.shape[1])
        result = {
            "fused_rank": _known(self.rank[:, fused], self.rank[:, fused] > 0, pa.int32()),
            "fused_weight": _known(
                self.similarity[:, fused], self.rank[:, fused] > 0, pa.float32()
            ),
            "channels": pa.array((self.rank[:, :fused] > 0).sum(axis=1).astype(np.int32)),
        }
        for number, slug in enumerate(slugs):
            there, similar = self.rank[:, number] > 0, self.similarity[:, number]
            result[f"{slug}_rank"] = _known(self.rank[:, number], there, pa.int32())
            result[f"{slug}_similarity"] = _known(similar, there & ~np.isnan(similar), pa.float32())
        return result


def merge_candidates(tables: Sequence[Any], fused: Any) -> CandidatePairs:
    """Merge the candidates of a block of users.

    Parameters
    ----------
    tables : sequence of pyarrow.Table
        Candidates, one table per channel. If a pair occurs twice in one, the best rank counts.
    fused : pyarrow.Table
        The fused list of each user; may be empty.
    """
    every = [*tables, fused]
    rows = CandidateRows.of(every)
    table, source, user, song = rows.table, rows.source, rows.user, rows.song
    user_ids, song_ids = rows.user_ids, rows.song_ids
    rank = table.column("rank").to_numpy().astype(np.int64)
    pairs, pair = np.unique(user * max(1, len(song_ids)) + song, return_inverse=True)
    ranks = np.zeros((len(pairs), len(every)), np.int64)
    similar = np.zeros((len(pairs), len(every)), np.float32)
    worst_first = np.lexsort((-rank, source))  # the best row is assigned last
    at = (pair[worst_first], source[worst_first])
    ranks[at] = rank[worst_first]
    similar[at] = table.column("similarity").to_numpy()[worst_first]
    last = len(every) - 1
    best = np.lexsort((source, rank, source != last, pair))
    best = best[np.unique(pair[best], return_index=True)[1]]
    own = np.where(ranks[:, last] > 0, ranks[:, last], LAST)
    order = np.lexsort((song[best], rank[best], own, user[best]))
    best = best[order]
    return CandidatePairs(
        user[best],
        song[best],
        user_ids,
        song_ids,
        ranks[order],
        similar[order],
        table.select(list(KEPT)).take(integers(best)),
    )


def _known(values: Any, there: BoolArray, kind: Any) -> Any:
    return pa.array(values, mask=~there).cast(kind)


def feature_arrays(features: Mapping[str, FeatureColumn]) -> dict[str, Any]:
    """Return the columns of `FEATURES`; null where a feature is unknown."""
    arrays = {}
    for column in FEATURES:
        numbers = features[column.name]
        values = numbers.values
        if numbers.unknown is not None:
            values = np.where(numbers.unknown, 0, values)
        kind = np.int32 if column.kind == "int32" else np.float32
        arrays[column.name] = pa.array(values.astype(kind), mask=numbers.unknown)
    return arrays


def outcome_arrays(samples: Samples) -> dict[str, Any]:
    """Return the columns ``outcome`` and ``played_at`` of samples."""
    return {
        "outcome": string_array(OUTCOMES).take(integers(samples.outcome)),
        "played_at": moments(samples.played),
    }


def dot_array(users: FloatArray, songs: FloatArray, song: Int64Array) -> Any:
    """Return the dot products of users (n, E) and songs; null where either has no embedding."""
    own = songs[song]
    value = np.einsum("ij,ij->i", users, own)
    known = np.asarray(users.any(axis=1)) & np.asarray(own.any(axis=1))
    return pa.array(value.astype(np.float32), mask=~known)


def served_rows(rows: Any, served: Any) -> Int64Array:
    """Return the row of `served` with the user, song and run of each sample; -1 for none."""
    names = (ListColumns.USER, ListColumns.SONG, ShownColumns.RUN)
    key, known = _keys(rows, served, names)
    return _looked_up(key, known)


def rows_before(rows: Any, served: Any) -> tuple[Int64Array, Int64Array]:
    """Return the row of `served` of each sample in the user's newest night before it.

    Returns
    -------
    place, night : ndarray, shape (n,), int64
        The row with the sample's song, and any row of that night: -1 where there is none.
    """
    user, users = _keys(rows, served, (ListColumns.USER,))
    song, songs = _keys(rows, served, (ListColumns.SONG,))
    at, ats = (
        pc.cast(table.column(name), pa.int64()).to_numpy()
        for table, name in ((rows, "happened_at"), (served, ShownColumns.AT))
    )
    times = np.unique(ats)
    width = len(times) + 1
    nights = users * width + np.searchsorted(times, ats) + 1
    known, first = np.unique(nights, return_index=True)
    asked = user * width + np.searchsorted(times, at)  # strictly before
    newest = np.searchsorted(known, asked, side="right") - 1
    there = (newest >= 0) & (known[newest] // width == user) if len(known) else asked < 0
    night = np.where(there, first[newest], -1) if len(known) else np.full(len(user), -1)
    own = np.where(there, known[newest], -1) if len(known) else night
    most = 1 + max(int(song.max(initial=0)), int(songs.max(initial=0)))
    place = _looked_up(np.where(there, own * most + song, -1), nights * most + songs)
    return place, np.asarray(night, np.int64)


def _keys(rows: Any, served: Any, names: Sequence[str]) -> tuple[Int64Array, Int64Array]:
    """Return one number for each combination of values in two tables."""
    key = np.zeros(len(rows) + len(served), np.int64)
    for name in names:
        both = pa.concat_arrays(
            [one_array(t.column(name).combine_chunks()) for t in (rows, served)]
        )
        number, values = encoded(both.fill_null(""))
        key = key * (len(values) + 1) + number
    return key[: len(rows)], key[len(rows) :]


def _looked_up(key: Int64Array, known: Int64Array) -> Int64Array:
    """Return the first place of each key among known ones; -1 for none."""
    if not len(known):
        return np.full(len(key), -1, np.int64)
    values, place = np.unique(known, return_index=True)
    at = np.minimum(np.searchsorted(values, key), len(values) - 1)
    return np.where(values[at] == key, place[at], -1).astype(np.int64)


def one_array(array: Any) -> Any:
    """Return a string array, joining chunks."""
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else string_array([])
    return array.cast(pa.string())


CHUNK_USERS = 4_096
CHUNK_EVENTS = 1 << 17
Rows = Mapping[str, Any] | Any  # columns by name, or a table
BY_EXPOSURES, BY_LISTENING = "exposures", "listening"


@dataclass(frozen=True, slots=True, eq=False)
class _People:
    """The users of one block."""

    user_ids: Any  # sorted; a `pyarrow.StringArray` of length n
    past: UserEventHistory  # of the users that are in the log
    number: Int64Array  # (n,): number of each in `past`; -1: not in the log
    embedded: list[FloatArray]  # one per space: (n, E), zeros where nothing is known


class UserBlocks:
    """All rows of users, one block of users at a time; can be iterated only once.

    Parameters
    ----------
    opened : OpenSources
    past : EventHistory
    channels : sequence of (slug, name)
        Channels of the tables of candidates, in the same order.
    parts : ExportParts
    kept : path, optional
        The folder ``served`` of the previous export.
    entry : str
        Product of the ranking samples; empty: that of the run, or the only one with exposures.
    days, served_days : float
        See `ExportRecipe`.

    Attributes
    ----------
    likes : ndarray, shape (songs of the log,), int64
        Number of users so far who like each song, by the default interaction rule.
    strange_songs : set of str
        Songs so far that were proposed or shown but are in no other table.
    """

    def __init__(
        self,
        opened: OpenSources,
        past: EventHistory,
        *,
        channels: Sequence[tuple[str, str]],
        parts: ExportParts,
        kept: Path | None,
        entry: str,
        days: float,
        served_days: float,
    ) -> None:
        self._opened, self._past = opened, past
        self.likes = np.zeros(len(opened.log.song_ids), np.int64)
        self._slugs = [slug for slug, _ in channels]
        self._parts, self._days, self._served_days = parts, days, served_days
        self._schemas = {table.name: table.schema for table in export_tables(parts)}
        self._served_names = {column.name for column in served_columns(parts)}
        self._feature_names = {column.name for column in FEATURES}
        self._kept = kept
        self.record = dict(opened.sources.record or {})
        self.strange_songs: set[str] = set()
        self._recall, self._ranking = SampleCounts(), SampleCounts()
        self.entry, self.rule = self._product(entry)
        self._first = 0

    def __iter__(self) -> Iterator[list[tuple[str, Rows]]]:
        """Yield the (table, rows) pairs of each block."""
        sources = self._opened.sources
        shown: list[UserStream] = []
        if self.rule == BY_EXPOSURES:
            shown = [shown_stream(self._opened.shown, self.entry)]
        lists = [*sources.candidates, *([sources.fused] if sources.fused else [])]
        streams = [
            ids_stream(self._chunks()),
            *(UserStream(candidates_by_user(path, BATCH_ROWS), SCHEMA) for path in lists),
            *shown,
            *self._earlier(),
        ]
        ends = np.cumsum([1, len(sources.candidates), len(lists) - len(sources.candidates)])
        for tables in merge_streams(streams):
            _, own, one, rest = np.split(np.arange(len(tables)), ends)
            of = [[tables[at] for at in part] for part in (own, one, rest)]
            of[0] = [t.filter(pc.not_equal(t.column("channel"), DEFAULT)) for t in of[0]]
            fused = of[1][0] if of[1] else SCHEMA.empty_table()
            yield self._block(tables[0], of[0], fused, of[2][: len(shown)], of[2][len(shown) :])

    def counted(self) -> dict[str, Any]:
        """Return the counts of samples for the manifest, after the last block."""
        return {
            "recall": self._recall.counts,
            "ranking": {
                "by": self.rule,
                "entry": self.entry,
                "days": self._days,
                **self._ranking.counts,
            },
            "served_kept": self._serves,
        }

    def _block(
        self, ids: Any, lists: list[Any], fused: Any, shown: list[Any], served: list[Any]
    ) -> list[tuple[str, Rows]]:
        people = self._people(ids, [*lists, fused, *shown])
        result: list[tuple[str, Rows]] = [("users", self._user_rows(people))]
        result += self._interest_rows(people)
        candidates: dict[str, Any] | None = None
        if len(fused) or any(map(len, lists)):
            candidates = self._candidates(people, lists, fused)
            result.append(("candidates", candidates))
        earlier = pa.concat_tables([self._schemas["served"].empty_table(), *served])
        # Users who are no longer in the log or any list may have asked to be forgotten.
        there = [one_array(table.column(ListColumns.USER)) for table in (ids, fused, *lists)]
        known = pa.concat_arrays(there)
        earlier = earlier.filter(pc.is_in(earlier.column(ListColumns.USER), value_set=known))
        result.append(("served", self._served(earlier, candidates)))
        did_rows = event_samples(people.past, self._recall)
        result.append(("samples_recall", self._recall_rows(people, did_rows)))
        if self.rule == BY_LISTENING:
            samples = play_samples(people.past, self.entry, self._ranking)
            result.append(("samples_ranking", self._heard_rows(people, samples, earlier)))
        elif any(map(len, shown)):
            result.append(("samples_ranking", self._shown_rows(people, shown, earlier)))
        return result

    def _product(self, entry: str) -> tuple[str | None, str]:
        """Return the product of ranking samples, and whether exposures or listening make them."""
        exposures = self._opened.shown
        entries = (
            set() if exposures is None else set(exposures.column("entry").unique().to_pylist())
        )
        entries -= {None, ""}
        only = next(iter(entries)) if len(entries) == 1 else None
        chosen = entry or str(self.record.get("entry", "")) or only
        if exposures is not None and (chosen is None or not entries or chosen in entries):
            return chosen, BY_EXPOSURES
        label = self._opened.log.labels.get("entry")
        heard_in = set(label.texts) if label is not None else set()
        if entry and entry not in heard_in and (entries or heard_in):
            there = ", ".join(sorted(entries | heard_in))
            raise InputError(f"no exposure or play has entry {entry!r}; there are: {there}")
        return (chosen if chosen in heard_in else None), BY_LISTENING

    def _chunks(self) -> Iterator[Any]:
        """Yield the ids of the log's users in chunks with a bounded number of events."""
        starts = self._past.by_user[1]
        ids, first = string_array(self._opened.log.user_ids), 0
        while first < len(ids):
            full = int(np.searchsorted(starts, starts[first] + CHUNK_EVENTS, side="right")) - 1
            stop = min(len(ids), first + CHUNK_USERS, max(first + 1, full))
            yield ids[first:stop]
            first = stop

    def _earlier(self) -> list[UserStream]:
        if self._kept is None or not self._kept.is_dir() or not self._past.has_times:
            return []
        since = self._past.newest - self._served_days * DAY_S
        run = str(self.record.get(ShownColumns.RUN, ""))
        return [read_served(self._kept, self._schemas["served"], since=since, without=run)]

    def _people(self, ids: Any, tables: Sequence[Any]) -> _People:
        every = [ids.column(ListColumns.USER).combine_chunks()]
        every += [table.column(ListColumns.USER).combine_chunks().unique() for table in tables]
        _, user_ids = encoded(pa.concat_arrays([one_array(one) for one in every]))
        past = self._past.of(self._first, self._first + len(ids))
        number = IdMap(one_array(every[0])).rows(user_ids)
        asked = self._opened.context.queries_of(self._plays.take(np.arange(past.n) + past.first))
        embedded = []
        for channel in self._opened.spaces:
            if isinstance(channel, InterestSpace):
                continue
            own = channel.embed_users(asked)
            whole = np.zeros((len(user_ids), own.shape[1]), np.float32)
            whole[number >= 0] = own[number[number >= 0]]
            embedded.append(whole)
        self._first += len(ids)
        return _People(user_ids, past, number, embedded)

    def _user_rows(self, people: _People) -> Rows:
        past = people.past
        plays = self._plays.take(np.arange(past.n) + past.first)
        columns = user_columns(people.user_ids, plays, self._liked(past), self._opened.side)
        names = [space.slug for space in self._parts.spaces if not space.of_interests]
        for slug, embedded in zip(names, people.embedded, strict=True):
            columns[f"embedding_{slug}"] = vectors(embedded)
        return columns

    def _liked(self, past: UserEventHistory) -> Int64Array:
        """Return the number of songs that each user of a block likes; add them to `likes`."""
        judged = judge_pairs(self._opened.log.take(past.rows), Rule())
        liked = judged.sign > 0
        self.likes += np.bincount(judged.song[liked], minlength=len(self.likes))
        return np.bincount(judged.user[liked] - past.first, minlength=past.n).astype(np.int64)

    def _interest_rows(self, people: _People) -> list[tuple[str, Rows]]:
        past = people.past
        rows: list[tuple[str, Rows]] = []
        asked = self._opened.context.queries_of(self._plays.take(np.arange(past.n) + past.first))
        for space, channel in zip(self._parts.spaces, self._opened.spaces, strict=True):
            if not isinstance(channel, InterestSpace) or not len(asked):
                continue
            of = channel.user_interests(asked)
            columns = {
                ListColumns.USER: string_array(asked.user_ids).take(integers(of.user)),
                "interest": pa.array(of.interest.astype(np.int32)),
                "weight": pa.array(of.weight.astype(np.float32)),
                "embedding": vectors(of.embedding, np.ones(len(of.user), np.bool_)),
            }
            rows.append((f"interests_{space.slug}", columns))
        return rows

    def _candidates(self, people: _People, lists: list[Any], fused: Any) -> dict[str, Any]:
        pairs = merge_candidates(lists, fused)
        user = IdMap(people.user_ids).rows(pairs.user_ids)[pairs.user]
        song = self._numbers(pairs.song_ids)[pairs.song]
        at = np.full(len(user), self._until)
        columns: dict[str, Any] = {
            ListColumns.USER: pairs.user_ids.take(integers(pairs.user)),
            ListColumns.SONG: pairs.song_ids.take(integers(pairs.song)),
            **{name: pairs.rows.column(name).combine_chunks() for name in pairs.rows.column_names},
            **pairs.columns(self._slugs),
            **feature_arrays(people.past.features(people.number[user], song, at)),
        }
        names = [space.slug for space in self._parts.spaces if not space.of_interests]
        for slug, embedded, songs in zip(names, people.embedded, self._song_spaces, strict=True):
            columns[f"dot_{slug}"] = dot_array(embedded[user], songs, song)
        return columns

    def _served(self, earlier: Any, candidates: Mapping[str, Any] | None) -> Any:
        """Return the rows of earlier nights and the shown candidates of this one."""
        schema = self._schemas["served"]
        parts = [earlier]
        if candidates is not None and self._serves:
            at = pa.repeat(
                moments(np.array([self._past.newest]))[0], len(candidates[ListColumns.USER])
            )
            named = {
                ShownColumns.RUN: pa.repeat(pa.scalar(str(self.record[ShownColumns.RUN])), len(at)),
                ShownColumns.AT: at,
                "entry": pa.repeat(pa.scalar(str(self.record.get("entry", ""))), len(at)),
            }
            columns = {**candidates, **named}
            whole = pa.Table.from_arrays(
                [columns[field.name].cast(field.type) for field in schema], schema=schema
            )
            parts.append(whole.filter(candidates["fused_rank"].is_valid()))
        keys = [
            (name, "ascending")
            for name in (ListColumns.USER, ShownColumns.AT, ShownColumns.RUN, ListColumns.SONG)
        ]
        return pa.concat_tables(parts).sort_by(keys)

    def _recall_rows(self, people: _People, samples: Samples) -> Rows:
        log, label = self._opened.log, self._opened.log.labels.get("entry")
        entry = pa.nulls(len(samples), pa.string())
        if label is not None:
            number = label.number[samples.row]
            entry = string_array(label.texts).take(pa.array(number, mask=number < 0))
        return {
            **self._common(people, samples, self._log_ids(people, samples)),
            "entry": entry,
            "event": string_array(EVENTS).take(integers(log.event[samples.row])),
            "weight": pa.array(log.weight[samples.row]),
        }

    def _heard_rows(self, people: _People, samples: Samples, served: Any) -> Rows:
        columns = self._common(people, samples, self._log_ids(people, samples))
        entry = pa.nulls(len(samples), pa.string())
        if self.entry is not None:
            entry = pa.repeat(pa.scalar(self.entry), len(samples))
        columns |= outcome_arrays(samples)
        columns |= {"entry": entry, ShownColumns.RUN: pa.nulls(len(samples), pa.string())}
        return self._as_served(self._without_channels(columns, len(samples)), served)

    def _shown_rows(self, people: _People, shown: list[Any], served: Any) -> Rows:
        table = pa.concat_tables([SHOWN.empty_table(), *shown]).combine_chunks()
        name, song_ids = encoded(table.column(ListColumns.SONG))
        owner = IdMap(people.user_ids).rows(
            one_array(table.column(ListColumns.USER).combine_chunks())
        )
        at = table.column(ShownColumns.AT).to_numpy()
        exposed = ShownSongs(people.number[owner], self._numbers(song_ids)[name], name, at, owner)
        samples = exposure_samples(people.past, exposed, self._days, self._ranking)
        rows = table.take(integers(samples.row))
        ids = {
            n: one_array(rows.column(n).combine_chunks())
            for n in (ListColumns.USER, ListColumns.SONG)
        }
        columns = self._common(people, samples, ids) | outcome_arrays(samples)
        columns |= {n: rows.column(n).combine_chunks() for n in ("entry", ShownColumns.RUN)}
        made = self._without_channels(columns, len(samples))
        return self._as_served(made, served)

    def _as_served(self, made: Mapping[str, Any], served: Any) -> Any:
        """Add what channels said: stored when a row was served, or of the newest night before it.

        Rows of a list that a night wrote get all that was stored with it. Others, such as those
        that were shown before the first night, keep their features, and get the output of
        channels of the user's newest night before them (of a past day that was run afterwards).
        """
        schema = self._schemas["samples_ranking"]
        rows = pa.Table.from_arrays(
            [made[field.name].cast(field.type) for field in schema], schema=schema
        )
        exact = served_rows(rows, served)
        place, night = rows_before(rows, served)
        is_served = exact >= 0
        place, night = np.where(is_served, exact, place), np.where(is_served, exact, night)
        self._ranking.add(
            as_served=int(is_served.sum()), ranked_afterwards=int((~is_served & (night >= 0)).sum())
        )
        kept = served.take(pa.array(place, mask=place < 0))
        stored = pa.array(is_served)
        for number, field in enumerate(schema):
            column = rows.column(field.name)
            if field.name in self._served_names:
                column = kept.column(field.name)
            elif field.name in self._feature_names:
                column = pc.if_else(stored, kept.column(field.name), column)
            elif field.name == "as_served":
                column = stored
            elif field.name == "ranked_at":
                column = served.column(ShownColumns.AT).take(pa.array(night, mask=night < 0))
            rows = rows.set_column(number, field, column)
        return rows

    def _common(self, people: _People, samples: Samples, ids: Mapping[str, Any]) -> dict[str, Any]:
        features = people.past.features(samples.user, samples.song, samples.known_until)
        return {
            **ids,
            "happened_at": moments(samples.at),
            "label": pa.array(samples.label.astype(np.int32)),
            **feature_arrays(features),
        }

    def _log_ids(self, people: _People, samples: Samples) -> dict[str, Any]:
        log = self._opened.log
        users = string_array(log.user_ids[people.past.first : people.past.first + people.past.n])
        return {
            ListColumns.USER: users.take(integers(samples.user)),
            ListColumns.SONG: self._song_ids.take(integers(samples.song)),
        }

    def _without_channels(self, columns: dict[str, Any], n: int) -> dict[str, Any]:
        schema = self._schemas["samples_ranking"]
        names = (*self._served_names, "ranked_at")
        nothing = {name: pa.nulls(n, schema.field(name).type) for name in names}
        return columns | nothing | {"as_served": pa.array(np.zeros(n, np.bool_))}

    def _numbers(self, song_ids: Any) -> Int64Array:
        """Return the numbers of songs; -1 if in no other table, and add it to `strange_songs`."""
        ids = song_ids.to_pylist()
        rows = np.array([self._past.song_rows.get(song, -1) for song in ids], np.int64)
        self.strange_songs |= {ids[at] for at in np.flatnonzero(rows < 0).tolist()}
        return rows

    @cached_property
    def _until(self) -> float:
        """Time of the candidates: just after the last event of the log, so that it counts."""
        newest = self._past.newest
        return math.nextafter(newest, math.inf) if self._past.has_times else math.inf

    @cached_property
    def _serves(self) -> bool:
        """Whether the run read this very log; otherwise features might see later events."""
        inputs = self.record.get("inputs")
        given = inputs.get("interactions") if isinstance(inputs, Mapping) else None
        own = self._opened.sources.fingerprints()["interactions"]
        return bool(self.record.get(ShownColumns.RUN)) and given == own and self._past.has_times

    @cached_property
    def _plays(self) -> Sequences:
        return to_sequences(self._opened.log)

    @cached_property
    def _song_ids(self) -> Any:
        return string_array(self._past.song_ids)

    @cached_property
    def _song_spaces(self) -> list[FloatArray]:
        """Embeddings of all songs, (S + 1, E) per space; zeros for songs without one."""
        spaces = []
        for channel in self._opened.spaces:
            if isinstance(channel, InterestSpace):
                continue
            own = channel.song_embeddings()
            own = np.concatenate([own, np.zeros((1, own.shape[1]), np.float32)])
            rows = IdMap(string_array(channel.song_ids)).rows(self._song_ids)
            spaces.append(own[np.append(rows, -1)])
        return spaces
