"""``audiorec shards``: make the parts of a store, all or one, on one machine or many."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click

from audiorec.errors import InputError
from audiorec.files.storage import join
from audiorec.options import argument, writes
from audiorec_cli.shared.console import Exit, print_json, say
from audiorec_cli.shared.extraction import Extraction
from audiorec_cli.shared.jobs import Observers, exit_code_of, print_counts
from audiorec_cli.shared.options import ADVANCED, LOCAL, RunnerOption, out_file
from audiorec_cli.shared.progress import due_lines, graceful_stop, progress_display

if TYPE_CHECKING:
    from audiorec.extraction.shards import ShardConfig, ShardOutcome, ShardsReport
    from audiorec.runs.report import RunReport
    from audiorec.store.schema import StoreMetadata


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardOptions:
    """Options about the files of a part."""

    out: Annotated[str, out_file(metavar="FOLDER", help="Folder of parts: a path or a URI.")]
    scores: Annotated[
        bool, writes("--scores", help="Also write the score series beside the vectors.")
    ] = False
    features: Annotated[
        bool, writes("--features", help="Also write the features beside the vectors.")
    ] = False
    runner: RunnerOption = LOCAL
    work_dir: Annotated[
        Path | None,
        writes(metavar="FOLDER", help="Folder for unfinished parts.", panel=ADVANCED),
    ] = None

    def config(self, work: Extraction, **options: int) -> "ShardConfig":
        """Return the settings of a part; `options` override those of the run."""
        from audiorec.extraction.shards import ShardConfig

        if Path(self.out).is_file():
            raise InputError(f"{self.out}: is a file; name a folder for the parts")
        return ShardConfig(
            extractor=work.config(),
            options=replace(work.run_options(), **options),  # type: ignore[arg-type]
            scores=self.scores,
            features=self.features,
            work_dir=self.work_dir,
            redo=work.overwrite,
        )


def shards(
    manifest: Annotated[
        str, argument(metavar="MANIFEST", help="What audiorec manifest wrote: a path or a URI.")
    ],
    shard: Annotated[
        str,
        argument(metavar="N|I/N", help="All of N parts (16), or one of them (3/16, from 0/16)."),
    ],
    *,
    parts: ShardOptions,
    work: Extraction,
) -> None:
    """Make the parts of a store: all on this machine or Ray, or one for a scheduler.

    A manifest is divided into shards, and each becomes one part in a folder, whichever machine
    processes it. Finished parts are kept: run the same command again to retry lost shards, in any
    order. audiorec store merge joins the parts.

    Examples
    --------
    audiorec shards manifest.parquet 16 --out parts/
    audiorec shards manifest.parquet 3/16 --out parts/ --jobs 1 --allow-failures
    audiorec shards s3://bucket/m.parquet 1000 -o s3://bucket/parts --runner ray
    """
    index, count = _numbers(shard)
    if index is None:
        code = _all(manifest, count, parts, work)
    else:
        code = _one(manifest, index, count, parts, work)
    raise click.exceptions.Exit(work.forgive(code))


def _one(manifest: str, index: int, count: int, parts: ShardOptions, work: Extraction) -> Exit:
    """Make one part; return the exit code."""
    from audiorec.extraction.shards import part_name, process_shard, read_shard

    config = parts.config(work)
    result = read_shard(manifest, index, count)
    part = join(parts.out, part_name(index, count, "parquet"))
    with work.observers(part, record=None, job="shards") as watching:
        watching.start(songs=len(result.sources), shard=index, shards=count)
        with (
            graceful_stop("the songs in flight are", quiet=work.quiet) as stop,
            progress_display(quiet=work.quiet) as shown,
        ):
            progress = watching.songs(shown)
            report = process_shard(result, parts.out, config, progress=progress, stop=stop)
        code = _code_of_part(report.run)
        watching.end(report.run, _metadata(config), exit_code=code)
    if work.json:
        head = {"schema": "audiorec/shard/1", "shard": index, "shards": count}
        print_json({**head, "kept": report.kept, **report.run.to_dict()})
    print_counts(report.run)
    if report.run.stopped is None:
        say(f"part {index} of {count}: {'kept' if report.kept else 'made'} in {parts.out}")
    return code


def _all(manifest: str, count: int, parts: ShardOptions, work: Extraction) -> Exit:
    """Make all missing parts; return the exit code."""
    from audiorec.extraction.shards import gather, shard_tasks
    from audiorec.runs.tasks import engine_of, parse_runner

    config = parts.config(work, jobs=1)
    tasks = shard_tasks(manifest, count, parts.out, config)
    record = join(parts.out, "run.json")
    with work.observers(parts.out, record=record, job="shards") as watching:
        watching.start(shards=len(tasks), runner=parts.runner)
        started = time.monotonic()
        with graceful_stop("the songs in flight are", quiet=work.quiet) as stop:
            runner, address = parse_runner(parts.runner)
            run = engine_of(runner, address=address, jobs=work.jobs, stop=stop, threads=True)
            report = gather(run(tasks), len(tasks), after_each=_teller(watching, work.quiet))
        report.run.wall_s = time.monotonic() - started
        code = _code(report)
        watching.end(report.run, _metadata(config), exit_code=code, content=report.to_dict())
    if work.json:
        print_json({"schema": "audiorec/shards/1", **report.to_dict()})
    _print_shards(report, parts.out)
    return code


def _numbers(text: str) -> tuple[int | None, int]:
    """Parse ``16`` into None and the count, ``3/16`` into index and count."""
    match = re.fullmatch(r"(?:(\d+)/)?(\d+)", text)
    if match is None:
        raise InputError(f"shards are a number, like 16, or one of them, like 3/16; got {text!r}")
    return None if match[1] is None else int(match[1]), int(match[2])


def _metadata(config: "ShardConfig") -> "StoreMetadata":
    from audiorec.extraction.pipeline import Extractor
    from audiorec.extraction.run import make_outputs, run_metadata

    return run_metadata(Extractor(config.extractor), make_outputs("vecs.parquet"))


def _teller(watching: Observers, quiet: bool) -> "Callable[[ShardOutcome, ShardsReport], None]":
    """Return a callback for each finished shard: it logs, and reports progress now and then."""
    is_due = due_lines(quiet=quiet)

    def tell(outcome: "ShardOutcome", report: "ShardsReport") -> None:
        lost = report.lost.get(outcome.index)
        shard = outcome.report
        songs = {} if shard is None else shard.run.to_dict()
        watching.event(
            "shard", shard=outcome.index, lost=lost, kept=shard is not None and shard.kept, **songs
        )
        if lost is not None:
            say(f"shard {outcome.index}: {lost}")
        if is_due():
            done = report.made + report.kept
            say(f"{done:,}/{report.total:,} shards, {len(report.lost)} lost; {_songs(report)}")

    return tell


def _songs(report: "ShardsReport") -> str:
    return f"{report.run.usable:,} songs with a vector, {report.run.failed:,} failed"


def _print_shards(report: "ShardsReport", out: str) -> None:
    print_counts(report.run)
    say(f"{report.total} shards: {report.made} made, {report.kept} kept, {len(report.lost)} lost")
    if report.run.stopped is not None:
        say(f"stopped ({report.run.stopped}); to resume, run the same command again")
    elif report.is_whole:
        say(f"parts: {out} (audiorec store merge joins them)")
    else:
        say("to retry the lost shards, run the same command again")


def _code_of_part(run: "RunReport") -> Exit:
    """Return exit code 0 or 3 for a finished part, even if none of its songs has a vector."""
    if run.stopped is not None:
        return exit_code_of(run)
    return Exit.SOME_FAILED if run.failed + run.failed_before else Exit.OK


def _code(report: "ShardsReport") -> Exit:
    if report.made + report.kept == 0 and report.run.stopped is None:
        return Exit.NOTHING_USABLE
    code = exit_code_of(report.run)
    return Exit.SOME_FAILED if report.lost and code == Exit.OK else code
