"""Write files of candidates and fuse them, for any number of users in constant memory.

    channel, queries, log, store ──ask_candidates──▶ a.parquet, `CandidatesAnswer`
    a.parquet, b.parquet, ... ──fuse_files──▶ fused.parquet, written atomically
    tables, excluded songs ──`SplitFusion`──▶ part i, `SharedFusionInput` ──▶ lists of its users

A part consists of several blocks of `user_blocks`. Workers read the rows of their parts themselves;
only files that are not sorted by user are sorted once here and sent to them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ListColumns
from audiorec.distribution import own_version
from audiorec.errors import InputError
from audiorec.files.arrow import integers
from audiorec.files.tables import run_blocks, table_writer
from audiorec.listening.events import Interactions
from audiorec.listening.log_files import log_fingerprint
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import SCHEMA, DefaultList, default_users
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Queries
from audiorec.recall.serving.answers import CandidatesAnswer, CandidatesQuestion
from audiorec.recall.serving.exclusions import best_copies, traits_of, with_copies, write_asked
from audiorec.recall.serving.fuse import NO_FACTS, NOTHING, fuse
from audiorec.recall.serving.rules import ExcludedLists, Exclusions, FusionRecipe, SongTraits
from audiorec.recall.serving.tables import (
    BATCH_ROWS,
    USERS,
    CandidateRows,
    UserStream,
    channels_of,
    is_by_user,
    key_of,
    merge_streams,
    rows_of,
    sorted_by_user,
    user_blocks,
    users_by_rows,
)
from audiorec.runs.blocks import MappedWriter, block_runner
from audiorec.runs.tasks import Engine
from audiorec.spec import fingerprint
from audiorec.store.store import VectorStore
from audiorec.types import IdMap, Progress

PART_ROWS = 1 << 20  # minimum rows of the largest table in a part
KINDS = ("heard", "never", "artists")  # of `Exclusions`
Shut = Mapping[str, Sequences]


@dataclass(frozen=True, slots=True, eq=False)
class FusionPart:
    """Input of one part of a fusion.

    Attributes
    ----------
    tables : sequence of (path, start) or pyarrow.Table
        One per channel: a file and the first row of the part, or the rows themselves.
    lengths : sequence of tuple of int
        For each block, the number of rows of each channel.
    excluding : mapping of str to Sequences
        Excluded songs of the users of the part, by attribute of `Exclusions`.
    """

    tables: Sequence[Any]
    lengths: Sequence[tuple[int, ...]]
    excluding: Shut


@dataclass(frozen=True, slots=True, eq=False)
class SharedFusionInput:
    """Input that all parts share: recipe, traits of songs, and ids of excluded songs."""

    recipe: FusionRecipe
    facts: SongTraits
    names: Mapping[str, IdMap]

    def __call__(self, part: FusionPart) -> list[Any]:
        """Return the fused lists of each block of a part."""
        excluded = Exclusions(
            **{n: ExcludedLists(of, self.names[n]) for n, of in part.excluding.items()}
        )
        sums = [sum(lengths) for lengths in zip(*part.lengths, strict=True)]
        tables = [
            one if isinstance(one, pa.Table) else rows_of(one[0], one[1], one[1] + n)
            for one, n in zip(part.tables, sums, strict=True)
        ]
        at, result = [0] * len(tables), []
        for lengths in part.lengths:
            block = [t.slice(a, n) for t, a, n in zip(tables, at, lengths, strict=True)]
            at = [a + n for a, n in zip(at, lengths, strict=True)]
            result.append(fuse(block, self.recipe, self.facts, excluded))
        return result


@dataclass(frozen=True, slots=True, eq=False)
class SplitFusion:
    """A fusion cut into parts.

    Attributes
    ----------
    making : SharedFusionInput
    parts : list of list of tuple of int
        For each part and block, the number of rows of each channel.
    fingerprint : str
        Of everything that determines the lists.
    """

    making: SharedFusionInput
    parts: list[list[tuple[int, ...]]]
    fingerprint: str
    paths: Sequence[Path]
    by_hand: Mapping[Path, Any]  # files that had to be sorted
    starts: list[tuple[int, ...]]  # first row of each part in each file
    excluded: Exclusions

    @classmethod
    def of(
        cls, paths: Sequence[Path], recipe: FusionRecipe, facts: SongTraits, excluded: Exclusions
    ) -> "SplitFusion":
        """Read the users of all files once and cut them into parts.

        Raises
        ------
        InputError
            If a file cannot be read.
        """
        by_hand = {path: sorted_by_user(path) for path in paths if not is_by_user(path)}
        users = [
            iter([by_hand[path].select([ListColumns.USER])])
            if path in by_hand
            else users_by_rows(path)
            for path in paths
        ]
        streams = [UserStream(one, USERS) for one in users]
        parts: list[list[tuple[int, ...]]] = []
        starts, at = [], (0,) * len(paths)
        for block in merge_streams(streams):
            lengths = tuple(map(len, block))
            if not parts or max(map(sum, zip(*parts[-1], strict=True))) >= PART_ROWS:
                parts.append([])
                starts.append(at)
            parts[-1].append(lengths)
            at = tuple(a + n for a, n in zip(at, lengths, strict=True))
        excluding = {name: one for name in KINDS if (one := getattr(excluded, name)) is not None}
        names = {name: one.songs for name, one in excluding.items()}
        known = (facts.song_ids, dict(facts.groups), facts.plays, facts.artists)
        about = {
            "tables": [log_fingerprint(path) for path in paths],
            "names": [path.stem for path in paths],  # channel names of tables without channels
            "recipe": asdict(recipe),
            "facts": MappedWriter(known).fingerprint,
            "excluded": MappedWriter(
                {name: one.lists for name, one in excluding.items()}
            ).fingerprint,
            "parts": [PART_ROWS, BATCH_ROWS],
            "version": own_version(),
        }
        making = SharedFusionInput(recipe, facts, names)
        return cls(making, parts, fingerprint(about), paths, by_hand, starts, excluded)

    def __call__(self, number: int) -> FusionPart:
        """Return the input of part `number`."""
        lengths, starts = self.parts[number], self.starts[number]
        sums = [sum(column) for column in zip(*lengths, strict=True)]
        tables: list[Any] = [
            self.by_hand[path].take(integers(np.arange(start, start + n)))
            if path in self.by_hand
            else (path.absolute(), start)
            for path, start, n in zip(self.paths, starts, sums, strict=True)
        ]
        users = self._users_of(number)
        excluding = {
            name: one.part(users)
            for name in KINDS
            if (one := getattr(self.excluded, name)) is not None
        }
        return FusionPart(tables, lengths, excluding)

    def named(self, number: int) -> str:
        """Return the first and last user of a part, for an error message."""
        users = self._users_of(number).sort()
        return f"users {users[0].as_py()!r} to {users[-1].as_py()!r}"

    def _users_of(self, number: int) -> Any:
        """Return the users of a part, each once."""
        sums = [sum(column) for column in zip(*self.parts[number], strict=True)]
        users = []
        for path, start, n in zip(self.paths, self.starts[number], sums, strict=True):
            if path in self.by_hand:
                table = self.by_hand[path].slice(start, n)
            else:
                table = rows_of(path, start, start + n, [ListColumns.USER])
            users.append(table.column(ListColumns.USER).unique())
        return pa.concat_arrays(users).unique()


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedReport:
    """Counts of a fused file.

    Attributes
    ----------
    users, rows, cold : int
    channels : dict of str to int
        Rows that a channel proposed to their user: a row counts for each of its channels.
    """

    users: int
    rows: int
    channels: dict[str, int]
    cold: int


def ask_candidates(
    question: CandidatesQuestion,
    out: Path,
    channel: Channel,
    queries: Queries,
    *,
    log: Interactions | None = None,
    store: VectorStore | None = None,
    allowed: Collection[str] | None = None,
    **run: Any,
) -> CandidatesAnswer | None:
    """Write what one channel proposes to each user; return None if the call was stopped.

    Parameters
    ----------
    question : CandidatesQuestion
    out : path
    channel : Channel
    queries : Queries
    log : Interactions, optional
        Users without a history to whom the channel proposes nothing get what is popular in it.
    store : VectorStore, optional
        Knows copies: that of a heard song is heard too, and one of a recording is proposed.
    allowed : collection of str, optional
        The only songs that may be proposed.
    run
        Options of `write_candidates`.

    Raises
    ------
    InputError
        If the channel proposes no song to anybody; the message says why.
    """
    facts = NO_FACTS if store is None else traits_of(queries.histories, None, store)
    if store is not None:
        known = channel.song_ids if allowed is None else tuple(sorted(allowed))
        allowed = best_copies(facts, known)
    default = None
    if log is not None and not queries.histories.lengths.all():
        default = DefaultList.of(log, people=queries.profiles)
    heard = with_copies(queries.histories, facts)
    run |= {"allowed": allowed, "default": default, "needs_rows": True}
    rows = write_asked(out, channel, question, queries, heard, **run)
    if rows is None:
        return None
    has_cold = "cold_song" in channel.serves and not question.cold
    return CandidatesAnswer(
        channel=channel.name,
        model_id=channel.model_id,
        users=len(queries),
        default_users=default_users(out),
        rows=rows,
        out=out,
        left_out=int(channel.is_cold.sum()) if has_cold else 0,
    )


def fuse_files(
    paths: Sequence[Path],
    out: Path,
    recipe: FusionRecipe,
    *,
    facts: SongTraits = NO_FACTS,
    excluded: Exclusions = NOTHING,
    engine: Engine | None = None,
    progress: Progress | None = None,
    stop: Event | None = None,
) -> bool:
    """Fuse files of candidates and write one list per user.

    Parameters
    ----------
    paths : sequence of path
        See `user_blocks`; the weights of the recipe are in this order.
    out : path
        The file to write, with the columns of candidates, sorted by user and rank.
    recipe : FusionRecipe
    facts : SongTraits
    excluded : Exclusions
    engine : callable, optional
        Fuses blocks of users (`audiorec.runs.tasks.engine_of`), with the same bytes; finished
        blocks are kept in ``<out>.run/``. By default this process fuses all.
    progress : callable of (done, total), optional
        Called with the number of blocks that the engine has finished.
    stop : Event, optional
        Once set, an engine starts no further block.

    Returns
    -------
    is_whole : bool
        False if the call was stopped.

    Raises
    ------
    InputError
        If `paths` is empty, the weights do not match it, or a file cannot be read.
    LostBlocksError
        If some blocks failed on the engine; the others are kept.
    """
    if not paths:
        raise InputError("no table of candidates to fuse; write one: audiorec recall candidates")
    recipe.weights_of(len(paths))
    if engine is None:
        with table_writer(out, SCHEMA) as writer:
            for block in user_blocks(paths):
                writer.write_table(fuse(block, recipe, facts, excluded))
        return True
    fusion = SplitFusion.of(paths, recipe, facts, excluded)
    return run_blocks(
        out,
        len(fusion.parts),
        lambda i: fusion.making(fusion(i)),
        schema=SCHEMA,
        fingerprint=fusion.fingerprint,
        progress=progress,
        stop=stop,
        elsewhere=block_runner(engine, fusion.making, fusion, SCHEMA),
        named=fusion.named,
    )


def count_fused(paths: Sequence[Path], out: Path) -> FusedReport:
    """Count what is in a fused file, and which tables proposed it."""
    users = rows = cold = 0
    channels = [0] * len(paths)
    for block in user_blocks([*paths, out]):
        fused = block[-1]
        users += len(fused.column(ListColumns.USER).unique())
        rows += len(fused)
        cold += int(pc.sum(fused.column("cold")).as_py() or 0)
        every = CandidateRows.of(block)
        key = key_of(every.user, every.song)
        served = np.isin(key, key[every.source == len(paths)])
        for number in range(len(paths)):
            channels[number] += int((served & (every.source == number)).sum())
    named = dict(zip(channels_of(paths), channels, strict=True))
    return FusedReport(users=users, rows=rows, channels=named, cold=cold)
