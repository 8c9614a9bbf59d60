"""Word the reasons of candidates with facts of the log, and portray what users play.

    log, plays, side information, tags ──ReasonWriter──▶ the reason of a candidate as a phrase
    plays, side information ──portraits──▶ user_id, horizon, kind, value, share, plays

A portrait has the long- and short-term shares of artists, genres, languages and voices in a user's
plays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.columns import ListColumns
from audiorec.files.arrow import integers
from audiorec.listening.events import Interactions
from audiorec.listening.reading import likes
from audiorec.listening.sequences import DAY_S, Sequences
from audiorec.listening.side import SongSide
from audiorec.recall.contract.candidates import ReasonKind
from audiorec.types import Float64Array, IdMap, Int64Array, nth, string_array

ONCE, TWICE = 1, 2
FEW = 2  # minimum number of shared owners that is mentioned


def reason_phrase(
    reason: str,
    *,
    evidence: str | None = None,
    times: int = 0,
    week: int = 0,
    listeners: int = 0,
    together: int = 0,
    lists: int = 0,
    liked: bool = False,
    same_artist: bool = False,
    genre: str = "",
    cold: bool = False,
) -> str:
    """Return a reason as an English phrase.

    Parameters
    ----------
    reason : str
        A `ReasonKind`.
    evidence : str, optional
        Title of the user's song that explains the candidate.
    times, week : int
        How often the user finished the evidence (for ``replay``: the proposed song), in total and
        in the last seven days.
    listeners : int
        Users who played the proposed song.
    together : int
        Users who played both songs.
    lists : int
        Playlists that contain both songs.
    liked : bool
        Whether the user marked the evidence as liked.
    same_artist : bool
        Whether both songs are by one artist.
    genre : str
        Genre of the proposed song, if it is one of the user's main genres.
    cold : bool
        Whether nobody has played the proposed song yet.

    Examples
    --------
    >>> reason_phrase("sound", evidence="Blue", times=2)
    'sounds like Blue, which you played twice'
    >>> reason_phrase("follows", evidence="Blue", times=3, week=2)
    'often played after Blue, which you finished twice this week'
    >>> reason_phrase("listeners", evidence="Blue", lists=14)
    'in 14 lists with Blue'
    >>> reason_phrase("sound", evidence="Blue", genre="jazz", cold=True)
    'new, sounds like your jazz'
    >>> reason_phrase("replay", times=5)
    'you come back to it: played 5 times'
    >>> reason_phrase("taste")
    'close to what you listen to'
    """
    known = None if evidence is None else f"{evidence}{_played(times, week)}"
    match reason:
        case ReasonKind.REPLAY:
            said = f"you come back to it: played {_times(times)}"
            if times <= ONCE:
                said = "you played it before"
            if week > ONCE:
                said = f"you finished it {_times(week)} this week"
        case ReasonKind.POPULAR:
            said = f"popular: {listeners:,} listeners" if listeners > 1 else "popular"
        case ReasonKind.POPULAR_NOW:
            said = "popular now"
        case ReasonKind.FOLLOWS:
            said = f"often played after {known}" if known else "often played after your last songs"
        case ReasonKind.LISTENERS:
            said = _by_listeners(evidence, known, together, lists)
        case ReasonKind.LIKED:
            done = "liked" if liked else "played"
            how = "sounds like" if cold else "goes with"  # a song without plays is found by sound
            what = f"{evidence}, which" if evidence else "what"
            said = f"{how} {what} you {done} lately"
        case ReasonKind.SOUND:
            if cold and genre:
                known = f"your {genre}"
            said = f"sounds like {known}" if known else "sounds like your last songs"
        case ReasonKind.ARTIST:
            said = "sounds like artists you like"
            if known:
                said = f"its artist sounds like that of {known}"
            if same_artist:
                said = f"by the artist of {known}"
        case ReasonKind.TASTE:
            said = f"close to {known}" if known else "close to what you listen to"
        case _:
            said = f"because of {known}" if known else "proposed by another system"
    return f"new, {said}" if cold else said


def _by_listeners(evidence: str | None, known: str | None, together: int, lists: int) -> str:
    if evidence is None:
        return "by listeners of the same songs"
    if lists >= FEW:
        return f"in {lists:,} lists with {known}"
    if together >= FEW:
        return f"{together:,} listeners of {evidence} play it"
    return f"by listeners of {known}"


def _played(times: int, week: int) -> str:
    if week > ONCE:
        return f", which you finished {_times(week)} this week"
    return f", which you played {_times(times)}" if times > ONCE else ""


def _times(n: int) -> str:
    return {ONCE: "once", TWICE: "twice"}.get(n, f"{n} times")


WEEK_DAYS = 7.0
OWN_GENRES = 3  # most played genres of a user, which a reason may name: "your jazz"
LEAST_SHARE = 0.15  # minimum share of plays of such a genre


@dataclass(frozen=True, kw_only=True, eq=False)
class ReasonWriter:
    """Writer of reasons, with facts of a log.

    Attributes
    ----------
    log : Interactions
    plays : Sequences
        Finished plays of the log.
    lists : Sequences, optional
        Playlists.
    side : SongSide, optional
    tags : mapping of str to mapping
        ``title`` and ``artist`` by song.
    """

    log: Interactions
    plays: Sequences
    lists: Sequences | None
    side: SongSide | None
    tags: Mapping[str, Mapping[str, Any]]

    def name(self, song_id: str) -> str:
        """Return the title of a song, or its id if it has none."""
        return self.tags.get(song_id, {}).get("title") or song_id

    def words(self, row: Mapping[str, Any], user_id: str) -> str:
        """Return the reason of a candidate as a phrase."""
        song, evidence = row[ListColumns.SONG], row["evidence"]
        of = song if row["reason"] == "replay" else evidence
        times, week = self._times(user_id, of)
        artists = [self._artist(one) for one in (song, evidence)]
        return reason_phrase(
            row["reason"],
            evidence=None if evidence is None else self.name(evidence),
            times=times,
            week=week,
            listeners=self._both(self._by_song, song, song),
            together=0 if evidence is None else self._both(self._by_song, song, evidence),
            lists=0 if evidence is None else self._both(self._by_list, song, evidence),
            liked=evidence is not None and evidence in self._liked(user_id),
            same_artist=bool(artists[0]) and artists[0] == artists[1],
            genre=self._own_genre(song, user_id),
            cold=row["cold"],
        )

    def _times(self, user_id: str, song_id: str | None) -> tuple[int, int]:
        """Return how often the user finished a song: in total, and in the last week of the log."""
        row = self._song_row(song_id)
        if row < 0:
            return 0, 0
        at = self._user_row(user_id)
        if at < 0:
            return 0, 0
        part = slice(self.plays.starts[at], self.plays.starts[at + 1])
        mine = self.plays.song[part] == row
        lately = self.plays.time[part] > self._newest - WEEK_DAYS * DAY_S
        return int(mine.sum()), int((mine & lately).sum())

    @cached_property
    def _newest(self) -> float:
        known = self.plays.time[~np.isnan(self.plays.time)]
        return float(known.max()) if len(known) else np.inf

    def _both(self, index: "_Owners | None", song: str, other: str) -> int:
        """Return the number of owners that have both songs, which may be the same song."""
        if index is None:
            return 0
        one = index.of(song)
        return len(one) if song == other else len(np.intersect1d(one, index.of(other)))

    @cached_property
    def _by_song(self) -> "_Owners":
        return _Owners(self.plays)

    @cached_property
    def _by_list(self) -> "_Owners | None":
        return None if self.lists is None else _Owners(self.lists)

    @cached_property
    def _likes(self) -> Sequences:
        return likes(self.log, self.plays.owner_ids)

    def _liked(self, user_id: str) -> set[str]:
        at = self._user_row(user_id)
        own = self._likes[at] if at >= 0 else self._likes.song[:0]
        return {self._likes.song_ids[song] for song in own.tolist()}

    def _artist(self, song_id: str | None) -> str:
        return "" if song_id is None else self.tags.get(song_id, {}).get("artist") or ""

    def _own_genre(self, song_id: str, user_id: str) -> str:
        """Return the genre of a song if it is one of the user's main genres, else an empty text."""
        genre = self._genres.get(song_id, "")
        if not genre or self._user_row(user_id) < 0:
            return ""
        own = self.plays[self._user_row(user_id)]
        played = [self._genres.get(self.plays.song_ids[song], "") for song in own.tolist()]
        known = [one for one in played if one]
        counts = {one: known.count(one) for one in sorted(set(known))}
        most = sorted(counts, key=lambda one: -counts[one])[:OWN_GENRES]
        return genre if genre in most and counts[genre] >= LEAST_SHARE * len(known) else ""

    @cached_property
    def _genres(self) -> dict[str, str]:
        return {} if self.side is None else self.side.named("genre")

    @cached_property
    def _rows(self) -> tuple[dict[str, int], dict[str, int]]:
        users = {name: row for row, name in enumerate(self.plays.owner_ids)}
        return users, {name: row for row, name in enumerate(self.plays.song_ids)}

    def _user_row(self, user_id: str) -> int:
        """Return the row of a user in the plays; -1 if the log has no such user."""
        return self._rows[0].get(user_id, -1)

    def _song_row(self, song_id: str | None) -> int:
        return -1 if song_id is None else self._rows[1].get(song_id, -1)


class _Owners:
    """Index from songs to their owners: users with a play, or lists."""

    def __init__(self, plays: Sequences) -> None:
        owner, song, _ = plays.distinct()
        order = np.argsort(song, kind="stable")
        self._owner = owner[order]
        self._starts = np.searchsorted(song[order], np.arange(len(plays.song_ids) + 1))
        self._rows = {song: row for row, song in enumerate(plays.song_ids)}

    def of(self, song_id: str) -> Int64Array:
        """Return the owners of a song, sorted."""
        row = self._rows.get(song_id)
        if row is None:
            return np.empty(0, np.int64)
        return np.asarray(self._owner[self._starts[row] : self._starts[row + 1]], np.int64)


KINDS = ("artist", "genre", "version", "language")
MOST = 10  # values per kind
HALF_LIVES = {"long": 90.0, "short": 3.0}  # days
PLAYS_A_DAY = 10.0  # assumed if plays have no times
PORTRAIT = pa.schema(
    [
        pa.field(ListColumns.USER, pa.string(), nullable=False),
        pa.field("horizon", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("value", pa.string(), nullable=False),
        pa.field("share", pa.float32(), nullable=False),  # of the plays whose value is known
        pa.field("plays", pa.int32(), nullable=False),
    ]
)


def portraits(plays: Sequences, side: SongSide, *, most: int = MOST) -> Any:
    """Return the portraits of all owners as one table: a `pyarrow.Table` of `PORTRAIT`.

    If plays have no times, ten of them count as a day. Only finished plays count, so portraits show
    what a user stays with, not what the user tried.

    Parameters
    ----------
    plays : Sequences
        Finished plays of U users.
    side : SongSide
        Artists, genres and the like, from metadata or from the heads of a store
        (`audiorec.listening.side.side_of_store`).
    most : int
        Values kept per kind, those with the largest shares.

    Notes
    -----
    Rows are sorted by user, horizon, kind and share, the largest share first, ties by value.
    """
    parts = [PORTRAIT.empty_table()]

    def add(owner: Any, horizon: str, kind: str, value: Any, share: Any, counts: Any) -> None:
        texts = [pa.repeat(pa.scalar(text), len(owner)) for text in (horizon, kind)]
        figures = [pa.array(share.astype(np.float32)), pa.array(counts.astype(np.int32))]
        users = string_array(plays.owner_ids).take(integers(owner))
        parts.append(pa.Table.from_arrays([users, *texts, value, *figures], schema=PORTRAIT))

    age = _ages(plays)
    song = IdMap(side.song_ids).rows(plays.song_ids)[plays.song]
    for horizon, half_life in HALF_LIVES.items():
        weight = np.exp2(-age / half_life)
        for kind in KINDS:
            if kind not in side.categories:
                continue
            category = side.categories[kind]
            value = np.append(category.number, -1)[song].astype(np.int64)
            owner, value, share, counts = _shares(plays.owner, value, weight, most)
            values = string_array(category.values).take(integers(value))
            add(owner, horizon, kind, values, share, counts)
    table = pa.concat_tables(parts)
    order = [(name, "ascending") for name in (ListColumns.USER, "horizon", "kind")]
    return table.sort_by([*order, ("share", "descending"), ("value", "ascending")])


def _ages(plays: Sequences) -> Float64Array:
    """Return the age of each play relative to its owner's last one, in days: (P,)."""
    last = plays.starts[1:][plays.owner] - 1
    in_plays = (last - np.arange(len(plays.song))) / PLAYS_A_DAY
    days = (plays.time[last] - plays.time) / DAY_S
    return np.where(np.isnan(days), in_plays, days)


def _shares(
    owner: Int64Array, value: Int64Array, weight: Float64Array, most: int
) -> tuple[Int64Array, Int64Array, Float64Array, Int64Array]:
    """Return owner, value, share and plays of the `most` largest values of each owner."""
    known = value >= 0
    owner, value, weight = owner[known], value[known], weight[known]
    width = int(value.max(initial=0)) + 1
    pairs, place, counts = np.unique(owner * width + value, return_inverse=True, return_counts=True)
    sums = np.bincount(place, weight, len(pairs))
    whose = pairs // width
    totals = np.bincount(whose, sums)
    share = sums / totals[whose]
    order = np.lexsort((pairs, -share, whose))
    order = order[nth(whose[order]) < most]
    return whose[order], pairs[order] % width, share[order], counts[order].astype(np.int64)
