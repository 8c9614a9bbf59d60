"""``audiorec recall fuse`` and ``tune``: the lists of several channels become one."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from audiorec.errors import InputError
from audiorec_cli.shared.console import print_json, print_table, say
from audiorec_cli.shared.inputs import Wanted, check
from audiorec_cli.shared.options import JsonOption, OutFileOption, SeedOption, also_known, more
from audiorec_cli.shared.stores import open_vectors

if TYPE_CHECKING:
    from audiorec.recall.serving.rules import Closed, FusionRecipe, SongTraits


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixing:
    """How much each channel counts, and what the list is to be like."""

    weights: Annotated[
        str, typer.Option(metavar="W,W,...", help="One a table, in their order [default: alike].")
    ] = ""
    method: Annotated[
        Literal["reciprocal", "quotas"],
        typer.Option(help="Weighted reciprocal rank, or places in proportion to the weights."),
    ] = "reciprocal"
    cold_share: Annotated[
        float, typer.Option(min=0, max=1, help="Of songs that nobody played.")
    ] = 0.0
    replay_share: Annotated[
        float, typer.Option(min=0, max=1, help="Of heard songs, by the channel replay.")
    ] = 0.0
    per_artist: Annotated[int, typer.Option(min=0, help="Songs of one artist at most; 0: any.")] = 0
    per_album: Annotated[int, more(min=0, help="Songs of one album at most; 0: any.")] = 0
    popularity: Annotated[
        float, more(min=0, help="Against hits: weights are divided by (plays + 1) to this power.")
    ] = 0.0
    diversity: Annotated[
        float, more(min=0, max=1, help="For variety of genre and artist: 0 to 1.")
    ] = 0.0
    flatness: Annotated[
        float, more(min=0, help="Of the reciprocal rank: how little first places stand out.")
    ] = 20.0

    def recipe(self, k: int) -> "FusionRecipe":
        """Return the settings."""
        from audiorec.recall.serving.rules import FusionRecipe

        try:
            weights = tuple(float(text) for text in self.weights.split(",") if text.strip())
        except ValueError as error:
            raise InputError(f"--weights {self.weights}: numbers with commas expected") from error
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
class KnownOfLists:
    """What is closed to users, and what songs have in common."""

    interactions: Annotated[
        Path | None,
        also_known(
            "--interactions", "-i", metavar="LOG", help="Heard, disliked, blocked songs stay out."
        ),
    ] = None
    exposures: Annotated[
        Path | None, also_known(metavar="FILE", help="Shown lately: user_id, song_id, shown_at.")
    ] = None
    days: Annotated[float, also_known(min=0, help="How long a shown song stays out.")] = 7.0
    side: Annotated[
        Path | None, also_known(metavar="FILE", help="Of songs: artist, album, genre.")
    ] = None
    vectors: Annotated[
        Path | None,
        also_known("--vectors", "-v", metavar="STORE", help="Their tags, genres and copies."),
    ] = None
    keep_heard: Annotated[
        bool, also_known("--keep-heard", help="Let songs of the log come again.")
    ] = False

    def read(self) -> "tuple[SongTraits, Closed]":
        """Read it all."""
        from audiorec.listening.interactions import read_interactions
        from audiorec.listening.sequences import to_sequences
        from audiorec.listening.side import completed, read_side, side_of_store
        from audiorec.recall.serving.known import closed_by, facts_of, read_exposures
        from audiorec.recall.serving.rules import Closed

        check(self.interactions, Wanted.LOG)
        check(self.vectors, Wanted.VECTORS)
        store = open_vectors(self.vectors) if self.vectors else None
        heard = side_of_store(store) if store is not None else None
        side = read_side(self.side) if self.side else heard
        if self.side is not None and side is not None and heard is not None:
            side = completed(side, heard)
        shown = read_exposures(self.exposures, days=self.days) if self.exposures else None
        if self.interactions is None:
            return facts_of(None, side, store), Closed.of(never=shown)
        log = read_interactions(self.interactions)
        closed = closed_by(log, keep_heard=self.keep_heard, shown=shown)
        return facts_of(to_sequences(log), side, store), closed


def fuse(
    tables: Annotated[
        list[Path], typer.Argument(metavar="CANDIDATES", help="Tables of recall candidates.")
    ],
    output: OutFileOption,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Songs for each user.")] = 100,
    json: JsonOption = False,
    *,
    mixing: Mixing,
    known: KnownOfLists,
) -> None:
    r"""Make one list a user of the lists of several channels.

    Ranks are compared, never similarities. Each song keeps the channel that stands for it, and why.

    Examples
    --------
    audiorec recall fuse lists.parquet more.parquet --k 100 --out fused.parquet
    audiorec recall fuse lists.parquet more.parquet --weights 3,1 --per-artist 2 \
        --vectors vecs.parquet --out fused.parquet
    audiorec recall fuse lists.parquet more.parquet --method quotas \
        -i plays.parquet --out fused.parquet
    """
    from audiorec.recall.serving.job import fuse_files

    recipe = mixing.recipe(k)
    recipe.weights_of(len(tables))
    facts, closed = known.read()
    if (recipe.per_artist or recipe.per_album or recipe.diversity) and not facts.groups:
        raise InputError("caps and variety need --side or --vectors: nobody's artist is known")
    report = fuse_files(tables, output, recipe, facts=facts, closed=closed)
    if json:
        print_json({"schema": "audiorec/recall-fuse/1", **asdict(report), "out": str(output)})
    parts = ", ".join(f"{name} {n:,}" for name, n in report.channels.items())
    say(f"{report.rows:,} songs for {report.users:,} users: {output}; by channel: {parts}")


def tune(
    tables: Annotated[
        list[Path], typer.Argument(metavar="CANDIDATES", help="One table a channel, of one split.")
    ],
    interactions: Annotated[
        Path, typer.Option("--interactions", "-i", metavar="LOG", help="What channels learnt from.")
    ],
    histories: Annotated[
        Path, typer.Option(metavar="LOG", help="What is known of the users of the tables.")
    ],
    targets: Annotated[
        Path, typer.Option(help="What they played next: user_id, song_id. Not the test set.")
    ],
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Length of the lists.")] = 100,
    users: Annotated[int, more(min=4, help="Users that are looked at, half to choose on.")] = 4_000,
    seed: SeedOption = 0,
    json: JsonOption = False,
    *,
    mixing: Mixing,
) -> None:
    r"""Learn the weights of a fusion on validation, and say what they bring.

    Half of the users choose the weights; the figures at the end are of the other half.

    Examples
    --------
    audiorec recall tune lists.parquet more.parquet -i plays.parquet \
        --histories plays.parquet --targets wanted.csv
    audiorec recall tune lists.parquet more.parquet -i plays.parquet \
        --histories plays.parquet --targets wanted.csv --k 20 --json
    audiorec recall fuse lists.parquet more.parquet --weights 2,1 --out f.parquet
    """
    from audiorec.listening.interactions import read_interactions
    from audiorec.listening.sequences import to_sequences
    from audiorec.recall.contract.tables import read_targets
    from audiorec.recall.judging.splits import given
    from audiorec.recall.serving.tune import tune as search

    check(interactions, Wanted.LOG)
    check(histories, Wanted.LOG)
    learnt, known = (to_sequences(read_interactions(path)) for path in (interactions, histories))
    wanted, cluster = read_targets(targets)
    split = given(learnt, known, wanted, cluster)
    found = search(tables, split, mixing.recipe(k), users=users, seed=seed)
    weights = ",".join(f"{w:g}" for w in found.recipe.weights)
    checked = {n: [i.value, i.low, i.high] for n, i in found.checked.items()}
    measure = f"{found.by[0]}@{found.by[1]}"
    if json:
        tried = [{"weights": list(one.weights), **one.figures} for one in found.tried]
        document = {"weights": list(found.recipe.weights), "by": measure, "checked": checked}
        print_json({"schema": "audiorec/recall-tune/1", **document, "tried": tried})
    else:
        names = [measure, "mrr@20", "popularity", "gini", "coverage"]
        rows = [
            (",".join(f"{w:g}" for w in one.weights), *(one.figures[n] for n in names))
            for one in found.tried
        ]
        print_table(("weights", *names), rows, title="tried, on the half that chose")
    for name, (value, low, high) in checked.items():
        say(f"{name}: {measure} {value:+.4f} [{low:+.4f}, {high:+.4f}], on the other half")
    say(f"weights: audiorec recall fuse {' '.join(map(str, tables))} --weights {weights}")
