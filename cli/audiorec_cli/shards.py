"""``audiorec shards``: the parts of a store that many machines make, one or all of them."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import click

from audiorec.errors import InputError
from audiorec.options import argument, connects, writes
from audiorec_cli.shared.console import Exit, print_json, say
from audiorec_cli.shared.extraction import Extraction
from audiorec_cli.shared.observers import Observers
from audiorec_cli.shared.options import ADVANCED
from audiorec_cli.shared.pages import command, group
from audiorec_cli.shared.progress import due_lines, graceful_stop, progress_display
from audiorec_cli.shared.run_summary import exit_code_of, print_counts

if TYPE_CHECKING:
    from audiorec.extraction.shards import ShardConfig, ShardOutcome, ShardsReport
    from audiorec.runs.report import RunReport
    from audiorec.store.schema import StoreMetadata

app = group(
    """Make the parts of a store on this machine, by a scheduler or on a cluster.

    A manifest is divided into shards, and each becomes one part in a folder, whichever machine
    processes it. audiorec store merge joins the parts (docs/scale.md).

    Examples
    --------
    audiorec manifest ~/Music --out manifest.parquet
    audiorec shards all manifest.parquet 16 --out parts/
    audiorec store merge parts/ --out vecs.parquet
    """
)

ManifestArgument = Annotated[
    str, argument(metavar="MANIFEST", help="What audiorec manifest wrote: a path or a URI.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardOptions:
    """Options about the files of a part."""

    out: Annotated[
        str, writes("--out", "-o", metavar="FOLDER", help="Folder of parts: a path or a URI.")
    ]
    scores: Annotated[
        bool, writes("--scores", help="Also write the score series beside the vectors.")
    ] = False
    features: Annotated[
        bool, writes("--features", help="Also write the features beside the vectors.")
    ] = False
    work_dir: Annotated[
        Path | None,
        writes(
            metavar="FOLDER", help="Folder for unfinished parts.", panel=ADVANCED, remote="refused"
        ),
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


@command(app)
def one(
    manifest: ManifestArgument,
    shard: Annotated[str, argument(metavar="I/N", help="Which of how many, from 0/N.")],
    *,
    parts: ShardOptions,
    work: Extraction,
) -> None:
    """Make one part: for Slurm, Kubernetes, or by hand.

    Finished parts are kept, so shards may be repeated, in any order.

    Examples
    --------
    audiorec shards one manifest.parquet 3/16 --out parts/
    audiorec shards one manifest.parquet 0/16 -o parts/ --jobs 1 --allow-failures
    audiorec shards one s3://bucket/m.parquet 3/16 --out s3://bucket/parts
    """
    from audiorec.extraction.shards import part_name, process_shard, read_shard
    from audiorec.files.storage import join

    config = parts.config(work)
    index, count = _numbers(shard)
    found = read_shard(manifest, index, count)
    part = join(parts.out, part_name(index, count, "parquet"))
    with work.observers(part, record=None, job="shards one") as told:
        told.start(songs=len(found.sources), shard=index, shards=count)
        with (
            graceful_stop("the songs in flight are", quiet=work.quiet) as stop,
            progress_display(quiet=work.quiet) as shown,
        ):
            progress = told.songs(shown)
            report = process_shard(found, parts.out, config, progress=progress, stop=stop)
        code = _code_of_part(report.run)
        told.end(report.run, _metadata(config), exit_code=code)
    if work.json:
        head = {"schema": "audiorec/shard/1", "shard": index, "shards": count}
        print_json({**head, "kept": report.kept, **report.run.to_dict()})
    print_counts(report.run)
    if report.run.stopped is None:
        say(f"part {index} of {count}: {'kept' if report.kept else 'made'} in {parts.out}")
    raise click.exceptions.Exit(work.forgive(code))


@command(app, "all")
def all_shards(
    manifest: ManifestArgument,
    count: Annotated[int, argument(metavar="N", help="Number of shards.")],
    runner: Annotated[
        Literal["local", "ray", "dask"], connects(help="Engine that runs them.")
    ] = "local",
    address: Annotated[
        str | None, connects(help="Address of a Ray or Dask cluster [default: a local one].")
    ] = None,
    *,
    parts: ShardOptions,
    work: Extraction,
) -> None:
    """Make all missing parts: on this machine, on Ray or on Dask.

    Finished parts are kept. Run the same command again to retry lost shards.

    Examples
    --------
    audiorec shards all manifest.parquet 16 --out parts/
    audiorec shards all manifest.parquet 16 --out parts/ --jobs 4 --json
    audiorec shards all manifest.parquet 1000 --out parts/ --runner ray
    """
    from audiorec.engines.tasks import engine_of
    from audiorec.extraction.shards import gather, shard_tasks
    from audiorec.files.storage import join

    if address and runner == "local":
        raise InputError("--address needs --runner ray or --runner dask")
    config = parts.config(work, jobs=1)
    tasks = shard_tasks(manifest, count, parts.out, config)
    record = join(parts.out, "run.json")
    with work.observers(parts.out, record=record, job="shards all") as told:
        told.start(shards=len(tasks), runner=runner)
        started = time.monotonic()
        with graceful_stop("the songs in flight are", quiet=work.quiet) as stop:
            run = engine_of(runner, address=address, jobs=work.jobs, stop=stop, threads=True)
            report = gather(run(tasks), len(tasks), told=_teller(told, work.quiet))
        report.run.wall_s = time.monotonic() - started
        code = _code(report)
        told.end(report.run, _metadata(config), exit_code=code, content=report.to_dict())
    if work.json:
        print_json({"schema": "audiorec/shards/1", **report.to_dict()})
    _print_shards(report, parts.out)
    raise click.exceptions.Exit(work.forgive(code))


def _numbers(text: str) -> tuple[int, int]:
    """Parse ``3/16`` into index and count."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None:
        raise InputError(f"a shard is an index and a count, like 3/16, got {text!r}")
    return int(match[1]), int(match[2])


def _metadata(config: "ShardConfig") -> "StoreMetadata":
    from audiorec.extraction.pipeline import Extractor
    from audiorec.extraction.run import make_outputs, run_metadata

    return run_metadata(Extractor(config.extractor), make_outputs("vecs.parquet"))


def _teller(told: Observers, quiet: bool) -> "Callable[[ShardOutcome, ShardsReport], None]":
    """Return a callback for each finished shard: it logs, and reports progress now and then."""
    is_due = due_lines(quiet=quiet)

    def tell(outcome: "ShardOutcome", report: "ShardsReport") -> None:
        lost = report.lost.get(outcome.index)
        shard = outcome.report
        songs = {} if shard is None else shard.run.to_dict()
        told.event(
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
