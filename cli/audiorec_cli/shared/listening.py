"""Inputs of recall commands: plays of a log, and side information on songs and users."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from audiorec.errors import InputError
from audiorec_cli.shared.console import say
from audiorec_cli.shared.inputs import InputKind, check
from audiorec_cli.shared.options import RuleOption, also_known, more
from audiorec_cli.shared.stores import open_vectors

if TYPE_CHECKING:
    from audiorec.listening.events import Interactions
    from audiorec.listening.likes import Liked
    from audiorec.listening.sequences import Sequences
    from audiorec.recall.contract.channel import Channel
    from audiorec.recall.contract.data import Context, Queries, RecallData, Sound

UNPLAYED = (  # events that are no plays, and what trains on them
    ("like", "likes", "--likes"),
    ("playlist", "playlist entries", "--by list"),
)
PlaysOf = Literal["user", "session", "list"]
SoundOption = Annotated[
    Path | None,
    also_known("--vectors", "-v", metavar="STORE", help="A store: sound and artists of the songs."),
]
ModelArgument = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A model that recall train wrote.")
]
FavouritesOption = Annotated[
    Path | None,
    also_known("--favourites", metavar="LOG", help="A log whose like events are the favourites."),
]
HeardOption = Annotated[
    bool, typer.Option("--keep-heard", help="Allow songs of the user's history.")
]
FeaturesOption = Annotated[
    Path | None,
    also_known(
        "--features", "-f", metavar="FILE", help="features.parquet: sound of the songs per segment."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListeningOptions:
    """Options for reading plays: filters, and what forms one sequence."""

    by: Annotated[
        PlaysOf | None,
        more(
            "--by",
            help="One sequence per user, session or list [default: user; list if the model is].",
        ),
    ] = None
    filters: Annotated[
        list[str] | None,
        more("--filter", help="Drop: flood, looped, skip-chain, shared-device."),
    ] = None
    skip_bad_rows: Annotated[
        bool, more("--skip-bad-rows", help="Skip rows that cannot be used.")
    ] = False

    def of(self, log: Path, by: PlaysOf | None = None) -> "Sequences":
        """Read the finished plays of a log, in order of listening."""
        return self.plays(self.read(log), by)

    def read(self, log: Path) -> "Interactions":
        """Read a log."""
        from audiorec.listening.interactions import read_interactions

        check(log, InputKind.LOG)
        return read_interactions(log, skip_bad_rows=self.skip_bad_rows)

    def plays(self, read: "Interactions", by: PlaysOf | None = None) -> "Sequences":
        """Return the finished plays of a log, in order of listening."""
        from audiorec.listening.sequences import to_sequences

        return to_sequences(read, by=by or self.by or "user", filters=tuple(self.filters or ()))

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
            raise InputError("only some of the models were trained by list: choose with --by")
        if True not in by_list:
            return "user"
        say("note: one history per list, as the model was trained; per user: --by user")
        return "list"

    def liked(self, read: "Interactions", rule: Path | None) -> "Liked":
        """Return the liked, disliked and heard songs of each user of a log."""
        from audiorec.listening.likes import to_liked
        from audiorec.listening.rule import load_rule

        if self.by not in (None, "user") or self.filters:
            raise InputError("--likes is per user: it cannot be combined with --by or --filter")
        return to_liked(read, load_rule(rule) if rule else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryOptions(ListeningOptions):
    """Users to query a trained model for: from a log, from profiles, or both."""

    likes: Annotated[
        bool, typer.Option("--likes", help="Use liked songs as histories, as in training.")
    ] = False
    rule: RuleOption = None
    profiles: Annotated[
        Path | None, also_known(metavar="FILE", help="User profiles: user_id and attributes.")
    ] = None
    favourites: FavouritesOption = None

    def queries(self, log: Path | None, channel: "Channel", users: Path | None = None) -> "Queries":
        """Read histories, profiles and embeddings; a user without plays has an empty history.

        `users` is a table of embeddings in the channel's space, used instead of histories.
        """
        from audiorec.listening.events import EVENTS
        from audiorec.listening.likes import follows, likes
        from audiorec.listening.profiles import read_profiles
        from audiorec.listening.sequences import Sequences
        from audiorec.recall.contract.data import Context, Queries
        from audiorec.recall.contract.space import users_in
        from audiorec.types import IdMap

        if self.profiles is not None and "profile" not in channel.serves:
            raise InputError(f"{channel.name} does not use profiles: leave --profiles out")
        people = read_profiles(self.profiles) if self.profiles else None
        known, followed, liked, read = Sequences.from_lists([], []), None, None, None
        if log is not None:
            read = self.read(log)
            if self.likes:
                known = self.liked(read, self.rule).liked
            else:
                known = self.plays(read, self.asked_by(channel))
        if users is not None:
            check(users, InputKind.USERS)
            ids, embedded = users_in(channel, users)
            known = known.with_owners(ids)
            rows = IdMap(known.owner_ids).rows(ids)
            return Queries(known.take(rows), embedded=embedded)
        if people is not None:
            known = known.with_owners(people.user_ids)
        if read is not None and len(read.artists):
            followed = follows(read, known.owner_ids)
        said = self.read(self.favourites) if self.favourites is not None else read
        if said is not None and (said.event == EVENTS.index("like")).any():
            liked = likes(said, known.owner_ids)
        return Context(profiles=people).queries_of(known, followed, liked)


@dataclass(frozen=True, slots=True, kw_only=True)
class SideOptions(ListeningOptions):
    """Adds side information on songs and users to the options of a log."""

    vectors: SoundOption = None
    features: FeaturesOption = None
    songs: Annotated[
        Path | None,
        also_known(
            "--songs", metavar="FILE", help="embeddings.parquet, instead of --vectors as the sound."
        ),
    ] = None
    side: Annotated[
        Path | None,
        also_known(metavar="FILE", help="Song metadata: artist, genre, language, numbers."),
    ] = None
    profiles: Annotated[
        Path | None, also_known(metavar="FILE", help="User profiles: user_id and attributes.")
    ] = None
    favourites: FavouritesOption = None
    triples: Annotated[
        Path | None,
        also_known("--triples", metavar="FILE", help="Facts about songs: head, relation, tail."),
    ] = None

    def context(self) -> "Context":
        """Read the side information."""
        from audiorec.recall.contract.job import read_context

        check(self.songs, InputKind.SONGS)
        check(self.features, InputKind.FEATURES)
        if self.favourites is not None:
            check(self.favourites, InputKind.LOG)
        return read_context(
            vectors=open_vectors(self.vectors) if self.vectors else None,
            features=self.features,
            songs=self.songs,
            side=self.side,
            profiles=self.profiles,
            triples=self.triples,
            favourites=self.favourites,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions(SideOptions):
    """Options of the training data of a channel."""

    likes: Annotated[
        bool, typer.Option("--likes", help="Train on liked songs instead of plays.")
    ] = False
    rule: RuleOption = None

    def data(self, log: Path) -> "RecallData":
        """Read a log or a folder of ``listening prepare``, and the side information."""
        from audiorec.listening.events import EVENTS
        from audiorec.listening.feed import is_prepared
        from audiorec.listening.log_files import file_fingerprints
        from audiorec.recall.contract.data import RecallData

        if is_prepared(log):
            return self._prepared(log)
        if self.rule is not None and not self.likes:
            raise InputError("--rule defines liked songs: it needs --likes")
        read, context, logs = self.read(log), self.context(), file_fingerprints(log)
        made_up = read.simulated
        if self.likes:
            found = self.liked(read, self.rule)
            return RecallData.of_likes(found, context, logs=logs, simulated=made_up)
        plays = self.plays(read)
        by = self.by or "user"
        for event, noun, option in UNPLAYED:
            n = int((read.event == EVENTS.index(event)).sum())
            if n and not len(plays.song) and by != "list":
                say(f"note: {log} has no finished plays, but {n:,} {noun}: {option} trains on them")
        return RecallData(plays, context.song_ids, context, logs, simulated=made_up, by=by)

    def _prepared(self, folder: Path) -> "RecallData":
        """Read a folder of ``listening prepare``; its manifest says what forms a sequence."""
        from audiorec.files.user_files import as_type
        from audiorec.listening.feed import read_prepared
        from audiorec.recall.contract.data import RecallData

        log = read_prepared(folder)
        of = log.about.get("by", "user")
        if self.likes or self.rule is not None:
            raise InputError(
                f"{folder}: prepared listening has only plays; --likes needs the log itself"
            )
        if self.by not in (None, of) or (
            self.filters and sorted(self.filters) != log.about.get("filters")
        ):
            raise InputError(
                f"{folder}: was prepared by {of}, with filters {log.about.get('filters')}; "
                "prepare it again: audiorec listening prepare with --by and --filter"
            )
        context, plays = self.context(), log.whole()
        logs = (str(log.about.get("log_fingerprint", "")),)
        return RecallData(plays, context.song_ids, context, logs, by=as_type(PlaysOf, "by", of))


def sound_of(
    vectors: Path | None, features: Path | None = None, songs: Path | None = None
) -> "Sound | None":
    """Return the sound of songs, from features if given; artists come from the store."""
    return SideOptions(vectors=vectors, features=features, songs=songs).context().sound
