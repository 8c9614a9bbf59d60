"""``audiorec cold-start``: new songs to the users for them, users to the new songs for them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiorec_cli.shared.console import Exit, print_json, print_table, say
from audiorec_cli.shared.lines import progress_lines
from audiorec_cli.shared.stopping import graceful_stop

if TYPE_CHECKING:
    from audiorec.recall.cold_start.plan import ColdStartPlan
    from audiorec.recall.cold_start.sides import ColdStartFiles, ColdStartInputs

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Candidates for songs that nobody has heard yet: batch jobs on Parquet.",
)

SongsOption = Annotated[
    Path, typer.Option("--songs", help="New songs: embeddings.parquet, or a store by vector.")
]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="The Parquet file to write.")]
UsersOption = Annotated[
    Path | None, typer.Option("--users", help="users.parquet; without it, tastes by vector.")
]
VectorsOption = Annotated[
    Path | None, typer.Option("--vectors", "-v", help="The store of the songs that users like.")
]
InteractionsOption = Annotated[
    Path | None,
    typer.Option("--interactions", help="Listening: for tastes, and to leave out what was heard."),
]
ByOption = Annotated[
    Literal["auto", "embedding", "vector"],
    typer.Option(help="What is compared; auto: embeddings where --users is given."),
]
RuleOption = Annotated[
    Path | None, typer.Option("--rule", help="TOML or JSON: what makes a song liked.")
]
MinimumOption = Annotated[float, typer.Option(help="Least similarity, from -1 to 1.")]
PerArtistOption = Annotated[
    int | None, typer.Option(min=1, help="Songs of one artist that one user is shown, at most.")
]
ArtistsOption = Annotated[
    Path | None, typer.Option(help="Parquet with song_id and artist, if --songs has no artists.")
]
QuotaOption = Annotated[int, typer.Option(min=0, help="Users that every song reaches first.")]
ExposuresOption = Annotated[
    int | None, typer.Option(min=0, help="Exposures to divide over all lists.")
]
HalfLifeOption = Annotated[
    float, typer.Option(min=0, help="Days in which a like loses half its weight; 0: never.")
]
FeaturesOption = Annotated[
    bool, typer.Option("--features/--no-features", help="Columns of tastes, for a ranker.")
]
HeardOption = Annotated[bool, typer.Option("--heard", help="Do not leave out what was heard.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document.")]


@app.command()
def audience(
    songs: SongsOption,
    output: OutOption,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Users for each song.")] = 1000,
    users: UsersOption = None,
    vectors: VectorsOption = None,
    interactions: InteractionsOption = None,
    by: ByOption = "auto",
    rule: RuleOption = None,
    minimum: MinimumOption = -1.0,
    per_user: Annotated[
        int | None, typer.Option(min=1, help="Audiences that one user is in, at most.")
    ] = None,
    per_artist: PerArtistOption = None,
    artists: ArtistsOption = None,
    quota: QuotaOption = 0,
    exposures: ExposuresOption = None,
    half_life: HalfLifeOption = 90.0,
    features: FeaturesOption = True,
    heard: HeardOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Choose for each new song the users to show it to.

    It can be stopped or killed at any time: the same command goes on where it was.
    """
    from audiorec.recall.cold_start.plan import ColdStartPlan

    plan = ColdStartPlan(
        lists="audience",
        k=k,
        minimum=minimum,
        per_user=per_user,
        per_artist=per_artist,
        quota=quota,
        exposures=exposures,
    )
    files = _files(
        songs, users, vectors, interactions, artists, by, rule, half_life, features, heard
    )
    _run(plan, files, output, quiet, json)


@app.command("songs")
def song_lists(
    songs: SongsOption,
    output: OutOption,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Songs for each user.")] = 50,
    users: UsersOption = None,
    vectors: VectorsOption = None,
    interactions: InteractionsOption = None,
    by: ByOption = "auto",
    rule: RuleOption = None,
    minimum: MinimumOption = -1.0,
    per_song: Annotated[
        int | None, typer.Option(min=1, help="Lists that one song is in, at most.")
    ] = None,
    per_artist: PerArtistOption = None,
    artists: ArtistsOption = None,
    quota: QuotaOption = 0,
    exposures: ExposuresOption = None,
    half_life: HalfLifeOption = 90.0,
    features: FeaturesOption = True,
    heard: HeardOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Choose for each user the new songs to show.

    It can be stopped or killed at any time: the same command goes on where it was.
    """
    from audiorec.recall.cold_start.plan import ColdStartPlan

    plan = ColdStartPlan(
        lists="songs",
        k=k,
        minimum=minimum,
        per_song=per_song,
        per_artist=per_artist,
        quota=quota,
        exposures=exposures,
    )
    files = _files(
        songs, users, vectors, interactions, artists, by, rule, half_life, features, heard
    )
    _run(plan, files, output, quiet, json)


def _files(
    songs: Path,
    users: Path | None,
    vectors: Path | None,
    interactions: Path | None,
    artists: Path | None,
    by: Literal["auto", "embedding", "vector"],
    rule: Path | None,
    half_life: float,
    features: bool,
    heard: bool,
) -> "ColdStartFiles":
    from audiorec.listening.rule import load_rule
    from audiorec.recall.cold_start.sides import ColdStartFiles

    return ColdStartFiles(
        songs=songs,
        users=users,
        vectors=vectors,
        interactions=interactions,
        artists=artists,
        by=by,
        rule=load_rule(rule) if rule else None,
        half_life_days=half_life or None,
        features=features,
        heard=heard,
    )


def _run(
    plan: "ColdStartPlan", files: "ColdStartFiles", output: Path, quiet: bool, json: bool
) -> None:
    from audiorec.recall.cold_start.job import ColdStart
    from audiorec.recall.cold_start.sides import open_inputs

    inputs = open_inputs(files)
    job = ColdStart(
        inputs.songs,
        inputs.users,
        plan,
        heard=inputs.heard,
        tastes=inputs.tastes,
        inputs=files.identity(),
    )
    with graceful_stop("this block is", quiet=quiet) as stop:
        done = job.run(output, progress=progress_lines(quiet=quiet), stop=stop)
    if not done:
        say("stopped; the same command goes on from there")
        raise typer.Exit(Exit.INTERRUPTED)
    document = _document(plan, files, inputs, output)
    if json:
        print_json(document)
    else:
        rows = [(name, value) for name, value in document.items() if name != "schema"]
        print_table(("what", "value"), rows, title="cold start")
    _remarks(document)


def _document(
    plan: "ColdStartPlan", files: "ColdStartFiles", inputs: "ColdStartInputs", output: Path
) -> dict[str, Any]:
    from audiorec.recall.cold_start.tables import count_lists

    rows, filled, full = count_lists(output, plan.k)
    return {
        "schema": "audiorec/cold-start/1",
        "lists": plan.lists,
        "by": files.compares,
        "songs": len(inputs.songs),
        "users": len(inputs.users),
        "rows": rows,
        "lists_with_candidates": filled,
        "lists_of_full_length": full,
        "users_without_taste": inputs.strangers,
        "simulated": inputs.simulated,
        "out": str(output),
    }


def _remarks(document: dict[str, Any]) -> None:
    if document["simulated"]:
        say("note: simulated listening")
    strangers = document["users_without_taste"]
    if strangers and document["by"] == "vector":
        say(f"{strangers} users like no song of the store and are left out; --users places all")
    elif strangers:
        say(f"{strangers} users like no song of the store: their columns of tastes are 0")
    wanted = document["songs"] if document["lists"] == "audience" else document["users"]
    empty = wanted - document["lists_with_candidates"]
    if empty:
        say(f"{empty} of {wanted} lists are empty: limits, heard songs or --minimum leave nobody")
