"""``audiorec recall fuse`` and ``tune``: fuse the lists of several channels."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from audiorec.errors import InputError
from audiorec.files.own_files import write_own
from audiorec.options import argument, chooses, reads, writes
from audiorec.recall.serving.answers import KEEP_HEARD, USER_SONGS, Entry
from audiorec_cli.shared.console import FIGURE_DIGITS, print_json, print_table, say
from audiorec_cli.shared.inputs import InputKind, check, open_vectors
from audiorec_cli.shared.jobs import JobSummary, recorded
from audiorec_cli.shared.options import (
    ADVANCED,
    KNOWN,
    Engines,
    ExposuresOption,
    JsonOption,
    OutFileOption,
    SeedOption,
    SideOption,
    SongStoreOption,
    log_file,
    out_file,
)
from audiorec_cli.shared.pictures import check_plot
from audiorec_cli.shared.progress import stopped

if TYPE_CHECKING:
    from audiorec.listening.side import SongSide
    from audiorec.recall.serving.fuse import Tuned
    from audiorec.recall.serving.rules import Exclusions, FusionRecipe, SongTraits

WeightsOption = Annotated[
    str,
    chooses(
        metavar="W,W,...",
        help="Weights in the order of the tables [default: by validation figures].",
    ),
]


def _weights(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise InputError(f"--weights {text}: expected numbers separated by commas") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionOptions:
    """How lists are fused: the fields of `FusionRecipe` that are not None here are set."""

    method: Annotated[
        Literal["reciprocal", "quotas"] | None,
        chooses(
            help="Weighted reciprocal rank, or places in proportion to the weights "
            "[default: reciprocal].",
            panel=ADVANCED,
        ),
    ] = None
    flatness: Annotated[
        float | None,
        chooses(
            min=0,
            help="Of the reciprocal rank: higher values reduce the advantage of the first places "
            "[default: 20].",
            panel=ADVANCED,
        ),
    ] = None
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
        Path | None, reads(metavar="JSON", help="Settings written by recall tune --out.")
    ] = None,
    weights: WeightsOption = "",
    short_share: Annotated[
        float | None,
        chooses(
            min=0,
            max=1,
            help="Share of the weight for channels of short horizon [default: as the weights say].",
            panel=ADVANCED,
        ),
    ] = None,
    exposure_days: Annotated[
        float, chooses(min=0, help="Days for which a shown song is excluded.", panel=ADVANCED)
    ] = 7.0,
    json: JsonOption = False,
    *,
    how: FusionOptions,
    known: ExclusionOptions,
    engines: Engines,
    done: JobSummary,
) -> None:
    r"""Fuse the lists of several channels into one list per user.

    Channels are fused by rank, never by similarity. Each song keeps its channel and reason.

    Examples
    --------
    audiorec recall fuse lists.parquet more.parquet --k 100 --out fused.parquet
    audiorec recall fuse lists.parquet more.parquet --weights 3,1 \
        --per-artist 2 --vectors vecs.parquet --out fused.parquet
    audiorec recall fuse lists.parquet more.parquet --method quotas \
        -i plays.parquet --out fused.parquet
    """
    from audiorec.recall.serving.job import fuse_files

    recipe, note = _recipe(tables, k, _weights(weights), how.given, tuned)
    if short_share is not None:
        recipe = _with_horizons(recipe, tables, short_share)
    facts, excluded = known.read(exposure_days)
    if (recipe.per_artist or recipe.per_album or recipe.diversity) and not facts.groups:
        raise InputError("caps and variety need the artists of songs: give --side or --vectors")
    with engines.work() as work:
        report = fuse_files(
            tables,
            output,
            recipe,
            facts=facts,
            excluded=excluded,
            engine=work.engine,
            progress=work.progress("blocks of users"),
            stop=work.stop,
        )
    if report is None:
        raise stopped()
    done.count(users=report.users, rows=report.rows)
    done.count(**{f"channels/{name}": n for name, n in report.channels.items()})
    if json:
        print_json({"schema": "audiorec/recall-fuse/1", **asdict(report), "out": str(output)})
    parts = ", ".join(f"{name} {n:,}" for name, n in report.channels.items())
    say(f"{report.rows:,} songs for {report.users:,} users: {output}; by channel: {parts}")
    if note:
        say(note)


def _with_horizons(
    recipe: "FusionRecipe", tables: list[Path], short_share: float
) -> "FusionRecipe":
    """Give short-horizon channels their share; unknown channels count as long-horizon."""
    from audiorec.recall.registry import known_channel
    from audiorec.recall.serving.rules import by_horizon
    from audiorec.recall.serving.tables import channels_of

    names = channels_of(tables)
    known = [known_channel(name) for name in names]
    horizons = ["long" if kind is None else kind.horizon for kind in known]
    weights = by_horizon(recipe.weights or (1.0,) * len(tables), horizons, short_share)
    return replace(recipe, weights=weights)


def _recipe(
    tables: list[Path],
    k: int,
    weights: tuple[float, ...],
    settings: dict[str, Any],
    tuned: Path | None,
) -> "tuple[FusionRecipe, str]":
    """Return the settings, from the options, figures or a tuned file, and what to say of them."""
    from audiorec.recall.serving.rules import FusionRecipe
    from audiorec.recall.serving.tables import channels_of, weights_by_worth

    if tuned is None:
        weights, note = (weights, "") if weights else weights_by_worth(tables)
        recipe = FusionRecipe(k=k, weights=weights, **settings)
        recipe.weights_of(len(tables))
        return recipe, note and f"note: {note}"

    if weights or settings:
        raise InputError(
            "--tuned contains all settings; it cannot be combined with other fusion options"
        )
    from audiorec.recall.serving.fuse import read_tuned

    learnt = read_tuned(tuned)
    below = learnt.below and f"warning: {learnt.below}"
    return learnt.for_channels(channels_of(tables), k=k), below


def tune(
    tables: Annotated[
        list[Path],
        argument(metavar="CANDIDATES", help="One table per channel, all on the same split."),
    ],
    interactions: Annotated[
        Path,
        log_file(help="The log that the channels were trained on."),
    ],
    histories: Annotated[Path, reads(log=True, help="Known histories of the users in the tables.")],
    targets: Annotated[Path, reads(help="Their next plays: user_id, song_id. Not the test set.")],
    k: Annotated[int, USER_SONGS] = 100,
    entry: Annotated[
        Entry | None,
        chooses(help="Tune for a product of recommend, with its caps, shares and tolerance."),
    ] = None,
    out: Annotated[
        Path | None,
        out_file(metavar="JSON", help="Write the settings, for --tuned of fuse, run, recommend."),
    ] = None,
    measure: Annotated[
        Literal["ndcg", "hit_rate", "recall", "capped_recall", "mrr"],
        chooses(
            metavar="NAME",
            help="The measure to maximise: ndcg, hit_rate, recall, capped_recall or mrr.",
            panel=ADVANCED,
        ),
    ] = "ndcg",
    tolerance: Annotated[
        float | None,
        chooses(
            help="Share of the accuracy that dials may cost [default: that of the entry, else 0].",
            panel=ADVANCED,
        ),
    ] = None,
    users: Annotated[
        int, chooses(help="Number of users; half of them select the settings.", panel=ADVANCED)
    ] = 20_000,
    seed: SeedOption = 0,
    side: SideOption = None,
    vectors: SongStoreOption = None,
    plot: Annotated[
        Path | None,
        writes("--plot", metavar="PNG", help="Plot the trade-off (extra plot).", panel=ADVANCED),
    ] = None,
    json: JsonOption = False,
    *,
    how: FusionOptions,
) -> None:
    r"""Tune the settings of a fusion on validation data, and report their effect.

    Half of the users select channel weights or points per rank, and how far the dials may go if
    an entry or a tolerance is given. The figures at the end are measured on the other half.

    Examples
    --------
    audiorec recall tune lists.parquet more.parquet -i plays.parquet \
        --histories plays.parquet --targets wanted.csv --out tuned.json
    audiorec recall tune lists.parquet more.parquet -i plays.parquet \
        --histories plays.parquet --targets wanted.csv --k 20 --json
    audiorec recall fuse lists.parquet more.parquet --weights 2,1 --out f.parquet
    """
    from audiorec.listening.interactions import read_interactions
    from audiorec.listening.sequences import to_sequences
    from audiorec.recall.contract.candidates import read_targets
    from audiorec.recall.judging.splits import given_split
    from audiorec.recall.serving.exclusions import traits_of
    from audiorec.recall.serving.fuse import write_tuned
    from audiorec.recall.serving.tables import channels_of
    from audiorec.recall.serving.tune import TuneSettings
    from audiorec.recall.serving.tune import tune as search

    check_plot(plot)
    settings = TuneSettings(measure=measure, tolerance=tolerance, users=users, seed=seed)
    recipe, usual_tolerance = _first_settings(entry, k, how.given)
    learnt, known = (to_sequences(read_interactions(path)) for path in (interactions, histories))
    wanted, cluster = read_targets(targets)
    split = given_split(learnt, known, wanted, cluster)
    names = channels_of(tables)
    result = search(
        tables,
        split,
        recipe,
        by=(settings.measure, k),
        users=settings.users,
        seed=settings.seed,
        names=names,
        tolerance=usual_tolerance if settings.tolerance is None else settings.tolerance,
        facts=traits_of(learnt, *_songs(side, vectors)),
    )
    if out is not None:
        write_tuned(out, result, names, entry=entry or "")
    _say_tuned(result, names, json=json)
    _draw_tuned(plot, result)
    if out is not None:
        say(f"settings: {out}; use: audiorec recall fuse ... --tuned {out}")
    elif result.recipe.method != "points":
        weights = ",".join(f"{w:g}" for w in result.recipe.weights)
        options = f"--weights {weights} --flatness {result.recipe.flatness:g}"
        say(f"weights: audiorec recall fuse {' '.join(map(str, tables))} {options}")
    else:
        say("points per rank are best; write them with --out FILE, use: recall fuse --tuned FILE")


def _first_settings(
    entry: str | None, k: int, settings: dict[str, Any]
) -> "tuple[FusionRecipe, float]":
    """Return the settings before tuning, and the share of accuracy that dials may cost."""
    from audiorec.recall.serving.rules import ENTRIES, FusionRecipe

    if entry is None:
        return FusionRecipe(k=k, **settings), 0.0
    if settings:
        raise InputError("--entry has its own settings; it cannot be combined with fusion options")
    product = ENTRIES[entry]
    return replace(product.rules, k=k), product.tolerance


SHOWN = ("popularity", "gini", "coverage", "new", "diversity_genre", "diversity_artist")


def _say_tuned(found: "Tuned", names: tuple[str, ...], *, json: bool) -> None:
    """Print the settings tried and their results."""
    from audiorec.recall.serving.fuse import settings_of

    measure = f"{found.by[0]}@{found.by[1]}"
    if json:
        tried = [
            {"name": one.name, "settings": settings_of(one.recipe), **one.figures}
            for one in found.tried
        ]
        checked: dict[str, dict[str, list[float]]] = {}
        for (what, at), one in found.checked.items():
            checked.setdefault(what, {})[at] = [one.value, one.low, one.high]
        document = {
            "schema": "audiorec/recall-tune/2",
            "channels": list(names),
            "settings": settings_of(found.recipe),
            "by": measure,
            "steps": found.steps,
            "checked": checked,
            "tried": tried,
        }
        print_json(document)
    else:
        first = [one for one in found.tried if "popularity" not in one.figures]
        dials = [one for one in found.tried if "popularity" in one.figures]
        shown = list(dict.fromkeys([measure, f"hit_rate@{found.recipe.k}", "mrr@20"]))
        rows = [(one.name, *(one.figures[n] for n in shown)) for one in first]
        title = "settings tried, on the selecting half"
        print_table(("setting", *shown), rows, title=title, digits=FIGURE_DIGITS)
        if dials:
            there = [n for n in SHOWN if any(n in one.figures for one in dials)]
            rows = [
                (
                    one.name,
                    one.figures[measure],
                    *(_short(n, one.figures.get(n)) for n in there),
                )
                for one in dials
            ]
            heads = [n.replace("diversity_", "by ") for n in there]
            title = "dials: their effect on lists, and its cost"
            print_table(("setting", measure, *heads), rows, title=title, digits=FIGURE_DIGITS)
    for (what, at), gap in found.checked.items():
        if at in (measure, f"hit_rate@{found.recipe.k}", "mrr@20"):
            say(f"{what}: {at} {gap:+}, on the other half")
    for line in found.below():
        say(f"warning: {line}")


def _short(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if name == "popularity" else f"{value:.2f}"


def _draw_tuned(path: Path | None, found: "Tuned") -> None:

    if path is None:
        return

    measure = f"{found.by[0]}@{found.by[1]}"
    from audiorec.evaluation.pictures import draw_trade_off

    drawn = draw_trade_off({one.name: one.figures for one in found.tried}, measure)
    if drawn is None:
        say("note: no picture: nothing is traded without --side, --vectors and a tolerance")
        return
    write_own(path, drawn)
    say(f"picture: {path}")
