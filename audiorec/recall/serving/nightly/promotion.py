"""The figures of a night, and whether its lists are worse than those that are served.

    plays ──judge_split──▶ what a night trains on; of some users, the newest song is kept back
    two nights, asked for the same users ──compare──▶ hit rates on these songs, paired by user
    candidates of every channel, fused.parquet, plays ──report_of──▶ ``report.md``
    candidates, fused.parquet, the fused lists before ──change_of──▶ counts that runs compare
    lists of the last night, plays since ──judge_lists──▶ hit rates, fused minus each channel

Users decide what they play among the lists too, so hit rates are figures of a working product, not
of a test set; all lists are judged on the same users.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from datetime import datetime
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ListColumns, ShownColumns
from audiorec.errors import AudiorecError, MissingFileError, StoreError
from audiorec.evaluation.classification import Interval
from audiorec.evaluation.ranking import clustered_interval
from audiorec.files.storage import join
from audiorec.files.tables import TableFile
from audiorec.listening.log_files import day_folder, days_in
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import DEFAULT
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Context
from audiorec.recall.judging.splits import JudgingSplit, cut_at
from audiorec.recall.registry import is_external, load_channel
from audiorec.recall.serving.answers import CandidatesQuestion
from audiorec.recall.serving.exclusions import ask_channel, chance_of, with_copies
from audiorec.recall.serving.fuse import fuse, settings_in
from audiorec.recall.serving.nightly.current import (
    FUSED,
    blamed,
    file_stem,
    read_current,
    read_json,
    whole_run,
)
from audiorec.recall.serving.rules import FusionRecipe, SongTraits
from audiorec.recall.serving.tables import (
    BATCH_ROWS,
    CandidateRows,
    candidates_by_user,
    key_of,
    user_blocks,
)
from audiorec.types import Float64Array, IdMap, string_array

MOST_USERS = 20_000  # judged, drawn by seed
FEWEST_USERS = 20  # with fewer, no warning
FIRST = 10  # places of a list
BY = f"hit_rate@{FIRST}"
LISTED = "listed/"  # counts of songs in the lists, by the channels that proposed them
UNKNOWN = {"users": 0, BY: {}, "over": {}}


def judge_last_night(folder: Path | None, plays: Sequences) -> dict[str, Any]:
    """Judge the lists in a folder by finished plays after they were made; see `judge_lists`.

    ``since`` is their time; None if the folder has no whole set of lists of one run.
    """
    record = {} if folder is None else whole_run(str(folder))
    if folder is None or not record:
        return {"since": None, **UNKNOWN}
    lists = {n: folder / "candidates" / f"{file_stem(str(n))}.parquet" for n in record["order"]}
    since = str(record[ShownColumns.AT])
    at = datetime.fromisoformat(since).timestamp()
    return {"since": since, **judge_lists(folder / FUSED, lists, plays, at)}


def judge_lists(
    fused: Path, channels: Mapping[str, Path], plays: Sequences, since: float
) -> dict[str, Any]:
    """Return the hit rates of lists that were made at `since` (seconds since 1970).

    Parameters
    ----------
    fused : path
    channels : mapping of str to path
        The candidates of each channel.
    plays : Sequences
        Finished plays, the later ones included. A song that a user plays for the first time after
        `since` is wanted; users without one are not judged.
    since : float

    Returns
    -------
    found : dict
        ``users``; ``hit_rate@10`` by list; ``over``: the difference between the fused lists and
        those of each channel, paired by user; each as [value, low, high], with intervals of 95 %.
    """
    wanted = _wanted(plays, since)
    if not len(wanted):
        return UNKNOWN
    hits = {
        name: hits_of(candidates_by_user(path, BATCH_ROWS), wanted)
        for name, path in {"fused": fused, **channels}.items()
    }
    over = {name: hits["fused"] - of for name, of in hits.items() if name != "fused"}
    return {"users": len(wanted), BY: means_of(hits), "over": means_of(over)}


def fused_below(judged: Mapping[str, Any]) -> list[str]:
    """Return a line for each channel whose lists were surely better than the fused ones."""
    if judged["users"] < FEWEST_USERS:
        return []
    return [
        f"the fused lists of the last night were worse than {name} alone: {BY} "
        f"{judged[BY]['fused'][0]:.3f}, {judged[BY][name][0]:.3f} "
        f"(difference {gap:+}, {judged['users']:,} users)"
        for name, gap in ((name, Interval(*of)) for name, of in judged["over"].items())
        if gap.high < 0
    ]


def _wanted(plays: Sequences, since: float) -> Sequences:
    """Return the songs that each user first played after `since`, for users who have some."""
    new = plays.time > since
    result = plays.keep(new & ~np.isin(plays.pair, plays.pair[~new]))
    rows = np.flatnonzero(result.lengths)
    drawn = np.random.default_rng(0).permutation(rows)[:MOST_USERS]
    return result.take(np.sort(drawn))


def hits_of(tables: Iterable[Any], wanted: Sequences) -> Float64Array:
    """Return whether a wanted song is in the first places of each user's list: 1 or 0.

    `tables` are candidates, by any number of users each.
    """
    users, songs = (IdMap(string_array(ids)) for ids in (wanted.owner_ids, wanted.song_ids))
    width = max(1, len(wanted.song_ids))
    hits = np.zeros(len(wanted))
    for table in tables:
        first = pc.and_(pc.less_equal(table.column("rank"), FIRST), pc.invert(table.column("cold")))
        top = table.filter(first)
        user, song = (
            ids.rows(top.column(name).combine_chunks())
            for ids, name in ((users, ListColumns.USER), (songs, ListColumns.SONG))
        )
        known = (user >= 0) & (song >= 0)
        hits[user[known][np.isin(user[known] * width + song[known], wanted.pair)]] = 1
    return hits


def means_of(values: Mapping[str, Float64Array]) -> dict[str, list[float]]:
    """Return the mean of each array over users, with its interval."""
    return {
        name: [
            round(v, 6)
            for v in astuple(clustered_interval(of, np.arange(len(of)), np.random.default_rng(0)))
        ]
        for name, of in values.items()
    }


def report_of(
    candidates: Mapping[str, Path],
    fused: Path,
    facts: SongTraits,
    about: Mapping[str, Any],
    ranked: Path | None = None,
) -> str:
    """Return the report of a run, in Markdown; without times, so the same files give the same page.

    Parameters
    ----------
    candidates : mapping of str to path
        By channel, in the order of the report.
    fused : path
    facts : SongTraits
    about : mapping of str to value
        ``run_id`` and ``entry``, for the heading; ``weights``: lines about them.
    ranked : path, optional
        Playlists that people made, ranked for every user.

    Notes
    -----
    Users are read block by block. *Alone* counts songs in the lists that no other channel proposed
    to that user.
    """
    counts: Counter[str] = Counter()
    users, rows, cold, plays, artists, default = 0, 0, 0, 0, 0, 0
    songs: set[str] = set()
    for *tables, lists in user_blocks([*candidates.values(), fused]):
        if not len(lists):
            continue
        result = CandidateRows.of([*tables, lists])
        key = key_of(result.user, result.song)
        served = result.source == len(tables)
        entry = np.unique(key[served])
        other = ~served & np.isin(key, entry)
        by_entry = np.searchsorted(entry, key[other])
        channels_of = np.bincount(by_entry, minlength=len(entry))
        for number, name in enumerate(candidates):
            own = result.source[other] == number
            counts[f"in {name}"] += int((result.source == number).sum())
            counts[f"served {name}"] += int(own.sum())
            counts[f"alone {name}"] += int((channels_of[by_entry[own]] == 1).sum())
        groups, played = facts.columns(result.song_ids)
        of = result.song[served]
        users += len(np.unique(result.user[served]))
        default += len(np.unique(result.user[served & result.are_of(DEFAULT)]))
        rows += int(served.sum())
        cold += int((result.numbers("cold")[served] > 0).sum())
        plays += int(played[of].sum())
        songs.update(result.song_ids.take(pa.array(np.unique(of))).to_pylist())
        if "artist" in groups:
            pairs = key_of(result.user[served], groups["artist"][of])
            artists += len(np.unique(pairs[groups["artist"][of] >= 0]))
    lines = [f"# {about.get('entry', '')} lists, run {about.get('run_id', '')}".replace("  ", " ")]
    lines += ["", f"{rows:,} songs for {users:,} users, {len(songs):,} different ones."]
    if users:
        lines += ["", *([f"- users with the default list: {default:,}"] if default else [])]
        lines += [f"- songs that nobody has played: {cold / rows:.1%}"]
        lines += [f"- plays of a song: {plays / rows:,.1f}"]
        lines += [f"- artists in a list: {artists / users:.1f}"] if artists else []
    lines += ["", "| channel | proposed | in the lists | alone |", "|---|---|---|---|"]
    lines += [
        f"| `{n}` | {counts[f'in {n}']:,} | {counts[f'served {n}']:,} | {counts[f'alone {n}']:,} |"
        for n in candidates
    ]
    lines += ["", "*In the lists*: a song counts for every channel that proposed it to that user;"]
    lines += ["*alone*: no other one did.", *(f"\n{line}" for line in about.get("weights", ())), ""]
    lines += [] if ranked is None else _ranked_lists(ranked)
    return "\n".join(lines)


def _ranked_lists(path: Path) -> list[str]:
    """Return the lines on playlists that people made."""
    with TableFile.open(path) as file:
        table = file.read(["rank", "list_id", "songs", "known", "proposed"])
    first = table.filter(pc.equal(table.column("rank"), 1))
    different = len(table.column("list_id").unique())
    lines = ["## Playlists that people made", "", f"{different:,} for {len(first):,} users."]
    if len(first):
        songs, known, new = (np.asarray(first.column(n)) for n in ("songs", "known", "proposed"))
        lines += ["", "Of the songs of a user's first playlist:", ""]
        lines += [f"- known to the user: {(known / songs).mean():.1%}"]
        lines += [f"- proposed to the user: {(new / songs).mean():.1%}"]
    return [*lines, ""]


def change_of(
    candidates: Mapping[str, Path], fused: Path, before: Path | None, facts: SongTraits
) -> dict[str, float]:
    """Return the counts of a night's lists that `audiorec.runs.record.run_warnings` compares.

    Default lists are left out.

    Parameters
    ----------
    candidates : mapping of str to path
        By channel.
    fused : path
    before : path, optional
        The fused lists of the night before.
    facts : SongTraits
        Plays of songs.

    Returns
    -------
    counts : dict of str to float
        ``answered/CHANNEL``: users to whom it proposes songs. ``lists/songs``: different songs.
        ``listed/CHANNEL``: songs in the lists that it, and maybe others, proposed to that user.
        ``lists/popularity``: mean plays of a song. ``lists/kept``: of the pairs of a user and a
        song that were in the lists before, the share that still is, over users with a list in both
        nights; absent if there are none.
    """
    counts: Counter[str] = Counter(dict.fromkeys(map("answered/{}".format, candidates), 0))
    songs: set[str] = set()
    rows = plays = old = kept = 0
    more = [] if before is None else [before]
    for block in user_blocks([*candidates.values(), fused, *more]):
        personal = [t.filter(pc.not_equal(t.column("channel"), DEFAULT)) for t in block]
        for name, table in zip(candidates, personal, strict=False):
            counts[f"answered/{name}"] += len(table.column(ListColumns.USER).unique())
        every = CandidateRows.of(personal[: len(candidates) + 1])
        key = key_of(every.user, every.song)
        served = np.isin(key, key[every.source == len(candidates)])
        for number, name in enumerate(candidates):
            counts[f"{LISTED}{name}"] += int((served & (every.source == number)).sum())
        lists = CandidateRows.of(personal[len(candidates) :])
        mine = lists.source == 0
        of = lists.song[mine]
        rows, plays = rows + len(of), plays + int(facts.columns(lists.song_ids)[1][of].sum())
        songs.update(lists.song_ids.take(pa.array(np.unique(of))).to_pylist())
        both = np.intersect1d(lists.user[mine], lists.user[~mine])
        known, key = np.isin(lists.user, both), key_of(lists.user, lists.song)
        old += int((known & ~mine).sum())
        kept += int(np.isin(key[known & ~mine], key[known & mine]).sum())
    result = {**counts, "lists/songs": len(songs), "lists/popularity": plays / max(1, rows)}
    return result | ({"lists/kept": kept / old} if old else {})


PROMOTION = "promotion.json"
LEAST_SONGS = 5  # of a user whose newest song is kept back
MOST_JUDGED = 2_000  # users
BLOCK_USERS = 500
FEWER = 0.75  # users to judge by, of those of the night that is served
KNOWN = 0.5  # wanted songs that the night that is served must know


def judge_split(plays: Sequences, share: float) -> JudgingSplit | None:
    """Keep back the newest song of a share of the users; None if fewer than 20 have enough songs.

    All plays of that song by that user are kept back. In a log of counts, which has no order, it
    is a song that its id draws. The users are drawn by their id, so they are the same every night.
    """
    n, key = max(1, len(plays.song_ids)), plays.pair
    pairs, first = np.unique(key, return_index=True)
    owner = pairs // n
    drawn = np.array([chance_of(user) < share for user in plays.owner_ids], np.bool_)
    rows = np.flatnonzero(drawn & (np.bincount(owner, minlength=len(plays)) >= LEAST_SONGS))
    if len(rows) < FEWEST_USERS:
        return None
    place = first
    if plays.is_counted:
        place = np.array([chance_of(song) for song in plays.song_ids])[pairs % n]
    order = np.lexsort((place, owner))
    last = order[np.flatnonzero(np.diff(owner[order], append=-1))]
    held = np.isin(key, pairs[last[np.isin(owner[last], rows)]])
    return cut_at("judge", plays, held, rows)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NightModels:
    """What makes the lists of a night: its channels, and the settings of their fusion."""

    channels: Sequence[Channel]
    recipe: FusionRecipe

    @classmethod
    def of_folder(cls, folder: Path, tables: Mapping[str, Channel]) -> "NightModels":
        """Load the models that a run left in a folder; `tables` are channels without a model.

        Raises
        ------
        AudiorecError
            If the run is not whole, or a model cannot be used.
        """
        record = whole_run(str(folder))
        names = [str(name) for name in record.get("order", [])]
        if not names or any(Path(name).name != name for name in names if name not in tables):
            raise StoreError(f"{folder}: has no models of a whole run")
        recipe = settings_in(record, f"{folder}: fusion")
        result = [tables.get(n) or load_channel(folder / "models" / n) for n in names]
        return cls(channels=result, recipe=recipe)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judge:
    """The users that nights are judged by, and how their lists are made.

    Attributes
    ----------
    split : JudgingSplit
    context : Context
    facts : SongTraits
    depth : int
        Candidates per channel and user.
    share : float
        Of all users, by which they were drawn.
    """

    split: JudgingSplit
    context: Context
    facts: SongTraits
    depth: int
    share: float

    def hits(self, models: NightModels) -> Float64Array:
        """Return for each user whether the first ten places have the wanted song, 1 or 0."""
        cold = bool(models.recipe.cold_share)
        lists = (
            fuse(self.tables(models.channels, rows, cold=cold), models.recipe, self.facts)
            for rows, _ in self.blocks()
        )
        return hits_of(lists, self.split.wanted.take(np.arange(self._users)))

    def blocks(self) -> Iterator[tuple[Any, Sequences]]:
        """Yield the rows of a block of users, and what they want."""
        for at in range(0, self._users, BLOCK_USERS):
            rows = np.arange(at, min(at + BLOCK_USERS, self._users))
            yield rows, self.split.wanted.take(rows)

    def tables(self, channels: Sequence[Channel], rows: Any, *, cold: bool = False) -> list[Any]:
        """Return what each channel proposes to some users."""
        histories = self.split.histories.take(rows)
        heard = with_copies(histories, self.facts)
        queries = self.context.queries_of(histories)
        asked = CandidatesQuestion.for_fusion(self.depth, cold=cold)
        tables = []
        for channel in channels:
            with blamed(channel.name):
                tables.append(ask_channel(channel, asked, queries, heard))
        return tables

    @property
    def _users(self) -> int:
        return min(len(self.split), MOST_JUDGED)


def compare(
    judge: Judge | None, new: NightModels, served: Path | None, margin: float
) -> dict[str, Any]:
    """Compare a night with the one that is served.

    Neither was trained on the song that is wanted of a user: it was kept back, or had not been
    played when the served night ran.

    Parameters
    ----------
    judge : Judge, optional
    new : NightModels
    served : Path, optional
        The folder of the night that is served.
    margin : float
        Share of the served night's hit rate that the new one may lose.

    Returns
    -------
    verdict : dict
        ``users``; ``hit_rate@10`` of ``new`` and ``served``; ``difference``; each as [value, low,
        high], with intervals of 95 %. ``refused``: why the new night must not be served, in words;
        empty if nothing speaks against it. ``note``: why nothing was compared.
    """
    nothing: dict[str, Any] = {"users": 0, BY: {}, "difference": [], "refused": "", "note": ""}
    before = {} if served is None else read_json(served / PROMOTION)
    if judge is None:
        said = f"fewer than {FEWEST_USERS} users to judge by"
        return nothing | ({"refused": said} if before.get("users") else {"note": said})
    hits = {"new": judge.hits(new)}
    result = nothing | {"users": len(hits["new"]), BY: means_of(hits), "judge_share": judge.share}
    if served is None:
        return result | {"note": "no earlier night is served"}
    if before.get("judge_share", 0.0) < judge.share:
        return result | {"note": "the night that is served has learnt the songs to judge by"}
    tables = {channel.name: channel for channel in new.channels if is_external(channel.name)}
    try:
        other = NightModels.of_folder(served, tables)
        hits["served"] = judge.hits(other)
    except AudiorecError as error:
        return result | {"note": f"the night that is served cannot be asked: {error}"}
    difference = means_of({"": hits["new"] - hits["served"]})[""]
    is_refused = is_worse(difference, float(hits["served"].mean()), margin)
    refused = f"more than {margin:.0%} below what is served" if is_refused else ""
    users = before.get("users", 0) if before["judge_share"] == judge.share else 0
    if len(hits["new"]) < FEWER * users:
        refused = f"{len(hits['new']):,} users to judge by, {users:,} in the night that is served"
    known = {song for channel in other.channels for song in channel.song_ids}
    share = float(
        np.mean([judge.split.wanted.song_ids[s] in known for s in judge.split.wanted.song])
    )
    if share < KNOWN:
        refused = f"what is served knows {share:.0%} of the wanted songs: were they renamed?"
    return result | {BY: means_of(hits), "difference": difference, "refused": refused}


def is_worse(difference: Sequence[float], served: float, margin: float) -> bool:
    """Return whether a night loses more than a share of the served rate, beyond chance.

    `difference` is [value, low, high]; an interval that touches 0, as it is printed, is beyond it.

    Examples
    --------
    >>> is_worse([-0.039, -0.083, 0.0], 0.211, 0.05), is_worse([0.0, 0.0, 0.0], 0.211, 0.05)
    (True, False)
    """
    value, _, high = difference
    return value < -margin * served and round(high, 3) <= 0


def nights_of(root: str | PathLike[str]) -> list[dict[str, str]]:
    """Return ``day``, ``state`` and ``why`` of each day of an output folder, the newest first.

    The state is ``served``, ``served before``, ``taken back``, ``kept aside`` or ``not finished``;
    ``why`` is what the day's comparison said.

    Raises
    ------
    MissingFileError
        If the folder has no day.
    StoreError
        If the file that names the day that is served is damaged.
    """
    place, current = fspath(root), read_current(root)
    days = sorted(days_in(place), reverse=True)
    if not days:
        raise MissingFileError(
            f"{place}: has no lists by day; write some: audiorec recall run --day"
        )
    nights = []
    for day in days:
        folder, state = join(place, day_folder(day)), "kept aside"
        if not whole_run(folder):
            state = "not finished"
        elif current is not None:
            known = {"served before": current.before, "taken back": current.withdrawn}
            known["served"] = (current.day,)
            state = next((name for name, those in known.items() if day in those), state)
        verdict = read_json(join(folder, PROMOTION))
        nights.append({"day": day.isoformat(), "state": state, "why": reason_of(verdict)})
    return nights


def reason_of(verdict: Mapping[str, Any]) -> str:
    """Return what a verdict of `compare`, which may come from a file, says in words."""
    said = str(verdict.get("refused") or verdict.get("note") or "")
    with suppress(IndexError, KeyError, TypeError, ValueError):
        gap, rates = Interval(*verdict["difference"]), verdict[BY]
        return (
            f"{said or 'not worse than what is served'}: {BY} {rates['new'][0]:.3f}, "
            f"served {rates['served'][0]:.3f}, difference {gap:+}, "
            f"{verdict['users']:,} users"
        )
    return said or "nothing was compared"
