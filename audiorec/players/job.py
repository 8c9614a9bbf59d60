"""One sync: pull what was played, add it to the log, make the lists, and keep them on the server.

    servers, a store, a log ──sync──▶ `ServerReport`s: songs, events, lists, what failed
    servers                 ──undo_sync──▶ the same, for lists alone

An account that fails is reported, and the others go on. All that a sync writes is the log, a table
of unmatched songs beside it, the ledger of our lists, and the lists themselves.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from audiorec.columns import LogColumns
from audiorec.errors import AudiorecError, InputError, PlayerError
from audiorec.files.own_files import RunFolder
from audiorec.files.tables import write_plain
from audiorec.files.user_files import read_lines
from audiorec.library.library import Library
from audiorec.listening.imports.job import KnownSongs, path_beside
from audiorec.listening.imports.rows import SongRef
from audiorec.players.contract import Player, PlayerSong
from audiorec.players.log import continued, read_log
from audiorec.players.matching import Matched, match, server_ids
from audiorec.players.push import NO_FILES, ListChange, ledger_of, push, undo
from audiorec.players.settings import ListRecipe, Server, ServerMember
from audiorec.recall.serving.one_user.answers import RecommendQuestion

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
                self.there[name] = list(player.songs())
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

    def _listen(self) -> None:
        """Match by sound what nothing else names; what fails leaves these songs unmatched."""
        from audiorec.players.sound import match_by_sound  # opens what extraction needs

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
                    found = made.songs(recipe, name, self.server.models)
                except InputError as error:
                    failed[f"{name}: {recipe.name}"] = str(error)
                    continue
                wanted[recipe.name] = tuple(ids[song] for song in found if ids.get(song) in there)
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
                self._made[recipe] = list(dict.fromkeys(self._asked(recipe)))
            return self._made[recipe]
        if not self.log.exists():  # nobody has played anything yet
            return []
        question = replace(question, user_id=user)
        found = self._recommended(question, models)
        if len(found) < question.k:  # in a household, most songs are still unheard
            found = [*found, *self._recommended(replace(question, entry=FILLED_BY), models)]
        return list(dict.fromkeys(found))[: question.k]

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

    def _asked(self, recipe: ListRecipe) -> Iterator[str]:
        if recipe.file is None:
            answer = self.library.ask(recipe.question)
            yield from (one[LogColumns.SONG] for one in answer.entries())
            return
        for line in read_lines(str(recipe.file), "cannot be read"):
            if line and not line.startswith("#"):
                found = self.known.find(SongRef(path=str(recipe.file.parent / line)))
                if found.row >= 0:
                    yield self.known.ids[found.row]


def _refuse_if_all_failed(reports: list[ServerReport]) -> list[ServerReport]:
    """Raise the first error if no account is left."""
    failed = [why for report in reports for why in report.failed.values()]
    if failed and not any(report.lists or report.songs for report in reports):
        raise PlayerError(failed[0])
    return reports
