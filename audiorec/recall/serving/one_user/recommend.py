"""Recommend songs to one user from a log and optional models, each with a reason in words.

    log, store, models ──Recommender──▶ channels ──recall──▶ lists ──fuse──▶ `Recommendation`
                                                        ──mixes──▶ a list for each interest
                                                        ──lists──▶ existing playlists

No trained model is needed: channels that learn by counting are fitted to the log on first use.

Rank existing playlists for one user.

`ranked_lists` takes playlists, the songs proposed to the user and those that the user knows, and
returns the playlists that suit best as `ListProposal` objects.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ListColumns
from audiorec.errors import InputError
from audiorec.listening.events import EVENTS, Interactions
from audiorec.listening.profiles import Profiles
from audiorec.listening.reading import follows, likes
from audiorec.listening.sequences import Sequences, to_sequences
from audiorec.listening.side import SongSide, known_side
from audiorec.recall.contract.candidates import DefaultList
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Context, Queries, RecallData, Sound
from audiorec.recall.registry import channel_class, load_channel
from audiorec.recall.serving.answers import (
    DEPTH,
    CandidatesQuestion,
    ListProposal,
    Mix,
    Proposal,
    RecommendAnswer,
    Recommendation,
    RecommendQuestion,
    SongExplanation,
)
from audiorec.recall.serving.exclusions import ask_channel, excluded_by, traits_of, with_copies
from audiorec.recall.serving.fuse import DefaultRule
from audiorec.recall.serving.one_user.reasons import ReasonWriter, portraits
from audiorec.recall.serving.playlists import FLATNESS, ListRanking, makers_of
from audiorec.recall.serving.rules import ENTRIES, Exclusions, SongTraits
from audiorec.search.searchable import SearchableStore
from audiorec.store.store import near_names
from audiorec.types import normalised_name, string_array

NAMED = 2  # songs named in a reason


def ranked_lists(
    ranking: ListRanking,
    *,
    proposed: Sequence[str],
    known: Sequence[str],
    name: Callable[[str], str],
    user_id: str = "",
    k: int = 10,
) -> list[ListProposal]:
    """Return the best playlists for a user, from proposed and played songs.

    Parameters
    ----------
    ranking : ListRanking
    proposed : sequence of str
        Songs proposed to the user, best first.
    known : sequence of str
        Songs that the user played, newest first.
    name : callable
        Maps a song id to a title.
    user_id : str
        The user's own lists are left out.
    k : int
        Maximum number of lists.

    Examples
    --------
    >>> lists = Sequences.from_lists([["a", "b", "c"], ["a", "x"], ["y"]], ["one", "two", "three"])
    >>> found = ranked_lists(ListRanking(lists), proposed=["b", "c"], known=["a"], name=str.upper)
    >>> [(one.list_id, one.known, one.proposed, one.reason) for one in found]
    ... # doctest: +NORMALIZE_WHITESPACE
    [('one', 1, 2, 'you know A; suits you: B, C'), ('two', 1, 0, 'you know A')]
    """
    place, played = ({song: n for n, song in enumerate(of)} for of in (proposed, known))
    lists = ranking.lists
    ranks = 1 / (FLATNESS + np.arange(len(proposed)) + 1)
    wished, heard = (
        ranking.songs_of(np.zeros(len(of), np.int64), list(of), values, 1)
        for of, values in ((proposed, ranks), (played, np.ones(len(played))))
    )
    order, _ = ranking.best(wished, heard, k, [user_id])
    found_lists: list[ListProposal] = []
    for row in order[0][order[0] >= 0].tolist():
        own = list(dict.fromkeys(lists.song_ids[song] for song in lists[row].tolist()))
        mine = sorted((one for one in own if one in played), key=played.__getitem__)
        suits = sorted(
            (one for one in own if one in place and one not in played), key=place.__getitem__
        )
        parts = []
        for said, songs in (("you know", mine), ("suits you:", suits)):
            more = f" and {len(songs) - NAMED} more" if len(songs) > NAMED else ""
            if songs:
                parts.append(f"{said} {', '.join(map(name, songs[:NAMED]))}{more}")
        found_lists.append(
            ListProposal(
                rank=len(found_lists) + 1,
                list_id=lists.owner_ids[row],
                songs=len(own),
                known=len(mine),
                proposed=len(suits),
                reason="; ".join(parts),
            )
        )
    return found_lists


# Channels that are fitted to the log if no model is given.
COUNTED = (
    *("vs-knn", "item-knn", "rules", "recent-likes", "nearest-audio", "nearest-artist"),
    *("popular", "replay"),
)
MIXED = 4  # songs fused per song of a mix, before they are divided by interest
MOST_MIXES = 5
# Kinds of interests, and the minimum share of plays of one.
INTERESTS = {"genre": 0.1, "artist": 0.02}
MODEL_FILE = "model.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class Recommender:
    """Fitted channels that recommend songs to any user of a log.

    Attributes
    ----------
    log : Interactions
    store : SearchableStore, optional
        Sound and tags of songs.
    sound : Sound, optional
        Sound of songs, used if there is no store.
    known : SongSide, optional
        Side information: artists and, as ``title``, titles of songs without a tag.
    people : Profiles, optional
        Profiles of users, for trained models that use them and for default lists by country.
    models : path, optional
        A folder of models that `Channel.save` wrote, used in place of fitting these channels to
        the log.
    lists : Sequences, optional
        Playlists; by default those of the log.
    weights : mapping of str to float, optional
        Learnt weights of channels; by default all are equal.
    """

    log: Interactions
    store: SearchableStore | None = None
    sound: Sound | None = None
    known: SongSide | None = None
    people: Profiles | None = None
    models: Path | None = None
    lists: Sequences | None = None
    weights: Mapping[str, float] | None = None
    notes: list[str] = field(default_factory=list)  # why channels are missing

    @cached_property
    def plays(self) -> Sequences:
        """Finished plays of each user."""
        return to_sequences(self.log)

    @cached_property
    def side(self) -> SongSide | None:
        """Side information of songs, from `known` and from the store."""
        return known_side(self.known, self.store)

    @cached_property
    def channels(self) -> tuple[Channel, ...]:
        """Models of the folder, and channels that could be fitted to the log."""
        result = [] if self.models is None else self._loaded(self.models)
        there = {channel.name for channel in result}
        sound = self.sound if self.store is None else Sound.of_store(self.store)
        sound = None if sound is None else sound.with_artists(self.side)
        context = Context(sound=sound, side=self.side)
        data = RecallData(self.plays, context.song_ids, context)
        for name in COUNTED:
            if name in there:
                continue
            try:
                result.append(channel_class(name)().fit(data))
            except InputError as error:
                self.notes.append(str(error))
        return tuple(result)

    @cached_property
    def excluded(self) -> Exclusions:
        """Songs and artists that the log excludes for each user."""
        return excluded_by(self.log, facts=self._facts)

    def ask(self, question: RecommendQuestion) -> RecommendAnswer:
        """Answer a question: songs, a list for each interest, or playlists.

        Raises
        ------
        InputError
            As `recommend`, `mixes` and `recommend_lists`.
        """
        user, k, entry = question.user_id, question.k, question.entry
        mixes: list[Mix] = []
        lists: list[ListProposal] = []
        if question.what == "lists":
            lists = self.recommend_lists(user, k)
        elif question.what == "mixes":
            mixes = self.mixes(user, k, entry=entry)
        else:
            mixes = [Mix(name="", songs=tuple(self.recommend(user, k, entry=entry)))]
        return RecommendAnswer(
            question=question,
            mixes=tuple(mixes),
            lists=tuple(lists),
            channels=tuple(channel.name for channel in self.channels),
            why_default=self.why_default(user) if question.what == "songs" else "",
            notes=tuple(self.notes),
            is_trained=self.models is not None,
        )

    def recommend(self, user_id: str, k: int = 30, *, entry: str = "daily") -> list[Recommendation]:
        """Return songs for a user, best first.

        Parameters
        ----------
        user_id : str
        k : int
            Maximum number of songs.
        entry : {"daily", "radio", "discover", "new"}
            The product that the list is for; see `ENTRIES`.

        Notes
        -----
        A user without a finished play, in the log or not, gets the default list
        (`audiorec.recall.serving.fuse`), and so does one to whom no channel proposes a song.

        Raises
        ------
        InputError
            If the entry is unknown.
        """
        rows = self._fused(user_id, k, entry).to_pylist()
        return [self._worded(row, user_id) for row in rows]

    def _fused(self, user_id: str, k: int, entry: str) -> Any:
        """Return the fused list of a user as a table of candidates."""
        result = ENTRIES.get(entry)
        if result is None:
            raise InputError(f"unknown entry {entry!r}; there are: {', '.join(ENTRIES)}")
        tables = [self._table(channel, user_id) for channel in self.channels]
        recipe = result.recipe_for(self.channels, k, self.weights)
        rule = DefaultRule(
            default=self._default(entry),
            recipe=recipe,
            depth=max(k, DEPTH),
            facts=self._facts,
            excluded=self.excluded,
        )
        return rule.fuse(tables, self.plays.of_owners([user_id]))

    def _default(self, entry: str) -> DefaultList:
        """Return the songs of users without a history, in one product."""
        if entry not in self._defaults:
            self._defaults[entry] = DefaultList.of(self.log, entry, self.people)
        return self._defaults[entry]

    @cached_property
    def _defaults(self) -> dict[str, DefaultList]:
        return {}

    def why_default(self, user_id: str) -> str:
        """Return why a user gets the default list, in words; empty if the log has a play."""
        if user_id not in self.log.user_ids:
            near = ", ".join(near_names(string_array(self.log.user_ids), user_id))
            hint = f"; did you mean {near}?" if near else ""
            return f"the log has no user {user_id!r}{hint}"
        plays = self.plays.of_owners([user_id])
        return "" if len(plays.song) else f"{user_id} has no finished play in the log"

    def mixes(self, user_id: str, k: int = 30, *, entry: str = "daily") -> list[Mix]:
        """Return a list for each interest of a user, the strongest interest first.

        Interests are the most played genres or, if few of the played songs have a genre, the most
        played artists. A song belongs to the interest of its own genre, or else to that of its
        evidence; artist interests use the evidence first.

        Raises
        ------
        InputError
            As for `recommend`, and if genres and artists of the user's songs are unknown.
        """
        self._require(user_id)
        kind, values = self._interests(user_id)
        rows = self._fused(user_id, MIXED * k * len(values), entry).to_pylist()
        labels = self.side.named(kind) if self.side is not None else {}
        songs: dict[str, list[Recommendation]] = {value: [] for value in values}
        for row in rows:
            own, of = labels.get(row[ListColumns.SONG], ""), labels.get(row["evidence"] or "", "")
            first, second = (own, of) if kind == "genre" else (of, own)
            value = first if first in songs else second
            if value in songs and len(songs[value]) < k:
                place = len(songs[value]) + 1
                songs[value].append(replace(self._worded(row, user_id), rank=place))
        return [
            Mix(name=value if kind != "artist" else f"{value} and the like", songs=tuple(of))
            for value, of in songs.items()
            if of
        ]

    def recommend_lists(self, user_id: str, k: int = 10) -> list[ListProposal]:
        """Return the best playlists for a user.

        Lists are scored by songs that the channels propose, with more weight on the top ranks, and
        by songs that the user knows, relative to their length. The user's own lists are left out.

        Raises
        ------
        InputError
            If there are no playlists; also as for `recommend`.
        """
        self._require(user_id)
        if self._ranking is None:
            raise InputError("no playlists; the log needs rows with event playlist and a list_id")
        rows = self._fused(user_id, DEPTH, "daily").to_pylist()
        return ranked_lists(
            self._ranking,
            proposed=[row[ListColumns.SONG] for row in rows],
            known=self._played(user_id),
            name=self._teller.name,
            user_id=user_id,
            k=k,
        )

    def why(self, user_id: str, song_id: str) -> list[Proposal]:
        """Return the channels that propose a song to a user, by rank; empty if none does."""
        self._require(user_id)
        result = []
        for channel in self.channels:
            table = self._table(channel, user_id)
            for row in table.filter(pc.equal(table.column(ListColumns.SONG), song_id)).to_pylist():
                words = self._teller.words(row, user_id)
                result.append(Proposal(channel=channel.name, rank=row["rank"], reason=words))
        return sorted(result, key=lambda one: one.rank)

    def explain(
        self, user_id: str, song_id: str, k: int = 30, *, entry: str = "daily"
    ) -> SongExplanation:
        """Explain one song for a user: its place in the list, and the channels that propose it.

        Raises
        ------
        InputError
            As for `recommend`.
        """
        proposals = tuple(self.why(user_id, song_id))
        songs = self._fused(user_id, k, entry).column(ListColumns.SONG).to_pylist()
        tags = self._tags.get(song_id, {})
        return SongExplanation(
            song_id=song_id,
            title=tags.get("title") or "",
            artist=tags.get("artist") or "",
            place=songs.index(song_id) + 1 if song_id in songs else 0,
            excluded_because=self._excluded_because(user_id, song_id, tags.get("artist") or ""),
            proposals=proposals,
        )

    def _excluded_because(self, user_id: str, song_id: str, artist: str) -> str:
        """Return why a song is excluded for a user; empty if it is not."""
        sides = (
            (self.excluded.never, song_id, "the user disliked or blocked it"),
            (self.excluded.artists, normalised_name(artist), "the user blocked its artist"),
            (self.excluded.heard, song_id, "the user has heard it; only replay can propose it"),
        )
        for lists, name, said in sides:
            if lists is not None and lists.holds(user_id, name):
                return said
        return ""

    def _interests(self, user_id: str) -> tuple[str, list[str]]:
        """Return the kind of a user's interests, and the strongest ones."""
        if self.side is None:
            raise InputError("mixes need genres or artists of songs; give `side` or `vectors`")
        row = np.array([self.plays.owner_ids.index(user_id)])
        shares = portraits(self.plays.take(row), self.side).to_pylist()
        plays = max(1, int(self.plays.lengths[row[0]]))
        for kind, least in INTERESTS.items():
            long = [s for s in shares if s["horizon"] == "long" and s["kind"] == kind]
            known = sum(s["plays"] for s in long)
            values = [s["value"] for s in long if s["share"] >= least][:MOST_MIXES]
            if values and (kind == "artist" or known >= plays / 2):
                return kind, values
        raise InputError(f"no song that {user_id} plays has a known genre or artist")

    @cached_property
    def _facts(self) -> SongTraits:
        return traits_of(self.plays, self.side, self.store)

    @cached_property
    def _ranking(self) -> ListRanking | None:
        lists = self.lists
        if lists is None and (self.log.event == EVENTS.index("playlist")).any():
            lists = to_sequences(self.log, by="list")
        return None if lists is None else ListRanking(lists, makers_of(lists, self.log))

    def _played(self, user_id: str) -> list[str]:
        """Return the songs that a user finished, newest first."""
        own = self.plays[self.plays.owner_ids.index(user_id)][::-1]
        return list(dict.fromkeys(self.plays.song_ids[song] for song in own.tolist()))

    @cached_property
    def _teller(self) -> ReasonWriter:
        return ReasonWriter(
            log=self.log,
            plays=self.plays,
            lists=None if self._ranking is None else self._ranking.lists,
            side=self.side,
            tags=self._tags,
        )

    def _loaded(self, folder: Path) -> list[Channel]:
        """Load the models in a folder, the first of each channel."""
        places = sorted(folder.glob(f"*/{MODEL_FILE}"))
        if not places:
            raise InputError(
                f"{folder}: holds no model; train one into a folder below it: "
                f"audiorec recall train vs-knn -i LOG --out {folder}/vs-knn"
            )
        result: dict[str, Channel] = {}
        for place in places:
            channel = load_channel(place.parent)
            result.setdefault(channel.name, channel)
        return list(result.values())

    def _require(self, user_id: str) -> None:
        if user_id not in self.log.user_ids:
            raise InputError(self.why_default(user_id))

    def _table(self, channel: Channel, user_id: str) -> Any:
        """Return the candidates of one channel for the user as a table."""
        history = self.plays.of_owners([user_id])
        said = None if self._likes is None else self._likes.of_owners([user_id])
        profile = None if self.people is None else self.people.for_users([user_id])
        asked = Queries(history, self._follows.of_owners([user_id]), profile, likes=said)
        heard = with_copies(history, self._facts)
        return ask_channel(channel, CandidatesQuestion.for_fusion(), asked, heard)

    @cached_property
    def _follows(self) -> Sequences:
        return follows(self.log, self.plays.owner_ids)

    @cached_property
    def _likes(self) -> Sequences | None:
        """Likes of the log; None if it has none at all."""
        result = likes(self.log, self.plays.owner_ids)
        return result if len(result.song) else None

    def _worded(self, row: Mapping[str, Any], user_id: str) -> Recommendation:
        tags = self._tags.get(row[ListColumns.SONG], {})
        return Recommendation(
            rank=row["rank"],
            song_id=row[ListColumns.SONG],
            title=tags.get("title") or "",
            artist=tags.get("artist") or "",
            channel=row["channel"],
            reason=self._teller.words(row, user_id),
            evidence=row["evidence"] or "",
            cold=row["cold"],
            uri=tags.get("uri") or "",
            duration_s=tags.get("duration_s") or 0.0,
        )

    @cached_property
    def _tags(self) -> dict[str, dict[str, Any]]:
        result: dict[str, dict[str, Any]] = {}
        if self.known is not None:
            for name in ("title", "artist"):
                for song, text in self.known.named(name).items():
                    result.setdefault(song, {})[name] = text
        if self.store is not None:
            table: pa.Table = self.store.table(["title", "artist", "uri", "duration_s"])
            for song, tags in zip(self.store.ids, table.to_pylist(), strict=True):
                result[song] = {**result.get(song, {}), **{n: v for n, v in tags.items() if v}}
        return result
