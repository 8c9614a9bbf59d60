"""``audiorec recall fuse`` and ``tune``: fuse the lists of several channels."""

from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiorec.errors import InputError
from audiorec_cli.shared.console import print_json, print_table, say
from audiorec_cli.shared.engines import Engines
from audiorec_cli.shared.inputs import InputKind, check
from audiorec_cli.shared.jobs import JobSummary, recorded
from audiorec_cli.shared.options import JsonOption, OutFileOption, SeedOption, also_known, more
from audiorec_cli.shared.pictures import check_plot
from audiorec_cli.shared.progress import stopped
from audiorec_cli.shared.stores import open_vectors

if TYPE_CHECKING:
    from audiorec.listening.side import SongSide
    from audiorec.recall.serving.rules import Exclusions, FusionRecipe, SongTraits
    from audiorec.recall.serving.tuned import Tuned


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionOptions:
    """Fusion settings: weights of the channels, shares, caps and dials."""

    weights: Annotated[
        str,
        typer.Option(
            metavar="W,W,...", help="Weights in the order of the tables [default: equal]."
        ),
    ] = ""
    method: Annotated[
        Literal["reciprocal", "quotas"],
        typer.Option(help="Weighted reciprocal rank, or quotas in proportion to the weights."),
    ] = "reciprocal"
    cold_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of songs that nobody has played.")
    ] = 0.0
    replay_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of heard songs, from the channel replay.")
    ] = 0.0
    per_artist: Annotated[
        int, typer.Option("--max-per-artist", min=0, help="Most songs of one artist; 0: no limit.")
    ] = 0
    per_album: Annotated[
        int, more("--max-per-album", min=0, help="Most songs of one album; 0: no limit.")
    ] = 0
    popularity: Annotated[
        float, more(min=0, help="Popularity penalty: divide weights by (plays + 1) to this power.")
    ] = 0.0
    diversity: Annotated[float, more(min=0, max=1, help="Variety of genre and artist, 0 to 1.")] = (
        0.0
    )
    flatness: Annotated[
        float,
        more(min=0, help="Constant of the reciprocal rank; larger: less weight on top ranks."),
    ] = 20.0

    def recipe(self, k: int) -> "FusionRecipe":
        """Return the fusion settings for lists of `k` songs."""
        from audiorec.recall.serving.rules import FusionRecipe

        try:
            weights = tuple(float(text) for text in self.weights.split(",") if text.strip())
        except ValueError as error:
            raise InputError(
                f"--weights {self.weights}: expected numbers separated by commas"
            ) from error
        return FusionRecipe(
            k=k,
            method=self.method,
            weights=weights,
            flatness=self.flatness,
            cold_share=self.cold_share,
            replay_share=self.replay_share,
            per_artist=self.per_artist,
            per_album=self.per_album,
            popularity=self.popularity,
            diversity=self.diversity,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExclusionOptions:
    """Inputs of a fusion: excluded songs, and the artist, album and genre of songs."""

    interactions: Annotated[
        Path | None,
        also_known(
            "--interactions", "-i", metavar="LOG", help="Exclude heard, disliked and blocked songs."
        ),
    ] = None
    exposures: Annotated[
        Path | None, also_known(metavar="FILE", help="Recently shown: user_id, song_id, shown_at.")
    ] = None
    days: Annotated[float, also_known(min=0, help="Days that a shown song is excluded.")] = 7.0
    side: Annotated[
        Path | None, also_known(metavar="FILE", help="Song metadata: artist, album, genre.")
    ] = None
    vectors: Annotated[
        Path | None,
        also_known("--vectors", "-v", metavar="STORE", help="Tags, genres and copies of songs."),
    ] = None
    keep_heard: Annotated[
        bool, also_known("--keep-heard", help="Allow songs that the user has heard.")
    ] = False

    def read(self) -> "tuple[SongTraits, Exclusions]":
        """Return the traits of songs, and the songs excluded per user."""
        from audiorec.listening.interactions import read_interactions
        from audiorec.listening.sequences import to_sequences
        from audiorec.recall.serving.exclusions import excluded_by, read_exposures, traits_of
        from audiorec.recall.serving.rules import Exclusions

        check(self.interactions, InputKind.LOG)
        check(self.vectors, InputKind.VECTORS)
        side, store = _songs(self.side, self.vectors)
        shown = read_exposures(self.exposures, days=self.days) if self.exposures else None
        if self.interactions is None:
            return traits_of(None, side, store), Exclusions.of(never=shown)
        log = read_interactions(self.interactions)
        excluded = excluded_by(log, keep_heard=self.keep_heard, shown=shown)
        return traits_of(to_sequences(log), side, store), excluded


def _songs(side: Path | None, vectors: Path | None) -> "tuple[SongSide | None, Any]":
    """Read song metadata from a table and a store; return it with the store, if any."""
    from audiorec.listening.side import fill_missing, read_side, side_of_store

    store = open_vectors(vectors) if vectors else None
    heard = side_of_store(store) if store is not None else None
    found = read_side(side) if side else heard
    if side is not None and found is not None and heard is not None:
        found = fill_missing(found, heard)
    return found, store


@recorded("recall fuse", "output", by_day="file")
def fuse(
    tables: Annotated[
        list[Path], typer.Argument(metavar="CANDIDATES", help="Tables of recall candidates.")
    ],
    output: OutFileOption,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Songs for each user.")] = 100,
    tuned: Annotated[
        Path | None, typer.Option(metavar="JSON", help="Settings written by recall tune --out.")
    ] = None,
    short_share: Annotated[
        float | None,
        more(min=0, max=1, help="Share of the weight given to short-term channels."),
    ] = None,
    json: JsonOption = False,
    *,
    mixing: FusionOptions,
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
        --max-per-artist 2 --vectors vecs.parquet --out fused.parquet
    audiorec recall fuse lists.parquet more.parquet --method quotas \
        -i plays.parquet --out fused.parquet
    """
    from audiorec.recall.serving.job import fuse_files

    recipe, below = _recipe(tables, mixing, k, tuned)
    if short_share is not None:
        recipe = _with_horizons(recipe, tables, short_share)
    facts, excluded = known.read()
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
    if below:
        say(f"warning: {below}")
    elif tuned is None and len(tables) > 1:
        say("note: not compared with each channel alone, which may be better: recall tune does")


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
    tables: list[Path], mixing: FusionOptions, k: int, tuned: Path | None
) -> "tuple[FusionRecipe, str]":
    """Return the settings, from the options or a tuned file, and a warning of the latter."""
    if tuned is None:
        recipe = mixing.recipe(k)
        recipe.weights_of(len(tables))
        return recipe, ""
    from audiorec.recall.serving.tables import channels_of
    from audiorec.recall.serving.tuned import read_tuned

    if mixing != FusionOptions():
        raise InputError(
            "--tuned contains all settings; it cannot be combined with other fusion options"
        )
    learnt = read_tuned(tuned)
    return learnt.for_channels(channels_of(tables), k=k), learnt.below


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneOptions:
    """Options of tuning: objective, users, and where the result is written."""

    entry: Annotated[
        Literal["daily", "radio", "discover", "new"] | None,
        typer.Option(help="Tune for a product of recommend, with its caps, shares and tolerance."),
    ] = None
    tolerance: Annotated[
        float | None,
        more(min=0, max=0.99, help="Share of the accuracy that dials may cost [default: 0]."),
    ] = None
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="JSON",
            help="Write the settings, for --tuned of fuse, run, recommend.",
        ),
    ] = None
    plot: Annotated[
        Path | None, more("--plot", metavar="PNG", help="Plot the trade-off (extra plot).")
    ] = None
    users: Annotated[
        int, more(min=4, help="Number of users; half of them select the settings.")
    ] = 20_000
    by: Annotated[
        Literal["ndcg", "hit_rate", "recall", "capped_recall", "mrr"],
        more(help="The measure to maximise, over the whole list."),
    ] = "ndcg"
    seed: SeedOption = 0

    def base(self, mixing: FusionOptions, k: int) -> "tuple[FusionRecipe, float]":
        """Return the initial settings, and the share of accuracy that dials may cost."""
        from audiorec.recall.serving.entries import ENTRIES

        if self.entry is None:
            return mixing.recipe(k), self.tolerance or 0.0
        if mixing != FusionOptions():
            raise InputError(
                "--entry has its own settings; it cannot be combined with fusion options"
            )
        product = ENTRIES[self.entry]
        tolerance = product.tolerance if self.tolerance is None else self.tolerance
        return replace(product.rules, k=k), tolerance


def tune(
    tables: Annotated[
        list[Path],
        typer.Argument(metavar="CANDIDATES", help="One table per channel, all on the same split."),
    ],
    interactions: Annotated[
        Path,
        typer.Option(
            "--interactions", "-i", metavar="LOG", help="The log that the channels were trained on."
        ),
    ],
    histories: Annotated[
        Path, typer.Option(metavar="LOG", help="Known histories of the users in the tables.")
    ],
    targets: Annotated[
        Path, typer.Option(help="Their next plays: user_id, song_id. Not the test set.")
    ],
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Length of the lists.")] = 100,
    side: Annotated[
        Path | None, also_known(metavar="FILE", help="Song metadata: artist, album, genre.")
    ] = None,
    vectors: Annotated[
        Path | None,
        also_known("--vectors", "-v", metavar="STORE", help="Tags, genres and copies of songs."),
    ] = None,
    json: JsonOption = False,
    *,
    learning: TuneOptions,
    mixing: FusionOptions,
) -> None:
    r"""Tune the settings of a fusion on validation data, and report their effect.

    Half of the users select channel weights or points per rank, and how far the dials may go if
    --tolerance or --entry is given. The figures at the end are measured on the other half.

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
    from audiorec.recall.serving.tables import channels_of
    from audiorec.recall.serving.tune import tune as search
    from audiorec.recall.serving.tuned import write_tuned

    check(interactions, InputKind.LOG)
    check(histories, InputKind.LOG)
    check_plot(learning.plot)
    recipe, tolerance = learning.base(mixing, k)
    learnt, known = (to_sequences(read_interactions(path)) for path in (interactions, histories))
    wanted, cluster = read_targets(targets)
    split = given_split(learnt, known, wanted, cluster)
    names = channels_of(tables)
    found = search(
        tables,
        split,
        recipe,
        by=(learning.by, k),
        users=learning.users,
        seed=learning.seed,
        names=names,
        tolerance=tolerance,
        facts=traits_of(learnt, *_songs(side, vectors)),
    )
    if learning.out is not None:
        write_tuned(learning.out, found, names, entry=learning.entry or "")
    _say_tuned(found, names, json=json)
    _draw_tuned(learning.plot, found)
    if learning.out is not None:
        say(f"settings: {learning.out}; use: audiorec recall fuse ... --tuned {learning.out}")
    elif found.recipe.method != "points":
        weights = ",".join(f"{w:g}" for w in found.recipe.weights)
        options = f"--weights {weights} --flatness {found.recipe.flatness:g}"
        say(f"weights: audiorec recall fuse {' '.join(map(str, tables))} {options}")
    else:
        say("points per rank are best; write them with --out FILE, use: recall fuse --tuned FILE")


SHOWN = ("popularity", "gini", "coverage", "new", "diversity_genre", "diversity_artist")


def _say_tuned(found: "Tuned", names: tuple[str, ...], *, json: bool) -> None:
    """Print the settings tried and their results."""
    measure = f"{found.by[0]}@{found.by[1]}"
    if json:
        from audiorec.recall.serving.tuned import settings_of

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
        rows = [(one.name, *(f"{one.figures[n]:.4f}" for n in shown)) for one in first]
        print_table(("setting", *shown), rows, title="settings tried, on the selecting half")
        if dials:
            there = [n for n in SHOWN if any(n in one.figures for one in dials)]
            rows = [
                (
                    one.name,
                    f"{one.figures[measure]:.4f}",
                    *(_short(n, one.figures.get(n)) for n in there),
                )
                for one in dials
            ]
            heads = [n.replace("diversity_", "by ") for n in there]
            title = "dials: their effect on lists, and its cost"
            print_table(("setting", measure, *heads), rows, title=title)
    for (what, at), (value, low, high) in ((key, astuple(i)) for key, i in found.checked.items()):
        if at in (measure, f"hit_rate@{found.recipe.k}", "mrr@20"):
            say(f"{what}: {at} {value:+.4f} [{low:+.4f}, {high:+.4f}], on the other half")
    for line in found.below():
        say(f"warning: {line}")


def _short(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if name == "popularity" else f"{value:.2f}"


def _draw_tuned(path: Path | None, found: "Tuned") -> None:
    if path is None:
        return
    from audiorec.evaluation.pictures import draw_trade_off
    from audiorec.files.own_files import replaced

    measure = f"{found.by[0]}@{found.by[1]}"
    drawn = draw_trade_off({one.name: one.figures for one in found.tried}, measure)
    with replaced(path) as part:
        part.write_bytes(drawn)
    say(f"picture: {path}")
