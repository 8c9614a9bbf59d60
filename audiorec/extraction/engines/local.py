"""Shards on this machine: joblib's threads, each with a disposable child for the songs."""

import threading
from collections.abc import Iterator, Sequence

from audiorec.extraction.engines.task import ShardOutcome, ShardTask


def run_local(
    tasks: Sequence[ShardTask], stop: threading.Event, *, jobs: int = 1
) -> Iterator[ShardOutcome]:
    """Run shards in threads of this process.

    Parameters
    ----------
    tasks : sequence of ShardTask
    stop : Event
        When it is set, the songs in flight are finished and no further shard begins.
    jobs : int
        Shards at a time.

    Yields
    ------
    outcome : ShardOutcome
        In the order in which shards end; none for a shard that was not begun.
    """
    from joblib import Parallel, delayed

    def attempt(task: ShardTask) -> ShardOutcome | None:
        return None if stop.is_set() else task.attempt(stop=stop)

    parallel = Parallel(
        n_jobs=jobs,
        backend="threading",
        return_as="generator_unordered",
        pre_dispatch=jobs,
        batch_size=1,
    )
    for outcome in parallel(delayed(attempt)(task) for task in tasks):
        if outcome is not None:
            yield outcome
