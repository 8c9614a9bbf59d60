"""Recommendations for the page: each channel's list with reasons, and all of them as one list.

    DIR of `recall run` ──`RecommendationPages`──▶ users; for one user each channel's list, fused
                                                   playlists that other people made
    a history           ──`ask`────────▶ the same for any history: plays, or chosen songs

Lists are fused by the settings of the run. Users' lists come from the files of the run; for a
made-up history the models beside them are queried.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.columns import ListColumns, ShownColumns
from audiorec.errors import AudiorecError, InputError
from audiorec.listening.events import Interactions
from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences, to_sequences
from audiorec.listening.side import side_of_store
from audiorec.recall.contract.candidates import DEFAULT
from audiorec.recall.contract.data import Queries
from audiorec.recall.serving.answers import DEPTH, CandidatesQuestion
from audiorec.recall.serving.exclusions import ask_channel, excluded_by, traits_of, with_copies
from audiorec.recall.serving.fuse import DefaultRule, fuse
from audiorec.recall.serving.nightly.current import served_files, served_folder
from audiorec.recall.serving.one_user.reasons import reason_phrase
from audiorec.recall.serving.rules import Exclusions, SongTraits
from audiorec.web.editions import Editions
from audiorec.web.nights import ServedNight
from audiorec.web.song_columns import SongColumns, songs_by_id

SHOWN = 50  # songs of a channel sent to the page
MOST_USERS = 200  # users in the answer to a search
MOST_HISTORY = 500
USUAL_K = 30  # songs of a fused list
SOMEBODY = "you"
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class AskedUser:
    """What a request says of a user."""

    songs: tuple[str, ...]  # in listening order
    hidden: tuple[str, ...]  # further songs to exclude
    likes: tuple[str, ...]
    profile: tuple[tuple[str, str | float], ...]  # columns and values

    @classmethod
    def of(cls, wish: Mapping[str, Any]) -> "AskedUser":
        """Check what a request says, and raise `InputError` if that is not possible."""
        songs, hidden, likes = (_ids(wish.get(name, [])) for name in ("songs", "hidden", "likes"))
        profile = wish.get("profile", {})
        Profiles.of_user(SOMEBODY, profile)
        return cls(songs, hidden, likes, tuple(profile.items()))

    @property
    def history(self) -> Sequences:
        """The plays of the user."""
        return Sequences.from_lists([list(self.songs)], [SOMEBODY])

    @property
    def heard(self) -> Sequences:
        """The songs that are not proposed."""
        return Sequences.from_lists([[*self.songs, *self.hidden, *self.likes]], [SOMEBODY])

    @property
    def people(self) -> Profiles:
        """The profile of the user."""
        return Profiles.of_user(SOMEBODY, dict(self.profile))

    @property
    def queries(self) -> Queries:
        """What channels are asked."""
        likes = Sequences.from_lists([list(self.likes)], [SOMEBODY])
        people = self.people if self.profile else None
        return Queries(self.history, None, people, likes=likes if self.likes else None)


class RecommendationPages:
    """Recommendations of a night.

    Parameters
    ----------
    night : ServedNight
    shelf : SongColumns
        The library of the recommended songs.
    log : Interactions, optional
        Listening log, for reasons, and for what users have heard.
    """

    def __init__(
        self, night: ServedNight, shelf: SongColumns, log: Interactions | None = None
    ) -> None:
        self.night, self.shelf, self._log = night, shelf, log
        self._lock = threading.Lock()

    @cached_property
    def about(self) -> Document:
        """What the page has to know of the run: its id, and which channels have models."""
        models = self.night.folder / "models"
        return {
            "models": [name for name in self.night.channels if (models / name).is_dir()],
            ShownColumns.RUN: self.night.run_id,
        }

    @cached_property
    def _weights(self) -> dict[str, float]:
        """Return the weight of each channel in the run, the largest at least 1; 1 if unknown."""
        order, weights = self.night.order, self.night.recipe.weights
        shares = [weight / min(1.0, max(weights)) for weight in weights]  # learnt: shares of 1
        known = dict(zip(order, shares, strict=True)) if len(order) == len(weights) else {}
        return {name: known.get(name, 1.0) for name in self.night.channels}

    def users(self, text: str) -> Document:
        """Return the first users whose id contains a text (ignoring case), and how many do."""
        wanted = text.casefold()
        result = [user for user in self._users if wanted in user.casefold()]
        return {"users": result[:MOST_USERS], "total": len(result)}

    def user(self, user_id: str) -> Document:
        """Return a user's list, each channel's candidates, and the playlists that are proposed."""
        tables = self._tables_of(user_id)
        return {
            "user": user_id,
            "channels": self._shown(tables, user_id),
            "lists": self._ranked_of(user_id),
            **self._fused(tables, user_id, self._closed),
        }

    def _ranked_of(self, user_id: str) -> list[Document]:
        """Return the playlists that are recommended to a user, with their songs if there is a log.

        Empty if the run ranked none.
        """
        if self.night.ranked is None:
            return []
        result = self.night.ranked.of(user_id).sort_by("rank").to_pylist()
        for one in result:
            songs = self._playlists.get(one["list_id"], [])
            there = songs_by_id(self.shelf.library, songs)
            one["rows"] = [row for row in dict.fromkeys(there) if row is not None]
        return [{name: one[name] for name in one if name != ListColumns.USER} for one in result]

    @cached_property
    def _playlists(self) -> dict[str, list[str]]:
        """The songs of each playlist of the log."""
        if self._log is None:
            return {}
        lists = to_sequences(self._log, by="list")
        return {
            name: [lists.song_ids[song] for song in lists[row].tolist()]
            for row, name in enumerate(lists.owner_ids)
        }

    def ask(self, wish: Mapping[str, Any], *, k: int = USUAL_K) -> Document:
        """Query the channels for somebody, and fuse their lists.

        Parameters
        ----------
        wish : mapping
            ``songs``: ids in listening order; ``likes``: liked songs; ``profile``: what is known of
            the user, by column of the profiles; ``hidden``: further songs to exclude. Whom no
            channel knows gets the default list, as in ``recall run``.
        k : int
            The length of the fused list.
        """
        asked = AskedUser.of(wish)
        if self.night.default is None and not (asked.songs or asked.likes or asked.profile):
            raise InputError("give a history of at least one song, liked songs, or a profile")
        tables, closed, why_not = self._answers(asked)
        shown = self._shown(tables, None, asked.songs)
        result = self._fused(tables, None, closed, asked, k=k)
        notes = [*why_not]
        if any(song["channel"] == DEFAULT for song in result["fused"]):
            notes.append("no channel has songs for this user: this is the default list")
        return {"channels": shown, **result, "notes": notes}

    def _answers(self, asked: AskedUser) -> tuple[dict[str, Any], Exclusions, list[str]]:
        """Return each channel's candidates for somebody, excluded songs, and why channels lack."""
        question, heard = CandidatesQuestion.for_fusion(), with_copies(asked.heard, self._facts)
        tables: dict[str, Any] = {}
        lacking: dict[str, str] = {}
        with self._lock:  # one request at a time asks the models
            for name, model in self.night.models.items():
                try:
                    if isinstance(model, str):
                        raise InputError(model)
                    tables[name] = ask_channel(model, question, asked.queries, heard)
                except AudiorecError as error:
                    lacking[name] = str(error)
        if not tables:
            said = "; ".join(lacking.values())
            raise InputError(f"no model of this folder can be used: {said}")
        notes = [f"{name}: {why}" for name, why in sorted(lacking.items())]
        return tables, Exclusions.of(heard=heard), notes

    def _fused(
        self,
        tables: Mapping[str, Any],
        user_id: str | None,
        closed: Exclusions,
        asked: AskedUser | None = None,
        *,
        k: int = USUAL_K,
    ) -> Document:
        weights = tuple(self._weights[name] for name in tables)
        if not any(weights):
            return {"fused": []}
        recipe = replace(self.night.recipe, k=k, weights=weights)
        if asked is None or self.night.default is None:
            result = fuse(list(tables.values()), recipe, self._facts, closed)
        else:
            rule = DefaultRule(
                default=self.night.default.of_people(asked.people),
                recipe=recipe,
                depth=DEPTH,
                facts=self._facts,
                excluded=closed,
            )
            result = rule.fuse(list(tables.values()), asked.history)
        rows = result.to_pylist()
        named = self._named(rows, user_id, () if asked is None else asked.songs)
        for row, one in zip(rows, named, strict=True):
            one |= {"rank": row["rank"], "channel": row["channel"], "cold": row["cold"]}
        return {"fused": named}

    def _shown(
        self, tables: Mapping[str, Any], user_id: str | None, songs: Sequence[str] = ()
    ) -> list[Document]:
        """Return the top songs of each channel."""
        result = []
        for name, table in tables.items():
            rows = table.sort_by([("cold", "ascending"), ("rank", "ascending")])
            rows = rows.slice(0, SHOWN).to_pylist()
            named = self._named(rows, user_id, songs)
            for row, one in zip(rows, named, strict=True):
                one |= {"interest": row["interest"], "cold": row["cold"]}
            result.append({"channel": name, "songs": named})
        return result

    def _named(
        self, rows: Sequence[Mapping[str, Any]], user_id: str | None, songs: Sequence[str]
    ) -> list[Document]:
        """Return songs with their row in the library and the reason in words."""
        ids = [row[ListColumns.SONG] for row in rows]
        own = list(songs) if user_id is None else self._history(user_id)
        places = songs_by_id(self.shelf.library, ids)
        result = []
        for row, place in zip(rows, places, strict=True):
            of = row[ListColumns.SONG] if row["reason"] == "replay" else row["evidence"]
            result.append(
                {
                    "row": place,
                    "id": row[ListColumns.SONG],
                    "why": reason_phrase(
                        row["reason"],
                        evidence=None if row["evidence"] is None else self._title(row["evidence"]),
                        times=own.count(of),
                        listeners=self._listeners.get(row[ListColumns.SONG], 0),
                        cold=row["cold"],
                    ),
                }
            )
        return result

    def _title(self, song_id: str) -> str:
        return self._titles.get(song_id) or song_id

    def _tables_of(self, user_id: str) -> dict[str, Any]:
        """Return a user's rows in the list of each channel."""
        tables = {name: rows.of(user_id) for name, rows in self.night.lists.items()}
        if not any(map(len, tables.values())):
            raise InputError(f"the lists have no user {user_id!r}")
        return tables

    @cached_property
    def _users(self) -> list[str]:
        return sorted({u for rows in self.night.lists.values() for u in rows.users})

    @cached_property
    def _plays(self) -> Sequences | None:
        return None if self._log is None else to_sequences(self._log)

    @cached_property
    def _facts(self) -> SongTraits:
        library = self.shelf.library
        with self.shelf.lock:
            return traits_of(self._plays, side_of_store(library), library)

    @cached_property
    def _closed(self) -> Exclusions:
        if self._log is None:
            return Exclusions()
        return excluded_by(self._log, facts=self._facts)

    @cached_property
    def _titles(self) -> dict[str, str]:
        library = self.shelf.library
        with self.shelf.lock:
            titles = library.column("title").to_pylist()
        return {song: title for song, title in zip(library.ids, titles, strict=True) if title}

    @cached_property
    def _listeners(self) -> dict[str, int]:
        """Number of users who played each song."""
        plays = self._plays
        if plays is None:
            return {}
        counts = np.bincount(plays.distinct()[1], minlength=len(plays.song_ids))
        return dict(zip(plays.song_ids, counts.tolist(), strict=True))

    def _history(self, user_id: str) -> list[str]:
        plays = self._plays
        if plays is None or user_id not in self._owners:
            return []
        return [plays.song_ids[song] for song in plays[self._owners[user_id]].tolist()]

    @cached_property
    def _owners(self) -> dict[str, int]:
        owner_ids = () if self._plays is None else self._plays.owner_ids
        return {user: row for row, user in enumerate(owner_ids)}


def followed_nights(recall: Path) -> Editions[ServedNight]:
    """Return the night of a folder that is served, anew when a run or a promotion changes it.

    `recall` is the folder that ``recall run`` wrote; of days, the one that is served counts.
    """
    return Editions(
        lambda: [recall, *served_files(recall)],  # the first of them always exists
        lambda: ServedNight(served_folder(recall)),
    )


def _ids(value: Any) -> tuple[str, ...]:
    """Check song ids sent by a page and return them; raise `InputError` for anything else."""
    good = isinstance(value, list) and len(value) <= MOST_HISTORY
    if not good or not all(isinstance(song, str) for song in value):
        raise InputError(f"a list of at most {MOST_HISTORY} song ids is expected")
    return tuple(value)
