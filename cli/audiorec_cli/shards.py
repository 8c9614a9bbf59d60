"""``audiorec shards``: the parts of a store that many machines make, one or all of them."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from audiorec.errors import InputError
from audiorec_cli.shared.console import Exit, print_json, say
from audiorec_cli.shared.extraction import Extraction
from audiorec_cli.shared.observers import Observers
from audiorec_cli.shared.options import more
from audiorec_cli.shared.pages import command, group
from audiorec_cli.shared.progress import due_lines, graceful_stop, progress_display
from audiorec_cli.shared.run_summary import exit_code_of, print_counts

if TYPE_CHECKING:
    from audiorec.extraction.shard_tasks import ShardOutcome, ShardsReport
    from audiorec.extraction.shards import ShardConfig
    from audiorec.runs.report import RunReport
    from audiorec.store.schema import StoreMetadata

app = group(
    """Make the parts of a store, on this machine, by a scheduler or on a cluster.

    A manifest is divided into shards, and each becomes one part in a folder, wherever it is
    worked on. audiorec store compact joins the parts (docs/scale.md).

    Examples
    --------
    audiorec manifest ~/Music --out manifest.parquet
    audiorec shards all manifest.parquet 16 --out parts/
    audiorec store compact parts/ --out vecs.parquet
    """
)

ManifestArgument = Annotated[
    str, typer.Argument(metavar="MANIFEST", help="What audiorec manifest wrote: a path or a URI.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Which files a part has, and where they go."""

    out: Annotated[
        str, typer.Option("--out", "-o", metavar="FOLDER", help="Where parts go: a path or a URI.")
    ]
    scores: Annotated[
        bool, typer.Option("--scores", help="Also write the score series beside the vectors.")
    ] = False
    features: Annotated[
        bool, typer.Option("--features", help="Also write the features beside the vectors.")
    ] = False
    work_dir: Annotated[
        Path | None, more(metavar="FOLDER", help="Where a part lies while it is made.")
    ] = None

    def config(self, work: Extraction, **options: int) -> "ShardConfig":
        """Return how a part is made; `options` are in place of the run's own."""
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
    shard: Annotated[str, typer.Argument(metavar="I/N", help="Which of how many, from 0/N.")],
    *,
    parts: Parts,
    work: Extraction,
) -> None:
    """Make one part: for Slurm, Kubernetes, or by hand.

    A part that is finished is kept, so a shard may be run twice, in any order.

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
    raise typer.Exit(work.forgive(code))


@command(app, "all")
def all_shards(
    manifest: ManifestArgument,
    count: Annotated[int, typer.Argument(metavar="N", help="How many shards there are.")],
    runner: Annotated[
        Literal["local", "ray", "dask"], typer.Option(help="Who works on them.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="Of a Ray or Dask cluster [default: one on this machine].")
    ] = None,
    *,
    parts: Parts,
    work: Extraction,
) -> None:
    """Make all parts that are missing: here, on Ray or on Dask.

    Finished parts are kept. The same command tries lost shards again.

    Examples
    --------
    audiorec shards all manifest.parquet 16 --out parts/
    audiorec shards all manifest.parquet 16 --out parts/ --jobs 4 --json
    audiorec shards all manifest.parquet 1000 --out parts/ --runner ray
    """
    from audiorec.engines.choice import engine_of
    from audiorec.extraction.shard_tasks import gather, shard_tasks
    from audiorec.files.storage import join

    if address and runner == "local":
        raise InputError("--address goes with --runner ray or --runner dask")
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
    raise typer.Exit(work.forgive(code))


def _numbers(text: str) -> tuple[int, int]:
    """Return index and count of ``3/16``."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None:
        raise InputError(f"a shard is a number of a number, like 3/16, got {text!r}")
    return int(match[1]), int(match[2])


def _metadata(config: "ShardConfig") -> "StoreMetadata":
    from audiorec.extraction.pipeline import Extractor
    from audiorec.extraction.run import make_outputs, run_metadata

    return run_metadata(Extractor(config.extractor), make_outputs("vecs.parquet"))


def _teller(told: Observers, quiet: bool) -> "Callable[[ShardOutcome, ShardsReport], None]":
    """Return what is called after each shard: a line of the log, now and then one on stderr."""
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
        say(f"stopped ({report.run.stopped}); the same command goes on from there")
    elif report.is_whole:
        say(f"parts: {out} (audiorec store compact joins them)")
    else:
        say("the same command tries the lost shards again")


def _code_of_part(run: "RunReport") -> Exit:
    """Return 0 or 3 for a part that was made, also where no song of it has a vector."""
    if run.stopped is not None:
        return exit_code_of(run)
    return Exit.SOME_FAILED if run.failed + run.failed_before else Exit.OK


def _code(report: "ShardsReport") -> Exit:
    if report.made + report.kept == 0 and report.run.stopped is None:
        return Exit.NOTHING_USABLE
    code = exit_code_of(report.run)
    return Exit.SOME_FAILED if report.lost and code == Exit.OK else code
