"""``audiorec listening``: import, check, prepare, cut, correlate logs; forget a person."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from audiorec.errors import InputError
from audiorec_cli import listening_correlate, listening_graph, listening_import
from audiorec_cli.shared.console import Exit, print_json, print_table, say
from audiorec_cli.shared.engines import Engines
from audiorec_cli.shared.inputs import Wanted
from audiorec_cli.shared.inputs import check as check_file
from audiorec_cli.shared.jobs import JobTold, recorded
from audiorec_cli.shared.listened import FeaturesOption, SoundOption, sound_of
from audiorec_cli.shared.log_check import counted_log, counted_table, flat, print_log_check
from audiorec_cli.shared.options import (
    JsonOption,
    LogArgument,
    OutFileOption,
    OutFolderOption,
    QuietOption,
    RuleOption,
    SeedOption,
    also_known,
)
from audiorec_cli.shared.pages import command, group
from audiorec_cli.shared.progress import progress_lines
from audiorec_cli.shared.stores import VectorsOption, open_vectors

if TYPE_CHECKING:
    pass

FEW_SONGS = 200  # below, a user meets too few new songs for a correlation

app = group(
    """Look at listening: check a log, prepare it, hold it against vectors, or make one up.

    Examples
    --------
    audiorec listening check plays.csv --vectors vecs.parquet
    audiorec listening prepare plays.parquet --out prepared/
    audiorec listening simulate --out world/
    """
)

KindName = Literal["interactions", "side", "triples", "candidates", "targets"]
ByName = Literal["user", "session", "list"]


@command(app)
def check(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Parquet, .csv or .csv.gz: a log, or see --kind.")
    ],
    vectors: Annotated[
        Path | None,
        typer.Option(
            "--vectors", "-v", metavar="STORE", help="A store to match the song ids with."
        ),
    ] = None,
    kind: Annotated[
        KindName | None, typer.Option(help="What the file is [default: by its columns].")
    ] = None,
    rule: RuleOption = None,
    json: JsonOption = False,
) -> None:
    """Count rows, users, songs, mistakes and plays that say nothing; what the rule makes of them.

    Side information, triples, candidates and targets are counted as well. Exits with 3 if rows
    cannot be used or no song id is in the store, with 4 if nothing in the file can be used.

    Examples
    --------
    audiorec listening check plays.csv
    audiorec listening check plays.parquet --vectors vecs.parquet
    audiorec listening check lists.parquet --kind candidates --json
    """
    from audiorec.listening.kinds import guess_kind
    from audiorec.listening.rule import Rule, load_rule

    loaded = load_rule(rule) if rule else Rule()
    check_file(file, Wanted.LOG)
    check_file(vectors, Wanted.VECTORS)
    found_kind = kind or guess_kind(file)
    if rule and found_kind != "interactions":
        raise InputError(f"--rule is for a listening log; {file} is read as {found_kind}")
    store = open_vectors(vectors) if vectors else None
    ids = store.ids if store else None
    if found_kind == "interactions":
        document = counted_log(file, loaded, ids)
    else:
        document = counted_table(file, found_kind, ids)
    if json:
        print_json(document)
    elif found_kind == "interactions":
        print_log_check(document)
    else:
        print_table(("what", "value"), list(flat(document)), title=str(file))
    unknown = store is not None and document["store"]["songs_matched"] == 0
    if unknown:
        say(f"no song id of {file} is in {vectors}: both need the same ids")
    if document.get("problems") or unknown:
        raise typer.Exit(Exit.SOME_FAILED)


@command(app)
@recorded("listening prepare", "out", by_day="folder")
def prepare(
    log: LogArgument,
    out: OutFolderOption,
    buckets: Annotated[int, typer.Option(min=1, help="Files that users are spread over.")] = 64,
    by: Annotated[
        ByName, typer.Option(help="Whose plays are a sequence: sessions, lists need their column.")
    ] = "user",
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", help="Plays to leave out: looped, flood, skip-chain (repeat it)."),
    ] = None,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave rows out that cannot be used.")
    ] = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    *,
    engines: Engines,
    done: JobTold,
) -> None:
    """Make sequences of a log that is larger than memory, in buckets of users.

    The same command resumes a job that was stopped.

    Examples
    --------
    audiorec listening prepare plays.parquet --out prepared/
    audiorec listening prepare plays.csv --out prepared/ --buckets 256 --json
    audiorec listening prepare plays.parquet --out prepared/ --filter looped
    """
    from audiorec.listening.prepare import prepare as prepare_log
    from audiorec.listening.spill import PrepareSpec

    spec = PrepareSpec(
        by=by, buckets=buckets, filters=tuple(filters or ()), skip_bad_rows=skip_bad_rows
    )
    check_file(log, Wanted.LOG)
    with engines.work(quiet=quiet) as work:
        tell = progress_lines(quiet=quiet)
        manifest = prepare_log(log, out, spec, progress=tell, engine=work.engine)
    counted = ("rows_read", "rows_left_out", "owners", "plays", "songs", "buckets")
    done.count(**{name: manifest[name] for name in counted})
    if json:
        print_json({"schema": "audiorec/prepared/1", "out": str(out), **manifest})
    else:
        print_table(("what", "count"), [(n, manifest[n]) for n in counted], title=str(out))


command(app, "import")(listening_import.import_)
command(app, "graph")(listening_graph.graph)


@command(app)
def forget(
    user: Annotated[str, typer.Argument(metavar="USER", help="The id of the person.")],
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="Logs, candidates, users; prepared/ and models."),
    ],
    json: JsonOption = False,
) -> None:
    """Remove a person from files of listening, which change in place; name models to train again.

    All files are looked at first: if one is of a kind that is not known, none changes.

    Examples
    --------
    audiorec listening forget ana plays.parquet
    audiorec listening forget ana plays.csv users.parquet lists.parquet
    audiorec listening forget 4711 plays.parquet model/ --json
    """
    from audiorec.listening.forget import forget as forget_user

    found = forget_user(user, files)
    if json:
        rows = [
            {
                "file": str(f.path),
                "kind": str(f.kind),
                "removed": f.removed,
                "left": f.left,
                "train_again": f.train_again,
            }
            for f in found
        ]
        print_json({"schema": "audiorec/forgotten/1", "files": rows})
    else:
        kept = [(str(f.path), str(f.kind), f.removed, f.left) for f in found if not f.note]
        if kept:
            print_table(("file", "kind", "removed", "left"), kept, title="forgotten")
    for model in found:
        if model.note:
            say(f"{model.path}: {model.note}")


@command(app)
def holdout(
    log: LogArgument,
    output: OutFileOption,
    vectors: SoundOption = None,
    features: FeaturesOption = None,
    side: Annotated[Path | None, also_known(metavar="FILE", help="Of songs: artists.")] = None,
    valid: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of artists that choose the epochs.")
    ] = 0.1,
    test: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of artists to judge on.")
    ] = 0.2,
    new_songs: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the other artists' songs, too.")
    ] = 0.0,
    split_seed: Annotated[int, typer.Option(help="Which artists those are.")] = 0,
    json: JsonOption = False,
) -> None:
    """Write a log without the songs that a model will be judged on, to make its users of.

    Give the shares and the seed that recall train user-audio gets by --set.

    Examples
    --------
    audiorec listening holdout plays.csv -v vecs.parquet --out known.parquet
    audiorec listening holdout plays.csv -f features.parquet -o known.parquet
    audiorec listening holdout plays.csv -v vecs.parquet --test 0.3 -o k.parquet
    """
    from dataclasses import asdict

    from audiorec.listening.side import read_side
    from audiorec.recall.audio.held_out import Split, write_known
    from audiorec.recall.contract.data import Context

    check_file(log, Wanted.LOG)
    shares = Split(valid=valid, test=test, new_songs=new_songs, seed=split_seed)
    known = Context(sound=sound_of(vectors, features), side=read_side(side) if side else None)
    report = write_known(known, log, out=output, split=shares)
    if json:
        print_json({"schema": "audiorec/holdout/1", **asdict(report), "out": str(output)})
    songs = ", ".join(f"{n} {part.replace('_', ' ')}" for part, n in report.songs.items())
    say(f"{report.kept:,} of {report.rows:,} rows kept; songs: {songs}; log: {output}")


command(app, "correlate")(listening_correlate.correlate)


@command(app)
def simulate(
    out: OutFolderOption,
    vectors: VectorsOption = None,
    users: Annotated[int, typer.Option(min=1, help="How many users.")] = 1000,
    days: Annotated[int, typer.Option(min=10, help="How many days.")] = 90,
    signal: Annotated[
        float, typer.Option(min=0, max=1, help="How much of a taste can be heard: 0 to 1.")
    ] = 0.8,
    sensitive: Annotated[
        float, typer.Option(min=0, max=1, help="Share of users whose taste can be heard at all.")
    ] = 0.5,
    cold_songs: Annotated[
        float, typer.Option(min=0, max=1, help="Share of songs that come out late.")
    ] = 0.3,
    cold_users: Annotated[
        float, typer.Option(min=0, max=1, help="Share of users who join late.")
    ] = 0.1,
    sessions: Annotated[float, typer.Option(help="Mean sessions a user and day.")] = 0.5,
    seed: SeedOption = 0,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Make users, profiles and listening over the songs of a store, to try commands on.

    The data is made up and says so in every file. truth.parquet holds what was planted.

    Examples
    --------
    audiorec listening simulate --out world/
    audiorec listening simulate --vectors vecs.parquet --users 200 --out world/
    audiorec listening simulate --signal 1 --seed 7 --out clear-world/ --json
    """
    from audiorec.simulation.world import NOTE, WorldSpec, simulate_world

    spec = WorldSpec(
        users=users,
        days=days,
        signal=signal,
        sensitive_share=sensitive,
        cold_songs=cold_songs,
        cold_users=cold_users,
        sessions_per_day=sessions,
        seed=seed,
    )
    store = open_vectors(vectors)
    lines = progress_lines(quiet=quiet)
    document = simulate_world(
        store, out, spec, progress=lambda done, total: lines("users", done, total)
    )
    if json:
        print_json(document)
    else:
        names = ("songs", "cold_songs", "users", "sensitive_users", "cold_users", "events")
        print_table(("what", "count"), [(n, document[n]) for n in names], title=str(out))
    if len(store) < FEW_SONGS:
        say(
            f"note: {len(store)} songs are few; an analysis of single users needs about {FEW_SONGS}"
        )
    say(f"{NOTE} World: {out}")
