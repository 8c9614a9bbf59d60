"""``audiorec recall unheard``: evaluate a model on artists and songs held out of training."""

from pathlib import Path
from typing import Annotated, Any

import typer

from audiorec_cli.recall_space import in_one_space
from audiorec_cli.shared.console import FIGURE_DIGITS, print_json, print_table, say
from audiorec_cli.shared.inputs import InputKind, check
from audiorec_cli.shared.listening import ModelArgument, TrainingOptions
from audiorec_cli.shared.options import JsonOption, LogOption, SeedOption, more


def unheard(
    model: ModelArgument,
    interactions: LogOption,
    users: Annotated[
        Path | None,
        typer.Option(
            "--users",
            "-u",
            metavar="FILE",
            help="User embeddings [default: computed from histories].",
        ),
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Length of the lists.")] = 10,
    all_songs: Annotated[
        bool, typer.Option("--all-songs", help="Treat all songs as unheard by the model.")
    ] = False,
    seed: SeedOption = 0,
    json: JsonOption = False,
    embeddings: Annotated[
        Path | None, more(metavar="FILE", help="Song embeddings [default: computed].")
    ] = None,
    upper_bound: Annotated[
        Path | None,
        more(metavar="FILE", help="Embeddings of the songs known to the user model."),
    ] = None,
    *,
    listened: TrainingOptions,
) -> None:
    """Evaluate a model on held-out artists and songs, beside simple baselines.

    The model records what was held out if it was trained with --set test=0.2 or new_songs=0.2.
    Embeddings given by --users must come from a log without these songs: audiorec listening
    holdout.

    Examples
    --------
    audiorec recall unheard m/ -i plays.csv -f features.parquet
    audiorec recall unheard m/ -i plays.csv -f features.parquet -u users.parquet
    audiorec recall unheard m/ -i plays.csv -v vecs.parquet --likes --json
    """
    from audiorec.recall.audio.judge import judge_unheard
    from audiorec.store.embeddings import EmbeddingTable

    channel = in_one_space(model)
    check(users, InputKind.USERS)
    check(embeddings, InputKind.SONGS)
    check(upper_bound, InputKind.SONGS)
    data = listened.data(interactions)
    found = judge_unheard(
        channel,
        data,
        users=EmbeddingTable.open(users, kind="users") if users else None,
        songs=EmbeddingTable.open(embeddings, kind="songs") if embeddings else None,
        warm=EmbeddingTable.open(upper_bound, kind="songs") if upper_bound else None,
        k=k,
        all_songs=all_songs,
        seed=seed,
    )
    if json:
        about = {"model": str(model), "channel": channel.name, "model_id": channel.model_id}
        print_json({"schema": "audiorec/recall-unheard/1", **about, **found.to_dict()})
        return
    for name, panel in found.to_dict()["panels"].items():
        _print_panel(name.replace("_", " "), panel)
    if found.simulated:
        say("note: simulated listening; these figures say nothing about real people")


def _print_panel(name: str, panel: dict[str, Any]) -> None:
    columns = ("method", "AUC", "low", "high", "behind", "low", "high")
    rows = []
    for method, row in panel["methods"].items():
        lists = [row[name][0] for name in ("precision", "recall", "ndcg")]
        behind = row["ahead"] or ("", "", "")
        rows.append((method, *row["auc"], *behind, *lists, row["coverage"], row["popularity_bias"]))
    title = f"{name}: {panel['users']:,} users, {panel['songs']:,} songs, k = {panel['k']}"
    measured = ("precision", "recall", "NDCG", "coverage", "popularity")
    print_table((*columns, *measured), rows, title=title, digits=FIGURE_DIGITS)
