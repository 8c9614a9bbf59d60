"""The input files of a night, each read at most once and only if a step needs it."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.listening.events import Interactions
from audiorec.listening.interactions import read_interactions
from audiorec.listening.reading import follows, likes
from audiorec.listening.sequences import Sequences, to_sequences
from audiorec.listening.side import known_side
from audiorec.recall.contract.candidates import DefaultList, read_candidates
from audiorec.recall.contract.data import Context, Queries, RecallData
from audiorec.recall.contract.training import read_context
from audiorec.recall.judging.splits import JudgingSplit
from audiorec.recall.serving.exclusions import traits_of
from audiorec.recall.serving.fuse import DefaultRule
from audiorec.recall.serving.nightly.arrivals import arrived
from audiorec.recall.serving.nightly.current import NightlyPlan, blamed
from audiorec.recall.serving.nightly.promotion import Judge, judge_split
from audiorec.recall.serving.playlists import ListRanking
from audiorec.recall.serving.rules import Exclusions, SongTraits
from audiorec.search.searchable import SearchableStore


class NightlyInputs:
    """The input files of a plan, read on first use."""

    def __init__(
        self, plan: NightlyPlan, judge_share: float = 0.0, ends_s: float | None = None
    ) -> None:
        self.plan, self._judge_share, self._ends_s = plan, judge_share, ends_s

    @cached_property
    def log(self) -> Interactions:
        """Return the listening log."""
        return self._read_log(self.plan.interactions)

    @cached_property
    def arrived(self) -> dict[str, Any]:
        """Return what the log says about its last day."""
        return arrived(self.log, self._ends_s)

    @cached_property
    def plays(self) -> Sequences:
        """Return the finished plays of each user, in order."""
        return to_sequences(self.log)

    @cached_property
    def now(self) -> float:
        """Return the time of the exposures: the newest time of the log, or else of its file."""
        times = self.log.timestamp
        known = times[~np.isnan(times)]
        return float(known.max()) if len(known) else self.plan.interactions.stat().st_mtime

    @cached_property
    def store(self) -> SearchableStore | None:
        """Return the store of the songs, if the plan names one."""
        return SearchableStore.open(self.plan.vectors) if self.plan.vectors else None

    @cached_property
    def context(self) -> Context:
        """Return the information on songs and users beside the log."""
        plan = self.plan
        return read_context(
            vectors=self.store,
            features=plan.features,
            songs=plan.songs,
            side=plan.side,
            profiles=plan.profiles,
            triples=plan.triples,
        )

    def data(self, logs: tuple[str, ...] = ()) -> RecallData:
        """Return the training data of channels; `logs` are fingerprints of the log."""
        learn = self.plays if self.split is None else self.split.learn
        return RecallData(learn, self.context.song_ids, self.context, logs)

    @cached_property
    def split(self) -> JudgingSplit | None:
        """Return what is kept back to judge nights by; None if nothing is."""
        return judge_split(self.plays, self._judge_share) if self._judge_share else None

    @property
    def judge(self) -> Judge | None:
        """Return the judge of nights."""
        if self.split is None:
            return None
        return Judge(
            split=self.split,
            context=self.context,
            facts=self.facts,
            depth=self.plan.depth,
            share=self._judge_share,
        )

    @cached_property
    def queries(self) -> Queries:
        """Return the histories of all users, with followed artists and liked songs.

        Users are those of the log, the profiles, and the tables of candidates; those without a
        play have an empty history.
        """
        known, people = self.plays, self.context.profiles
        known = known if people is None else known.with_owners(people.user_ids)
        for name, table in self.plan.tables.items():
            with blamed(name):
                known = known.with_owners(read_candidates(table).ranked.owner_ids)
        owners = known.owner_ids
        followed = follows(self.log, owners) if len(self.log.artists) else None
        liked = likes(self.log, owners)
        return self.context.queries_of(known, followed, liked if len(liked.song) else None)

    def ranking(self, lists: Path) -> ListRanking:
        """Return the playlists that people made, which a log of them names."""
        return ListRanking.of_log(self._read_log(lists))

    def default_rule(self, excluded: Exclusions) -> DefaultRule:
        """Return who gets the default list, and which songs it holds."""
        plan = self.plan
        return DefaultRule(
            default=DefaultList.of(self.log, plan.entry, self.context.profiles),
            recipe=plan.recipe(),
            depth=plan.depth,
            facts=self.facts,
            excluded=excluded,
        )

    @cached_property
    def facts(self) -> SongTraits:
        """Return the traits of songs: artists, albums, genres, recordings and plays."""
        return traits_of(self.plays, known_side(self.plan.side, self.store), self.store)

    def _read_log(self, log: Path) -> Interactions:
        return read_interactions(log, skip_bad_rows=self.plan.skip_bad_rows)
