"""``audiorec extract --shard`` and ``--shards``: parts of a store, here or on a cluster."""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from audiorec.errors import InputError
from audiorec_cli.shared.console import Exit, print_json, say
from audiorec_cli.shared.observers import Observers
from audiorec_cli.shared.progress import LINE_EVERY_S, progress_display
from audiorec_cli.shared.run_summary import exit_code, print_counts
from audiorec_cli.shared.stopping import graceful_stop

if TYPE_CHECKING:
    from audiorec.extraction.engines.tasks import ShardOutcome, ShardsReport, ShardTask
    from audiorec.extraction.pipeline import ExtractorConfig
    from audiorec.extraction.run import RunOptions
    from audiorec.extraction.shards import ShardConfig
    from audiorec.runs.report import RunReport
    from audiorec.store.schema import StoreMetadata

Watched = Callable[..., AbstractContextManager[Observers]]


@dataclass(frozen=True, slots=True)
class Sharding:
    """Which parts are asked for, and who is to make them: the command's options."""

    manifest: str | None
    out: str
    shard: str | None
    shards: int | None
    runner: str
    address: str | None
    work_dir: Path | None
    scores: Path | None
    features: Path | None

    def check(self, refused: Mapping[str, object]) -> None:
        """Refuse options that do not go together.

        Raises
        ------
        InputError
        """
        if (self.shard is None) == (self.shards is None):
            raise InputError("give --shard I/N for one part, or --shards N for all of them")
        if self.manifest is None:
            raise InputError("parts are made of a --manifest; audiorec manifest writes one")
        for option, value in refused.items():
            if value:
                raise InputError(f"{option} does not go with --shard or --shards")
        if self.shards is None and (self.runner != "local" or self.address):
            raise InputError("--runner and --address go with --shards")
        if self.address and self.runner == "local":
            raise InputError("--address goes with --runner ray or --runner dask")
        for option in ("scores", "features"):
            folder = getattr(self, option)
            if folder is not None and folder != Path(self.out):
                raise InputError(
                    f"--{option} {folder}: parts lie beside those of the vectors; "
                    f"say --{option} {self.out}"
                )
        if Path(self.out).is_file():
            raise InputError(f"{self.out}: is a file; name a folder for the parts")

    def numbers(self) -> tuple[int, int]:
        """Return index and count of the one shard that is asked for.

        Raises
        ------
        InputError
            If it is not written as ``3/16``.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", self.shard or "")
        if match is None:
            raise InputError(f"--shard takes a number of a number, like 3/16, got {self.shard!r}")
        return int(match[1]), int(match[2])


def extract_shards(
    asked: Sharding,
    config: "ExtractorConfig",
    options: "RunOptions",
    watched: Watched,
    *,
    quiet: bool,
    json: bool,
) -> Exit:
    """Make the parts that are asked for and say what came of them."""
    from audiorec.extraction.run import Policy
    from audiorec.extraction.shards import ShardConfig

    shard_config = ShardConfig(
        extractor=config,
        options=options if asked.shards is None else replace(options, jobs=1),
        scores=asked.scores is not None,
        features=asked.features is not None,
        work_dir=asked.work_dir,
        redo=options.policy is Policy.OVERWRITE,
    )
    if asked.shards is None:
        return _one(asked, shard_config, watched, quiet=quiet, json=json)
    return _all(asked, shard_config, options.jobs, watched, quiet=quiet, json=json)


def _one(
    asked: Sharding, config: "ShardConfig", watched: Watched, *, quiet: bool, json: bool
) -> Exit:
    from audiorec.extraction.shards import part_name, process_shard, read_shard
    from audiorec.files.storage import join

    index, count = asked.numbers()
    shard = read_shard(asked.manifest or "", index, count)
    with watched(join(asked.out, part_name(index, count, "parquet")), record=None) as told:
        told.start(songs=len(shard.sources), shard=index, shards=count)
        with (
            graceful_stop("the songs in flight are", quiet=quiet) as stop,
            progress_display(quiet=quiet) as shown,
        ):
            report = process_shard(shard, asked.out, config, progress=told.songs(shown), stop=stop)
        code = _code_of_part(report.run)
        told.end(report.run, _metadata(config), exit_code=code)
    if json:
        head = {"schema": "audiorec/shard/1", "shard": index, "shards": count}
        print_json({**head, "kept": report.kept, **report.run.to_dict()})
    print_counts(report.run)
    if report.run.stopped is None:
        say(f"part {index} of {count}: {'kept' if report.kept else 'made'} in {asked.out}")
    return code


def _all(
    asked: Sharding,
    config: "ShardConfig",
    jobs: int,
    watched: Watched,
    *,
    quiet: bool,
    json: bool,
) -> Exit:
    from audiorec.extraction.engines.tasks import gather, shard_tasks
    from audiorec.files.storage import join

    tasks = shard_tasks(asked.manifest or "", asked.shards or 0, asked.out, config)
    with watched(asked.out, record=join(asked.out, "run.json")) as told:
        told.start(shards=len(tasks), runner=asked.runner)
        started = time.monotonic()
        with graceful_stop("the songs in flight are", quiet=quiet) as stop:
            outcomes = _outcomes(asked, tasks, jobs or os.cpu_count() or 1, stop)
            report = gather(outcomes, len(tasks), told=_teller(told, quiet))
        report.run.wall_s = time.monotonic() - started
        code = _code(report)
        told.end(report.run, _metadata(config), exit_code=code, content=report.to_dict())
    if json:
        print_json({"schema": "audiorec/shards/1", **report.to_dict()})
    _print_shards(report, asked.out)
    return code


def _outcomes(
    asked: Sharding, tasks: "list[ShardTask]", jobs: int, stop: threading.Event
) -> "Iterator[ShardOutcome]":
    if asked.runner == "ray":
        from audiorec.extraction.engines.ray import run_ray

        return run_ray(tasks, stop, address=asked.address)
    if asked.runner == "dask":
        from audiorec.extraction.engines.dask import run_dask

        return run_dask(tasks, stop, address=asked.address, workers=jobs)
    from audiorec.extraction.engines.tasks import run_local

    return run_local(tasks, stop, jobs=jobs)


def _metadata(config: "ShardConfig") -> "StoreMetadata":
    from audiorec.extraction.pipeline import Extractor
    from audiorec.extraction.run import make_outputs, run_metadata

    return run_metadata(Extractor(config.extractor), make_outputs("vecs.parquet"))


def _teller(told: Observers, quiet: bool) -> "Callable[[ShardOutcome, ShardsReport], None]":
    """Return what is called after each shard: a line of the log, now and then one on stderr."""
    last = time.monotonic()

    def tell(outcome: "ShardOutcome", report: "ShardsReport") -> None:
        nonlocal last
        lost = report.lost.get(outcome.index)
        shard = outcome.report
        songs = {} if shard is None else shard.run.to_dict()
        told.event(
            "shard", shard=outcome.index, lost=lost, kept=shard is not None and shard.kept, **songs
        )
        if lost is not None:
            say(f"shard {outcome.index}: {lost}")
        if not quiet and time.monotonic() - last >= LINE_EVERY_S:
            last = time.monotonic()
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
        return exit_code(run, False)
    return Exit.SOME_FAILED if run.failed + run.failed_before else Exit.OK


def _code(report: "ShardsReport") -> Exit:
    if report.made + report.kept == 0 and report.run.stopped is None:
        return Exit.NOTHING_USABLE
    code = exit_code(report.run, False)
    return Exit.SOME_FAILED if report.lost and code == Exit.OK else code
