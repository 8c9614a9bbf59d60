"""Maps over blocks: the same function over numbered parts of a job, by whatever engine.

::

    make, part(i) ──made_by(engine)──▶ block files in the run folder      `files.blocks` joins them
    make, part(i) ──map_blocks───────▶ values, in the order of the blocks

``make`` is what every block needs (songs, a model, settings) with a function: a callable that
pickles. It is written once, mapped by all processes of a machine (`audiorec.engines.kept`), and
called with ``part(i)``, which is what block i alone needs, such as the histories of its users.
A block holds what ``make(part(i))`` returns and nothing else, so that it does not matter who makes
it, in which order or how often.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any, ClassVar

from audiorec.engines.kept import Keeper, MappedValue
from audiorec.engines.tasks import Engine
from audiorec.errors import AudiorecError, LostBlocksError
from audiorec.files.blocks import PREFIX, SHARED, Elsewhere, write_block
from audiorec.types import Progress

Make = Callable[[Any], Any]
Part = Callable[[int], Any]


@dataclass(frozen=True, slots=True)
class BlockOutcome:
    """What became of a block.

    Attributes
    ----------
    index : int
    value : object
        What was made, unless it was written to a file.
    message : str
        Why it was not made; empty if it was.
    """

    index: int
    value: Any = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class BlockTask:
    """A block to make: what an engine sends to a worker.

    Attributes
    ----------
    index : int
    shared : MappedValue
        Of ``(make, schema)``.
    own : MappedValue
        Of what this block alone needs.
    folder : str
        Where the block's file goes; empty: the value is the answer.
    """

    index: int
    shared: MappedValue
    own: MappedValue
    folder: str = ""
    jobs: ClassVar[int] = 1

    def attempt(self, *, stop: Event | None = None) -> BlockOutcome:  # noqa: ARG002 - is finished
        """Make the block; what goes wrong on purpose is an answer, not an exception."""
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
        """Return what became of it if its process died once too often."""
        return BlockOutcome(self.index, message=message)


def made_by(engine: Engine, make: Make, part: Part, schema: Any) -> Elsewhere:
    """Return what makes blocks of `audiorec.files.blocks.run_blocks` by an engine."""

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
        See the head of this module.
    n_blocks : int
    what : str
        What the blocks are of, for an error.
    named : callable of int
        What an error calls a block.
    work : Path, optional
        A folder that all workers see, for what they read; by default a temporary one.
    progress : callable of (done, total), optional

    Raises
    ------
    LostBlocksError
        If some could not be made, after the others were.
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
        raise KeyboardInterrupt  # what stopped the engine stops this as well
    return [found[i] for i in range(n_blocks)]


def _outcomes(
    engine: Engine, shared: Any, part: Part, numbers: Sequence[int], folder: Path, out: str
) -> Iterator[BlockOutcome]:
    """Keep what workers read for as long as they work."""
    keeper, own = Keeper(shared), {}
    kept = keeper.write(folder / SHARED)

    def tasks() -> Iterator[BlockTask]:
        for i in numbers:
            own[i] = folder / f"{PREFIX}{i:06d}.bin"
            yield BlockTask(i, kept, Keeper(part(i), keeper).write(own[i], kept), out)

    try:
        for outcome in engine(tasks()):
            own.pop(outcome.index).unlink(missing_ok=True)
            yield outcome
    finally:
        for path in (*own.values(), folder / SHARED):
            path.unlink(missing_ok=True)
