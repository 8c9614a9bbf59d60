"""``audiorec listening``: import, check, prepare, split and correlate logs; remove a user."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from audiorec.errors import InputError
from audiorec_cli import listening_correlate, listening_graph, listening_import
from audiorec_cli.shared.console import Exit, print_json, print_table, say
from audiorec_cli.shared.engines import Engines
from audiorec_cli.shared.inputs import InputKind
from audiorec_cli.shared.inputs import check as check_file
from audiorec_cli.shared.jobs import JobSummary, recorded
from audiorec_cli.shared.listening import FeaturesOption, SoundOption, sound_of
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

FEW_SONGS = 200  # with fewer, a user meets too few new songs for a correlation

app = group(
    """Work with listening logs: import, check, prepare, correlate with sound, simulate.

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
        Path,
        typer.Argument(metavar="FILE", help="A log in Parquet, .csv or .csv.gz, or see --kind."),
    ],
    vectors: Annotated[
        Path | None,
        typer.Option("--vectors", "-v", metavar="STORE", help="A store to match song ids against."),
    ] = None,
    kind: Annotated[
        KindName | None, typer.Option(help="Kind of table [default: from its columns].")
    ] = None,
    rule: RuleOption = None,
    json: JsonOption = False,
) -> None:
    """Check a log: count rows, users, songs, errors, uninformative plays, and likes by the rule.

    Also counts side information, triples, candidates and targets. Exits with 3 if rows cannot be
    used or no song id is in the store, with 4 if nothing in the file can be used.

    Examples
    --------
    audiorec listening check plays.csv
    audiorec listening check plays.parquet --vectors vecs.parquet
    audiorec listening check lists.parquet --kind candidates --json
    """
    from audiorec.listening.check import guess_kind
    from audiorec.listening.rule import Rule, load_rule

    loaded = load_rule(rule) if rule else Rule()
    check_file(file, InputKind.LOG)
    check_file(vectors, InputKind.VECTORS)
    found_kind = kind or guess_kind(file)
    if rule and found_kind != "interactions":
        raise InputError(f"--rule is for a listening log; {file} was read as {found_kind}")
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
        say(f"no song id of {file} is in {vectors}; both must use the same ids")
    if document.get("problems") or unknown:
        raise typer.Exit(Exit.SOME_FAILED)


@command(app)
@recorded("listening prepare", "out", by_day="folder")
def prepare(
    log: LogArgument,
    out: OutFolderOption,
    buckets: Annotated[int, typer.Option(min=1, help="Number of files to divide users into.")] = 64,
    by: Annotated[
        ByName, typer.Option(help="One sequence per user, session or list (by its column).")
    ] = "user",
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", help="Drop plays: looped, flood, skip-chain (repeatable)."),
    ] = None,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Skip rows that cannot be used.")
    ] = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    *,
    engines: Engines,
    done: JobSummary,
) -> None:
    """Turn a log larger than memory into play sequences, in buckets of users.

    The same command resumes an interrupted job.

    Examples
    --------
    audiorec listening prepare plays.parquet --out prepared/
    audiorec listening prepare plays.csv --out prepared/ --buckets 256 --json
    audiorec listening prepare plays.parquet --out prepared/ --filter looped
    """
    from audiorec.listening.prepare import PrepareSpec
    from audiorec.listening.prepare import prepare as prepare_log

    spec = PrepareSpec(
        by=by, buckets=buckets, filters=tuple(filters or ()), skip_bad_rows=skip_bad_rows
    )
    check_file(log, InputKind.LOG)
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
    user: Annotated[str, typer.Argument(metavar="USER", help="The id of the user.")],
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="Logs, candidates, embeddings, prepared/ and models."),
    ],
    json: JsonOption = False,
) -> None:
    """Remove a user from listening data in place, and list the models to retrain.

    All files are checked first: if the kind of one is unknown, no file changes.

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
    side: Annotated[Path | None, also_known(metavar="FILE", help="Song metadata: artist.")] = None,
    valid: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of artists held out for early stopping.")
    ] = 0.1,
    test: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of artists held out for the test.")
    ] = 0.2,
    new_songs: Annotated[
        float,
        typer.Option(min=0, max=0.9, help="Also hold out this share of the other artists' songs."),
    ] = 0.0,
    split_seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    json: JsonOption = False,
) -> None:
    """Write a log without the held-out songs, for training the user embeddings.

    Use the same shares and seed as for recall train user-audio (--set).

    Examples
    --------
    audiorec listening holdout plays.csv -v vecs.parquet --out known.parquet
    audiorec listening holdout plays.csv -f features.parquet -o known.parquet
    audiorec listening holdout plays.csv -v vecs.parquet --test 0.3 -o k.parquet
    """
    from dataclasses import asdict

    from audiorec.listening.side import read_side
    from audiorec.recall.audio.held_out import Split, write_training_rows
    from audiorec.recall.contract.data import Context

    check_file(log, InputKind.LOG)
    shares = Split(valid=valid, test=test, new_songs=new_songs, seed=split_seed)
    known = Context(sound=sound_of(vectors, features), side=read_side(side) if side else None)
    report = write_training_rows(known, log, out=output, split=shares)
    if json:
        print_json({"schema": "audiorec/holdout/1", **asdict(report), "out": str(output)})
    songs = ", ".join(f"{n} {part.replace('_', ' ')}" for part, n in report.songs.items())
    say(f"{report.kept:,} of {report.rows:,} rows kept; songs: {songs}; log: {output}")


command(app, "correlate")(listening_correlate.correlate)


@command(app)
def simulate(
    out: OutFolderOption,
    vectors: VectorsOption = None,
    users: Annotated[int, typer.Option(min=1, help="Number of users.")] = 1000,
    days: Annotated[int, typer.Option(min=10, help="Number of days.")] = 90,
    signal: Annotated[
        float, typer.Option(min=0, max=1, help="How much sound explains taste, 0 to 1.")
    ] = 0.8,
    sensitive: Annotated[
        float, typer.Option(min=0, max=1, help="Share of users whose taste depends on sound.")
    ] = 0.5,
    cold_songs: Annotated[
        float, typer.Option(min=0, max=1, help="Share of songs released late in the period.")
    ] = 0.3,
    cold_users: Annotated[
        float, typer.Option(min=0, max=1, help="Share of users who join late in the period.")
    ] = 0.1,
    sessions: Annotated[float, typer.Option(help="Mean sessions per user and day.")] = 0.5,
    seed: SeedOption = 0,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Simulate users, profiles and listening for the songs of a store, to try commands.

    Every file is marked as simulated. truth.parquet contains the planted preferences.

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
        say(f"note: only {len(store)} songs; an analysis per user needs about {FEW_SONGS}")
    say(f"{NOTE} World: {out}")
