"""Songs for one user, out of a log and whatever models there are, each with a reason in words.

    log, store, models ──Recommender──▶ channels ──ask──▶ a list each ──fuse──▶ `Recommendation`s

It needs no trained model: channels that only count are fitted on the log at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.errors import InputError
from audiorec.listening.events import Interactions
from audiorec.listening.follows import follows
from audiorec.listening.sequences import Sequences, to_sequences
from audiorec.listening.side import SongSide, completed, side_of_store
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Context, Queries, RecallData, Sound
from audiorec.recall.registry import channel_class, load_channel
from audiorec.recall.serving.fuse import fuse
from audiorec.recall.serving.known import closed_by, facts_of
from audiorec.recall.serving.rules import Closed, FusionRecipe
from audiorec.recall.serving.words import in_words
from audiorec.search.searchable import SearchableStore
from audiorec.store.names import near_names
from audiorec.types import strings

# Channels that are fitted where no model is at hand.
COUNTED = ("vs-knn", "item-knn", "rules", "nearest-audio", "nearest-artist", "popular", "replay")
DEPTH = 200  # songs that each channel is asked for
MODEL_FILE = "model.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product that a list is for.

    Attributes
    ----------
    about : str
    weights : mapping of str to float
        By channel or horizon (``long``, ``short``); 1 where neither is named.
    rules : FusionRecipe
    give_up : float
        The part of the accuracy that dials may cost where they are learnt.
    """

    about: str
    weights: Mapping[str, float]
    rules: FusionRecipe
    give_up: float = 0.02


ENTRIES = {
    "daily": Product(
        about="a mix of what the user likes and what suits now, with some new songs",
        weights={"popular": 0.3},
        rules=FusionRecipe(per_artist=3, cold_share=0.1),
    ),
    "radio": Product(
        about="what goes on from the last songs; songs that the user knows come again",
        weights={"short": 2.0, "popular": 0.1},
        rules=FusionRecipe(per_artist=2, replay_share=0.3),
    ),
    "discover": Product(
        about="less known songs of many artists",
        weights={"popular": 0.0},
        rules=FusionRecipe(per_artist=1, popularity=0.3, diversity=0.2, cold_share=0.2),
        give_up=0.2,
    ),
    "new": Product(
        about="songs that nobody has played yet",
        weights={"popular": 0.0},
        rules=FusionRecipe(per_artist=2, cold_share=1.0),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """One song for a user.

    Attributes
    ----------
    rank : int
        From 1.
    song_id, title, artist : str
        Empty where the store has no tag.
    channel : str
        What stands for it: the channel that gave it the most.
    reason : str
        In words.
    evidence : str
        The song of the history that the reason is about; empty for none.
    cold : bool
        Nobody has played it yet.
    uri : str
    duration_s : float
    """

    rank: int
    song_id: str
    title: str = ""
    artist: str = ""
    channel: str
    reason: str
    evidence: str = ""
    cold: bool = False
    uri: str = ""
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What one channel says of one song."""

    channel: str
    rank: int  # in the list of the channel
    reason: str  # in words


@dataclass(frozen=True, kw_only=True, eq=False)
class Recommender:
    """Channels, ready to be asked for any user of a log.

    Attributes
    ----------
    log : Interactions
    store : SearchableStore, optional
        How songs sound, and their tags.
    known : SongSide, optional
        What else is known of songs: artists and, as ``title``, titles where no tag has them.
    models : path, optional
        A folder of models, each as `Channel.save` writes it. A channel that has one there is not
        fitted anew.
    """

    log: Interactions
    store: SearchableStore | None = None
    known: SongSide | None = None
    models: Path | None = None
    notes: list[str] = field(default_factory=list)  # channels that are missing, and why

    @cached_property
    def plays(self) -> Sequences:
        """Finished plays of each user."""
        return to_sequences(self.log)

    @cached_property
    def side(self) -> SongSide | None:
        """What is known of songs, from tables and from the store."""
        heard = None if self.store is None else side_of_store(self.store)
        if self.known is None or heard is None:
            return self.known or heard
        return completed(self.known, heard)

    @cached_property
    def channels(self) -> tuple[Channel, ...]:
        """Models of the folder, and what could be fitted on the log."""
        found = [] if self.models is None else self._loaded(self.models)
        there = {channel.name for channel in found}
        sound = None if self.store is None else Sound.of_store(self.store)
        context = Context(sound=sound, side=self.side)
        data = RecallData(self.plays, context.song_ids, context)
        for name in COUNTED:
            if name in there:
                continue
            try:
                found.append(channel_class(name)().fit(data))
            except InputError as error:
                self.notes.append(str(error))
        return tuple(found)

    @cached_property
    def closed(self) -> Closed:
        """What users must not get."""
        return closed_by(self.log)

    def recommend(self, user_id: str, k: int = 30, *, entry: str = "daily") -> list[Recommendation]:
        """Return songs for a user, the best first.

        Parameters
        ----------
        user_id : str
        k : int
        entry : {"daily", "radio", "discover", "new"}
            What the list is for; see `ENTRIES`.

        Raises
        ------
        InputError
            If there is no such entry, or the log has no such user: names those most like it.
        """
        found = ENTRIES.get(entry)
        if found is None:
            raise InputError(f"no entry {entry!r}; there are: {', '.join(ENTRIES)}")
        self._require(user_id)
        tables = [self._table(channel, user_id) for channel in self.channels]
        weights = [
            found.weights.get(c.name, found.weights.get(c.horizon, 1.0)) for c in self.channels
        ]
        recipe = replace(found.rules, k=k, weights=tuple(weights))
        facts = facts_of(self.plays, self.side, self.store)
        rows = fuse(tables, recipe, facts, self.closed).to_pylist()
        return [self._worded(row, user_id) for row in rows]

    def why(self, user_id: str, song_id: str) -> list[Proposal]:
        """Return what each channel says of a song, the surest first; none if no one proposes it."""
        self._require(user_id)
        found = []
        for channel in self.channels:
            for row in self._table(channel, user_id).to_pylist():
                if row["song_id"] == song_id:
                    words = self._words(row, user_id)
                    found.append(Proposal(channel=channel.name, rank=row["rank"], reason=words))
        return sorted(found, key=lambda one: one.rank)

    def _loaded(self, folder: Path) -> list[Channel]:
        """Load the models of a folder, one of each channel; others are passed over."""
        places = sorted(folder.glob(f"*/{MODEL_FILE}"))
        if not places:
            raise InputError(
                f"{folder}: holds no model; one a folder is what it should hold: "
                f"audiorec recall train vs-knn -i LOG --out {folder}/vs-knn"
            )
        found: dict[str, Channel] = {}
        for place in places:
            channel = load_channel(place.parent)
            found.setdefault(channel.name, channel)
        return list(found.values())

    def _require(self, user_id: str) -> None:
        if user_id not in self.log.user_ids:
            near = ", ".join(near_names(strings(self.log.user_ids), user_id))
            hint = f"; did you mean {near}?" if near else ""
            raise InputError(f"the log has no user {user_id!r}{hint}")

    def _table(self, channel: Channel, user_id: str) -> Any:
        """Return what one channel proposes to the user, as a table of candidates."""
        row = np.array([self.plays.owner_ids.index(user_id)], np.int64)
        history = self.plays.take(row)
        hidden = None if channel.name == "replay" else history
        asked = Queries(history, self._follows.take(row))
        found = channel.recall(asked, DEPTH, exclude=hidden, cold=DEPTH)
        return found.to_table([user_id], channel=channel.name, model_id=channel.model_id)

    @cached_property
    def _follows(self) -> Sequences:
        return follows(self.log, self.plays.owner_ids)

    def _worded(self, row: Mapping[str, Any], user_id: str) -> Recommendation:
        tags = self._tags.get(row["song_id"], {})
        return Recommendation(
            rank=row["rank"],
            song_id=row["song_id"],
            title=tags.get("title") or "",
            artist=tags.get("artist") or "",
            channel=row["channel"],
            reason=self._words(row, user_id),
            evidence=row["evidence"] or "",
            cold=row["cold"],
            uri=tags.get("uri") or "",
            duration_s=tags.get("duration_s") or 0.0,
        )

    def _words(self, row: Mapping[str, Any], user_id: str) -> str:
        evidence = row["evidence"]
        of = row["song_id"] if row["reason"] == "replay" else evidence
        plays = self.plays.among(self.log.song_ids)
        own = plays[self.plays.owner_ids.index(user_id)]
        times = 0 if of is None else int((own == self._row(of)).sum())
        listeners = self._listeners.get(row["song_id"], 0)
        return in_words(
            row["reason"],
            evidence=None if evidence is None else self._name(evidence),
            times=times,
            listeners=listeners,
            cold=row["cold"],
        )

    def _row(self, song_id: str) -> int:
        return self._rows.get(song_id, -1)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {song: row for row, song in enumerate(self.log.song_ids)}

    @cached_property
    def _listeners(self) -> dict[str, int]:
        """How many users played each song."""
        n = max(1, len(self.plays.song_ids))
        pairs = np.unique(self.plays.owner * n + self.plays.song)
        counts = np.bincount(pairs % n, minlength=n)[: len(self.plays.song_ids)]
        return dict(zip(self.plays.song_ids, counts.tolist(), strict=True))

    @cached_property
    def _tags(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        if self.known is not None:
            names = [n for n in ("title", "artist") if n in self.known.categories]
            texts = [self.known.categories[name].texts() for name in names]
            rows = zip(self.known.song_ids, *texts, strict=True)
            found = {song: dict(zip(names, row, strict=True)) for song, *row in rows}
        if self.store is not None:
            table: pa.Table = self.store.table(["title", "artist", "uri", "duration_s"])
            for song, tags in zip(self.store.ids, table.to_pylist(), strict=True):
                found[song] = {**found.get(song, {}), **{n: v for n, v in tags.items() if v}}
        return found

    def _name(self, song_id: str) -> str:
        return self._tags.get(song_id, {}).get("title") or song_id
