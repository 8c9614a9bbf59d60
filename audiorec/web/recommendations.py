"""Recommendations for the page: each channel's list with reasons, and live fusion settings.

    DIR of `recall run` ──`RecommendationPages`──▶ users; for one user each channel's list, fused
                                                   playlists that other people made
    a history, dials    ──`ask`────────▶ the same for any history: plays, or chosen songs
    any of its tables   ──`UserRows`───▶ the rows of one user

The channels are queried once per history; changing a dial only fuses their lists again, which
takes milliseconds. Users' lists come from the files of the run; for a made-up history the models
beside them are queried.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ListColumns, ShownColumns
from audiorec.errors import AudiorecError, InputError, StoreError
from audiorec.files.own_files import read_object, refuse_link
from audiorec.files.tables import TableFile
from audiorec.files.user_files import from_table
from audiorec.listening.events import Interactions
from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences, to_sequences
from audiorec.listening.side import side_of_store
from audiorec.recall.contract.candidates import DEFAULT, SCHEMA
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Queries
from audiorec.recall.registry import load_channel
from audiorec.recall.serving.answers import DEPTH, CandidatesQuestion
from audiorec.recall.serving.exclusions import ask_channel, excluded_by, traits_of, with_copies
from audiorec.recall.serving.fuse import DefaultRule, fuse, read_default, settings_of
from audiorec.recall.serving.nightly.current import RANKED, file_stem, served_files, served_folder
from audiorec.recall.serving.one_user.reasons import reason_phrase
from audiorec.recall.serving.playlists import LISTS
from audiorec.recall.serving.rules import REPLAY, Exclusions, FusionRecipe, SongTraits
from audiorec.types import Int64Array
from audiorec.web.editions import Editions
from audiorec.web.forms import fields_for, inputs, read_form
from audiorec.web.song_columns import SongColumns, songs_by_id

if TYPE_CHECKING:
    from starlette.requests import Request

SHOWN = 50  # songs of a channel sent to the page
MOST_USERS = 200  # users in the answer to a search
MOST_HISTORY = 500
KEPT = 16  # histories whose lists are cached
HEAVIEST = 10.0  # largest weight of a channel
SOMEBODY = "you"
Document = dict[str, Any]
DIALS = tuple(  # "Variety: how much ..." is a label, and what it means
    replace(one, label=one.about.partition(":")[0]) for one in fields_for(FusionRecipe)
)


class UserRows:
    """A table with one group of rows for each user, kept open.

    Parameters
    ----------
    path : Path

    Raises
    ------
    StoreError
        If the file is damaged or a link; on first use, if rows of a user do not stand together.
    """

    def __init__(self, path: Path) -> None:
        refuse_link(path)
        self._file = TableFile.open(path)

    @cached_property
    def users(self) -> Any:
        """The users, each once: a `pyarrow.StringArray`."""
        return self._runs[0]

    @cached_property
    def _runs(self) -> tuple[Any, Int64Array]:
        """Return the users, and where the rows of each end."""
        column = self._file.read([ListColumns.USER]).column(ListColumns.USER)
        runs = pc.run_end_encode(column.combine_chunks())
        if pc.count_distinct(runs.values).as_py() != len(runs.values):
            raise StoreError(f"{self._file.path}: rows are not grouped by user")
        return runs.values, np.asarray(runs.run_ends, np.int64)

    def of(self, user_id: str, schema: Any) -> Any:
        """Return the rows of a user as a table; empty if there are none."""
        users, ends = self._runs
        place = pc.index(users, pa.scalar(user_id, users.type)).as_py()
        start = int(ends[place - 1]) if place > 0 else 0
        stop = int(ends[place]) if place >= 0 else 0
        return self._file.take(np.arange(start, stop), schema.names).cast(schema)


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
    """Recommendations from a folder that ``recall run`` wrote.

    Parameters
    ----------
    folder : Path
    shelf : SongColumns
        The library of the recommended songs.
    log : Interactions, optional
        Listening log, shown as users' histories and used for the popularity dial.

    Raises
    ------
    InputError
        If the folder holds no lists.
    """

    def __init__(self, folder: Path, shelf: SongColumns, log: Interactions | None = None) -> None:
        self.folder, self._shelf, self._log = folder, shelf, log
        lists = sorted((folder / "candidates").glob("*.parquet"))
        if not lists:
            raise InputError(
                f"{folder}: has no candidate lists; to write such a folder: audiorec recall run "
                "--config recall.toml"
            )
        self._record = self._read_record()
        asked = self._order
        there = {path.stem: path for path in lists}
        self.channels = tuple(
            sorted(there, key=lambda n: (asked.index(n) if n in asked else -1, n))
        )
        self._lists = {name: UserRows(there[name]) for name in self.channels}
        self.default = read_default(folder)
        self._asked: OrderedDict[AskedUser, tuple[dict[str, Any], Exclusions]] = OrderedDict()
        self._models: dict[str, Channel | str] = {}
        self._lock = threading.Lock()

    def over(self, shelf: SongColumns) -> "RecommendationPages":
        """Return the same recommendations over another edition of the library."""
        if shelf is self._shelf:
            return self
        return RecommendationPages(self.folder, shelf, self._log)

    @property
    def gets(self) -> "Mapping[str, Callable[[Request], Any]]":
        """Handlers of GET requests by path."""
        return {
            "/api/users": lambda r: self.users(r.query_params.get("find", "")),
            "/api/user": lambda r: self.user(r.query_params.get("id", "")),
        }

    @property
    def posts(self) -> Mapping[str, Callable[[dict[str, Any]], Any]]:
        """Handlers of POST requests by path."""
        return {"/api/fuse": self.fused, "/api/ask": self.ask}

    @cached_property
    def about(self) -> Document:
        """Summary of the run: channels, models, number of users, fusion settings."""
        return {
            "folder": str(self.folder),
            "channels": list(self.channels),
            "models": [n for n in self.channels if (self.folder / "models" / n).is_dir()],
            "users": len(self._users),
            ShownColumns.AT: self._record.get(ShownColumns.AT),
            ShownColumns.RUN: self.run_id,
            "fusion": {**settings_of(self._usual), "weights": self._weights},
            "dials": inputs(
                replace(one, usual=getattr(self._usual, one.name))
                for one in DIALS
                if self._log is not None or one.name != "popularity"  # it counts plays
            ),
            "has_log": self._log is not None,
        }

    @property
    def run_id(self) -> str:
        """The night that made the lists; empty if unknown."""
        return str(self._record.get(ShownColumns.RUN, ""))

    def _read_record(self) -> dict[str, Any]:
        """Return the record of the run; empty if it cannot be read."""
        try:
            return read_object(self.folder / "run.json")
        except (OSError, StoreError, ValueError):
            return {}

    @cached_property
    def _order(self) -> list[str]:
        """Return the channels in the order of the run's weights; empty if unknown."""
        result = self._record.get("order")
        names = [n for n in result if isinstance(n, str)] if isinstance(result, list) else []
        return [file_stem(name) for name in names]  # as the files of their candidates

    @cached_property
    def _usual(self) -> FusionRecipe:
        """Return the run's fusion settings; if they are not valid, those of any fusion."""
        given = self._record.get("fusion")
        try:
            return from_table(FusionRecipe, given if isinstance(given, dict) else {}, "fusion")
        except InputError:
            return FusionRecipe()

    @cached_property
    def _weights(self) -> dict[str, float]:
        """Return the weight of each channel in the run; 1 if unknown."""
        order, weights = self._order, self._usual.weights
        known = dict(zip(order, weights, strict=True)) if len(order) == len(weights) else {}
        return {name: min(known.get(name, 1.0), HEAVIEST) for name in self.channels}

    def users(self, text: str) -> Document:
        """Return the first users whose id contains a text (ignoring case), and how many do."""
        wanted = text.casefold()
        result = [user for user in self._users if wanted in user.casefold()]
        return {"users": result[:MOST_USERS], "total": len(result)}

    def user(self, user_id: str) -> Document:
        """Return the history of a user, if there is a log, and each channel's candidates."""
        tables = self._tables_of(user_id)
        return {
            "user": user_id,
            "history": [self._song(song) for song in self._history(user_id)[-MOST_HISTORY:]],
            "channels": self._shown(tables, user_id),
            "lists": self._ranked_of(user_id),
        }

    def _ranked_of(self, user_id: str) -> list[Document]:
        """Return the playlists that are recommended to a user, with their songs if there is a log.

        Empty if the run ranked none.
        """
        if self._ranked is None:
            return []
        result = self._ranked.of(user_id, LISTS).sort_by("rank").to_pylist()
        for one in result:
            songs = self._playlists.get(one["list_id"], [])
            there = songs_by_id(self._shelf.library, songs)
            one["rows"] = [row for row in dict.fromkeys(there) if row is not None]
        return [{name: one[name] for name in one if name != ListColumns.USER} for one in result]

    @cached_property
    def _ranked(self) -> UserRows | None:
        path = self.folder / RANKED
        return UserRows(path) if path.exists() else None

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

    def fused(self, wish: Mapping[str, Any]) -> Document:
        """Fuse the lists of a user with other settings."""
        user_id = wish.get("user")
        if not isinstance(user_id, str):
            raise InputError("user: give the id of a user")
        return self._fused(self._tables_of(user_id), wish, user_id, self._closed)

    def ask(self, wish: Mapping[str, Any]) -> Document:
        """Query the channels for somebody, and fuse their lists.

        Parameters
        ----------
        wish : mapping
            ``songs``: ids in listening order; ``likes``: liked songs; ``profile``: what is known of
            the user, by column of the profiles; ``hidden``: further songs to exclude; and
            ``dials``. Whom no channel knows gets the default list, as in ``recall run``.
        """
        asked = AskedUser.of(wish)
        if self.default is None and not (asked.songs or asked.likes or asked.profile):
            raise InputError("give a history of at least one song, liked songs, or a profile")
        tables, closed = self._answers(asked)
        shown = self._shown(tables, None, asked.songs)
        result = self._fused(tables, wish, None, closed, asked)
        notes = [f"{n}: {m}" for n, m in sorted(self._models.items()) if isinstance(m, str)]
        if any(song["channel"] == DEFAULT for song in result["fused"]):
            notes.append("no channel has songs for this user: this is the default list")
        return {"channels": shown, **result, "notes": notes}

    def _answers(self, asked: AskedUser) -> tuple[dict[str, Any], Exclusions]:
        """Return each channel's candidates for somebody, and the songs that are excluded.

        Both are cached for the next change of a dial.
        """
        question, facts = CandidatesQuestion.for_fusion(), self._facts
        with self._lock:
            if asked in self._asked:
                self._asked.move_to_end(asked)
                return self._asked[asked]
            heard = with_copies(asked.heard, facts)
            tables: dict[str, Any] = {}
            for name in self.channels:
                model = self._model(name)
                if isinstance(model, str):
                    continue
                try:
                    tables[name] = ask_channel(model, question, asked.queries, heard)
                except AudiorecError as error:
                    self._models[name] = str(error)
            if not tables:
                raise InputError(
                    "no model of this folder can be used: "
                    + "; ".join(str(m) for m in self._models.values())
                )
            self._asked[asked] = tables, Exclusions.of(heard=heard)
            if len(self._asked) > KEPT:
                self._asked.popitem(last=False)
            return self._asked[asked]

    def _model(self, name: str) -> Channel | str:
        """Return a channel, or the reason why it cannot be used."""
        if name not in self._models:
            try:
                self._models[name] = load_channel(self.folder / "models" / name)
            except AudiorecError as error:
                self._models[name] = str(error)
        return self._models[name]

    def _fused(
        self,
        tables: Mapping[str, Any],
        wish: Mapping[str, Any],
        user_id: str | None,
        closed: Exclusions,
        asked: AskedUser | None = None,
    ) -> Document:
        recipe = self._recipe(wish, tuple(tables))
        if recipe is None:
            return {"fused": []}
        if asked is None or self.default is None:
            result = fuse(list(tables.values()), recipe, self._facts, closed)
        else:
            rule = DefaultRule(
                default=self.default.of_people(asked.people),
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

    def _recipe(self, wish: Mapping[str, Any], channels: tuple[str, ...]) -> FusionRecipe | None:
        """Return the fusion settings: those of the run, overridden by the page's dials.

        None if all weights or quotas are 0.
        """
        dials = wish.get("dials")
        dials = dials if isinstance(dials, dict) else {}
        weights = dials.get("weights")
        weights = weights if isinstance(weights, dict) else {}
        turned = {one.name for one in DIALS if one.name in dials}
        read = read_form(DIALS, {name: dials[name] for name in turned})
        given: dict[str, Any] = {name: read[name] for name in turned}
        given["k"] = int(_within(dials.get("k", 30), DEPTH)) or 30
        usual = self._weights
        given["weights"] = tuple(_within(weights.get(n, usual[n]), HEAVIEST) for n in channels)
        if isinstance(dials.get("quotas"), dict):
            cold_share = given.get("cold_share", self._usual.cold_share)
            given |= _by_quotas(dials["quotas"], channels, cold_share)
        return replace(self._usual, **given) if any(given["weights"]) else None

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
        places = songs_by_id(self._shelf.library, ids)
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

    def _song(self, song_id: str) -> Document:
        return {"id": song_id, "row": songs_by_id(self._shelf.library, [song_id])[0]}

    def _title(self, song_id: str) -> str:
        return self._titles.get(song_id) or song_id

    def _tables_of(self, user_id: str) -> dict[str, Any]:
        """Return a user's rows in the list of each channel."""
        tables = {name: rows.of(user_id, SCHEMA) for name, rows in self._lists.items()}
        if not any(map(len, tables.values())):
            raise InputError(f"the lists have no user {user_id!r}")
        return tables

    @cached_property
    def _users(self) -> list[str]:
        return sorted({u for rows in self._lists.values() for u in rows.users.to_pylist()})

    @cached_property
    def _plays(self) -> Sequences | None:
        return None if self._log is None else to_sequences(self._log)

    @cached_property
    def _facts(self) -> SongTraits:
        library = self._shelf.library
        with self._shelf.lock:
            return traits_of(self._plays, side_of_store(library), library)

    @cached_property
    def _closed(self) -> Exclusions:
        if self._log is None:
            return Exclusions()
        return excluded_by(self._log, facts=self._facts)

    @cached_property
    def _titles(self) -> dict[str, str]:
        library = self._shelf.library
        with self._shelf.lock:
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


def followed_nights(
    recall: Path, shelf: SongColumns, log: Interactions | None = None
) -> Editions[RecommendationPages]:
    """Return the recommendations of a folder, anew when a run or a promotion changes it.

    Parameters
    ----------
    recall : Path
        The folder that ``recall run`` wrote; of days, the one that is served counts.
    shelf, log
        As for `RecommendationPages`.
    """
    return Editions(
        lambda: [recall, *served_files(recall)],  # the first of them always exists
        lambda: RecommendationPages(served_folder(recall), shelf, log),
    )


def _ids(value: Any) -> tuple[str, ...]:
    """Check song ids sent by a page and return them; raise `InputError` for anything else."""
    good = isinstance(value, list) and len(value) <= MOST_HISTORY
    if not good or not all(isinstance(song, str) for song in value):
        raise InputError(f"a list of at most {MOST_HISTORY} song ids is expected")
    return tuple(value)


def _by_quotas(
    quotas: Mapping[str, Any], channels: Sequence[str], cold_share: float
) -> dict[str, Any]:
    """Return fusion settings for fixed quotas per channel; the list is as long as their sum."""
    places = [int(_within(quotas.get(name, 0), DEPTH)) for name in channels]
    whole = sum(places)
    if whole > DEPTH:
        raise InputError(f"a list has at most {DEPTH} places, the quotas come to {whole}")
    heard = sum(n for n, name in zip(places, channels, strict=True) if name == REPLAY)
    replay_share = heard / max(1, whole)
    return {
        "method": "quotas",
        "points": (),
        "weights": tuple(map(float, places)),
        "k": max(1, whole),
        # Heard songs have their own places; new songs get theirs from the other channels.
        "replay_share": replay_share,
        "cold_share": min(cold_share, 1.0 - replay_share),
    }


def _within(value: Any, most: float) -> float:
    """Check a number between 0 and `most` and return it; raise `InputError` for anything else."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not good or not 0 <= value <= most:
        raise InputError(f"a dial must be between 0 and {most:g}, got {value!r}")
    return float(value)
