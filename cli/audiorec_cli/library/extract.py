"""``audiorec extract``: extract vectors from folders of songs, in a resumable run."""

import os
import shlex
import sys
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click

from audiorec.errors import InputError
from audiorec.options import argument, chooses, reads, writes
from audiorec_cli.shared.console import (
    Exit,
    counted,
    duration,
    file_size,
    no_songs,
    out,
    print_json,
    say,
)
from audiorec_cli.shared.extraction import (
    Extraction,
    SyncOption,
    WatchOption,
    check_watch,
    keep_watching,
)
from audiorec_cli.shared.jobs import exit_code_of, print_summary
from audiorec_cli.shared.options import (
    ADVANCED,
    ExcludePathsOption,
    IdFromOption,
    IncludeOption,
    RetryFailedOption,
    out_file,
)
from audiorec_cli.shared.progress import graceful_stop, progress_display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from audiorec.extraction.catalogue import Naming, Source
    from audiorec.extraction.pipeline import ExtractorConfig
    from audiorec.extraction.plan import Plan
    from audiorec.extraction.run import RunOptions
    from audiorec.store.journal import Outputs

TABLES = (".csv", ".parquet")
UNSEEN_SHOWN = 10  # unreadable places listed one by one


def extract(
    paths: Annotated[
        list[Path] | None,
        # An unreadable path is reported as a failure without stopping the others.
        argument(metavar="PATH", help="Folders, audio files or globs."),
    ] = None,
    out: Annotated[
        str, out_file(metavar="STORE", help="The store to create or extend.")
    ] = "vecs.parquet",
    scores: Annotated[
        Path | None, writes(help="Also write the score series (T x 14) to this file.")
    ] = None,
    features: Annotated[
        Path | None, writes(help="Also write the backbones' features to this file.")
    ] = None,
    include: IncludeOption = None,
    exclude: ExcludePathsOption = None,
    dry_run: Annotated[
        bool, chooses("--dry-run", help="Show what would be done, and estimate the time.")
    ] = False,
    prune: Annotated[
        bool, chooses("--prune", help="Drop songs whose file no longer exists.")
    ] = False,
    listed: Annotated[
        str | None,
        reads(
            "--from",
            metavar="FILE",
            help="A list of paths, one per line; - for stdin; or a CSV or Parquet with the columns "
            "path and song_id.",
            panel=ADVANCED,
        ),
    ] = None,
    id_from: IdFromOption = "path",
    follow_links: Annotated[
        bool,
        chooses("--follow-links", help="Follow links that lead out of the folder.", panel=ADVANCED),
    ] = False,
    watch: WatchOption = False,
    settle: Annotated[
        float,
        chooses(
            metavar="S",
            min=0.1,
            help="With --watch: a file is complete after so many seconds without a change.",
            panel=ADVANCED,
        ),
    ] = 10.0,
    every: Annotated[
        float,
        chooses(
            metavar="S",
            min=0.5,
            help="With --watch: scan all folders at least every so many seconds.",
            panel=ADVANCED,
        ),
    ] = 60.0,
    sync: SyncOption = None,
    retry_failed: RetryFailedOption = False,
    *,
    work: Extraction,
) -> None:
    """Extract a vector from every song, and store them in one Parquet file.

    The run can be stopped or killed at any time: the same command resumes it. Songs unchanged since
    the last run are not opened. With --watch it keeps running, and adds new songs once they are
    complete. For many machines or an object store, see audiorec shards.

    Examples
    --------
    audiorec extract ~/Music
    audiorec extract ~/Music --out vecs.parquet --scores scores.parquet
    audiorec extract ~/Music --out music.parquet --dry-run
    """
    from audiorec.runs.workers import one_thread_each

    one_thread_each()
    from audiorec.extraction.catalogue import parse_naming
    from audiorec.extraction.run import make_outputs, preview

    if watch:
        check_watch(work, paths, dry_run=dry_run)
    elif sync:
        raise InputError("--sync needs --watch; after a single run: audiorec sync SERVER")
    roots = _folders(paths) if prune else ()
    options = work.run_options(retry_failed=retry_failed, prune=prune, roots=roots)
    config = work.config()
    outputs = make_outputs(out, scores=scores, features=features)

    def look() -> "tuple[list[Source], Naming]":
        names = parse_naming(id_from, vectors=outputs.vectors)
        return _sources(paths, listed, names, include, exclude, follow_links), names

    if watch:
        with _listeners(sync, outputs) as listeners:
            keep_watching(
                look,
                partial(_one_run, outputs=outputs, config=config, work=work),
                options,
                paths=paths or [],
                settle_s=settle,
                every_s=every,
                quiet=work.quiet,
                listeners=listeners,
            )
    sources, naming = look()
    _print_unnamed(naming, id_from, len(sources))
    say_unseen(sources)
    if not sources:
        raise no_songs()
    if dry_run:
        plan = preview(sources, outputs, config=config, options=options)
        print_plan(plan, outputs, config, work, listed=True)
        return
    with graceful_stop("the songs in flight are", quiet=work.quiet) as stop:
        code = _one_run(sources, naming, options, stop, outputs, config, work)
    raise click.exceptions.Exit(code)


@contextmanager
def _listeners(sync: list[str] | None, outputs: "Outputs") -> "Iterator[list[Callable[[], None]]]":
    """Yield the functions that a watch calls after each batch: one if there is `sync`."""
    if not sync:
        yield []
        return
    from audiorec_cli.listen.sync_beside import SyncBeside

    with SyncBeside(sync, outputs.vectors) as beside:
        yield [beside]


def _one_run(
    sources: "Sequence[Source]",
    naming: "Naming",
    options: "RunOptions",
    stop: threading.Event,
    outputs: "Outputs",
    config: "ExtractorConfig",
    work: Extraction,
) -> Exit:
    """Run with a display, a log and a record, print the result, and return the exit code."""
    from audiorec.extraction.run import prepare

    out = str(outputs.vectors)
    with work.observers(out, record=f"{out}.run.json") as watching:
        watching.start(songs=len(sources))
        ready = prepare(config, outputs, options)
        with progress_display(quiet=work.quiet) as shown:
            report = ready.run(sources, progress=watching.songs(shown), stop=stop)
        code = work.forgive(exit_code_of(report))
        watching.end(report, ready.metadata, exit_code=code)
    if report.stopped is None:
        _keep_aliases(naming, outputs)
    if work.json:
        print_json({"schema": "audiorec/extraction/1", **report.to_dict()})
    print_summary(report, outputs)
    if report.stopped is None:
        _say_lacking(outputs)
    return code


def _say_lacking(outputs: "Outputs") -> None:
    """Say which files beside the store lack songs of it."""
    from audiorec.runs.record import command_line
    from audiorec.store.inventory import default_path, songs_lacking
    from audiorec.store.schema import Kind

    for kind in (Kind.SCORES, Kind.FEATURES):
        if kind not in outputs.paths() and (count := songs_lacking(outputs.vectors, kind)):
            path = default_path(outputs.vectors, kind)
            again = shlex.join([*command_line(), f"--{kind}", str(path)])
            say(f"note: {path} lacks {count} of the songs; to add them: {again}")


def _sources(
    paths: list[Path] | None,
    listed: str | None,
    naming: "Naming",
    include: list[str] | None,
    exclude: list[str] | None,
    follow_links: bool,
) -> "list[Source]":
    """List the songs from the paths, or from a list or table of files."""
    from audiorec.extraction.catalogue import find_songs, read_list
    from audiorec.extraction.manifest import read_manifest

    if bool(paths) == (listed is not None):
        raise InputError("give either paths or --from FILE")
    if listed is not None and Path(listed).suffix.lower() in TABLES:
        if not naming.is_default:
            raise InputError(f"--id-from: {listed} has its own song ids; omit --id-from")
        if "://" in listed:
            raise InputError(f"{listed}: for a remote manifest use audiorec shards")
        return read_manifest(listed)
    from audiorec.files.user_files import read_lines

    if listed is not None:
        lines = read_lines(listed, "cannot read the list", errors="surrogateescape")
        return read_list(lines, root=Path.cwd(), song_id=naming)
    return find_songs(
        [str(p) for p in paths or ()],
        include=include or (),
        exclude=exclude or (),
        follow_links=follow_links,
        song_id=naming,
    )


def _folders(paths: list[Path] | None) -> tuple[str, ...]:
    """Return the folders among the paths, in the form that song uris begin with."""
    from audiorec.extraction.catalogue import uri_of

    return tuple(uri_of(str(path)) for path in paths or () if os.path.isdir(path))  # noqa: PTH112


def say_unseen(sources: "Sequence[Source]") -> None:
    """Warn of places that could not be read, each with the system's reason."""
    unseen = [source for source in sources if source.problem]
    for source in unseen[:UNSEEN_SHOWN]:
        say(f"warning: {source.uri}: {source.problem}")
    if len(unseen) > UNSEEN_SHOWN:
        say(f"warning: {counted(len(unseen) - UNSEEN_SHOWN, 'more place')} could not be read")


def _print_unnamed(naming: "Naming", id_from: str, n_songs: int) -> None:
    """Say which songs keep their path as id because they have no other."""
    if naming.unnamed:
        some = ", ".join(naming.unnamed[:3]) + (", ..." if len(naming.unnamed) > 3 else "")
        say(
            f"note: {len(naming.unnamed)} of {n_songs} songs have no id by --id-from {id_from} "
            f"and keep their path: {some}"
        )


def _keep_aliases(naming: "Naming", outputs: "Outputs") -> None:
    """Write the aliases from a table of ids to aliases.parquet beside the store."""
    if naming.aliases:
        from audiorec.store.aliases import ALIASES_FILE, add_own_aliases

        path = outputs.vectors.with_name(ALIASES_FILE)
        say(f"aliases: {add_own_aliases(path, naming.aliases)} in {path}")


def print_plan(
    plan: "Plan", outputs: "Outputs", config: "ExtractorConfig", work: Extraction, *, listed: bool
) -> None:
    """Print what a run would do and how long it would take; if `listed`, the songs to stdout."""
    from audiorec.extraction.plan import estimate

    todo = [source for source in plan.todo if not source.problem]
    unseen = [source for source in plan.todo if source.problem]
    cores = os.cpu_count() or 1
    jobs = min(work.jobs or cores, len(todo) or 1)
    result = estimate(todo, outputs, config, jobs=jobs, limits=work.tuning.limits)
    wall_s = result.cpu_s / min(jobs, cores)
    if work.json and listed:
        print_json(
            {
                "schema": "audiorec/extract-plan/1",
                "todo": len(todo),
                "unchanged": len(plan.unchanged),
                "relabelled": len(plan.relabelled),
                "failed_before": len(plan.failed_before),
                "bytes": sum(max(source.size, 0) for source in todo),
                "audio_s": round(result.audio_s, 1),
                "cpu_s": round(result.cpu_s, 1),
                "wall_s": round(wall_s, 1),
                "basis": result.basis,
                "songs": [source.song_id for source in todo],
                "unseen": {source.song_id: source.problem for source in unseen},
            }
        )
        return
    size = file_size(sum(max(source.size, 0) for source in todo))
    others = {
        "unchanged": len(plan.unchanged),
        "under a new id": len(plan.relabelled),
        "failed before": len(plan.failed_before),
        "cannot be read": len(unseen),
    }
    say(
        f"{counted(len(todo), 'song')} to open ({size}, {duration(result.audio_s)} of audio)"
        + "".join(f", {count} {what}" for what, count in others.items() if count)
    )
    if todo:
        by = "a few of the songs" if result.basis == "measured" else "what is usual"
        say(
            f"about {duration(result.cpu_s)} of CPU time, {duration(wall_s)} with {jobs} "
            f"process{'es' if jobs > 1 else ''} (by {by})"
        )
    if listed and not sys.stdout.isatty():  # for a pipe: it would scroll the lines above away
        for source in todo:
            out(source.song_id)
