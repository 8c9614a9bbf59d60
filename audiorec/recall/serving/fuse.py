"""Fuse the lists of several channels into one list per user; the lists of everybody.

    tables (one per channel), `FusionRecipe`, `SongTraits`, `Exclusions` ──fuse──▶ one table
    fused lists of a block, its users ──with_default──▶ a list for every user
    the rule ──write_default──▶ default.parquet ──read_default──▶ the lists of whoever comes later
    weights ──write_weights──▶ weights.json ──read_weights──▶ the same, by channel

Similarities are never compared, since those of different channels have different scales.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ListColumns
from audiorec.errors import DamagedFileError, InputError
from audiorec.files.arrow import integers
from audiorec.files.own_files import parse_json, refuse_link, write_own
from audiorec.files.tables import TableFile, table_writer
from audiorec.files.user_files import from_table, read_text
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import DEFAULT, SCHEMA, DefaultList
from audiorec.recall.serving.rules import (
    FLATNESS,
    METHODS,
    REPLAY,
    UNKNOWN,
    Exclusions,
    FusionRecipe,
    SongTraits,
)
from audiorec.recall.serving.tables import (
    BATCH_ROWS,
    USERS,
    CandidateRows,
    UserStream,
    candidates_by_user,
    key_of,
    merge_streams,
)
from audiorec.types import BoolArray, Float64Array, Int64Array, nth, string_array

DEEPEST = 4  # the diversity dial reorders the first DEEPEST * k entries
VARIED_BY = ("genre", "artist")
WARM, COLD, HEARD = range(3)
DIGITS = 14  # weights are rounded, so that sums do not depend on the order of addition
NO_FACTS, NOTHING = SongTraits(), Exclusions()


def fuse(
    tables: Sequence[Any],
    recipe: FusionRecipe,
    facts: SongTraits = NO_FACTS,
    excluded: Exclusions = NOTHING,
) -> Any:
    """Fuse the candidates of a block of users.

    1. Excluded songs are removed; heard songs stay only if the channel ``replay`` proposes them.
       Rows of the default list go if any channel proposes a song to that user.
    2. A song from several channels, and copies of one recording, become one entry. It keeps the row
       of the channel that contributes most weight: its name, reason, evidence and interest.
    3. Entries are sorted by weight, ties by song id; the dials change this order.
    4. Entries beyond the caps per album and artist are skipped. Then warm, cold and heard songs
       each fill their share of the places, spread evenly over the list.

    Parameters
    ----------
    tables : sequence of pyarrow.Table
        As `audiorec.recall.contract.candidates.SCHEMA`, one per channel, with all rows of these
        users.
    recipe : FusionRecipe
    facts : SongTraits
    excluded : Exclusions

    Returns
    -------
    table : pyarrow.Table
        Same schema, sorted by user, with ranks from 1 without gaps. ``similarity`` is the weight of
        a song relative to the largest in the list. Deterministic.

    Raises
    ------
    InputError
        If the recipe does not have one weight per table.
    """
    weights = recipe.weights_of(len(tables))
    rows = CandidateRows.of(tables)
    groups, plays = facts.columns(rows.song_ids)
    is_excluded = _excluded(rows, groups.get("artist"), facts, excluded)
    rows = _without_default(rows.take((weights[rows.source] > 0) & ~is_excluded))
    rows, weight, kind = _entries(rows, recipe, weights, groups.get("recording"))
    if recipe.popularity:
        weight = weight / (plays[rows.song] + 1.0) ** recipe.popularity
    order = _order(rows, weight, recipe, groups)
    rows, weight, kind = rows.take(order), weight[order], kind[order]
    kept = np.flatnonzero(_under_caps(rows, recipe, groups))
    kept = kept[_in_shares(rows.user[kept], kind[kept], recipe)]
    rows, weight, kind = rows.take(kept), weight[kept], kind[kept]
    order = np.lexsort((kind, _spread(rows.user, kind), rows.user))
    rows, weight = rows.take(order), weight[order]
    return _written(rows, weight)


def _excluded(
    rows: CandidateRows, artist: Int64Array | None, facts: SongTraits, excluded: Exclusions
) -> BoolArray:
    """Return which rows are excluded for their user."""
    result = rows.is_among(excluded.never)
    if excluded.heard is not None:
        result |= rows.is_among(excluded.heard) & ~rows.are_of(REPLAY)
    if excluded.artists is not None and artist is not None and len(rows.user):
        names = facts.artist_names
        result |= rows.is_among(excluded.artists, names.take(integers(artist % len(names))))
    return result


def _without_default(rows: CandidateRows) -> CandidateRows:
    """Drop the default list of users to whom a channel proposes a song."""
    default = rows.are_of(DEFAULT)
    if not default.any():
        return rows
    own = np.bincount(rows.user[~default], minlength=len(rows.user_ids)) > 0
    return rows.take(~(default & own[rows.user]))


def _entries(
    rows: CandidateRows, recipe: FusionRecipe, weights: Float64Array, recording: Int64Array | None
) -> tuple[CandidateRows, Float64Array, Int64Array]:
    """Return one row per user and recording, with its weight and kind (warm, cold or heard)."""
    cold = rows.numbers("cold") > 0
    given = _given(rows, recipe, weights, cold)
    key = key_of(rows.user, _recordings(rows, recording))
    # Sort the rows of each entry by weight, ties by table: the first is kept.
    order = np.lexsort((-given, key))
    starts = np.flatnonzero(np.diff(key[order], prepend=-1)) if len(order) else order
    entry = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(order))))
    best, n = order[starts], len(starts)
    sums = np.bincount(entry, given[order], n)
    weight = np.asarray(given[best] if recipe.method == "quotas" else sums, np.float64)
    weight = np.round(weight, DIGITS)
    kind = np.where(np.bincount(entry, ~cold[order], n) == 0, COLD, WARM).astype(np.int64)
    kind[np.bincount(entry, rows.are_of(REPLAY)[order], n) > 0] = HEARD
    return rows.take(best), weight, kind


def _given(
    rows: CandidateRows, recipe: FusionRecipe, weights: Float64Array, cold: BoolArray
) -> Float64Array:
    """Return the contribution of each row to the weight of its song."""
    place = rows.places(by_interest=recipe.method == "quotas")
    if recipe.method == "reciprocal":
        return np.asarray(weights[rows.source] / (FLATNESS + place + 1), np.float64)
    # Quotas: the i-th song of a channel with share s belongs at place i / s of the list.
    table = key_of(rows.user, rows.source, cold)
    tables, which = np.unique(table, return_inverse=True)
    lists = key_of(rows.user, rows.source, cold, rows.numbers("interest"))
    interests = np.bincount(which[np.unique(lists, return_index=True)[1]], None, len(tables))
    return np.asarray(weights[rows.source] / interests[which] / (place + 0.5), np.float64)


def _recordings(rows: CandidateRows, of: Int64Array | None) -> Int64Array:
    """Return the recording number of each row; a song without one gets a number of its own."""
    own = np.arange(len(rows.song_ids))
    if of is None:
        return own[rows.song]
    return np.where(of == UNKNOWN, own + 1 + int(of.max(initial=0)), of)[rows.song]


def _order(
    rows: CandidateRows,
    weight: Float64Array,
    recipe: FusionRecipe,
    groups: Mapping[str, Int64Array],
) -> Int64Array:
    """Return the order of entries by user and weight, after the diversity dial."""
    order = np.lexsort((rows.song, -weight, rows.user))
    known = [groups[name][rows.song[order]] for name in VARIED_BY if name in groups]
    if not recipe.diversity or not known or not len(order):
        return order
    return order[_varied(rows.user[order], known, recipe)]


def _varied(user: Int64Array, labels: list[Int64Array], recipe: FusionRecipe) -> Int64Array:
    """Reorder entries, sorted by user and weight, for diversity; greedy.

    The next song of a list is the one with the highest
    ``(1 - d) (1 - place / width) - d (mean share of its labels in the list so far)``.
    """
    stands = nth(user)
    row = np.unique(user, return_inverse=True)[1]
    width = min(int(stands.max()) + 1, DEEPEST * recipe.k)
    at = np.full((int(row.max()) + 1, width), -1, np.int64)
    inside = stands < width
    at[row[inside], stands[inside]] = np.flatnonzero(inside)
    there, d = at >= 0, recipe.diversity
    value = np.where(there, (1 - d) * (1 - np.arange(width) / width), -np.inf)
    met = np.zeros(at.shape)
    grids = [np.where(there, label[at], UNKNOWN) for label in labels]
    everyone = np.arange(len(at))
    place = stands.astype(np.float64)  # entries beyond `width` stay at the end
    for turn in range(min(recipe.k, width)):
        chosen = np.argmax(value - d * met / (max(turn, 1) * len(labels)), axis=1)
        alive = value[everyone, chosen] > -np.inf
        place[at[everyone, chosen][alive]] = turn - width
        for grid in grids:
            own = grid[everyone, chosen][:, None]
            met += (grid == own) & (own != UNKNOWN)
        value[everyone, chosen] = -np.inf
    return np.lexsort((place, user))


def _under_caps(
    rows: CandidateRows, recipe: FusionRecipe, groups: Mapping[str, Int64Array]
) -> BoolArray:
    """Return which entries, in order, are within the caps per album and artist.

    Albums first: an entry beyond the album cap does not count towards the artist cap.
    """
    kept = np.ones(len(rows.user), np.bool_)
    for name, most in (("album", recipe.per_album), ("artist", recipe.per_artist)):
        of = groups.get(name)
        if not most or of is None:
            continue
        known = np.flatnonzero(kept & (of[rows.song] != UNKNOWN))
        kept[known] = nth(key_of(rows.user[known], of[rows.song[known]])) < most
    return kept


def _in_shares(user: Int64Array, kind: Int64Array, recipe: FusionRecipe) -> BoolArray:
    """Return which entries, in order, get one of the places of their kind."""
    if not len(user):
        return np.zeros(0, np.bool_)
    there = np.zeros((int(user.max()) + 1, 3), np.int64)
    np.add.at(there, (user, kind), 1)
    places = np.zeros_like(there)
    places[:, COLD] = np.minimum(there[:, COLD], round(recipe.k * recipe.cold_share))
    places[:, HEARD] = np.minimum(there[:, HEARD], round(recipe.k * recipe.replay_share))
    # Places that cold and heard songs cannot fill go to warm songs, unless these have no share.
    if recipe.cold_share + recipe.replay_share < 1:
        places[:, WARM] = np.minimum(there[:, WARM], recipe.k - places.sum(axis=1))
    return nth(user * 3 + kind) < places[user, kind]


def _spread(user: Int64Array, kind: Int64Array) -> Float64Array:
    """Return the relative position of each entry, 0 to 1, with each kind spread evenly."""
    key = user * 3 + kind
    counts = np.bincount(key)
    return np.asarray((nth(key) + 0.5) / np.maximum(counts[key], 1), np.float64)


def _written(rows: CandidateRows, weight: Float64Array) -> Any:
    """Return the rows as a table, with new ranks and relative weights."""
    largest = np.zeros(len(rows.user_ids))
    np.maximum.at(largest, rows.user, weight)
    columns = {
        "rank": integers(nth(rows.user) + 1),
        "similarity": pa.array((weight / largest[rows.user]).astype(np.float32)),
    }
    kept = rows.table.take(integers(rows.at))
    arrays = [columns.get(f.name, kept.column(f.name)).cast(f.type) for f in SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


POPULAR = "popular"
NEWCOMERS, NOBODY = "default.parquet", ""  # the list of whoever has none, and its user id
CHUNK_USERS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DefaultRule:
    """The default list, with the settings and rules of the lists that it stands in for.

    It is one for the nightly run and for one user. A user gets the default list if no channel
    proposes a song. A user without a finished play gets it also if only ``popular`` does, which
    proposes the same songs to everybody, in every product. Excluded songs, caps and dials hold in a
    default list as in any other.

    Attributes
    ----------
    default : DefaultList
    recipe : FusionRecipe
        Weights of channels have no meaning here.
    depth : int
        Songs of the default list that are considered for each user.
    facts : SongTraits
    excluded : Exclusions
    """

    default: DefaultList
    recipe: FusionRecipe
    depth: int
    facts: SongTraits = NO_FACTS
    excluded: Exclusions = NOTHING

    def lists(self, user_ids: list[str]) -> Any:
        """Return the default list of each user, as a table of candidates."""
        alone = replace(self.recipe, method="reciprocal", weights=(1.0,))
        rows = self.default.rows(user_ids, self.depth)
        return fuse([rows], alone, self.facts, self.excluded)

    def fuse(self, tables: Sequence[Any], users: Sequences) -> Any:
        """Fuse the tables of channels and return the lists of a block of users; see `fuse`.

        `users` are their finished plays.
        """
        fused = fuse(tables, self.recipe, self.facts, self.excluded)
        weighed = zip(tables, self.recipe.weights_of(len(tables)), strict=True)
        return self.with_default(fused, users, [table for table, weight in weighed if weight])

    def with_default(self, fused: Any, users: Sequences, proposed: Sequence[Any] = ()) -> Any:
        """Return the lists of a block of users, with the default list of those who need it.

        `fused` has the rows of these users, and `users` their finished plays. A short list may
        name ``popular`` in every row though others agree: `proposed` are the tables of channels
        with a weight.
        """
        names = string_array(users.owner_ids)
        every = pa.concat_tables([fused, *proposed])
        personal = every.filter(pc.not_equal(every.column("channel"), POPULAR))
        own, listed = (
            pc.is_in(names, value_set=pc.unique(one.column(ListColumns.USER).combine_chunks()))
            for one in (personal, fused)
        )
        kept = pc.and_(listed, pc.or_(own, pa.array(users.lengths > 0)))
        needing = names.filter(pc.invert(kept))
        if not len(needing):
            return fused
        others = fused.filter(
            pc.invert(pc.is_in(fused.column(ListColumns.USER), value_set=needing))
        )
        both = pa.concat_tables([others, self.lists(needing.to_pylist())])
        return both.sort_by([(ListColumns.USER, "ascending"), ("rank", "ascending")])


def fill_default(path: Path, users: Sequences, rule: DefaultRule) -> None:
    """Give every user a list in a file of fused lists; it is replaced atomically.

    `users` are the finished plays of all users who are to have a list.
    """
    order = np.array(sorted(range(len(users)), key=users.owner_ids.__getitem__), np.int64)
    chunks = [order[at : at + CHUNK_USERS] for at in range(0, len(order), CHUNK_USERS)]
    ids = (
        pa.table(
            {ListColumns.USER: string_array([users.owner_ids[n] for n in rows.tolist()])}, USERS
        )
        for rows in chunks
    )
    streams = [UserStream(ids, USERS), UserStream(candidates_by_user(path, BATCH_ROWS), SCHEMA)]
    first = 0
    with table_writer(path, SCHEMA) as writer:
        for known, fused in merge_streams(streams):
            block = users.take(order[first : first + len(known)])
            first += len(known)
            writer.write_table(rule.with_default(fused, block))


def write_default(path: Path, rule: DefaultRule) -> None:
    """Write the default list, and that of each country or language as of a user ``country=SE``."""
    places = {place: place for place in rule.default.of_place}
    every = replace(rule, default=replace(rule.default, place_of=places))
    with table_writer(path, SCHEMA) as writer:
        writer.write_table(every.lists([NOBODY, *places]))


def read_default(folder: Path) -> DefaultList | None:
    """Return the default lists of a folder that ``recall run`` wrote; None if it has none."""
    path = folder / NEWCOMERS
    refuse_link(path)
    if not path.exists():
        return None
    with TableFile.open(path) as file:
        table = file.read(SCHEMA.names).sort_by("rank")
    result = {}
    for name in table.column(ListColumns.USER).unique().to_pylist():
        own = table.filter(pc.equal(table.column(ListColumns.USER), name))
        songs = own.column(ListColumns.SONG).combine_chunks()
        result[name] = DefaultList(songs, np.asarray(own.column("similarity"), np.float32))
    nothing = DefaultList(string_array([]), np.zeros(0, np.float32))
    return replace(result.pop(NOBODY, nothing), of_place=result)


WEIGHTS_SCHEMA = "audiorec/recall-weights/1"
MAX_BYTES = 1 << 20


def write_weights(path: Path, weights: Mapping[str, float], about: Mapping[str, Any]) -> None:
    """Write the weights of channels, and what they come from, atomically."""
    content = {"schema": WEIGHTS_SCHEMA, "weights": dict(weights), **about}
    write_own(path, json.dumps(content, indent=1) + "\n")


def read_weights(path: Path) -> dict[str, float]:
    """Return the weights of channels in a file of ``recall tune --out`` or of a night.

    Raises
    ------
    InputError
        If the file is missing, or its weights are not numbers of at least 0.
    DamagedFileError
        If the file is not of this format.
    """
    text = read_text(path, "cannot read weights")
    with suppress(ValueError):
        content: Any = parse_json(text.encode(), max_bytes=MAX_BYTES)
        if isinstance(content, Mapping) and content.get("schema") == WEIGHTS_SCHEMA:
            named = dict(content.get("weights", {}))
            given = {"weights": list(named.values())}
            recipe = from_table(FusionRecipe, given, f"{path}: weights")
            return dict(zip(named, recipe.weights, strict=True))
    raise DamagedFileError(
        f"{path}: has no weights of channels; learn some: audiorec recall tune --out"
    )


def weights_for(path: Path, names: Sequence[str]) -> tuple[float, ...]:
    """Return the weights in a file for tables of channels, in their order.

    Raises
    ------
    InputError
        If the file lacks one of the channels.
    """
    weights = read_weights(path)
    if missing := [name for name in names if name not in weights]:
        raise InputError(
            f"{path}: has weights of {', '.join(weights)}, none of {', '.join(missing)}; learn "
            "them of all channels: audiorec recall tune"
        )
    return tuple(weights[name] for name in names)


def settings_of(recipe: FusionRecipe) -> dict[str, Any]:
    """Return a recipe as JSON values."""
    return json.loads(json.dumps(asdict(recipe)))


def settings_in(record: Mapping[str, Any], what: str) -> FusionRecipe:
    """Return the recipe in the record of a run; fields of earlier revisions are passed over.

    Raises
    ------
    InputError
        If a field has an invalid value; `what` says of which file.
    """
    given = record.get("fusion")
    known = {field.name for field in fields(FusionRecipe)}
    kept = {name: of for name, of in dict(given or {}).items() if name in known}
    kept |= {} if kept.get("method", METHODS[0]) in METHODS else {"method": METHODS[0]}
    return from_table(FusionRecipe, kept, what)
