"""What commands of recall read: plays of a log, and how their songs sound."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from audiorec_cli.shared.inputs import Wanted, check
from audiorec_cli.shared.options import more
from audiorec_cli.shared.stores import open_vectors

if TYPE_CHECKING:
    from audiorec.listening.sequences import Sequences
    from audiorec.recall.contract.data import Sound

PlaysOf = Literal["user", "session", "list"]
SoundOption = Annotated[
    Path | None,
    typer.Option(
        "--vectors", "-v", metavar="STORE", help="A store of the songs: how they sound, whose."
    ),
]
ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="What recall train wrote.")]
FeaturesOption = Annotated[
    Path | None,
    typer.Option(
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


def sound_of(vectors: Path | None, features: Path | None = None) -> "Sound | None":
    """Return how songs sound: by features where they are given, artists by the store."""
    from audiorec.recall.contract.data import Sound
    from audiorec.store.features import FeatureFile

    if features is None:
        return Sound.of_store(open_vectors(vectors)) if vectors else None
    check(features, Wanted.FEATURES)
    beside = vectors or features.with_name("vecs.parquet")
    store = open_vectors(beside) if vectors or beside.is_file() else None
    return Sound.of_features(FeatureFile.open(features), store)
