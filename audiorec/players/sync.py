"""One sync: pull what was played, add it to the log, make the lists, and keep them on the server.

    servers, a store, a log ──sync──▶ `ServerReport`s: songs, events, lists, what failed
    plays.parquet, `PlayerSong`s by user ──continued──▶ the log, and how many rows are new
    servers                 ──undo_sync──▶ the same, for lists alone

An account that fails is reported, and the others go on. All that a sync writes is the log, a table
of unmatched songs beside it, the ledger of our lists, and the lists themselves.
"""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import LogColumns
from audiorec.distribution import created_by
from audiorec.errors import AudiorecError, InputError, PlayerError
from audiorec.files.own_files import RunFolder
from audiorec.files.tables import write_plain
from audiorec.files.user_files import read_lines, read_table
from audiorec.library.library import Library
from audiorec.listening.events import MAX_WEIGHT, MICROSECONDS
from audiorec.listening.imports.importing import FORMAT_VERSION, PLAYS, KnownSongs, path_beside
from audiorec.listening.imports.rows import SongRef
from audiorec.players.bounds import OWN_SONG_BYTES, Held
from audiorec.players.contract import Player, PlayerSong
from audiorec.players.matching import Matched, match, match_by_sound, server_ids
from audiorec.players.push import NO_FILES, ListChange, ledger_of, push, undo
from audiorec.players.settings import ListRecipe, Server, ServerMember
from audiorec.recall.serving.answers import RecommendQuestion
from audiorec.store.schema import METADATA_KEY

VERDICTS = ("like", "dislike")
NEW = {"play": "plays", "skip": "skips", "like": "verdicts", "dislike": "verdicts"}
ONE_PLAY_S = 90.0  # a server tells the minute in which a play began
KEY = (LogColumns.USER, LogColumns.SONG, LogColumns.EVENT)
Row = tuple[str, str, str, float, int]  # user, song, event, time, weight
Known = Mapping[tuple[str, str, str], tuple[int, float]]  # the sum of weights, the last time


def read_log(path: Path) -> Any:
    """Return the log that a sync continues; an empty one if there is none yet.

    Raises `InputError` if it has columns that a sync would lose.
    """
    if not path.exists():
        about = {"kind": "interactions", "format_version": FORMAT_VERSION, "source": "sync"}
        content = json.dumps({**about, "created_by": created_by()}, sort_keys=True)
        return PLAYS.with_metadata({METADATA_KEY: content.encode()}).empty_table()
    table = read_table(path, "cannot be continued", needed=PLAYS.names, wanted=None)
    if table.column_names != PLAYS.names:
        raise InputError(
            f"{path}: is not a log of audiorec sync or listening import; choose another with `out`"
        )
    return table.cast(PLAYS.with_metadata(table.schema.metadata))


def continued(
    log: Any,
    server: str,
    heard: Mapping[str, Iterable[tuple[str, PlayerSong]]],
    *,
    now_s: float | None = None,
) -> tuple[Any, dict[str, int]]:
    """Return a log with the events of a server that it does not have yet.

    Servers count plays and tell the time of the last one. The plays of a user and a song that the
    log already has from this server (column ``entry``) are subtracted from the count, and the rest
    becomes one row with that ``weight``, at the time of the last play. So nothing is counted twice,
    and a sync that was killed has no trace. Of servers that only tell what is played now, a play is
    new if it began long enough after the last one. Likes and dislikes are what they are on the
    server now: one that was taken back leaves the log.

    Parameters
    ----------
    log : pyarrow.Table
        As `read_log` returns it.
    server : str
        The `entry` of its events.
    heard : mapping of str to iterable of (str, PlayerSong)
        By user: songs with their ids in the store.
    now_s : float, optional
        The time of what the server gives no time for; by default the present.

    Returns
    -------
    log : pyarrow.Table
    new : dict of str to int
        How many rows were added: ``plays``, ``skips``, and ``verdicts``, which are likes and
        dislikes; and how many of these were taken back, ``withdrawn``.
    """
    now = time.time() if now_s is None else now_s
    mine = pc.equal(log.column("entry"), server).fill_null(False)
    known = _known(log.filter(mine))
    states = {(user, song): s for user, songs in heard.items() for song, s in _states(songs)}
    rows = [row for key, state in states.items() for row in _rows(*key, state, known, now)]
    gone = {
        key
        for key in known
        if key[2] in VERDICTS and key[:2] in states and states[key[:2]].verdict != key[2]
    }
    kept = _without(log, mine, gone)
    new = dict.fromkeys([*NEW.values(), "withdrawn"], 0) | {"withdrawn": len(log) - len(kept)}
    for row in rows:
        new[NEW[row[2]]] += 1
    return pa.concat_tables([kept, _table(rows, server, log.schema)]), new


def _known(log: Any) -> Known:
    """Return what the log has from a server, by user, song and event."""
    times = log.column(LogColumns.TIME).cast(pa.int64())
    log = log.set_column(log.column_names.index(LogColumns.TIME), LogColumns.TIME, times)
    of = [(LogColumns.WEIGHT, "sum"), (LogColumns.TIME, "max")]
    result = log.group_by(list(KEY)).aggregate(of).select([*KEY, *(f"{c}_{how}" for c, how in of)])
    return {
        (user, song, event): (round(weight or 0), last / MICROSECONDS)
        for user, song, event, weight, last in zip(
            *(column.to_pylist() for column in result.columns), strict=True
        )
    }


def _states(songs: Iterable[tuple[str, PlayerSong]]) -> Iterable[tuple[str, PlayerSong]]:
    """Return what an account did with each song of the store, over all its copies on the server."""
    states: dict[str, PlayerSong] = {}
    for name, one in songs:
        states[name] = _joined(states[name], one) if name in states else one
    return states.items()


def _joined(one: PlayerSong, other: PlayerSong) -> PlayerSong:
    said = one if one.verdict == "like" or not other.verdict else other
    last: Any = {
        name: max(getattr(one, name) or 0.0, getattr(other, name) or 0.0) or None
        for name in ("played_s", "skipped_s", "now_s")
    }
    return replace(said, plays=one.plays + other.plays, skips=one.skips + other.skips, **last)


def _rows(user: str, song: str, state: PlayerSong, known: Known, now: float) -> Iterator[Row]:
    """Yield the events of a user and a song that are new."""
    for event, n, at in (
        ("play", state.plays, state.played_s),
        ("skip", state.skips, state.skipped_s),
    ):
        if (new := n - known.get((user, song, event), (0, 0))[0]) > 0:
            yield user, song, event, at or now, min(new, int(MAX_WEIGHT))
    _, last = known.get((user, song, "play"), (0, 0.0))
    if state.now_s and state.now_s - last > max(ONE_PLAY_S, state.song.duration_s / 2):
        yield user, song, "play", state.now_s, 1
    if state.verdict and (user, song, state.verdict) not in known:
        yield user, song, state.verdict, state.verdict_s or now, 1


def _without(log: Any, mine: Any, gone: set[tuple[str, str, str]]) -> Any:
    """Return the log without some keys of this server."""
    if not gone:
        return log
    keys = zip(*(log.column(name).to_pylist() for name in KEY), strict=True)
    stays = [not (own and key in gone) for own, key in zip(mine.to_pylist(), keys, strict=True)]
    return log.filter(pa.array(stays, pa.bool_()))


def _table(rows: list[Row], server: str, schema: Any) -> Any:
    rows = sorted(rows, key=lambda row: (row[3], row[:3]))
    users, songs, events, times, weights = zip(*rows, strict=True) if rows else [()] * 5
    columns = {
        LogColumns.USER: users,
        LogColumns.SONG: songs,
        LogColumns.TIME: [round(at * MICROSECONDS) for at in times],
        LogColumns.EVENT: events,
        LogColumns.PLAYED_RATIO: [None] * len(rows),
        LogColumns.WEIGHT: [float(n) for n in weights],
        "entry": [server] * len(rows),
    }
    return pa.table([pa.array(columns[f.name], f.type) for f in schema], schema=schema)


FILLED_BY: Literal["new"] = "new"  # the product whose songs fill a list that few users leave short
Say = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class ServerReport:
    """What a sync did with one server; `dataclasses.asdict` makes JSON of it."""

    server: str
    songs: int = 0  # of the server
    matched: int = 0  # songs that the store has
    ways: dict[str, int] = field(default_factory=dict)  # matched songs by how they were found
    new: dict[str, int] = field(default_factory=dict)  # rows of the log, see `log.continued`
    lists: dict[str, list[ListChange]] = field(default_factory=dict)  # by member
    failed: dict[str, str] = field(default_factory=dict)  # why, by account or list
    unmatched: str = ""  # path of the table of unmatched songs
    reasons: dict[str, int] = field(default_factory=dict)  # unmatched songs, most frequent first


def sync(
    servers: Sequence[Server],
    library: Library,
    log: Path,
    *,
    dry_run: bool = False,
    say: Say = lambda _: None,
) -> list[ServerReport]:
    """Pull events from servers into a log, and keep our lists on them.

    Parameters
    ----------
    servers : sequence of Server
    library : Library
        The songs to match with, and to make lists of.
    log : Path
        The log to continue or begin, ``.parquet``.
    dry_run : bool
        Ask the servers, and write nothing, here or there.
    say : callable
        Called with a line of progress.

    Raises
    ------
    InputError
        If the settings or the log cannot be used.
    PlayerError
        If no account of any server could be used.
    BusyStoreError
        If another sync writes the log.
    """
    if log.suffix.lower() != ".parquet":
        raise InputError(f"{log}: its name must end in .parquet")
    with ExitStack() as stack:
        if not dry_run:
            lock = RunFolder(log, NO_FILES)
            stack.callback(lock.release, remove=True)
        table, work = read_log(log), []
        known = KnownSongs(library)
        for server in servers:
            one = _Sync(server, library, known, stack, say, looks=dry_run)
            table, one.report.new = continued(table, server.name, one.heard())
            work.append(one)
        _refuse_if_all_failed([one.report for one in work])
        place = log
        if any(sum(one.report.new.values()) for one in work):
            if dry_run:
                place = Path(stack.enter_context(tempfile.TemporaryDirectory()), log.name)
            write_plain(place, table)
        lists = _ListMaker(library, known, place)
        for one in work:
            one.write_unmatched(log)
            one.push(lists)
    return _refuse_if_all_failed([one.report for one in work])


def undo_sync(
    servers: Sequence[Server], *, dry_run: bool = False, say: Say = lambda _: None
) -> list[ServerReport]:
    """Give all lists of ours on servers the songs that they had before their last change.

    Raises `PlayerError` if no account of any server could be used.
    """
    reports = []
    for server in servers:
        report = ServerReport(server=server.name)
        for member in server.members:
            name, account = server.called(member), (server.url, member.user)
            say(f"{server.name}: {name}")
            try:
                with server.player(member) as player, ledger_of(*account, looks=dry_run) as ledger:
                    there = {one.song.id for one in player.songs()}
                    report.lists[name] = list(undo(player, ledger, there=there))
            except PlayerError as error:
                report.failed[name] = str(error)
        reports.append(report)
    return _refuse_if_all_failed(reports)


class _Sync:
    """The songs of one server, matched once, and what each account did with them."""

    def __init__(
        self,
        server: Server,
        library: Library,
        known: KnownSongs,
        stack: ExitStack,
        say: Say,
        *,
        looks: bool,
    ) -> None:
        self.server, self.library, self.known = server, library, known
        self.say, self.looks = say, looks
        self.report = ServerReport(server=server.name)
        self.held = Held(server.url, OWN_SONG_BYTES * len(known.ids))
        self.matched: Matched = match(known, ())
        self.there: dict[str, list[PlayerSong]] = {}
        self.players: dict[str, tuple[ServerMember, Player]] = {}
        for member in server.members:
            player = server.player(member)
            stack.callback(player.close)
            self.players[server.called(member)] = (member, player)

    def heard(self) -> dict[str, list[tuple[str, PlayerSong]]]:
        """Ask all accounts; return their songs with the store's ids, by user."""
        refs: dict[str, SongRef] = {}
        for name, (_, player) in self.players.items():
            self.say(f"{self.server.name}: what {name} played")
            try:
                self.there[name] = list(self._kept(player.songs(), refs))
            except PlayerError as error:
                self.report.failed[name] = str(error)
                continue
            refs.update((one.song.id, one.song) for one in self.there[name])
        self.matched = match(self.known, refs.values())
        if self.server.by_sound and self.there and self.matched.unmatched:
            self._listen()
        rows, ids, report = self.matched.rows, self.known.ids, self.report
        report.songs, report.matched, report.ways = len(refs), len(rows), dict(self.matched.ways)
        reasons = Counter(one.reason for one in self.matched.unmatched)
        report.reasons = dict(reasons.most_common())
        return {
            name: [(ids[rows[one.song.id]], one) for one in songs if one.song.id in rows]
            for name, songs in self.there.items()
        }

    def _kept(
        self, songs: Iterator[PlayerSong], refs: Mapping[str, SongRef]
    ) -> Iterator[PlayerSong]:
        """Yield an account's songs; those of other accounts before it take no memory again."""
        for one in songs:
            known = refs.get(one.song.id)
            if known == one.song:
                self.held.keep(one)
                yield replace(one, song=known)
            else:
                self.held.keep(one, one.song, *one.song)
                yield one

    def _listen(self) -> None:
        """Match by sound what nothing else names; what fails leaves these songs unmatched."""
        member, player = self.players[next(iter(self.there))]
        self.say(f"{self.server.name}: listening to songs that nothing else names")
        try:
            with ledger_of(self.server.url, member.user, looks=self.looks) as ledger:
                self.matched = match_by_sound(self.library, player, self.matched, ledger)
        except AudiorecError as error:
            self.report.failed["by sound"] = str(error)

    def write_unmatched(self, log: Path) -> None:
        """Write the unmatched songs beside the log, if there are any."""
        if self.matched.unmatched and not self.looks:
            place = path_beside(log, f"{self.server.name}.unmatched")
            write_plain(place, self.matched.table())
            self.report.unmatched = str(place)

    def push(self, made: "_ListMaker") -> None:
        """Make the lists of each account, and keep them on the server."""
        ids, failed = server_ids(self.matched, self.known.ids), self.report.failed
        for name, songs in self.there.items():
            member, player = self.players[name]
            own = [one for one in self.server.lists if not one.members or name in one.members]
            there = {one.song.id for one in songs}
            self.say(f"{self.server.name}: the lists of {name}")
            wanted: dict[str, tuple[str, ...]] = {}
            for recipe in own:
                try:
                    result = made.songs(recipe, name, self.server.models)
                except InputError as error:
                    failed[f"{name}: {recipe.name}"] = str(error)
                    continue
                wanted[recipe.name] = tuple(ids[song] for song in result if ids.get(song) in there)
            changes, configured = self.report.lists.setdefault(name, []), [one.name for one in own]
            try:
                with ledger_of(self.server.url, member.user, looks=self.looks) as ledger:
                    for one in push(player, ledger, wanted, configured=configured, there=there):
                        changes.append(one)
            except PlayerError as error:
                failed[name] = str(error)


class _ListMaker:
    """Lists of songs of the store, made when they are asked for, and each once."""

    def __init__(self, library: Library, known: KnownSongs, log: Path) -> None:
        self.library, self.known, self.log = library, known, log
        self._recommenders: dict[Path | None, Any] = {}
        self._made: dict[Any, list[str]] = {}

    def songs(self, recipe: ListRecipe, user: str, models: Path | None) -> list[str]:
        """Return the ids of the songs of a list."""
        question = recipe.question
        if not isinstance(question, RecommendQuestion):
            if recipe not in self._made:
                self._made[recipe] = list(dict.fromkeys(self._list_songs(recipe)))
            return self._made[recipe]
        if not self.log.exists():  # nobody has played anything yet
            return []
        question = replace(question, user_id=user)
        result = self._recommended(question, models)
        if len(result) < question.k:  # in a household, most songs are still unheard
            result = [*result, *self._recommended(replace(question, entry=FILLED_BY), models)]
        return list(dict.fromkeys(result))[: question.k]

    def _recommended(self, question: RecommendQuestion, models: Path | None) -> list[str]:
        if models not in self._recommenders:
            from audiorec.listening.interactions import read_interactions
            from audiorec.recall.serving.one_user.recommend import Recommender

            log = read_interactions(self.log)
            self._recommenders[models] = Recommender(log=log, store=self.library, models=models)
        if (models, question) not in self._made:
            songs = self._recommenders[models].ask(question).songs
            self._made[models, question] = [song.song_id for song in songs]
        return self._made[models, question]

    def _list_songs(self, recipe: ListRecipe) -> Iterator[str]:
        if recipe.file is None:
            answer = self.library.ask(recipe.question)
            yield from (one[LogColumns.SONG] for one in answer.entries())
            return
        for line in read_lines(str(recipe.file), "cannot be read"):
            if line and not line.startswith("#"):
                result = self.known.find(SongRef(path=str(recipe.file.parent / line)))
                if result.row >= 0:
                    yield self.known.ids[result.row]


def _refuse_if_all_failed(reports: list[ServerReport]) -> list[ServerReport]:
    """Raise the first error if no account is left."""
    failed = [why for report in reports for why in report.failed.values()]
    if failed and not any(report.lists or report.songs for report in reports):
        raise PlayerError(failed[0])
    return reports
