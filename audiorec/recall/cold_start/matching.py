"""Cold-start job: audiences of new songs, or new songs for users.

    songs (S, W), users (U, W)  ──ColdStart.run──▶  audience.parquet | songs.parquet
                                                    and <stem>.tastes.parquet beside it

Batch jobs: blocked products over millions of users and thousands of songs, in memory that
grows with the two sides and not with their product. Each block of the output is stored as soon
as it is computed, so an interrupted job can resume.

Without limits on users or songs, each list contains the nearest. With limits or a quota, the
candidates of all songs are found first, and `assign` chooses among them.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError
from audiorec.files.tables import is_made, run_blocks
from audiorec.recall.cold_start.assign import (
    ColdStartPlan,
    ListedPairs,
    Tastes,
    assign,
    pairs_of,
)
from audiorec.recall.cold_start.sides import Side
from audiorec.recall.cold_start.tables import (
    list_schema,
    list_table,
    pair_schema,
    pair_table,
    read_pairs,
    remove_tastes,
    taste_schema,
    taste_table,
    tastes_path,
)
from audiorec.runs.blocks import block_runner, one_thread
from audiorec.runs.tasks import Engine
from audiorec.search.topk import ItemLists, TopK, top_k
from audiorec.spec import fingerprint
from audiorec.types import FloatArray, Int64Array, Progress, StageProgress, nth

BLOCK_PAIRS = 1 << 18  # output rows per block
MAX_BLOCK = {"audience": 512, "songs": 8_192}  # songs, or users, per block
TASTES_BLOCK = 16_384  # users per block
SPARE = 64  # candidates beyond a song's limit, so that few songs need a second lookup
SPARE_SONGS = 64  # songs beyond a list's length that are looked up if artists have a limit


class ColdStart:
    """A cold-start job.

    Parameters
    ----------
    songs, users : Side
        Both in the same space.
    plan : ColdStartPlan
    heard : (songs, users) of int64 arrays, optional
        Pairs to exclude.
    tastes : Tastes, optional
        Tastes of the same users in the same order: for a ranker, in a file beside the lists.
    inputs : mapping
        Identity of the input files, as plain JSON values. Part of the fingerprint: a job with
        other inputs does not resume.

    Raises
    ------
    InputError
        If a side is empty, or artists are limited but the songs have no artists.
    """

    def __init__(
        self,
        songs: Side,
        users: Side,
        plan: ColdStartPlan,
        *,
        heard: tuple[Int64Array, Int64Array] | None = None,
        tastes: Tastes | None = None,
        inputs: Mapping[str, Any],
    ) -> None:
        if not len(songs) or not len(users):
            raise InputError("there are no new songs" if not len(songs) else "there are no users")
        if plan.per_artist is not None and songs.artist is None:
            raise InputError("a limit per artist needs a column 'artist' in the songs")
        self.songs, self.users, self.plan, self.tastes = songs, users, plan, tastes
        none = np.empty(0, np.int64)
        song, user = heard or (none, none)
        self._users_of_song = ItemLists.from_pairs(song, user, len(songs))
        self._songs_of_user = ItemLists.from_pairs(user, song, len(users))
        self.info = {
            "plan": {k: v for k, v in asdict(plan).items() if v not in (None, -np.inf)},
            "songs": songs.made_by,
            "users": users.made_by,
        }
        self.fingerprint = fingerprint({"info": self.info, "inputs": dict(inputs)})

    def run(
        self,
        out: Path,
        *,
        progress: StageProgress | None = None,
        stop: threading.Event | None = None,
        engine: Engine | None = None,
    ) -> bool:
        """Write the lists; return False if stopped, and the same call resumes.

        Parameters
        ----------
        out : Path
            With tastes, ``<stem>.tastes.parquet`` beside it is written first. Intermediate
            results are stored beside it until the end, in ``<out>.candidates``, ``<out>.pairs``
            and folders of such names that end in ``.run``.
        progress : callable of (what, done, total), optional
        stop : threading.Event, optional
        engine : callable, optional
            Computes the blocks (`audiorec.runs.tasks.engine_of`) with identical bytes.
            Assignment under limits always runs in this process.

        Raises
        ------
        StoreError
            If another job is writing `out`.
        LostBlocksError
            If the engine lost some blocks; the others are kept.
        """
        plan, stage = self.plan, _Stage(out, self.fingerprint, progress, stop, engine)
        n_lists = len(self.songs if plan.lists == "audience" else self.users)
        block = max(1, min(MAX_BLOCK[plan.lists], BLOCK_PAIRS // plan.k))
        lists = _Lists(self)
        if plan.competes:
            candidates = stage.pairs(
                "candidates", len(self.songs), MAX_BLOCK["audience"], self._nearest_users
            )
            if candidates is None:
                return False
            chosen = assign(
                self._users_for,
                len(self.songs),
                len(self.users),
                room=plan.limits,
                artist=self.songs.artist,
                first=candidates,
                progress=_named("songs settled", progress),
            )
            lists = _Lists(self, chosen, is_all=plan.choice_is_all)
        info = {**self.info, "fingerprint": self.fingerprint}
        if self.tastes is None:
            remove_tastes(out)
        elif not self._write_tastes(stage, self.tastes, info):
            return False
        schema = list_schema(plan.lists, info, tastes=self.tastes is not None)
        return stage.output(n_lists, block, partial(_lists_table, lists, schema), schema)

    def _write_tastes(self, stage: "_Stage", tastes: Tastes, info: Mapping[str, Any]) -> bool:
        """Write the tastes of users who have one; return False if stopped."""
        some = np.flatnonzero(tastes.counts)
        schema = taste_schema(info, tastes.dimension)
        make = partial(_tastes_table, self.users, tastes, some, schema)
        return stage.tastes(len(some), TASTES_BLOCK, make, schema)

    def best(self, rows: Int64Array, k: int) -> TopK:
        """Return the top `k` of the other side for rows of the side that has lists."""
        if self.plan.lists == "audience":
            return self._users_for(rows, k)
        return top_k(
            self.users.units[rows],
            self.songs.units,
            k,
            excluded=_some(self._songs_of_user, rows),
            minimum=self.plan.minimum,
        )

    def _users_for(
        self,
        songs: Int64Array,
        k: int,
        *,
        asked: ItemLists | None = None,
        floor: FloatArray | None = None,
    ) -> TopK:
        excluded = _some(self._users_of_song, songs)
        if asked is not None:
            rows = np.repeat(np.arange(len(asked)), np.diff(asked.starts))
            excluded = excluded.with_pairs(rows, asked.items)
        return top_k(
            self.songs.units[songs],
            self.users.units,
            k,
            excluded=excluded,
            minimum=self.plan.minimum,
            item_minimum=floor,
        )

    def _nearest_users(self, songs: Int64Array) -> ListedPairs:
        """Return the initial candidates of songs: their nearest users."""
        room = self.plan.limits.per_song
        k = min(len(self.users), room + max(SPARE, room // 2))
        return pairs_of(songs, self._users_for(songs, k))


# Functions that compute blocks: at module level, so that worker processes can unpickle them.


def _lists_table(lists: "_Lists", schema: Any, rows: Int64Array) -> Any:
    job = lists.job
    with one_thread():
        pairs = lists.of(rows)
    return list_table(job.plan.lists, job.songs, job.users, pairs, schema, job.tastes)


def _tastes_table(
    users: Side, tastes: Tastes, some: Int64Array, schema: Any, rows: Int64Array
) -> Any:
    return taste_table(users, tastes, some[rows], schema)


def _pairs_table(make: Callable[[Int64Array], ListedPairs], schema: Any, rows: Int64Array) -> Any:
    with one_thread():
        return pair_table(make(rows), schema)


class _Lists:
    """Lists as pairs: taken from known pairs, or computed on demand.

    All `known` pairs are in the lists; if `is_all`, no others are.
    """

    def __init__(
        self, job: ColdStart, known: ListedPairs | None = None, *, is_all: bool = False
    ) -> None:
        self.job, self.is_all = job, is_all
        self._audience = job.plan.lists == "audience"
        pairs = known or ListedPairs.empty()
        self._known = pairs.sorted_by(*self._list_and_other(pairs))
        group, _ = self._list_and_other(self._known)
        counts = np.bincount(group, minlength=len(job.songs if self._audience else job.users))
        self._starts = np.concatenate([[0], np.cumsum(counts)])

    def of(self, rows: Int64Array) -> ListedPairs:
        """Return the pairs of consecutive lists, sorted by list, the most similar first."""
        known = self._known.take(np.arange(self._starts[rows[0]], self._starts[rows[-1] + 1]))
        if self.is_all:
            return known
        plan, n_songs = self.job.plan, len(self.job.songs)
        if self._audience or plan.per_artist is None:
            more = self._as_pairs(rows, self.job.best(rows, plan.k))
            return self._filled(known, more) if len(known) else more  # already sorted
        width = min(n_songs, plan.k + SPARE_SONGS)
        while True:  # widen the search while the artist limit leaves lists short
            top = self.job.best(rows, width)
            result = self._filled(known, self._as_pairs(rows, top))
            lengths = np.bincount(result.user - rows[0], minlength=len(rows))
            # Lists that are short although not all songs were searched.
            cut = (lengths < plan.k) & (top.counts == width)
            if width == n_songs or not cut.any():
                return result
            width = min(n_songs, 2 * width)

    def _filled(self, known: ListedPairs, more: ListedPairs) -> ListedPairs:
        """Return the known pairs, filled up with others within the limits; sorted."""
        pairs = known.join(more)
        fixed = np.arange(len(pairs)) < len(known)
        key = pairs.song.astype(np.int64) * len(self.job.users) + pairs.user
        group, other = self._list_and_other(pairs)
        order = np.lexsort((other, -pairs.similarity, ~fixed, group))
        order = order[nth(key[order]) == 0]  # drops known pairs that were found again
        artist, limit = self.job.songs.artist, self.job.plan.per_artist
        if limit is not None and artist is not None:
            order = order[_within_artist(group[order], artist[pairs.song[order]]) < limit]
        order = order[nth(group[order]) < self.job.plan.k]
        kept = pairs.take(order)
        return kept.sorted_by(*self._list_and_other(kept))

    def _as_pairs(self, rows: Int64Array, top: TopK) -> ListedPairs:
        pairs = pairs_of(rows, top)
        return pairs if self._audience else ListedPairs(pairs.user, pairs.song, pairs.similarity)

    def _list_and_other(self, pairs: ListedPairs) -> tuple[Any, Any]:
        """Return the side that has lists, and the side of the candidates."""
        return (pairs.song, pairs.user) if self._audience else (pairs.user, pairs.song)


class _Stage:
    """Runner of the blocks of one output and of its intermediate results."""

    def __init__(
        self,
        out: Path,
        identity: str,
        progress: StageProgress | None,
        stop: threading.Event | None,
        engine: Engine | None,
    ) -> None:
        self._out, self._identity = out, identity
        self._progress, self._stop, self._engine = progress, stop, engine
        self._scratch: list[Path] = []

    def pairs(
        self, what: str, n: int, block: int, make: Callable[[Int64Array], ListedPairs]
    ) -> ListedPairs | None:
        """Return pairs, computed block by block or read if complete; None if stopped."""
        path = self._out.with_name(f"{self._out.name}.{what}")
        schema = pair_schema(what, self._identity)
        self._scratch.append(path)
        table = partial(_pairs_table, make, schema)
        if not is_made(path, schema) and not self._run(path, what, n, block, table, schema):
            return None
        return read_pairs(path)

    def tastes(self, n: int, block: int, make: Callable[[Int64Array], Any], schema: Any) -> bool:
        """Write the tastes beside the output, unless this job has written them already."""
        path = tastes_path(self._out)
        return is_made(path, schema) or self._run(path, "tastes", n, block, make, schema)

    def output(self, n: int, block: int, make: Callable[[Int64Array], Any], schema: Any) -> bool:
        """Write the output, then remove the intermediate results."""
        done = self._run(self._out, "lists", n, block, make, schema)
        for path in self._scratch if done else ():
            path.unlink(missing_ok=True)
        return done

    def _run(
        self,
        path: Path,
        what: str,
        n: int,
        block: int,
        make: Callable[[Int64Array], Any],
        schema: Any,
    ) -> bool:
        def part(i: int) -> Int64Array:
            return np.arange(i * block, min((i + 1) * block, n))

        return run_blocks(
            path,
            -(-n // block),
            lambda i: make(part(i)),
            schema=schema,
            fingerprint=self._identity,
            progress=_named(what, self._progress),
            stop=self._stop,
            elsewhere=None
            if self._engine is None
            else block_runner(self._engine, make, part, schema),
            named=lambda i: f"{what} {i * block + 1} to {min((i + 1) * block, n)}",
        )


def _within_artist(group: npt.NDArray[np.integer], artist: Int64Array) -> Int64Array:
    """Return the rank of each song among those of its artist in its list; 0 without an artist."""
    known = np.flatnonzero(artist >= 0)
    place = np.zeros(len(artist), np.int64)
    key = group[known].astype(np.int64) * (int(artist.max(initial=0)) + 1) + artist[known]
    place[known] = nth(key)
    return place


def _some(lists: ItemLists, rows: Int64Array) -> ItemLists:
    return ItemLists.from_lists([lists[int(row)] for row in rows])


def _named(what: str, progress: StageProgress | None) -> Progress | None:
    return None if progress is None else partial(progress, what)
