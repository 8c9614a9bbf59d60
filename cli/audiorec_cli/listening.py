"""``audiorec listening``: check, prepare, cut, correlate and make up logs; forget a person."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiorec.errors import InputError
from audiorec_cli import listening_graph
from audiorec_cli.shared.console import FIGURE_DIGITS, Exit, print_json, print_table, say
from audiorec_cli.shared.inputs import Wanted
from audiorec_cli.shared.inputs import check as check_file
from audiorec_cli.shared.listened import FeaturesOption, SoundOption, sound_of
from audiorec_cli.shared.log_check import counted_log, counted_table, flat, print_log_check
from audiorec_cli.shared.options import (
    JsonOption,
    LogArgument,
    LogOption,
    OutFileOption,
    OutFolderOption,
    QuietOption,
    RuleOption,
    SeedOption,
    also_known,
    more,
)
from audiorec_cli.shared.pages import command, group
from audiorec_cli.shared.progress import progress_lines
from audiorec_cli.shared.stores import VectorsOption, open_vectors

if TYPE_CHECKING:
    from audiorec.types import FloatArray

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

CorrelateBy = Literal["vector", "mean"]
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
) -> None:
    """Make sequences of a log that is larger than memory, in buckets of users.

    A job that was stopped goes on where it was, by the same command.

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
    manifest = prepare_log(log, out, spec, progress=progress_lines(quiet=quiet))
    if json:
        print_json({"schema": "audiorec/prepared/1", "out": str(out), **manifest})
    else:
        names = ("rows_read", "rows_left_out", "owners", "plays", "songs", "buckets")
        print_table(("what", "count"), [(n, manifest[n]) for n in names], title=str(out))


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


@command(app)
def correlate(
    interactions: LogOption,
    vectors: VectorsOption = None,
    embeddings: Annotated[
        Path | None, typer.Option(help="Song embeddings instead of the store's vectors.")
    ] = None,
    by: Annotated[
        CorrelateBy, typer.Option(help="The weighted vector, or the mean scores.")
    ] = "vector",
    since: Annotated[
        str | None, typer.Option(help="New songs are met from here on [default: at 60 % of time].")
    ] = None,
    until: Annotated[str | None, typer.Option(help="And before here [default: the end].")] = None,
    rule: RuleOption = None,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave rows out that cannot be used.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write a Parquet of one row a user.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw a .png, .svg or .pdf (extra plot).")
    ] = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
    half_life: Annotated[float, more(help="Days after which a favourite counts half.")] = 30.0,
    min_songs: Annotated[int, more(min=4, help="New songs that a user must have.")] = 10,
    draws: Annotated[int, more(min=1, help="Shuffles of completions.")] = 200,
    song_draws: Annotated[int, more(min=2, help="Shuffles of songs.")] = 100,
    seed: SeedOption = 0,
) -> None:
    """Correlate how far new songs are played with how much they sound like favourites.

    One Pearson r a user, held against shuffled completions and against shuffled songs.

    Examples
    --------
    audiorec listening correlate --interactions plays.csv
    audiorec listening correlate -i plays.csv -v vecs.parquet --since 2024-02-01
    audiorec listening correlate -i plays.csv --out users.parquet --plot r.png
    """
    from audiorec.analysis.job import CorrelationSpec
    from audiorec.analysis.job import correlate as correlate_log
    from audiorec.analysis.report import check_picture
    from audiorec.listening.interactions import read_interactions
    from audiorec.listening.rule import Rule, load_rule

    _check_targets(output, plot)
    if plot is not None:
        check_picture(plot)
    check_file(interactions, Wanted.LOG)
    check_file(embeddings, Wanted.SONGS)
    spec = CorrelationSpec(
        since=_time(since, "--since"),
        until=_time(until, "--until"),
        half_life_days=half_life,
        min_songs=min_songs,
        draws=draws,
        song_draws=song_draws,
        rule=load_rule(rule) if rule else Rule(),
        seed=seed,
    )
    song_ids, units, source = _songs(vectors, embeddings, by)
    log = read_interactions(interactions, skip_bad_rows=skip_bad_rows)
    for problem in log.problems:
        say(f"left out: {problem}")
    found = correlate_log(log, song_ids, units, spec, progress=progress_lines(quiet=quiet))
    about = {"interactions": str(interactions), "simulated": log.simulated, **source}
    _deliver(found, about, output, plot, json)


def _check_targets(*paths: Path | None) -> None:
    """Refuse files in folders that are not there, before the work and not after it."""
    for path in paths:
        if path is not None and not path.parent.is_dir():
            raise InputError(f"{path}: there is no folder {path.parent}")


def _time(text: str | None, name: str) -> float | None:
    from audiorec.listening.rule import as_time

    return None if text is None else as_time(text, name)


def _songs(
    vectors: Path | None, embeddings: Path | None, by: CorrelateBy
) -> "tuple[tuple[str, ...], FloatArray, dict[str, str]]":
    """Return song ids, their vectors of length 1, and where they come from."""
    from audiorec.analysis.pairs import embedding_units

    if embeddings is not None:
        from audiorec.store.embeddings import EmbeddingTable

        table = EmbeddingTable.open(embeddings, kind="songs")
        return table.ids, embedding_units(table), {"embeddings": str(embeddings)}
    store = open_vectors(vectors)
    units = store.space(by, use_index=False).matrix
    return store.ids, units, {"vectors": str(store.path), "by": by}


def _deliver(
    found: Any, about: dict[str, Any], output: Path | None, plot: Path | None, json: bool
) -> None:
    from audiorec.analysis.report import summary, write_correlations, write_picture

    figures = summary(found)
    if output is not None:
        write_correlations(output, found, about=about)
        say(f"{len(found.r):,} users written to {output}")
    if plot is not None:
        write_picture(plot, found, simulated=about["simulated"])
        say(f"picture: {plot}")
    if json:
        print_json({"schema": "audiorec/correlation/1", **about, **figures})
    else:
        print_table(
            ("figure", "value", "low", "high"),
            _correlation_lines(figures),
            title="correlation",
            digits=FIGURE_DIGITS,
        )
    if about["simulated"]:
        say("note: simulated listening")


def _correlation_lines(figures: dict[str, Any]) -> list[tuple[object, ...]]:
    completions, songs = figures["shuffled_completions"], figures["shuffled_songs"]
    sensitive, normal = figures["sensitive"], figures["normality_of_z"] or {}
    none = "none found" if sensitive["none"] else sensitive["share"]
    return [
        ("since", figures["since"], "", ""),
        ("users", figures["users"], "", ""),
        *((f"left out: {reason}", count, "", "") for reason, count in figures["left_out"].items()),
        ("new songs a user (median)", figures["median_new_songs"], "", ""),
        ("mean r", figures["mean_r"], *figures["mean_r_interval"]),
        ("share with r > 0", figures["share_positive"], *figures["share_positive_interval"]),
        (
            "the same, completions shuffled",
            completions["share_positive"],
            *completions["share_positive_interval"],
        ),
        ("share above 95 % of shuffles", completions["users_above_95_percent"], "", ""),
        ("mean z", songs["mean_z"], "", ""),
        ("p, songs shuffled", songs["p"], "", ""),
        ("p, normal z (D'Agostino)", normal.get("k2_p"), "", ""),
        ("p, normal z (Anderson-Darling)", normal.get("a2_p"), "", ""),
        ("share that listens by ear", none, sensitive["low"], sensitive["high"]),
        ("their mean correlation (z scale)", sensitive["effect"], "", ""),
    ]


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
