"""One shard as an engine sees it: something small to send, and an answer that says it all."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from audiorec.errors import AudiorecError
from audiorec.extraction.shards import (
    ShardConfig,
    ShardReport,
    check_shard,
    process_shard,
    read_shard,
)
from audiorec.files.storage import is_uri
from audiorec.runs.report import Progress


@dataclass(frozen=True, slots=True)
class ShardTask:
    """A shard by name: the machine that works on it reads its rows itself.

    Attributes
    ----------
    manifest, out : str
        Paths or URIs that mean the same on every machine.
    index, count : int
    config : ShardConfig
    """

    manifest: str
    index: int
    count: int
    out: str
    config: ShardConfig

    def attempt(
        self,
        progress: Callable[[Progress], None] | None = None,
        stop: threading.Event | None = None,
    ) -> "ShardOutcome":
        """Make the part; what goes wrong on purpose is an answer, not an exception."""
        try:
            shard = read_shard(self.manifest, self.index, self.count)
            report = process_shard(shard, self.out, self.config, progress=progress, stop=stop)
        except AudiorecError as error:
            return ShardOutcome(self.index, error=error)
        except OSError as error:  # a full or failing disk: this machine's, not the shard's
            return ShardOutcome(self.index, message=f"{type(error).__name__}: {error}")
        return ShardOutcome(self.index, report=report)


@dataclass(frozen=True, slots=True)
class ShardOutcome:
    """What became of one shard.

    Attributes
    ----------
    index : int
    report : ShardReport or None
        Of a shard that ended; its ``run.stopped`` says whether before its songs did.
    error : AudiorecError or None
        What it raised on purpose.
    message : str
        What is known of a shard that was lost: its process died once too often, say.
    """

    index: int
    report: ShardReport | None = None
    error: AudiorecError | None = None
    message: str = ""


def shard_tasks(manifest: str, count: int, out: str, config: ShardConfig) -> list[ShardTask]:
    """Return a task for each shard of a manifest; paths become absolute.

    Raises
    ------
    InputError
        If `count` is not 1 to 99,999.
    """
    check_shard(0, count)
    places = [p if is_uri(p) else os.path.abspath(p) for p in (manifest, out)]  # noqa: PTH100
    heads = tuple(path.absolute() for path in config.extractor.heads)
    work = config.work_dir.absolute() if config.work_dir else None
    config = replace(config, extractor=replace(config.extractor, heads=heads), work_dir=work)
    return [ShardTask(places[0], index, count, places[1], config) for index in range(count)]


def attempt(task: ShardTask) -> ShardOutcome:
    """Run a task; the function that clusters are given by name."""
    return task.attempt()


class Runner(Protocol):
    """Runs shard tasks somewhere and answers each exactly once, in any order."""

    def __call__(self, tasks: Sequence[ShardTask], stop: threading.Event) -> Iterator[ShardOutcome]:
        """Yield an outcome a task; after `stop` is set, tasks that wait may be left out."""
