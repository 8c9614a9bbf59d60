"""What a nightly job reads, each of it at most once and only if a step needs it."""

from functools import cached_property

import numpy as np

from audiorec.listening.events import Interactions
from audiorec.listening.follows import follows
from audiorec.listening.interactions import read_interactions
from audiorec.listening.likes import likes
from audiorec.listening.sequences import Sequences, to_sequences
from audiorec.recall.contract.data import Context, Queries
from audiorec.recall.contract.reading import read_context
from audiorec.recall.serving.known import facts_of
from audiorec.recall.serving.plan import NightlyPlan
from audiorec.recall.serving.rules import SongTraits
from audiorec.search.searchable import SearchableStore


class NightlyInputs:
    """The files of a plan, read when they are first asked for."""

    def __init__(self, plan: NightlyPlan) -> None:
        self.plan = plan

    @cached_property
    def log(self) -> Interactions:
        """Return the listening log."""
        return read_interactions(self.plan.interactions)

    @cached_property
    def plays(self) -> Sequences:
        """Return the finished plays of each user, in order."""
        return to_sequences(self.log)

    @cached_property
    def now(self) -> float:
        """Return when lists are shown: the newest time of the log, or else that of its file."""
        times = self.log.timestamp
        known = times[~np.isnan(times)]
        return float(known.max()) if len(known) else self.plan.interactions.stat().st_mtime

    @cached_property
    def store(self) -> SearchableStore | None:
        """Return the store of the songs, if the plan names one."""
        return SearchableStore.open(self.plan.vectors) if self.plan.vectors else None

    @cached_property
    def context(self) -> Context:
        """Return what is known of songs and users beside their listening."""
        plan = self.plan
        return read_context(
            vectors=self.store,
            features=plan.features,
            songs=plan.songs,
            side=plan.side,
            profiles=plan.profiles,
            triples=plan.triples,
        )

    @cached_property
    def queries(self) -> Queries:
        """Return histories, with the artists that users follow and the songs that they like."""
        owners = self.plays.owner_ids
        followed = follows(self.log, owners) if len(self.log.artists) else None
        liked = likes(self.log, owners)
        return self.context.asked(self.plays, followed, liked if len(liked.song) else None)

    @cached_property
    def facts(self) -> SongTraits:
        """Return artists, albums, genres, recordings and plays of the songs."""
        return facts_of(self.plays, self.context.side, self.store)
