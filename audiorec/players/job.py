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
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from audiorec.columns import LogColumns
from audiorec.errors import InputError, PlayerError
from audiorec.files.own_files import RunFolder
from audiorec.files.tables import write_plain
from audiorec.files.user_files import read_lines
from audiorec.library.library import Library
from audiorec.listening.imports.job import KnownSongs, path_beside
from audiorec.listening.imports.rows import SongRef
from audiorec.players.contract import Player, PlayerSong
from audiorec.players.log import ContinuedLog, continued, read_log
from audiorec.players.matching import Matched, match, server_ids
from audiorec.players.push import NO_FILES, ListChange, ledger_of, push, undo
from audiorec.players.settings import ListRecipe, Server, ServerMember
from audiorec.recall.serving.one_user.answers import RecommendQuestion
from audiorec.search.questions import FindQuestion

OF_A_SENTENCE = 3  # songs that a sentence adds to the seeds of a playlist
FILLED_BY: Literal["new"] = "new"  # the product whose songs fill a list that few users leave short
Say = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class ServerReport:
    """What a sync did with one server.

    Attributes
    ----------
    server : str
    songs, matched : int
        Songs of the server, and those that the store has.
    ways : Counter
        Matched songs by how they were found.
    plays, skips, verdicts, withdrawn : int
        Rows added to the log: plays, skips, likes and dislikes; and likes that were taken back.
    lists : dict of str to list of ListChange
        By member.
    failed : dict of str to str
        Why an account could not be used, by member.
    unmatched : Path or None
        The table of unmatched songs.
    reasons : Counter
        Unmatched songs by reason.
    """

    server: str
    songs: int = 0
    matched: int = 0
    ways: Counter[str] = field(default_factory=Counter)
    plays: int = 0
    skips: int = 0
    verdicts: int = 0
    withdrawn: int = 0
    lists: dict[str, list[ListChange]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    unmatched: Path | None = None
    reasons: Counter[str] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        content = asdict(self)
        unmatched = None if self.unmatched is None else str(self.unmatched)
        counts = {"ways": dict(self.ways), "reasons": dict(self.reasons)}
        return content | counts | {"unmatched": unmatched}


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
    known, reports, opened = KnownSongs(library), [], []
    with ExitStack() as stack:
        if not dry_run:
            lock = RunFolder(log, NO_FILES)
            stack.callback(lock.release, remove=True)
        table = read_log(log)
        for server in servers:
            report = ServerReport(server=server.name)
            pulled = _Pulled(server, known, report, stack, say)
            later = continued(table, server.name, pulled.heard())
            _count(report, later)
            table = later.table
            reports.append(report)
            opened.append(pulled)
        _refuse_if_all_failed(reports)
        place = log
        if dry_run:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory())) / log.name
        if any(r.plays or r.skips or r.verdicts or r.withdrawn for r in reports):
            write_plain(place, table)
        elif log.exists():
            place = log
        lists = _Made(library, known, place)
        for pulled in opened:
            if not dry_run:
                pulled.write_unmatched(log)
            pulled.push(lists, dry_run=dry_run)
        _refuse_if_all_failed(reports)
    return reports


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
            name = server.called(member)
            say(f"{server.name}: {name}")
            try:
                account = (server.url, member.user)
                with server.player(member) as player, ledger_of(*account, looks=dry_run) as ledger:
                    there = {one.song.id for one in player.songs()}
                    report.lists[name] = list(undo(player, ledger, there=there, dry_run=dry_run))
            except PlayerError as error:
                report.failed[name] = str(error)
        reports.append(report)
    _refuse_if_all_failed(reports)
    return reports


class _Pulled:
    """The songs of one server, matched once, and what each account did with them."""

    def __init__(
        self, server: Server, known: KnownSongs, report: ServerReport, stack: ExitStack, say: Say
    ) -> None:
        self.server, self.known, self.report, self.say = server, known, report, say
        self.players: dict[str, tuple[ServerMember, Player]] = {}
        self.refs: dict[str, SongRef] = {}
        self.there: dict[str, list[PlayerSong]] = {}
        for member in server.members:
            player = server.player(member)
            stack.callback(player.close)
            self.players[server.called(member)] = (member, player)

    def heard(self) -> dict[str, list[tuple[str, PlayerSong]]]:
        """Ask all accounts; return their songs with the store's ids, by user."""
        for name, (_, player) in self.players.items():
            self.say(f"{self.server.name}: what {name} played")
            try:
                self.there[name] = list(player.songs())
            except PlayerError as error:
                self.report.failed[name] = str(error)
                continue
            self.refs.update((one.song.id, one.song) for one in self.there[name])
        rows, ids = self.matched.rows, self.known.ids
        self.report.songs, self.report.matched = len(self.refs), len(rows)
        self.report.ways = self.matched.ways
        self.report.reasons = Counter(one.reason for one in self.matched.unmatched)
        return {
            name: [(ids[rows[one.song.id]], one) for one in songs if one.song.id in rows]
            for name, songs in self.there.items()
        }

    @cached_property
    def matched(self) -> Matched:
        """The songs of all accounts, matched with the store."""
        return match(self.known, self.refs.values())

    def write_unmatched(self, log: Path) -> None:
        """Write the unmatched songs beside the log, if there are any."""
        place = path_beside(log, f"{self.server.name}.unmatched")
        if self.matched.unmatched:
            write_plain(place, self.matched.table())
            self.report.unmatched = place

    def push(self, made: "_Made", *, dry_run: bool) -> None:
        """Make the lists of each account, and keep them on the server."""
        ids = server_ids(self.matched, self.known.ids)
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
                    self.report.failed[f"{name}: {recipe.name}"] = str(error)
                    continue
                wanted[recipe.name] = tuple(ids[song] for song in found if ids.get(song) in there)
            changes = self.report.lists.setdefault(name, [])
            options: Any = {"configured": {one.name for one in own}, "there": there}
            try:
                with ledger_of(self.server.url, member.user, looks=dry_run) as ledger:
                    for change in push(player, ledger, wanted, dry_run=dry_run, **options):
                        changes.append(change)
            except PlayerError as error:
                self.report.failed[name] = str(error)


class _Made:
    """Lists of songs of the store, made when they are asked for, and each once."""

    def __init__(self, library: Library, known: KnownSongs, log: Path) -> None:
        self.library, self.known, self.log = library, known, log
        self._recommenders: dict[Path | None, Any] = {}
        self._answers: dict[tuple[Path | None, RecommendQuestion], list[str]] = {}
        self._kept: dict[tuple[ListRecipe, str], list[str]] = {}

    def songs(self, recipe: ListRecipe, user: str, models: Path | None) -> list[str]:
        """Return the ids of the songs of a list."""
        is_personal = isinstance(recipe.question, RecommendQuestion)
        key = (recipe, user if is_personal else "")
        if key not in self._kept:
            found = (
                self._recommended(recipe.question, user, models)
                if is_personal
                else self._asked(recipe)
            )
            self._kept[key] = list(dict.fromkeys(found))
        return self._kept[key]

    def _recommended(
        self, question: RecommendQuestion, user: str, models: Path | None
    ) -> list[str]:
        if not self.log.exists():  # nobody has played anything yet
            return []
        if models not in self._recommenders:
            from audiorec.listening.interactions import read_interactions
            from audiorec.recall.serving.one_user.recommend import Recommender

            self._recommenders[models] = Recommender(
                log=read_interactions(self.log), store=self.library, models=models
            )

        def ask(question: RecommendQuestion) -> list[str]:
            if (models, question) not in self._answers:
                songs = self._recommenders[models].ask(question).songs
                self._answers[models, question] = [song.song_id for song in songs]
            return self._answers[models, question]

        question = replace(question, user_id=user)
        found = ask(question)
        if len(found) < question.k:  # in a household, most songs are still unheard
            found = [*found, *ask(replace(question, entry=FILLED_BY))]
        return list(dict.fromkeys(found))[: question.k]

    def _asked(self, recipe: ListRecipe) -> Iterator[str]:
        if recipe.file is not None:
            for line in read_lines(str(recipe.file), "cannot be read"):
                if line and not line.startswith("#"):
                    found = self.known.find(SongRef(path=str(recipe.file.parent / line)))
                    if found.row >= 0:
                        yield self.known.ids[found.row]
            return
        question = recipe.question
        if recipe.sentence:
            few = self.library.ask(FindQuestion(text=recipe.sentence, k=OF_A_SENTENCE))
            seeds = [*question.seeds, *(one[LogColumns.SONG] for one in few.entries())]
            question = replace(question, seeds=tuple(dict.fromkeys(seeds)))
        yield from (one[LogColumns.SONG] for one in self.library.ask(question).entries())


def _count(report: ServerReport, later: ContinuedLog) -> None:
    report.plays, report.skips = later.plays, later.skips
    report.verdicts, report.withdrawn = later.verdicts, later.withdrawn


def _refuse_if_all_failed(reports: Sequence[ServerReport]) -> None:
    """Raise the first error if no account is left."""
    failed = [why for report in reports for why in report.failed.values()]
    if failed and not any(report.lists or report.songs for report in reports):
        raise PlayerError(failed[0])
