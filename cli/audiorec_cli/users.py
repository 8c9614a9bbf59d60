"""``audiorec users``: train a user model, embed users with it, or bring embeddings in."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiorec_cli.shared.console import Exit, print_json, print_table, say
from audiorec_cli.shared.stopping import graceful_stop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from audiorec.recall.sequence.youtube_dnn.job import SongInputs

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Embeddings of users: train a model, use it, or import a table.",
)

InteractionsArgument = Annotated[Path, typer.Argument(help="Parquet, .csv or .csv.gz.")]
VectorsOption = Annotated[
    Path | None, typer.Option("--vectors", "-v", help="A store: songs are read as vectors.")
]
SongsOption = Annotated[
    Path | None, typer.Option("--songs", help="embeddings.parquet: songs are read as these.")
]
ProfilesOption = Annotated[
    Path | None,
    typer.Option("--profiles", help="Parquet or CSV: user_id, and what is known of the user."),
]
RuleOption = Annotated[
    Path | None, typer.Option("--rule", help="TOML or JSON: what makes a song liked.")
]
ModelOption = Annotated[Path, typer.Option("--model", "-m", help="The folder that train wrote.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document.")]


@app.command()
def train(
    interactions: InteractionsArgument,
    output: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")],
    vectors: VectorsOption = None,
    songs: SongsOption = None,
    profiles: ProfilesOption = None,
    rule: RuleOption = None,
    ids: Annotated[bool, typer.Option("--ids/--no-ids", help="Songs have ids, too.")] = True,
    half_life: Annotated[
        float, typer.Option(min=0, help="Days in which a like loses half its weight; 0: never.")
    ] = 90.0,
    max_history: Annotated[int, typer.Option(min=1, help="Newest likes that are read.")] = 100,
    dimension: Annotated[int, typer.Option(min=2, help="Numbers in an embedding.")] = 40,
    hold_out: Annotated[
        Literal["users", "later"],
        typer.Option(help="What says when to stop: users, or each user's last like."),
    ] = "users",
    negatives: Annotated[int, typer.Option(min=1, help="Songs that each like stands out of.")] = (
        1024
    ),
    epochs: Annotated[int, typer.Option(min=1, help="At most; training stops earlier.")] = 60,
    patience: Annotated[int, typer.Option(min=1, help="Epochs without a better loss.")] = 6,
    seed: Annotated[int, typer.Option(min=0, help="Same seed and data, same model.")] = 0,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Train a model that tells from past likes and a profile what a user likes next.

    It can be stopped or killed at any time: the same command goes on where it was.
    """
    from audiorec.listening.interactions import read_interactions
    from audiorec.recall.sequence.youtube_dnn.job import train_user_model as train_model
    from audiorec.recall.sequence.youtube_dnn.job import training_data
    from audiorec.recall.sequence.youtube_dnn.profiles import read_profiles
    from audiorec.recall.sequence.youtube_dnn.recipe import UsersRecipe

    recipe = UsersRecipe(
        dimension=dimension,
        id_width=dimension if ids else 0,
        half_life_days=half_life or None,
        max_history=max_history,
        hold_out=hold_out,
        negatives=negatives,
        max_epochs=epochs,
        patience=patience,
        seed=seed,
    )
    log = read_interactions(interactions)
    data = training_data(
        log,
        inputs=_inputs(vectors, songs),
        profiles=read_profiles(profiles) if profiles else None,
        rule=_rule(rule),
    )
    with graceful_stop("this step is", quiet=quiet) as stop:
        model = train_model(data, output, recipe=recipe, progress=_epochs(quiet), stop=stop)
    if model is None:
        say("stopped; the same command goes on from there")
        raise typer.Exit(Exit.INTERRUPTED)
    document = {
        "schema": "audiorec/users-train/1",
        "model": str(output),
        "model_id": model.model_id,
        "data": {k: v for k, v in model.info["data"].items() if k != "demographics"},
        "figures": model.info["figures"],
    }
    _print(document, json, {**document["data"], **document["figures"]})
    _say_simulated(log.simulated)
    say(f"model: {output}; use it: audiorec users embed {interactions} --model {output}")


@app.command()
def embed(
    model: ModelOption,
    output: Annotated[Path, typer.Option("--out", "-o", help="users.parquet to write.")],
    interactions: Annotated[
        Path | None, typer.Argument(help="Parquet, .csv or .csv.gz; none: profiles alone.")
    ] = None,
    vectors: VectorsOption = None,
    songs: SongsOption = None,
    profiles: ProfilesOption = None,
    rule: RuleOption = None,
    json: JsonOption = False,
) -> None:
    """Embed every user of the interactions and of the profiles.

    A user without a usable like gets the embedding of the profile alone; the column
    profile_only says so. Without --vectors or --songs, the songs of the training are known.
    """
    from audiorec.listening.interactions import read_interactions
    from audiorec.recall.sequence.youtube_dnn.job import embed_users, write_users
    from audiorec.recall.sequence.youtube_dnn.model import UsersModel
    from audiorec.recall.sequence.youtube_dnn.profiles import read_profiles

    loaded = UsersModel.load(model)
    log = read_interactions(interactions) if interactions else None
    found = embed_users(
        loaded,
        log,
        inputs=_inputs(vectors, songs),
        profiles=read_profiles(profiles) if profiles else None,
        rule=_rule(rule),
    )
    write_users(output, found, loaded)
    alone = int(found.users.profile_only.sum())
    document = {
        "schema": "audiorec/users-embed/1",
        "users": len(found.user_ids),
        "profile_only": alone,
        "likes": found.likes,
        "likes_of_unknown_songs": found.unknown,
        "simulated": log is not None and log.simulated,
        "model_id": loaded.model_id,
        "out": str(output),
    }
    _print(document, json, document)
    _say_simulated(document["simulated"])
    if alone:
        say(f"{alone} of {len(found.user_ids)} users have no history: their profile alone speaks")
    if found.unknown:
        say(f"{found.unknown} likes are of songs that the model does not know; give --vectors")


@app.command("songs")
def song_side(
    model: ModelOption,
    output: Annotated[Path, typer.Option("--out", "-o", help="embeddings.parquet to write.")],
    json: JsonOption = False,
) -> None:
    """Write the model's own embeddings of the songs that it was trained on."""
    from audiorec.recall.sequence.youtube_dnn.job import write_song_side
    from audiorec.recall.sequence.youtube_dnn.model import UsersModel

    loaded = UsersModel.load(model)
    write_song_side(output, loaded)
    document = {
        "schema": "audiorec/users-songs/1",
        "songs": len(loaded.song_ids),
        "model_id": loaded.model_id,
        "out": str(output),
    }
    _print(document, json, document)


@app.command("import")
def import_table(
    table: Annotated[Path, typer.Argument(help=".parquet with a list column, .csv or .npz.")],
    output: Annotated[Path, typer.Option("--out", "-o", help="users.parquet to write.")],
    id_column: Annotated[str, typer.Option(help="Column of user ids.")] = "user_id",
    embedding_column: Annotated[
        str, typer.Option(help="List column of a Parquet file.")
    ] = "embedding",
    normalise: Annotated[
        bool, typer.Option("--normalise", help="Bring every embedding to length 1.")
    ] = False,
    model_id: Annotated[
        str, typer.Option(help="What made them [default: named by their content].")
    ] = "",
    json: JsonOption = False,
) -> None:
    """Bring in embeddings of users that were made elsewhere."""
    from audiorec.store.embeddings import write_embeddings
    from audiorec.store.foreign import content_id, read_foreign, to_unit

    ids, embeddings = read_foreign(table, id_column=id_column, embedding_column=embedding_column)
    if normalise:
        embeddings = to_unit(table, ids, embeddings)
    space = model_id or content_id(ids, embeddings)
    write_embeddings(output, ids, embeddings, kind="users", model_id=space)
    document = {
        "schema": "audiorec/users-import/1",
        "users": len(ids),
        "dimension": int(embeddings.shape[1]),
        "model_id": space,
        "out": str(output),
    }
    _print(document, json, document)


def _inputs(vectors: Path | None, songs: Path | None) -> "SongInputs":
    from audiorec.recall.sequence.youtube_dnn.job import SongInputs
    from audiorec.search.library import Library
    from audiorec.store.embeddings import EmbeddingTable

    return SongInputs(
        Library.open(vectors) if vectors else None,
        EmbeddingTable.open(songs, kind="songs") if songs else None,
    )


def _say_simulated(simulated: object) -> None:
    if simulated:
        say("note: simulated listening")


def _rule(path: Path | None) -> Any:
    from audiorec.listening.rule import load_rule

    return load_rule(path) if path else None


def _epochs(quiet: bool) -> "Callable[[Mapping[str, Any]], None] | None":
    """Return what says a line an epoch."""
    if quiet:
        return None
    started = time.monotonic()

    def tell(metrics: "Mapping[str, Any]") -> None:
        recall = metrics.get("held_out_recall_at_50")
        at = "" if recall is None else f", recall@50 {recall:.3f}"
        say(
            f"epoch {metrics['epoch']}: loss {metrics['loss']:.4f}, held out "
            f"{metrics['held_out_loss']:.4f}{at} ({time.monotonic() - started:.0f} s)"
        )

    return tell


def _print(document: "Mapping[str, Any]", json: bool, shown: "Mapping[str, Any]") -> None:
    if json:
        print_json(document)
        return
    rows = [(name, value) for name, value in shown.items() if name != "schema"]
    print_table(("what", "value"), rows, title="users")
