"""Inputs of recall commands: plays of a log, and side information on songs and users."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from audiorec.errors import InputError
from audiorec.files.user_files import as_type
from audiorec.options import argument, chooses, reads
from audiorec_cli.shared.console import counted, say
from audiorec_cli.shared.inputs import open_vectors
from audiorec_cli.shared.options import (
    ADVANCED,
    KNOWN,
    ProfilesOption,
    SideOption,
    store_file,
)

if TYPE_CHECKING:
    from audiorec.listening.events import Interactions
    from audiorec.listening.imports.table import TableColumns
    from audiorec.listening.reading import Liked, LogReading
    from audiorec.listening.sequences import Sequences
    from audiorec.recall.contract.channel import Channel
    from audiorec.recall.contract.data import Context, Queries, RecallData

UNPLAYED = (  # events that are no plays, and what trains on them
    ("like", "likes", "--likes"),
    ("playlist", "playlist entries", "--by list"),
)
OTHER_SOUND = {"features": "features", "song_embeddings": "songs"}  # kinds of files, not stores
PlaysOf = Literal["user", "session", "list"]
PlayFilter = Literal["doubled", "flood", "looped", "skip-chain"]
SoundOption = Annotated[
    Path | None,
    store_file(
        metavar="FILE",
        help="Sound of songs: a store, its features.parquet by segment, or embeddings.parquet.",
        panel=KNOWN,
    ),
]
ModelArgument = Annotated[Path, argument(metavar="MODEL", help="A model that recall train wrote.")]
FavouritesOption = Annotated[
    Path | None,
    reads(
        "--favourites", log=True, help="A log whose like events are the favourites.", panel=KNOWN
    ),
]
RuleOption = Annotated[
    Path | None,
    reads(metavar="FILE", help="Rule for liked songs, in TOML or JSON.", panel=ADVANCED),
]
FilterOption = Annotated[
    list[PlayFilter] | None,
    chooses(
        "--filter",
        metavar="NAME",
        help="Plays to leave out (repeatable): doubled, flood, looped, skip-chain.",
        panel=ADVANCED,
    ),
]
SkipBadRowsOption = Annotated[
    bool,
    chooses(
        help="Leave out rows that cannot be used, instead of refusing the log.", panel=ADVANCED
    ),
]
ByOption = Annotated[
    PlaysOf | None,
    chooses(help="One history per user, session or list [default: as trained].", panel=ADVANCED),
]


OF_TABLE = "Columns of a table"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions:
    """Names of the columns of a table; known names are recognised, and "" leaves one out."""

    user_column: Annotated[str | None, chooses(help="Who listened.", panel=OF_TABLE)] = None
    song_column: Annotated[str | None, chooses(help="The song or item.", panel=OF_TABLE)] = None
    time_column: Annotated[str | None, chooses(help="When.", panel=OF_TABLE)] = None
    event_column: Annotated[
        str | None, chooses(help="play, finish, skip, like, dislike ...", panel=OF_TABLE)
    ] = None
    skip_column: Annotated[
        str | None, chooses(help="Whether it was skipped: true, 1, yes.", panel=OF_TABLE)
    ] = None
    played_column: Annotated[str | None, chooses(help="How long it was heard.", panel=OF_TABLE)] = (
        None
    )
    length_column: Annotated[str | None, chooses(help="How long the song is.", panel=OF_TABLE)] = (
        None
    )
    ratio_column: Annotated[
        str | None, chooses(help="The share heard: 0 to 1, or per cent.", panel=OF_TABLE)
    ] = None
    rating_column: Annotated[str | None, chooses(help="Ratings.", panel=OF_TABLE)] = None
    least_rating: Annotated[
        float | None,
        chooses(help="Leave out rows rated below this [default: 4].", panel=OF_TABLE),
    ] = None
    weight_column: Annotated[
        str | None, chooses(help="How often the row counts: plays.", panel=OF_TABLE)
    ] = None

    def columns(self, kind: str) -> "TableColumns | None":
        """Return the columns of a table; None for another kind of history."""
        from audiorec.listening.imports.table import TableColumns

        given = {n.removesuffix("_column"): v for n, v in asdict(self).items() if v is not None}
        if kind == "table":
            return TableColumns(**given)
        if given:
            raise InputError("--user-column and the like are for the KIND table")
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListeningOptions:
    """Options for reading histories: of plays or likes, of whom, and how the log is read."""

    by: ByOption = None
    likes: Annotated[
        bool, chooses(help="Histories of liked songs instead of plays.", panel=ADVANCED)
    ] = False
    rule: RuleOption = None
    filter: FilterOption = None
    skip_bad_rows: SkipBadRowsOption = False

    @property
    def how(self) -> "LogReading":
        """How the log is read."""
        from audiorec.listening.reading import LogReading

        return LogReading(
            by=self.by,
            likes=self.likes,
            rule=self.rule,
            filter=tuple(self.filter or ()),
            skip_bad_rows=self.skip_bad_rows,
        )

    def of(self, log: Path, by: PlaysOf | None = None) -> "Sequences":
        """Read the finished plays of a log, in order of listening."""
        return self.plays(self.how.log(log), by)

    def plays(self, read: "Interactions", by: PlaysOf | None = None) -> "Sequences":
        """Return the finished plays of a log, in order of listening."""
        how = self.how
        if how.rule is not None:
            raise InputError("--rule FILE defines liked songs: add --likes")
        if read.is_counted:
            say("note: no timestamp: a log of counts; songs have no order, the most played is last")
        return how.plays(read, by or self.by or "user")

    def asked_by(self, *channels: "Channel") -> PlaysOf:
        """Return what a history is for trained channels: as given, or else as in their training.

        Sessions are parts of what users play, so a channel that learnt from sessions is asked with
        the plays of users. A list holds other events: one that learnt from lists is asked with
        lists, and a note says so.
        """
        if self.by is not None:
            return self.by
        by_list = {channel.by == "list" for channel in channels}
        if len(by_list) > 1:
            raise InputError("only some of the models were trained by list: choose: --by ...")
        if True not in by_list:
            return "user"
        say("note: one history per list, as the model was trained; per user: --by user")
        return "list"

    def liked(self, read: "Interactions") -> "Liked":
        """Return the liked, disliked and heard songs of each user of a log."""
        if self.by not in (None, "user"):
            raise InputError("liked songs are per user: leave --by ... out")
        return self.how.liked(read)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryOptions(ListeningOptions):
    """Users to query a trained model for: from a log, from profiles, or both."""

    profiles: ProfilesOption = None
    favourites: FavouritesOption = None

    def queries(
        self,
        read: "Interactions | None",
        channel: "Channel",
        users: Path | None = None,
    ) -> "Queries":
        """Return histories, profiles and embeddings; a user without plays has an empty history.

        `users` is a table of embeddings in the channel's space, used instead of histories.
        """
        from audiorec.listening.profiles import read_profiles
        from audiorec.listening.sequences import Sequences
        from audiorec.recall.contract.data import Context, Queries
        from audiorec.recall.contract.space import users_in
        from audiorec.types import IdMap

        if self.profiles is not None and "profile" not in channel.serves:
            if read is None:
                raise InputError(f"{channel.name} does not use profiles: give --interactions")
            rest = "who has no history gets a default list"
            say(f"note: {channel.name} does not use profiles: {rest}")
        people = read_profiles(self.profiles) if self.profiles else None
        known, followed, liked = Sequences.from_lists([], []), None, None
        if read is not None:
            known = (
                self.liked(read).liked if self.likes else self.plays(read, self.asked_by(channel))
            )
        if users is not None:
            ids, embedded = users_in(channel, users)
            known = known.with_owners(ids)
            rows = IdMap(known.owner_ids).rows(ids)
            return Queries(known.take(rows), embedded=embedded)
        if people is not None:
            known = known.with_owners(people.user_ids)
        from audiorec.listening.reading import follows

        if read is not None and len(read.artists):
            followed = follows(read, known.owner_ids)
        said = self.how.log(self.favourites) if self.favourites is not None else read
        from audiorec.listening.events import EVENTS
        from audiorec.listening.reading import likes as likes_of_log

        if said is not None and (said.event == EVENTS.index("like")).any():
            liked = likes_of_log(said, known.owner_ids)
        return Context(profiles=people).queries_of(known, followed, liked)


def sound_files(path: Path | None) -> dict[str, Any]:
    """Return a file of sound under the name by which `read_context` takes its kind."""
    if path is None:
        return {}
    from audiorec.store.inventory import declared_kind

    name = OTHER_SOUND.get(declared_kind(path)) if path.is_file() else None
    return {name: path} if name else {"vectors": open_vectors(path)}


def say_known(vectors: Path | None, known: Collection[str], log_songs: Collection[str]) -> None:
    """Say how many songs of a log a store has, if not all; warn if none, as of other music."""
    if vectors is None or not log_songs:
        return
    n = len(set(known).intersection(log_songs))
    songs = f"of {counted(len(log_songs), 'song')} of the log"
    if not n:
        say(f"warning: {vectors} has none {songs}; name another store with --vectors")
    elif n < len(log_songs):
        say(f"{vectors} has {n:,} {songs}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions(ListeningOptions):
    """What a channel learns from: histories, and side information on songs and users."""

    vectors: SoundOption = None
    side: SideOption = None
    profiles: ProfilesOption = None
    favourites: FavouritesOption = None
    triples: Annotated[
        Path | None,
        reads(
            "--triples",
            metavar="FILE",
            help="Facts about songs: head, relation, tail.",
            panel=KNOWN,
        ),
    ] = None

    def context(self) -> "Context":
        """Read the side information."""
        from audiorec.recall.contract.training import read_context

        return read_context(
            **sound_files(self.vectors),
            side=self.side,
            profiles=self.profiles,
            triples=self.triples,
            favourites=self.favourites,
        )

    def data(self, log: Path) -> "RecallData":
        """Read a log or a folder of ``listening prepare``, and the side information."""
        from audiorec.listening.reading import is_prepared

        if is_prepared(log):
            return self._prepared(log)
        from audiorec.listening.log_files import file_fingerprints, opened_log

        opened = opened_log(log)
        logs, read, context = (
            file_fingerprints(opened),
            self.how.log(opened),
            self.context(),
        )
        if context.sound is not None:
            say_known(self.vectors, context.sound.song_ids, read.song_ids)
        made_up = read.simulated
        from audiorec.recall.contract.data import RecallData

        if self.likes:
            result = self.liked(read)
            return RecallData.of_likes(result, context, logs=logs, simulated=made_up)
        plays = self.plays(read)
        by = self.by or "user"
        from audiorec.listening.events import EVENTS

        for event, noun, option in UNPLAYED:
            n = int((read.event == EVENTS.index(event)).sum())
            if n and not len(plays.song) and by != "list":
                say(f"note: {log} has no finished plays, but {n:,} {noun}: {option} trains on them")
        return RecallData(plays, context.song_ids, context, logs, simulated=made_up, by=by)

    def _prepared(self, folder: Path) -> "RecallData":
        """Read a folder of ``listening prepare``; its manifest says what forms a sequence."""
        from audiorec.listening.reading import read_prepared
        from audiorec.recall.contract.data import RecallData

        log = read_prepared(folder)
        of, how = log.about.get("by", "user"), self.how
        if self.likes or how.rule is not None:
            raise InputError(
                f"{folder}: prepared listening has only plays; likes need the log itself"
            )
        if self.by not in (None, of) or (
            how.filter and sorted(how.filter) != log.about.get("filters")
        ):
            raise InputError(
                f"{folder}: was prepared by {of}, with filters {log.about.get('filters')}; "
                "prepare it again: audiorec listening prepare --by ... --filter ..."
            )
        context, plays = self.context(), log.whole()
        logs = (str(log.about.get("log_fingerprint", "")),)
        return RecallData(plays, context.song_ids, context, logs, by=as_type(PlaysOf, "by", of))
