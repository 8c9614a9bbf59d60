"""``audiorec users``: train a user model, embed users with it, or bring embeddings in."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiorec_cli.shared.console import print_document, print_facts, print_json, say
from audiorec_cli.shared.inputs import Wanted, check, trained
from audiorec_cli.shared.options import (
    JsonOption,
    LogArgument,
    OutFileOption,
    OutFolderOption,
    QuietOption,
    RuleOption,
    SeedOption,
    more,
)
from audiorec_cli.shared.pages import command, group
from audiorec_cli.shared.progress import graceful_stop, stopped
from audiorec_cli.shared.stores import open_vectors, usual_vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from audiorec.recall.sequence.youtube_dnn.job import SongInputs

app = group(
    """Make embeddings of users: train a model and use it, or import a table.

    Examples
    --------
    audiorec users train plays.csv
    audiorec users embed plays.csv
    audiorec users import theirs.npz --out users.parquet
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of songs and users, beside the log."""

    vectors: Annotated[
        Path | None,
        typer.Option(
            "--vectors", "-v", metavar="STORE", help="A store: songs are read as vectors."
        ),
    ] = None
    songs: Annotated[
        Path | None, typer.Option(help="embeddings.parquet: songs are read as these.")
    ] = None
    profiles: Annotated[
        Path | None, typer.Option(help="Parquet or CSV: user_id, and what is known of the user.")
    ] = None
    rule: RuleOption = None

    def inputs(self, *, usual: bool = False) -> "SongInputs":
        """Open what songs are read as; if nothing is given, the `usual` store, if it is there."""
        from audiorec.recall.sequence.youtube_dnn.job import SongInputs
        from audiorec.store.embeddings import EmbeddingTable

        vectors = self.vectors
        if usual and vectors is None and self.songs is None:
            vectors = usual_vectors("songs are read as vectors of")
        check(vectors, Wanted.VECTORS)
        check(self.songs, Wanted.SONGS)
        return SongInputs(
            open_vectors(vectors) if vectors else None,
            EmbeddingTable.open(self.songs, kind="songs") if self.songs else None,
        )

    def people(self) -> Any:
        """Read the profiles, if there are any, and the rule."""
        from audiorec.listening.profiles import read_profiles
        from audiorec.listening.rule import load_rule

        return {
            "profiles": read_profiles(self.profiles) if self.profiles else None,
            "rule": load_rule(self.rule) if self.rule else None,
        }


MODEL = Path("users_model")
ModelOption = Annotated[
    Path, typer.Option("--model", "-m", metavar="FOLDER", help="What train wrote.")
]


@command(app)
def train(
    interactions: LogArgument,
    output: OutFolderOption = MODEL,
    epochs: Annotated[int, typer.Option(min=1, help="At most; training stops earlier.")] = 60,
    dimension: Annotated[int, typer.Option(min=2, help="Numbers in an embedding.")] = 40,
    seed: SeedOption = 0,
    quiet: QuietOption = False,
    json: JsonOption = False,
    ids: Annotated[bool, more("--ids/--no-ids", help="Songs have ids, too.")] = True,
    ids_alone: Annotated[
        bool, more("--ids-alone", help="No vectors, even where there is a store.")
    ] = False,
    half_life: Annotated[
        float, more(min=0, help="Days in which a like loses half its weight; 0: never.")
    ] = 90.0,
    max_history: Annotated[int, more(min=1, help="Newest likes that are read.")] = 100,
    hold_out: Annotated[
        Literal["users", "later"],
        more(help="What says when to stop: users, or each user's last like."),
    ] = "users",
    negatives: Annotated[int, more(min=1, help="Negatives for each like.")] = 1024,
    patience: Annotated[int, more(min=1, help="Epochs without a better loss.")] = 6,
    *,
    known: Known,
) -> None:
    """Train a model that tells from past likes and a profile what a user likes next.

    Songs are read as vectors of --vectors, by default of $AUDIOREC_VECTORS or vecs.parquet, if
    there. It can be stopped or killed at any time: the same command goes on where it was.

    Examples
    --------
    audiorec users train plays.csv
    audiorec users train plays.csv --vectors vecs.parquet --out users_model/
    audiorec users train plays.csv --profiles profiles.csv
    """
    from audiorec.listening.interactions import read_interactions
    from audiorec.recall.sequence.youtube_dnn.job import train_user_model as train_model
    from audiorec.recall.sequence.youtube_dnn.job import training_data
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
    check(interactions, Wanted.LOG)
    log = read_interactions(interactions)
    inputs = known.inputs(usual=not ids_alone)
    if not inputs:
        say(
            "songs are known by id alone: new songs get no embedding; to read them as vectors: "
            f"audiorec users train {interactions} --vectors vecs.parquet"
        )
    data = training_data(log, inputs=inputs, **known.people())
    with graceful_stop("this step is", quiet=quiet) as stop:
        model = train_model(data, output, recipe=recipe, progress=_epochs(quiet), stop=stop)
    if model is None:
        raise stopped()
    document = {
        "schema": "audiorec/users-train/1",
        "model": str(output),
        "model_id": model.model_id,
        "data": {k: v for k, v in model.info["data"].items() if k != "demographics"},
        "figures": model.info["figures"],
    }
    if json:
        print_json(document)
    else:
        print_facts({**document["data"], **document["figures"]}, title="users")
    _say_simulated(log.simulated)
    say(f"model: {output}; use it: audiorec users embed {interactions} --model {output}")


@command(app)
def embed(
    interactions: Annotated[
        Path | None,
        typer.Argument(metavar="LOG", help="Parquet, .csv or .csv.gz; none: profiles alone."),
    ] = None,
    model: ModelOption = MODEL,
    output: OutFileOption = Path("users.parquet"),
    json: JsonOption = False,
    *,
    known: Known,
) -> None:
    """Embed every user of the interactions and of the profiles.

    A user without a usable like gets the embedding of the profile alone; the column
    profile_only says so. Without --vectors or --songs, the songs of the training are known.

    Examples
    --------
    audiorec users embed plays.csv
    audiorec users embed plays.csv --model users_model/ --out users.parquet
    audiorec users embed --profiles new.csv --out new-users.parquet
    """
    from audiorec.listening.interactions import read_interactions
    from audiorec.recall.sequence.youtube_dnn.job import embed_users, write_users
    from audiorec.recall.sequence.youtube_dnn.model import UsersModel

    with trained(model, "users_model"):
        loaded = UsersModel.load(model)
    check(interactions, Wanted.LOG)
    log = read_interactions(interactions) if interactions else None
    found = embed_users(loaded, log, inputs=known.inputs(), **known.people())
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
    print_document(document, json=json, title="users")
    _say_simulated(document["simulated"])
    if alone:
        say(f"{alone} of {len(found.user_ids)} users have no history: their profile alone speaks")
    if found.unknown:
        say(
            f"{found.unknown} likes are of songs that the model does not know; if it was trained "
            "on vectors, --vectors STORE reads them"
        )
    say(f"users: {output}; songs near them: audiorec recall train user-audio -i LOG -u {output}")


@command(app, "songs")
def song_side(output: OutFileOption, model: ModelOption = MODEL, json: JsonOption = False) -> None:
    """Write the model's own embeddings of the songs that it was trained on.

    Examples
    --------
    audiorec users songs --out songs.parquet
    audiorec users songs --model users_model/ --out songs.parquet
    audiorec users songs -o songs.parquet --json
    """
    from audiorec.recall.sequence.youtube_dnn.job import write_song_side
    from audiorec.recall.sequence.youtube_dnn.model import UsersModel

    with trained(model, "users_model"):
        loaded = UsersModel.load(model)
    write_song_side(output, loaded)
    document = {
        "schema": "audiorec/users-songs/1",
        "songs": len(loaded.song_ids),
        "model_id": loaded.model_id,
        "out": str(output),
    }
    print_document(document, json=json, title="users")


@command(app, "import")
def import_table(
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help=".parquet with a list column, .csv or .npz.")
    ],
    output: OutFileOption,
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
    """Bring in embeddings of users that were made elsewhere.

    Examples
    --------
    audiorec users import theirs.npz --out users.parquet
    audiorec users import theirs.csv --id-column id --out users.parquet
    audiorec users import theirs.npz --normalise --out users.parquet --json
    """
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
    print_document(document, json=json, title="users")


def _say_simulated(simulated: object) -> None:
    if simulated:
        say("note: simulated listening")


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
