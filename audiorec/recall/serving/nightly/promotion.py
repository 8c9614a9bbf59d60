"""Whether the lists of a night are worse than those that are served.

    plays ──judge_split──▶ what a night trains on; of some users, the newest song is kept back
    two nights, asked for the same users ──compare──▶ hit rates on these songs, paired by user

The users are drawn by their id, so they are the same every night. Neither night was trained on the
song that is wanted of a user: it was kept back, or had not been played when the served night ran.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.errors import AudiorecError, MissingFileError, StoreError
from audiorec.evaluation.classification import Interval
from audiorec.files.storage import join
from audiorec.files.user_files import from_table
from audiorec.listening.log_files import day_folder, days_in
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Context
from audiorec.recall.judging.splits import JudgingSplit
from audiorec.recall.registry import is_external, load_channel
from audiorec.recall.serving.exclusions import chance_of, with_copies
from audiorec.recall.serving.fuse import fuse
from audiorec.recall.serving.nightly.current import read_current, read_json, whole_run
from audiorec.recall.serving.nightly.report import BY, FEWEST_USERS, hits_of, means_of
from audiorec.recall.serving.rules import REPLAY, FusionRecipe, SongTraits
from audiorec.types import Float64Array

PROMOTION = "promotion.json"
LEAST_SONGS = 5  # of a user whose newest song is kept back
MOST_JUDGED = 2_000  # users
BLOCK_USERS = 500
FEWER = 0.75  # users to judge by, of those of the night that is served
KNOWN = 0.5  # wanted songs that the night that is served must know


def judge_split(plays: Sequences, share: float) -> JudgingSplit | None:
    """Keep back the newest song of a share of the users; None if fewer than 20 have enough songs.

    All plays of that song by that user are kept back. In a log of counts, which has no order, it
    is a song that its id draws.
    """
    n = max(1, len(plays.song_ids))
    key = plays.owner * n + plays.song
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
    learn = plays.keep(~held)
    return JudgingSplit(
        name="judge",
        learn=learn,
        histories=learn.take(rows),
        wanted=plays.keep(held).take(rows),
        cluster=rows,
    )


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
        recipe = from_table(FusionRecipe, record.get("fusion", {}), f"{folder}: fusion")
        found = [tables.get(n) or load_channel(folder / "models" / n) for n in names]
        return cls(channels=found, recipe=recipe)


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
        lists = (
            self._lists(models, np.arange(at, min(at + BLOCK_USERS, self._users)))
            for at in range(0, self._users, BLOCK_USERS)
        )
        return hits_of(lists, self.split.wanted.take(np.arange(self._users)))

    @property
    def _users(self) -> int:
        return min(len(self.split), MOST_JUDGED)

    def _lists(self, models: NightModels, rows: Any) -> Any:
        """Return the fused lists of some users."""
        histories = self.split.histories.take(rows)
        heard = with_copies(histories, self.facts)
        queries = self.context.queries_of(histories)
        cold = self.depth if models.recipe.cold_share else 0
        tables = []
        for channel in models.channels:
            exclude = None if channel.name == REPLAY else heard
            found = channel.recall(queries, self.depth, exclude=exclude, cold=cold)
            names = {"channel": channel.name, "model_id": channel.model_id}
            tables.append(found.to_table(histories.owner_ids, **names))
        return fuse(tables, models.recipe, self.facts)


def compare(
    judge: Judge | None, new: NightModels, served: Path | None, margin: float
) -> dict[str, Any]:
    """Compare a night with the one that is served.

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
    found = nothing | {"users": len(hits["new"]), BY: means_of(hits), "judge_share": judge.share}
    if served is None:
        return found | {"note": "no earlier night is served"}
    if before.get("judge_share", 0.0) < judge.share:
        return found | {"note": "the night that is served has learnt the songs to judge by"}
    tables = {channel.name: channel for channel in new.channels if is_external(channel.name)}
    try:
        other = NightModels.of_folder(served, tables)
        hits["served"] = judge.hits(other)
    except AudiorecError as error:
        return found | {"note": f"the night that is served cannot be asked: {error}"}
    difference = means_of({"": hits["new"] - hits["served"]})[""]
    loses = difference[0] < -margin * hits["served"].mean() and difference[2] < 0
    refused = f"more than {margin:.0%} below what is served" if loses else ""
    users = before.get("users", 0) if before["judge_share"] == judge.share else 0
    if len(hits["new"]) < FEWER * users:
        refused = f"{len(hits['new']):,} users to judge by, {users:,} in the night that is served"
    known = {song for channel in other.channels for song in channel.song_ids}
    share = float(
        np.mean([judge.split.wanted.song_ids[s] in known for s in judge.split.wanted.song])
    )
    if share < KNOWN:
        refused = f"what is served knows {share:.0%} of the wanted songs: were they renamed?"
    return found | {BY: means_of(hits), "difference": difference, "refused": refused}


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
    found = []
    for day in days:
        folder, state = join(place, day_folder(day)), "kept aside"
        if not whole_run(folder):
            state = "not finished"
        elif current is not None:
            known = {"served before": current.before, "taken back": current.withdrawn}
            known["served"] = (current.day,)
            state = next((name for name, those in known.items() if day in those), state)
        verdict = read_json(join(folder, PROMOTION))
        found.append({"day": day.isoformat(), "state": state, "why": told(verdict)})
    return found


def told(verdict: Mapping[str, Any]) -> str:
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
