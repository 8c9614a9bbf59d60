"""``audiorec cold-start``: new songs to the users for them, users to the new songs for them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiorec_cli.shared.console import print_document, say
from audiorec_cli.shared.options import JsonOption, OutFileOption, QuietOption, RuleOption, more
from audiorec_cli.shared.pages import command, group
from audiorec_cli.shared.progress import graceful_stop, progress_lines, stopped

if TYPE_CHECKING:
    from audiorec.recall.cold_start.plan import ColdStartPlan
    from audiorec.recall.cold_start.sides import ColdStartInputs


app = group(
    r"""Recommend songs that nobody has heard yet: batch jobs on Parquet.

    Examples
    --------
    audiorec cold-start audience --songs new.parquet --users users.parquet \
        --out audience.parquet
    audiorec cold-start songs --songs new.parquet --users users.parquet \
        --out lists.parquet
    audiorec metric embed new/ --model model/ --out new.parquet
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStartOptions:
    """Two sides, what is known of their listening, and limits: what both commands take."""

    songs: Annotated[
        Path, typer.Option(help="New songs: embeddings.parquet, or a store by vector.")
    ]
    output: OutFileOption
    users: Annotated[
        Path | None, typer.Option(help="users.parquet; without it, tastes by vector.")
    ] = None
    vectors: Annotated[
        Path | None,
        typer.Option(
            "--vectors", "-v", metavar="STORE", help="The store of the songs that users like."
        ),
    ] = None
    interactions: Annotated[
        Path | None,
        typer.Option(metavar="LOG", help="Listening: for tastes, and to leave out what was heard."),
    ] = None
    minimum: Annotated[float, typer.Option(help="Least similarity, from -1 to 1.")] = -1.0
    per_artist: Annotated[
        int | None, typer.Option(min=1, help="Songs of one artist that one user is shown, at most.")
    ] = None
    quiet: QuietOption = False
    json: JsonOption = False
    by: Annotated[
        Literal["auto", "embedding", "vector"],
        more(help="What is compared; auto: embeddings where --users is given."),
    ] = "auto"
    rule: RuleOption = None
    artists: Annotated[
        Path | None, more(help="A table of song_id and artist, if --songs has no artists.")
    ] = None
    quota: Annotated[int, more(min=0, help="Users that every song reaches first.")] = 0
    exposures: Annotated[int | None, more(min=0, help="Exposures to divide over all lists.")] = None
    half_life: Annotated[
        float, more(min=0, help="Days in which a like loses half its weight; 0: never.")
    ] = 90.0
    features: Annotated[
        bool, more("--features/--no-features", help="Columns of tastes, for a ranker.")
    ] = True
    heard: Annotated[bool, more("--heard", help="Do not leave out what was heard.")] = False

    def run(self, lists: Literal["audience", "songs"], k: int, **limits: int | None) -> None:
        """Make the lists and say what came of them; `limits` are those of one command."""
        from audiorec.listening.rule import load_rule
        from audiorec.recall.cold_start.job import ColdStart
        from audiorec.recall.cold_start.plan import ColdStartPlan
        from audiorec.recall.cold_start.sides import ColdStartFiles, open_inputs

        plan = ColdStartPlan(
            lists=lists,
            k=k,
            minimum=self.minimum,
            per_artist=self.per_artist,
            quota=self.quota,
            exposures=self.exposures,
            **limits,
        )
        files = ColdStartFiles(
            songs=self.songs,
            users=self.users,
            vectors=self.vectors,
            interactions=self.interactions,
            artists=self.artists,
            by=self.by,
            rule=load_rule(self.rule) if self.rule else None,
            half_life_days=self.half_life or None,
            features=self.features,
            heard=self.heard,
        )
        inputs = open_inputs(files)
        job = ColdStart(
            inputs.songs,
            inputs.users,
            plan,
            heard=inputs.heard,
            tastes=inputs.tastes,
            inputs=files.identity(),
        )
        with graceful_stop("this block is", quiet=self.quiet) as stop:
            done = job.run(self.output, progress=progress_lines(quiet=self.quiet), stop=stop)
        if not done:
            raise stopped()
        document = _document(plan, files.compares, inputs, self.output)
        print_document(document, json=self.json, title="cold start")
        _remarks(document)


@command(app)
def audience(
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Users for each song.")] = 1000,
    per_user: Annotated[
        int | None, typer.Option(min=1, help="Audiences that one user is in, at most.")
    ] = None,
    *,
    asked: ColdStartOptions,
) -> None:
    r"""Choose for each new song the users to show it to.

    It can be stopped or killed at any time: the same command goes on where it was.

    Examples
    --------
    audiorec cold-start audience --songs new.parquet --users users.parquet \
        --out audience.parquet
    audiorec cold-start audience --songs new.parquet -v vecs.parquet \
        --interactions plays.csv --out audience.parquet
    audiorec cold-start audience --songs new.parquet --users users.parquet \
        --per-user 5 --per-artist 1 --out audience.parquet
    """
    asked.run("audience", k, per_user=per_user)


@command(app, "songs")
def song_lists(
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Songs for each user.")] = 50,
    per_song: Annotated[
        int | None, typer.Option(min=1, help="Lists that one song is in, at most.")
    ] = None,
    *,
    asked: ColdStartOptions,
) -> None:
    r"""Choose for each user the new songs to show.

    It can be stopped or killed at any time: the same command goes on where it was.

    Examples
    --------
    audiorec cold-start songs --songs new.parquet --users users.parquet \
        --out lists.parquet
    audiorec cold-start songs --songs new.parquet --users users.parquet \
        --interactions plays.csv --k 20 --out lists.parquet
    audiorec cold-start songs --songs new.parquet -v vecs.parquet \
        --interactions plays.csv --quota 10 --out lists.parquet
    """
    asked.run("songs", k, per_song=per_song)


def _document(
    plan: "ColdStartPlan", by: str, inputs: "ColdStartInputs", output: Path
) -> dict[str, Any]:
    from audiorec.recall.cold_start.tables import count_lists

    rows, filled, full = count_lists(output, plan.k)
    return {
        "schema": "audiorec/cold-start/1",
        "lists": plan.lists,
        "by": by,
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
