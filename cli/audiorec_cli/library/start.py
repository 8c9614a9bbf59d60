"""``audiorec start``: from a folder of songs to the page, in one command.

``audiorec demo``: the page over free music, which comes with audiorec.
"""

import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import click

import audiorec
from audiorec.distribution import install_command
from audiorec.errors import (
    AudiorecError,
    BusyStoreError,
    ExistingFileError,
    InputError,
    MissingFileError,
)
from audiorec.options import argument, chooses, writes
from audiorec_cli.library.extract import print_plan, say_unseen
from audiorec_cli.listen.browse import player_of, show
from audiorec_cli.shared.console import Exit, counted, file_size, no_songs, say
from audiorec_cli.shared.extraction import NEVER_TOO_MANY, Extraction
from audiorec_cli.shared.libraries import libraries, moved_library, own_store, remember
from audiorec_cli.shared.options import JobsOption, NoOpenOption, PortOption, out_file
from audiorec_cli.shared.progress import graceful_stop, progress_display, stopped

if TYPE_CHECKING:
    from audiorec.extraction.catalogue import Source
    from audiorec.extraction.pipeline import ExtractorConfig
    from audiorec.extraction.plan import Plan
    from audiorec.extraction.run import RunOptions
    from audiorec.runs.report import RunProgress
    from audiorec.store.journal import Outputs

SCORES = "scores.parquet"
WORKER_BYTES = 120 << 20  # docs/benchmarks/performance.md
SONG_BYTES = 7_000  # on disk: a row of the store, and the scores of four minutes
LAST_S = 1.0  # for the songs in flight, at the end


def start(
    folder: Annotated[Path, argument(metavar="FOLDER", help="Your music.")],
    out: Annotated[
        Path | None,
        out_file(
            metavar="STORE", help="The store [default: one for each folder, in your data folder]."
        ),
    ] = None,
    jobs: JobsOption = 0,
    once: Annotated[
        bool, chooses("--once", help="Do not watch the folder for new songs afterwards.")
    ] = False,
    port: PortOption = 0,
    no_open: NoOpenOption = False,
) -> None:
    """Listen to a folder of songs, and open a page to browse, play and make lists while it runs.

    The first songs are on the page within seconds, the others follow. The folder is only read. The
    same command later resumes, and adds what is new; a folder that was moved or renamed is known by
    its songs. Other commands use the store of the folder that they are in, or the one opened last.
    Ctrl-C ends it; the store stays. The page needs the extra web: without it, only the store is
    made.

    Examples
    --------
    audiorec start ~/Music
    audiorec start ~/Music --jobs 4 --no-open
    audiorec start ~/Music/Jazz --out jazz.parquet
    """
    from audiorec.extraction.catalogue import find_songs
    from audiorec.extraction.run import make_outputs
    from audiorec.library.library import open_store

    if not folder.is_dir():
        raise MissingFileError(f"{folder}: is not a folder; give the folder of your songs")
    folder = folder.resolve()
    path, moved = out or own_store(folder), None
    refuse_other_folder(path, folder)
    sources = find_songs([str(folder)])
    say_unseen(sources)
    if not sources:
        raise no_songs()
    if not path.exists() and (moved := moved_library(sources)):
        path = moved[0].store
        known = f"{len(sources) - len(moved[1])} of {counted(len(sources), 'song')}"
        say(f"this is {moved[0].folder}, moved: {known} known")
    remember(folder, path)
    grower = Grower(
        folder, make_outputs(path, scores=path.with_name(SCORES)), Extraction(jobs=jobs)
    )
    plan = grower.plan(sources if moved is None else moved[1])
    print_plan(plan, grower.outputs, grower.config, grower.work, listed=False)
    _say_room(plan, path, jobs)
    has_web = _has_web()
    if not (has_web and path.exists()):
        with graceful_stop("the songs in flight are", quiet=False) as stop:
            grower.add(sources, stop, only_first=has_web)
            if stop.is_set():
                raise stopped()
    if not path.exists() or not len(open_store(path)):
        say(f"error: none of the files there could be used: {grower.outputs.errors}")
        raise click.exceptions.Exit(Exit.NOTHING_USABLE)
    if not has_web:
        say("now: audiorec find 'calm piano', or: audiorec similar SONG")
        return
    _offer_sync(path)
    with grower.in_background(watches=not once):
        show(
            open_store(path),
            [folder],
            port=port,
            no_open=no_open,
            growing=lambda: grower.growing,
        )


def refuse_other_folder(path: Path, folder: Path) -> None:
    """Refuse a store that holds songs from elsewhere, so that libraries are never mixed."""
    known = any((one.folder, one.store) == (folder, path.resolve()) for one in libraries())
    if known or not path.exists():
        return
    from audiorec.extraction.catalogue import uri_of

    root = uri_of(str(folder)).rstrip("/") + "/"
    from audiorec.library.library import open_store

    for uri in open_store(path).column("uri").to_pylist():
        if not uri.startswith(root):
            raise InputError(
                f"{path}: holds songs from elsewhere, such as {uri}; name another store with --out"
            )


@dataclass(slots=True)
class Grower:
    """Extracts a folder part by part, so that a page can show the first songs early.

    Attributes
    ----------
    folder : Path
    outputs : Outputs
    work : Extraction
        Options of the extraction.
    done, total : int
        Songs that were heard, and songs to hear, since the last look at the folder.
    now : str
        The song that was heard last.
    since : float
        When that began, as `time.monotonic` tells it.
    """

    folder: Path
    outputs: "Outputs"
    work: Extraction
    done: int = 0
    total: int = 0
    now: str = ""
    since: float = 0.0
    config: "ExtractorConfig" = field(init=False)
    options: "RunOptions" = field(init=False)

    def __post_init__(self) -> None:
        self.config = self.work.config()
        self.options = replace(self.work.run_options(), max_failures=NEVER_TOO_MANY)

    def look(self) -> "list[Source]":
        """List the songs of the folder."""
        from audiorec.extraction.catalogue import find_songs

        return find_songs([str(self.folder)])

    def plan(self, sources: "Sequence[Source]") -> "Plan":
        """Return what is to be done."""
        from audiorec.extraction.run import preview

        return preview(sources, self.outputs, config=self.config, options=self.options)

    def add(
        self,
        sources: "Sequence[Source]",
        stop: threading.Event,
        *,
        only_first: bool = False,
    ) -> bool | None:
        """Extract what is new, part by part; None if another run writes to the store."""
        from audiorec.extraction.run import run
        from audiorec.extraction.watch import growing_parts

        todo = self.plan(sources).todo
        self.done, self.total, self.since = 0, len(todo), time.monotonic()
        with progress_display(quiet=not todo) as shown:
            for part in growing_parts(sources, todo):
                before = self.done

                def report_song(at: "RunProgress", before: int = before) -> None:
                    self.done, self.now = before + at.done, at.song_id
                    if shown is not None:
                        shown(replace(at, done=self.done, total=self.total))

                try:
                    report = run(
                        part,
                        self.outputs,
                        config=self.config,
                        options=self.options,
                        progress=report_song,
                        stop=stop,
                    )
                except BusyStoreError as error:
                    say(f"{error}; will retry later")
                    return None
                if stop.is_set() or (only_first and len(part) < len(sources)):
                    return True
        if todo:
            failed = report.failed + report.failed_before
            lost = f"; {failed} could not be used: {self.outputs.errors}" if failed else ""
            say(f"{counted(len(sources) - failed, 'song')} in {self.outputs.vectors}{lost}")
        return True

    @property
    def growing(self) -> dict[str, Any] | None:
        """Songs done and in all, the last one, seconds left; None while nothing is to be done."""
        if self.done >= self.total:
            return None
        each_s = (time.monotonic() - self.since) / max(1, self.done)
        left = round(each_s * (self.total - self.done)) if self.done else None
        return {"done": self.done, "total": self.total, "now": self.now, "left_s": left}

    @contextmanager
    def in_background(self, *, watches: bool) -> Iterator[None]:
        """Go on in a thread while the block runs; with `watches` also with songs to come."""
        stop = threading.Event()
        thread = threading.Thread(target=self._go_on, args=(stop, watches), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=LAST_S)

    def _go_on(self, stop: threading.Event, watches: bool) -> None:
        from audiorec.extraction.watch import best_change_source, watch

        try:
            if not watches:
                self.add(self.look(), stop)
                return
            with best_change_source([self.folder], stop, say) as notices:
                watch(self.look, partial(self.add, stop=stop), notices=notices, stop=stop, say=say)
        except AudiorecError as error:
            say(f"error: no more songs are added: {error}")


def _say_room(plan: "Plan", path: Path, jobs: int) -> None:
    """Say what the new songs take of memory and disk."""
    if todo := len(plan.todo):
        memory = (1 + min(jobs or os.cpu_count() or 1, todo)) * WORKER_BYTES
        size = file_size(todo * SONG_BYTES)
        say(f"about {file_size(memory)} of memory, and {size} of disk in {path.parent}")


def _offer_sync(path: Path) -> None:
    """Say how lists come into the user's music server."""
    if player := player_of(path):
        say(f"lists in your player: {player[1]}")
    else:
        say("lists in your player (Navidrome, MPD and others): audiorec sync --help")


def _has_web() -> bool:
    """Whether the page can be served; if not, say what it needs."""
    if all(map(find_spec, ("starlette", "uvicorn"))):
        return True
    say(f"note: the page needs the extra web: {install_command('web')}")
    return False


PACKAGE = Path(audiorec.__file__).parent


def demo(
    no_open: NoOpenOption = False,
    copy: Annotated[
        Path | None,
        writes(metavar="FOLDER", help="Copy the songs into a new folder instead, to try commands."),
    ] = None,
) -> None:
    """Open the page over pieces of free music, to look and listen before you use your own.

    They come with audiorec; nothing is downloaded. Their store is in your data folder, apart from
    those of your music, and other commands ask it until another is opened.

    Examples
    --------
    audiorec demo
    audiorec demo --no-open
    audiorec demo --copy songs   # then: audiorec extract songs
    """
    if copy is not None:
        copy_songs(demo_folder(), copy)
        return
    start(demo_folder(), once=True, no_open=no_open)


def copy_songs(source: Path, folder: Path) -> None:
    """Copy the songs of a folder into a new one, whole or not at all; a second time, do nothing.

    Raises
    ------
    ExistingFileError
        If the new folder is there already, with other content.
    """
    if folder.exists():
        if _sizes(folder) != _sizes(source):
            raise ExistingFileError(f"{folder}: is there already; give a new folder")
        say(f"{folder} has them already")
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as place:
        made = Path(place) / folder.name
        shutil.copytree(source, made)
        made.rename(folder)
    n = len(list(folder.glob("*.opus")))
    say(f"{counted(n, 'song')} in {folder}; now: audiorec extract {quote(str(folder))}")


def _sizes(folder: Path) -> dict[str, int]:
    """Return the size of each file of a folder by its name."""
    return {path.name: path.stat().st_size for path in folder.iterdir()} if folder.is_dir() else {}


def demo_folder() -> Path:
    """Return the folder of the songs: in the installed package, or in the clone that runs."""
    for folder in (PACKAGE / "demo", PACKAGE.parent / "fixtures" / "demo"):
        if (folder / "songs.csv").is_file():
            return folder
    raise MissingFileError(
        f"{PACKAGE / 'demo'}: the songs of the demo are missing; install audiorec again, or for"
        " your own music run: audiorec start FOLDER"
    )
