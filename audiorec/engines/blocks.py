"""Map a function over the numbered blocks of a job, on any engine.

::

    make, part(i) ──made_by(engine)──▶ block files in the run folder      `files.blocks` joins them
    make, part(i) ──map_blocks───────▶ values, in the order of the blocks

``make`` is a picklable callable with the data shared by all blocks (songs, a model, settings). It
is written once, memory-mapped by all processes of a machine (`audiorec.engines.mapped`), and called
with ``part(i)``, the data of block i only, such as the histories of its users. A block depends on
``make(part(i))`` alone, so any worker may compute it, in any order and repeatedly.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any, ClassVar

from audiorec.engines.mapped import MappedValue, MappedWriter
from audiorec.engines.tasks import Engine
from audiorec.errors import AudiorecError, LostBlocksError
from audiorec.files.tables import PREFIX, SHARED, Elsewhere, write_block
from audiorec.types import Progress

Make = Callable[[Any], Any]
Part = Callable[[int], Any]


@dataclass(frozen=True, slots=True)
class BlockOutcome:
    """Outcome of a block.

    Attributes
    ----------
    index : int
    value : object
        Result of the block, unless it was written to a file.
    message : str
        Why the block failed; empty on success.
    """

    index: int
    value: Any = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class BlockTask:
    """Task that computes one block on a worker.

    Attributes
    ----------
    index : int
    shared : MappedValue
        The pair ``(make, schema)``.
    own : MappedValue
        Data of this block only.
    folder : str
        Folder of the block's file; empty: return the value instead.
    """

    index: int
    shared: MappedValue
    own: MappedValue
    folder: str = ""
    jobs: ClassVar[int] = 1

    def attempt(self, *, stop: Event | None = None) -> BlockOutcome:  # noqa: ARG002 - is finished
        """Compute the block; expected errors are returned as an outcome, not raised."""
        try:
            make, schema = self.shared.load()
            found = make(self.own.load())
            if not self.folder:
                return BlockOutcome(self.index, found)
            write_block(Path(self.folder), self.index, found, schema)
        except (AudiorecError, OSError) as error:
            return self.lost(f"{type(error).__name__}: {error}")
        except MemoryError:
            return self.lost("the worker ran out of memory")
        return BlockOutcome(self.index)

    def lost(self, message: str) -> BlockOutcome:
        """Return the outcome of a block that was lost or failed."""
        return BlockOutcome(self.index, message=message)


def block_runner(engine: Engine, make: Make, part: Part, schema: Any) -> Elsewhere:
    """Return a function that computes blocks of `audiorec.files.tables.run_blocks` on an engine."""

    def run(folder: Path, missing: Sequence[int]) -> Iterator[tuple[int, str]]:
        for outcome in _outcomes(engine, (make, schema), part, missing, folder, str(folder)):
            yield outcome.index, outcome.message

    return run


def map_blocks(
    engine: Engine,
    make: Make,
    part: Part,
    n_blocks: int,
    *,
    what: str,
    named: Callable[[int], str] = "block {}".format,
    work: Path | None = None,
    progress: Progress | None = None,
) -> list[Any]:
    """Return ``make(part(i))`` for all blocks, in their order.

    Parameters
    ----------
    engine : Engine
    make, part : callable
        See the module docstring.
    n_blocks : int
    what : str
        Name of the job, for errors.
    named : callable of int
        Returns the name of a block, for errors.
    work : Path, optional
        Folder accessible to all workers, for their inputs; by default a temporary one.
    progress : callable of (done, total), optional

    Raises
    ------
    LostBlocksError
        If some blocks failed; raised after all others are done.
    """
    found: dict[int, Any] = {}
    lost: dict[int, str] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="audiorec-", dir=work)))
        for outcome in _outcomes(engine, (make, None), part, range(n_blocks), folder, ""):
            if outcome.message:
                lost[outcome.index] = outcome.message
            else:
                found[outcome.index] = outcome.value
            if progress is not None:
                progress(len(found), n_blocks)
    if lost:
        told = tuple((named(i), why) for i, why in sorted(lost.items()))
        raise LostBlocksError(what, told, n_blocks)
    if len(found) < n_blocks:
        raise KeyboardInterrupt  # the engine was stopped
    return [found[i] for i in range(n_blocks)]


def _outcomes(
    engine: Engine, shared: Any, part: Part, numbers: Sequence[int], folder: Path, out: str
) -> Iterator[BlockOutcome]:
    """Yield outcomes; the workers' input files exist while they run."""
    keeper, own = MappedWriter(shared), {}
    kept = keeper.write(folder / SHARED)

    def tasks() -> Iterator[BlockTask]:
        for i in numbers:
            own[i] = folder / f"{PREFIX}{i:06d}.bin"
            yield BlockTask(i, kept, MappedWriter(part(i), keeper).write(own[i], kept), out)

    try:
        for outcome in engine(tasks()):
            own.pop(outcome.index).unlink(missing_ok=True)
            yield outcome
    finally:
        for path in (*own.values(), folder / SHARED):
            path.unlink(missing_ok=True)
