"""``audiorec recall fuse`` and ``tune``: fuse the lists of several channels."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from audiorec.errors import InputError
from audiorec.options import argument, chooses, reads
from audiorec.recall.serving.answers import KEEP_HEARD, USER_SONGS
from audiorec_cli.shared.console import print_json, print_table, say
from audiorec_cli.shared.inputs import InputKind, check, open_vectors
from audiorec_cli.shared.jobs import JobSummary, recorded
from audiorec_cli.shared.options import (
    ADVANCED,
    KNOWN,
    ExposuresOption,
    JsonOption,
    OutFileOption,
    SideOption,
    SongStoreOption,
    log_file,
    out_file,
)

if TYPE_CHECKING:
    from audiorec.listening.side import SongSide
    from audiorec.recall.serving.rules import Exclusions, SongTraits

WeightsOption = Annotated[
    str,
    chooses(metavar="W,W,...", help="Weights in the order of the tables [default: all equal]."),
]


def _weights(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise InputError(f"--weights {text}: expected numbers separated by commas") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionOptions:
    """How lists are fused: the fields of `FusionRecipe` that are not None here are set."""

    popularity: Annotated[
        float | None,
        chooses(
            min=0,
            max=2,
            help="Fewer hits: a weight is divided by (plays + 1) to this power.",
            panel=ADVANCED,
        ),
    ] = None
    diversity: Annotated[
        float | None,
        chooses(
            min=0,
            max=1,
            help="Variety: how much a song is demoted for earlier ones of its genre and artist.",
            panel=ADVANCED,
        ),
    ] = None
    cold_share: Annotated[
        float | None,
        chooses(min=0, max=1, help="Share of places for never-played songs.", panel=ADVANCED),
    ] = None
    replay_share: Annotated[
        float | None,
        chooses(
            min=0,
            max=1,
            help="Share of places for heard songs, which only the channel replay proposes.",
            panel=ADVANCED,
        ),
    ] = None
    per_artist: Annotated[
        int | None,
        chooses(min=0, help="Most songs of one artist; 0: no limit.", panel=ADVANCED),
    ] = None
    per_album: Annotated[
        int | None,
        chooses(min=0, help="Most songs of one album; 0: no limit.", panel=ADVANCED),
    ] = None

    @property
    def given(self) -> dict[str, Any]:
        """The fields of a recipe that are given."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExclusionOptions:
    """Inputs of a fusion: excluded songs, and the artist, album and genre of songs."""

    interactions: Annotated[
        Path | None,
        log_file(help="Exclude heard, disliked and blocked songs.", panel=KNOWN),
    ] = None
    exposures: ExposuresOption = None
    side: SideOption = None
    vectors: SongStoreOption = None
    keep_heard: Annotated[bool, KEEP_HEARD] = False

    def read(self, exposure_days: float) -> "tuple[SongTraits, Exclusions]":
        """Return the traits of songs, and the songs excluded per user."""
        from audiorec.recall.serving.exclusions import excluded_by, read_exposures, traits_of
        from audiorec.recall.serving.rules import Exclusions

        check(self.vectors, InputKind.VECTORS)
        side, store = _songs(self.side, self.vectors)
        shown = read_exposures(self.exposures, days=exposure_days) if self.exposures else None
        if self.interactions is None:
            return traits_of(None, side, store), Exclusions.of(never=shown)
        from audiorec.listening.interactions import read_interactions

        log = read_interactions(self.interactions)
        from audiorec.listening.sequences import to_sequences

        facts = traits_of(to_sequences(log), side, store)
        return facts, excluded_by(log, keep_heard=self.keep_heard, shown=shown, facts=facts)


def _songs(side: Path | None, vectors: Path | None) -> "tuple[SongSide | None, Any]":
    """Read song metadata from a table and a store; return it with the store, if any."""
    from audiorec.listening.side import known_side

    store = open_vectors(vectors) if vectors else None
    return known_side(side, store), store


@recorded("recall fuse", "output", by_day="file")
def fuse(
    tables: Annotated[
        list[Path], argument(metavar="CANDIDATES", help="Tables of recall candidates.")
    ],
    output: OutFileOption,
    k: Annotated[int, USER_SONGS] = 100,
    tuned: Annotated[
        Path | None, reads(metavar="JSON", help="Weights of recall tune --out, or of a night.")
    ] = None,
    weights: WeightsOption = "",
    exposure_days: Annotated[
        float, chooses(min=0, help="Days for which a shown song is excluded.", panel=ADVANCED)
    ] = 7.0,
    json: JsonOption = False,
    *,
    how: FusionOptions,
    known: ExclusionOptions,
    done: JobSummary,
) -> None:
    r"""Fuse the lists of several channels into one list per user.

    A song scores weight / (10 + rank), summed over the channels that propose it. It keeps the
    channel and reason of the one that gives it most.

    Examples
    --------
    audiorec recall fuse lists.parquet more.parquet --k 100 --out fused.parquet
    audiorec recall fuse lists.parquet more.parquet --weights 3,1 \
        --per-artist 2 --vectors vecs.parquet --out fused.parquet
    audiorec recall fuse lists.parquet more.parquet --tuned weights.json \
        -i plays.parquet --out fused.parquet
    """
    from audiorec.recall.serving.fuse import weights_for
    from audiorec.recall.serving.lists import count_fused, fuse_files
    from audiorec.recall.serving.rules import FusionRecipe
    from audiorec.recall.serving.tables import channels_of

    if weights and tuned:
        raise InputError("give either --weights or --tuned")
    numbers = weights_for(tuned, channels_of(tables)) if tuned else _weights(weights)
    recipe = FusionRecipe(k=k, weights=numbers, **how.given)
    facts, excluded = known.read(exposure_days)
    if (recipe.per_artist or recipe.per_album or recipe.diversity) and not facts.groups:
        raise InputError("caps and variety need the artists of songs: give --side or --vectors")
    fuse_files(tables, output, recipe, facts=facts, excluded=excluded)
    report = count_fused(tables, output)
    done.count(users=report.users, rows=report.rows)
    done.count(**{f"channels/{name}": n for name, n in report.channels.items()})
    if json:
        print_json({"schema": "audiorec/recall-fuse/1", **asdict(report), "out": str(output)})
    parts = ", ".join(f"{name} {n:,}" for name, n in report.channels.items())
    say(f"{report.rows:,} songs for {report.users:,} users: {output}; proposed by: {parts}")
    if not numbers and len(tables) > 1:
        say(
            "note: all channels weigh the same, which may be worse than one alone; learn weights: "
            "audiorec recall tune"
        )


def tune(
    tables: Annotated[
        list[Path],
        argument(metavar="CANDIDATES", help="One table per channel, all on the same split."),
    ],
    targets: Annotated[Path, reads(help="Their next plays: user_id, song_id. Not the test set.")],
    out: Annotated[
        Path | None,
        out_file(metavar="JSON", help="Write the weights, for --tuned of fuse and recommend."),
    ] = None,
    json: JsonOption = False,
) -> None:
    r"""Learn the weights of channels from songs that users chose after the lists were made.

    The weights make these songs likeliest, and each user counts once. They are printed with
    intervals of 95 %, and the fused order beside each channel alone, on users that its weights
    were not learnt from.

    Examples
    --------
    audiorec recall tune lists.parquet more.parquet --targets wanted.csv \
        --out weights.json
    audiorec recall tune lists.parquet more.parquet --targets wanted.csv --json
    audiorec recall fuse lists.parquet more.parquet --tuned weights.json \
        --out f.parquet
    """
    from audiorec.recall.contract.candidates import read_targets
    from audiorec.recall.serving.fuse import write_weights
    from audiorec.recall.serving.tables import channels_of
    from audiorec.recall.serving.tune import MEASURE, learn, proposed_to

    wanted, _ = read_targets(targets)
    names = channels_of(tables)
    found = learn(proposed_to(tables, wanted), names)
    content = found.to_dict()
    if out is not None:
        write_weights(out, {n: one.value for n, one in found.weights.items()}, content)
    if json:
        print_json({"schema": "audiorec/recall-tune/3", "channels": list(names), **content})
    else:
        measure = f"{MEASURE[0]}@{MEASURE[1]}"
        rows = [
            (name, f"{found.weights[name]}" if name in found.weights else "", f"{figure}")
            for name, figure in found.figures.items()
        ]
        print_table(("list", "weight", measure), rows, title=f"{found.users:,} users")
    say(f"fused, over {found.best}, the best channel alone: {found.lead:+}")
    if found.alone:
        say(f"warning: {found.alone} alone is better than fused with the others: serve it alone")
    if out is not None:
        say(f"weights: {out}; use: audiorec recall fuse ... --tuned {out}")
