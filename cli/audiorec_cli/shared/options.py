"""Single options that several commands share, each declared once.

    --set window=50 --set tables=files  ──values_for──▶ {"window": 50, "tables": "files"}

`Engines` are the options of commands that process blocks of users, `HeadOption` and its kin those
of commands that open audio. Those of questions are declared by the library.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, get_origin, get_type_hints

from audiorec.errors import InputError, MissingFileError
from audiorec.files.user_files import as_field_type, parse_value
from audiorec.options import ADVANCED as ADVANCED
from audiorec.options import COMMON as COMMON
from audiorec.options import argument, chooses, reads, writes
from audiorec_cli.shared.progress import graceful_stop, progress_lines

if TYPE_CHECKING:
    from audiorec.runs.tasks import Engine

KNOWN = "What is known of songs and users"

# Output, processes and failures.
JsonOption = Annotated[
    bool, chooses("--json", panel=COMMON, common=True, help="Print one JSON document.")
]
QuietOption = Annotated[
    bool, chooses("--quiet", "-q", panel=COMMON, common=True, help="Show no progress.")
]
JobsOption = Annotated[int, chooses("--jobs", "-j", min=0, help="Processes; 0: all cores.")]
SeedOption = Annotated[int, chooses("--seed", min=0, help="Random seed.", panel=ADVANCED)]
DeviceOption = Annotated[
    str, chooses("--device", panel=ADVANCED, help="Device of torch: cpu or cuda.")
]
RetryFailedOption = Annotated[
    bool, chooses("--retry-failed", panel=ADVANCED, help="Retry songs that failed before.")
]
AllowFailuresOption = Annotated[
    bool, chooses("--allow-failures", panel=ADVANCED, help="Exit 0 even if some songs failed.")
]

# Files that every command names alike; what they are for, each command says itself.
store_file = partial(reads, "--vectors", "-v", metavar="STORE")
log_file = partial(reads, "--interactions", "-i", log=True)
out_file = partial(writes, "--out", "-o")

RecallOption = Annotated[
    Path | None, reads(metavar="DIR", help="Folder that recall run wrote, for recommendations.")
]
HostNameOption = Annotated[
    list[str] | None,
    chooses(metavar="NAME", help="Host name of the page behind a proxy.", panel=ADVANCED),
]
PortOption = Annotated[
    int, chooses("--port", "-p", min=0, max=65535, help="Port; 0 for any free one.")
]
NoOpenOption = Annotated[
    bool, chooses("--no-open", help="Print the address without opening a browser.")
]
ProfilesOption = Annotated[
    Path | None,
    reads(metavar="FILE", help="User profiles: user_id and attributes.", panel=KNOWN),
]
SideOption = Annotated[
    Path | None,
    reads(
        metavar="FILE", help="Song metadata: title, artist, album, genre, language.", panel=KNOWN
    ),
]
SongStoreOption = Annotated[
    Path | None, store_file(help="Tags, genres, sound and copies of songs.", panel=KNOWN)
]
ExposuresOption = Annotated[
    Path | None,
    reads(metavar="FILE", help="Songs shown: user_id, song_id, shown_at.", panel=KNOWN),
]
ModelsOption = Annotated[
    Path | None,
    reads(metavar="FOLDER", help="A folder with one folder per trained model.", panel=KNOWN),
]
OutFileOption = Annotated[Path, out_file(help="The file to write.")]
OutFolderOption = Annotated[Path, out_file(metavar="FOLDER", help="The folder to write.")]

# Listening.
LogArgument = Annotated[Path, argument(log=True, help="Parquet, .csv or .csv.gz.")]
LogOption = Annotated[Path, log_file(help="The listening log.")]
OptionalLogOption = Annotated[Path | None, log_file(help="The listening log.")]

# Songs in folders.
IdFromOption = Annotated[
    str,
    reads(panel=ADVANCED, help="Source of song ids: path, stem, tag:NAME (tag:isrc), csv:FILE."),
]
IncludeOption = Annotated[
    list[str] | None,
    chooses("--include", metavar="GLOB", help="Only paths that match this glob."),
]
ExcludePathsOption = Annotated[
    list[str] | None,
    chooses("--exclude", metavar="GLOB", help="Skip paths that match this glob."),
]


def values_for(texts: Sequence[str] | None, kind: Any) -> dict[str, Any]:
    """Return the values of the fields of a dataclass that ``NAME=VALUE`` texts give.

    A name without a value switches a field on; a field of several values takes commas.

    Raises
    ------
    InputError
        If the dataclass has no field of this name, or the value has the wrong type.
    """
    values: dict[str, Any] = {}
    known = sorted(field.name for field in fields(kind))
    for text in texts or ():
        name, has_value, value = text.partition("=")
        name = name.replace("-", "_")
        try:
            if name not in known:
                raise InputError(f"unknown setting {name!r}; there are: {', '.join(known)}")
            if not has_value and get_type_hints(kind)[name] is not bool:
                raise InputError(f"expected {name}=VALUE")
            read = _value(kind, name, value if has_value else "true")
            values[name] = values.get(name, ()) + read if isinstance(read, tuple) else read
        except InputError as error:
            raise InputError(f"--set {text}: {error}") from error
    return values


def _value(kind: Any, name: str, text: str) -> Any:
    """Return the value of a field; commas separate the values of one that takes several."""
    read = parse_value(text)
    wanted = get_type_hints(kind)[name]
    if get_origin(wanted) is tuple and not isinstance(read, list):
        read = [parse_value(part) for part in text.split(",")]
    elif wanted is str or wanted == str | None:
        read = text
    return as_field_type(kind, name, read)


LOCAL = "local"
RunnerOption = Annotated[
    str,
    chooses("--runner", help="Where they run: local or ray[:ADDRESS].", panel=ADVANCED),
]


@dataclass(frozen=True, slots=True)
class Work:
    """An engine with its stop event and progress callback; no engine: this process does it all."""

    engine: "Engine | None" = None
    stop: "Event | None" = None
    after_block: Callable[[str, int, int], None] | None = None

    def progress(self, what: str) -> Callable[[int, int], None] | None:
        """Return the progress callback for one kind of block."""
        after_block = self.after_block
        return None if after_block is None else lambda done, total: after_block(what, done, total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """Where blocks of users are processed: this process, local processes, or a cluster."""

    jobs: Annotated[
        int,
        chooses(
            "--jobs",
            "-j",
            min=0,
            help="Processes for blocks of users or songs; 0: all cores.",
            panel=ADVANCED,
        ),
    ] = 1
    runner: RunnerOption = LOCAL

    @contextmanager
    def work(self, *, quiet: bool = False) -> Iterator[Work]:
        """Yield the engine; Ctrl-C finishes the blocks in progress first."""
        jobs = self.jobs or os.cpu_count() or 1
        if self.runner == LOCAL and jobs == 1:
            yield Work()
            return

        from audiorec.runs.tasks import engine_of, parse_runner

        runner, address = parse_runner(self.runner)
        with graceful_stop("the blocks in progress are", quiet=quiet) as stop:
            engine = engine_of(runner, address=address, jobs=jobs, stop=stop)
            yield Work(engine, stop, progress_lines(quiet=quiet))


HEAD_FILE = "head.safetensors"
OURS = "ours"

HeadOption = Annotated[
    list[str] | None,
    reads(
        metavar="[TASK=]FILE",
        help="Use this head instead of the shipped ones (repeatable): a head file, a folder of "
        "heads, TASK=ours to keep a shipped head, or open for the two learnt from free audio.",
        panel=ADVANCED,
    ),
]
BackboneOption = Annotated[
    str | None,
    reads(
        metavar="NAME",
        help="The network of an installed package, by name (audiorec backbones).",
        panel=ADVANCED,
    ),
]
StoreHeadOption = Annotated[
    list[str] | None,
    reads(
        metavar="[TASK=]FILE",
        help="Heads of the store, if not the shipped ones: needed to score a file that is not in "
        "the store.",
        panel=ADVANCED,
    ),
]


def chosen_heads(named: Sequence[str] | None) -> tuple[Path, ...]:
    """Return the head files that ``FILE``, ``TASK=FILE``, ``TASK=ours`` or ``open`` name.

    Empty for the shipped pair; ``open`` is the pair that learnt from free audio alone. An unknown
    task is refused, and so is a file whose head has another task than the one given.
    """
    return tuple(path for name in named or () for path in _heads(name))


def head_file(path: Path) -> Path:
    """Return the head file that a path means: itself, or the one in a folder."""
    return path / HEAD_FILE if path.is_dir() else path


def _heads(name: str) -> tuple[Path, ...]:
    from audiorec.tagger.heads import OPEN, Head, shipped_head, shipped_heads

    if name == OPEN and not Path(name).exists():
        return shipped_heads(OPEN)
    task, equals, file = name.partition("=")
    bare = not equals or Path(name).exists()
    if file == OURS and not bare:
        return (shipped_head(task),)
    path = head_file(Path(name if bare else file))
    if not path.is_file():
        raise MissingFileError(f"{path}: no such head file")
    if not bare and (result := Head.load(path).task) != task:
        raise InputError(f"{path}: is a head for {result!r}, not for {task!r}")
    return (path,)
