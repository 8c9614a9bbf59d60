"""``audiorec metric evaluate`` and ``holdout``: how good a model is on what it never heard."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from audiorec_cli.shared.console import print_json, print_table, say

LogOption = Annotated[Path, typer.Option("--interactions", "-i", help="The listening log.")]
RuleOption = Annotated[
    Path | None, typer.Option(help="From events to liked and disliked: a TOML or JSON file.")
]
StoreOption = Annotated[
    Path | None,
    typer.Option("--vectors", "-v", help="Artists: a store [default: vecs.parquet beside]."),
]
TestShareOption = Annotated[
    float, typer.Option("--test-share", min=0, max=0.9, help="Artists kept for evaluate.")
]
NewSongsOption = Annotated[
    float, typer.Option("--new-song-share", min=0, max=0.9, help="Songs kept for evaluate.")
]
ValidShareOption = Annotated[
    float, typer.Option("--valid-share", min=0, max=0.9, help="Artists that say when to stop.")
]
SplitSeedOption = Annotated[int, typer.Option("--split-seed", help="Which artists those are.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document.")]


def evaluate(
    model: Annotated[Path, typer.Argument(help="The model's folder.")],
    features: Annotated[Path, typer.Option("--features", "-f", help="Of all songs.")],
    interactions: LogOption,
    users: Annotated[Path, typer.Option("--users", "-u", help="Their embeddings.")],
    vectors: StoreOption = None,
    embeddings: Annotated[
        Path | None, typer.Option(help="The songs', made before [default: made now].")
    ] = None,
    warm: Annotated[
        Path | None, typer.Option(help="The user model's own embeddings of songs: a bound.")
    ] = None,
    rule: RuleOption = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Length of lists.")] = 10,
    all_songs: Annotated[
        bool, typer.Option("--all-songs", help="The model heard none of these songs.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    json: JsonOption = False,
) -> None:
    """Judge a model on artists and songs that it never heard, beside plain baselines.

    The users' embeddings must come from a log without those songs: audiorec metric holdout.
    """
    from audiorec.listening.rule import load_rule
    from audiorec.recall.audio.judge import EvaluationFiles, evaluate_metric
    from audiorec.recall.audio.model import MetricModel

    found = evaluate_metric(
        MetricModel.load(model),
        EvaluationFiles(
            features=features,
            interactions=interactions,
            users=users,
            store=vectors,
            embeddings=embeddings,
            warm=warm,
        ),
        rule=load_rule(rule) if rule else None,
        k=k,
        all_songs=all_songs,
        seed=seed,
    )
    if json:
        print_json({"schema": "audiorec/metric-evaluate/1", "model": str(model), **found.to_dict()})
        return
    for name, panel in found.to_dict()["panels"].items():
        _print_panel(name.replace("_", " "), panel)
    if found.simulated:
        say("simulated listening: no figure here is about real people")


def holdout(
    features: Annotated[Path, typer.Argument(help="features.parquet of all songs.")],
    interactions: LogOption,
    output: Annotated[Path, typer.Option("--out", "-o", help="The log to write.")],
    vectors: StoreOption = None,
    valid_share: ValidShareOption = 0.1,
    test_share: TestShareOption = 0.2,
    new_song_share: NewSongsOption = 0.0,
    split_seed: SplitSeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Write a log without the songs that a model will be judged on, to make its users of.

    Give the shares and the seed that metric train will be given.
    """
    from audiorec.recall.audio.held_out import Split, write_known

    split = Split(valid=valid_share, test=test_share, new_songs=new_song_share, seed=split_seed)
    report = write_known(features, interactions, out=output, split=split, store=vectors)
    if json:
        print_json({"schema": "audiorec/metric-holdout/1", **asdict(report), "out": str(output)})
    songs = ", ".join(f"{count} {part}" for part, count in report.songs.items())
    say(f"{report.kept:,} of {report.rows:,} rows kept; songs: {songs}; log: {output}")


def _print_panel(name: str, panel: dict[str, Any]) -> None:
    columns = ("method", "AUC", "low", "high", "behind", "low", "high")
    rows = []
    for method, row in panel["methods"].items():
        lists = [row[name][0] for name in ("precision", "recall", "ndcg")]
        behind = row["ahead"] or ("", "", "")
        rows.append((method, *row["auc"], *behind, *lists, row["coverage"], row["popularity_bias"]))
    title = f"{name}: {panel['users']:,} users, {panel['songs']:,} songs, k = {panel['k']}"
    more = ("precision", "recall", "NDCG", "coverage", "popularity")
    print_table((*columns, *more), rows, title=title)
