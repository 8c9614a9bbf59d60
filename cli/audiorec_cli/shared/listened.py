"""What commands of recall read: the plays of a log, and what is known of songs and users."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from audiorec.errors import InputError
from audiorec_cli.shared.inputs import Wanted, check
from audiorec_cli.shared.options import RuleOption, also_known, more
from audiorec_cli.shared.stores import open_vectors

if TYPE_CHECKING:
    from audiorec.listening.liked import Liked
    from audiorec.listening.sequences import Sequences
    from audiorec.recall.contract.channel import Channel
    from audiorec.recall.contract.data import Context, Queries, RecallData, Sound

PlaysOf = Literal["user", "session", "list"]
SoundOption = Annotated[
    Path | None,
    also_known(
        "--vectors", "-v", metavar="STORE", help="A store of the songs: how they sound, whose."
    ),
]
ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="What recall train wrote.")]
FeaturesOption = Annotated[
    Path | None,
    also_known(
        "--features", "-f", metavar="FILE", help="features.parquet: their sound by segment."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenedTo:
    """Which plays of a log count, and whose are one sequence."""

    by: Annotated[
        PlaysOf, more("--by", help="Whose plays are one sequence: of a user, a session or a list.")
    ] = "user"
    filters: Annotated[
        list[str] | None,
        more("--filter", help="Plays to leave out: looped, flood, skip-chain, shared-device."),
    ] = None
    skip_bad_rows: Annotated[
        bool, more("--skip-bad-rows", help="Leave rows out that cannot be used.")
    ] = False

    def of(self, log: Path, by: PlaysOf | None = None) -> "Sequences":
        """Read the finished plays of a log, in their order."""
        from audiorec.listening.interactions import read_interactions
        from audiorec.listening.sequences import to_sequences

        read = read_interactions(log, skip_bad_rows=self.skip_bad_rows)
        return to_sequences(read, by=by or self.by, filters=tuple(self.filters or ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedOf(ListenedTo):
    """Whom a trained model is asked about: the users of a log, of profiles, or of both."""

    likes: Annotated[
        bool, typer.Option("--likes", help="Histories are liked songs, as in the training.")
    ] = False
    rule: RuleOption = None
    profiles: Annotated[
        Path | None, also_known(metavar="FILE", help="Of users: user_id, and what is known.")
    ] = None

    def queries(self, log: Path | None, channel: "Channel") -> "Queries":
        """Read histories and profiles; whom only the profiles name has an empty history."""
        from audiorec.listening.profiles import read_profiles
        from audiorec.listening.sequences import Sequences
        from audiorec.recall.contract.data import Context

        if self.profiles is not None and "profile" not in channel.serves:
            raise InputError(f"{channel.name} knows nothing of profiles: leave --profiles out")
        people = read_profiles(self.profiles) if self.profiles else None
        known = Sequences.from_lists([], []) if log is None else self._read(log)
        if people is not None:
            known = known.with_owners(people.user_ids)
        return Context(profiles=people).asked(known)

    def _read(self, log: Path) -> "Sequences":
        check(log, Wanted.LOG)
        return liked(self, log, self.rule).liked if self.likes else self.of(log)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownToo(ListenedTo):
    """And what is known of songs and users beside the log."""

    vectors: SoundOption = None
    features: FeaturesOption = None
    songs: Annotated[
        Path | None,
        also_known("--songs", metavar="FILE", help="embeddings.parquet: their sound as these."),
    ] = None
    side: Annotated[
        Path | None,
        also_known(metavar="FILE", help="Of songs: artist, genre, language, numbers."),
    ] = None
    profiles: Annotated[
        Path | None, also_known(metavar="FILE", help="Of users: user_id, and what is known.")
    ] = None
    triples: Annotated[
        Path | None, also_known("--triples", metavar="FILE", help="Facts: head, relation, tail.")
    ] = None

    def context(self) -> "Context":
        """Read it all."""
        from audiorec.listening.profiles import read_profiles
        from audiorec.listening.side import read_side
        from audiorec.listening.triples import read_triples
        from audiorec.recall.contract.data import Context

        return Context(
            sound=sound_of(self.vectors, self.features, self.songs),
            side=read_side(self.side) if self.side else None,
            triples=read_triples(self.triples) if self.triples else None,
            profiles=read_profiles(self.profiles) if self.profiles else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LearntFrom(KnownToo):
    """What a channel is trained on."""

    likes: Annotated[
        bool, typer.Option("--likes", help="Learn from liked songs in place of plays.")
    ] = False
    rule: RuleOption = None

    def data(self, log: Path) -> "RecallData":
        """Read a log, and what is known beside it."""
        from audiorec.listening.prepare import log_fingerprint
        from audiorec.recall.contract.data import RecallData

        check(log, Wanted.LOG)
        if self.rule is not None and not self.likes:
            raise InputError("--rule says what is liked: give it with --likes")
        context = self.context()
        logs = (log_fingerprint(log),)
        if not self.likes:
            return RecallData(self.of(log), context.song_ids, context, logs)
        found = liked(self, log, self.rule)
        return RecallData(found.liked, context.song_ids, context, logs, found.disliked, found.heard)


def liked(listened: ListenedTo, log: Path, rule: Path | None) -> "Liked":
    """Read what each user of a log likes, dislikes and has met."""
    from audiorec.listening.interactions import read_interactions
    from audiorec.listening.liked import to_liked
    from audiorec.listening.rule import load_rule

    if listened.by != "user" or listened.filters:
        raise InputError("--likes are of users: they take no --by and no --filter")
    read = read_interactions(log, skip_bad_rows=listened.skip_bad_rows)
    return to_liked(read, load_rule(rule) if rule else None)


def sound_of(
    vectors: Path | None, features: Path | None = None, songs: Path | None = None
) -> "Sound | None":
    """Return how songs sound: by features where they are given, artists by the store."""
    from audiorec.recall.contract.data import Sound
    from audiorec.store.embeddings import EmbeddingTable
    from audiorec.store.features import FeatureFile

    if songs is not None:
        if vectors is not None or features is not None:
            raise InputError("songs sound by one of --songs, --features and --vectors")
        check(songs, Wanted.SONGS)
        return Sound.of_embeddings(EmbeddingTable.open(songs, kind="songs"))
    if features is None:
        return Sound.of_store(open_vectors(vectors)) if vectors else None
    check(features, Wanted.FEATURES)
    beside = vectors or features.with_name("vecs.parquet")
    store = open_vectors(beside) if vectors or beside.is_file() else None
    return Sound.of_features(FeatureFile.open(features), store)
