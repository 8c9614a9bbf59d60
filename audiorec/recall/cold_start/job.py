"""New songs to the users who may like them, and users to the new songs they may like.

    songs (S, W), users (U, W)  ──Job.run──▶  audience.parquet | songs.parquet

Batch jobs: blocked products over millions of users and thousands of songs, in memory that
grows with the two sides and not with their product. Each block of the output is kept as soon
as it is made, so a job that is killed goes on where it was.

Without limits on users or songs, each list is simply the nearest. With them, and with a quota,
the candidates of all songs are found first, and `assign` chooses among them.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.errors import InputError
from audiorec.files.blocks import is_made, run_blocks
from audiorec.recall.cold_start.assign import Shown, assign
from audiorec.recall.cold_start.exposures import list_totals
from audiorec.recall.cold_start.lists import Lists, pairs_of
from audiorec.recall.cold_start.plan import Plan
from audiorec.recall.cold_start.sides import Side
from audiorec.recall.cold_start.tables import (
    list_schema,
    list_table,
    pair_schema,
    pair_table,
    read_pairs,
)
from audiorec.recall.cold_start.tastes import Tastes
from audiorec.search.topk import ItemLists, TopK, top_k
from audiorec.spec import fingerprint
from audiorec.types import FloatArray, Int64Array

BLOCK_PAIRS = 1 << 18  # rows of the output that are made at a time
MAX_BLOCK = {"audience": 512, "songs": 8_192}  # songs, or users, of one block
SPARE = 64  # candidates more than a song has room for, so that few need a second look

Told = Callable[[str, int, int], None]


class Job:
    """One cold start.

    Parameters
    ----------
    songs, users : Side
        In one space.
    plan : Plan
    heard : (songs, users) of int64 arrays, optional
        Pairs that must not come back.
    tastes : Tastes, optional
        Of the same users in the same order: columns for a ranker.
    inputs : mapping
        What the sides were made from, in plain JSON values. Enters the fingerprint: a job
        of other inputs starts anew.

    Raises
    ------
    InputError
        If a side is empty, or a limit for artists is asked of songs without artists.
    """

    def __init__(
        self,
        songs: Side,
        users: Side,
        plan: Plan,
        *,
        heard: tuple[Int64Array, Int64Array] | None = None,
        tastes: Tastes | None = None,
        inputs: Mapping[str, Any],
    ) -> None:
        if not len(songs) or not len(users):
            raise InputError("there is no new song" if not len(songs) else "there is no user")
        if plan.per_artist is not None and songs.artist is None:
            raise InputError("a limit for artists needs a column 'artist' beside the songs")
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
        progress: Told | None = None,
        stop: threading.Event | None = None,
    ) -> bool:
        """Write the lists; False if it was stopped, and the same call goes on from there.

        Parameters
        ----------
        out : Path
            Until it is done, what is found on the way lies beside it in ``<out>.candidates``,
            ``<out>.pairs`` and folders of such names that end in ``.run``.
        progress : callable of (what, done, total), optional
        stop : threading.Event, optional

        Raises
        ------
        InputError
            If exposures are asked for and no list has a candidate.
        StoreError
            If another job is writing `out`.
        """
        stage = _Stage(out, self.fingerprint, progress, stop)
        kept = reserved = None
        if self.plan.competes:
            candidates = stage.pairs(
                "candidates", len(self.songs), MAX_BLOCK["audience"], self._nearest_users
            )
            if candidates is None:
                return False
            chosen = self._choose(candidates, progress)
            kept, reserved = (chosen, None) if self.plan.choice_is_all else (None, chosen)
        lists = self._lists(kept, reserved)
        if self.plan.exposures is not None and kept is None:
            kept = stage.pairs("pairs", len(self.group), self.block, lists.of)
            if kept is None:
                return False
            lists = self._lists(kept, None)
        totals = None
        if self.plan.exposures is not None:
            totals = list_totals(lists.counts(), self.plan.exposures)
        return self._write(stage, lists, totals)

    @property
    def group(self) -> Side:
        """The side that has lists."""
        return self.songs if self.plan.lists == "audience" else self.users

    @property
    def block(self) -> int:
        """Lists that are made at a time."""
        return max(1, min(MAX_BLOCK[self.plan.lists], BLOCK_PAIRS // self.plan.k))

    def best(self, rows: Int64Array, k: int) -> TopK:
        """Return the best of the other side for some rows of the side that has lists."""
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

    def _nearest_users(self, songs: Int64Array) -> Shown:
        """Return the users that songs ask first."""
        room = self.plan.limits.per_song
        k = min(len(self.users), room + max(SPARE, room // 2))
        return pairs_of(songs, self._users_for(songs, k))

    def _choose(self, candidates: Shown, progress: Told | None) -> Shown:
        return assign(
            self._users_for,
            len(self.songs),
            len(self.users),
            limits=self.plan.limits,
            artist=self.songs.artist,
            first=candidates,
            told=_named("songs settled", progress),
        )

    def _lists(self, kept: Shown | None, reserved: Shown | None) -> Lists:
        return Lists(self.songs, self.users, self.plan, self.best, kept=kept, reserved=reserved)

    def _write(self, stage: "_Stage", lists: Lists, totals: Int64Array | None) -> bool:
        plan, tastes = self.plan, self.tastes
        width = None if tastes is None else tastes.dimension
        schema = list_schema(plan.lists, self.info, width=width, planned=totals is not None)

        def make(rows: Int64Array) -> Any:
            return list_table(
                plan.lists, self.songs, self.users, lists.of(rows), schema, tastes, totals
            )

        return stage.lists(len(self.group), self.block, make, schema)


class _Stage:
    """Runs the blocks of one output, and of what is needed on the way."""

    def __init__(
        self, out: Path, identity: str, progress: Told | None, stop: threading.Event | None
    ) -> None:
        self._out, self._identity = out, identity
        self._progress, self._stop = progress, stop
        self._scratch: list[Path] = []

    def pairs(
        self, what: str, n: int, block: int, make: Callable[[Int64Array], Shown]
    ) -> Shown | None:
        """Return pairs that are found block by block, or were; None if it was stopped."""
        path = self._out.with_name(f"{self._out.name}.{what}")
        schema = pair_schema(what, self._identity)
        self._scratch.append(path)

        def table(rows: Int64Array) -> Any:
            return pair_table(make(rows), schema)

        if not is_made(path, schema) and not self._run(path, what, n, block, table, schema):
            return None
        return read_pairs(path)

    def lists(self, n: int, block: int, make: Callable[[Int64Array], Any], schema: Any) -> bool:
        """Write the output; then what was needed on the way can go."""
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
        return run_blocks(
            path,
            -(-n // block),
            lambda i: make(np.arange(i * block, min((i + 1) * block, n))),
            schema=schema,
            fingerprint=self._identity,
            progress=_named(what, self._progress),
            stop=self._stop,
        )


def _some(lists: ItemLists, rows: Int64Array) -> ItemLists:
    return ItemLists.from_lists([lists[int(row)] for row in rows])


def _named(what: str, progress: Told | None) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    told = progress
    return lambda done, total: told(what, done, total)
