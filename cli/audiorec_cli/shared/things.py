"""What a path names: a store, a model, a log, a song and so on, and the command that tells of it.

    recognise(path)       Thing(path, Sort.STORE, ...), or None
    KNOWN[Sort.STORE]     how it is called, and the commands that read it
    refuse_others(...)    the error of a command that was given another thing than it takes

A thing is recognised from its name, its folder or its metadata; its rows are not read.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import Any

import click

from audiorec.columns import LogColumns
from audiorec.errors import AudiorecError, StoreError, UnknownSongError
from audiorec_cli.shared.inputs import HOLDS, PARQUET

MOST_LINE = 4096  # characters of the first line of a CSV file
MOST_BYTES = 16 << 20  # of a JSON file that is read
FORM = "audiorec/"  # how the schema of our JSON files begins


class Sort(StrEnum):
    """The sorts of things that a path can name."""

    STORE = "store"
    FEATURES = "features"
    TABLE = "table"
    SONG_EMBEDDINGS = "song_embeddings"
    USER_EMBEDDINGS = "user_embeddings"
    LOG = "log"
    CANDIDATES = "candidates"
    MANIFEST = "manifest"
    MODEL = "model"
    NIGHT = "night"
    NIGHTS = "nights"
    RECORD = "record"
    REPORT = "report"
    PLAYLIST = "playlist"
    SONG = "song"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class Known:
    """What is said of a sort of things.

    Attributes
    ----------
    words : str
        How it is called, with an article.
    commands : tuple of str
        The commands that tell of it or use it, the best first; {path} is the thing.
    option : str
        The parameter by which commands read it; empty if there is none.
    """

    words: str
    commands: tuple[str, ...] = ("audiorec info {path}",)
    option: str = ""


KNOWN: dict[Sort, Known] = {
    Sort.STORE: Known(
        "a store of songs",
        ("audiorec info {path}", "audiorec browse --vectors {path}"),
        option="vectors",
    ),
    Sort.FEATURES: Known("features of songs", option="vectors"),
    Sort.TABLE: Known("a table that audiorec wrote"),
    Sort.SONG_EMBEDDINGS: Known("embeddings of songs"),
    Sort.USER_EMBEDDINGS: Known("embeddings of users", option="users"),
    Sort.LOG: Known("a listening log", ("audiorec listening check {path}",), option="interactions"),
    Sort.CANDIDATES: Known(
        "lists of songs for users", ("audiorec recall fuse {path} --out lists.parquet",)
    ),
    Sort.MANIFEST: Known("a manifest of songs", ("audiorec shards {path} 0/1 --out parts/",)),
    Sort.MODEL: Known(
        "a trained model",
        ("audiorec info {path}", "audiorec recall candidates {path} -i LOG --out lists.parquet"),
    ),
    Sort.NIGHT: Known(
        "the folder of a nightly run",
        ("audiorec info {path}", "audiorec recall export {path} --out FOLDER"),
    ),
    Sort.NIGHTS: Known(
        "the folder of nightly runs, a day each",
        ("audiorec recall promote {path}", "audiorec browse --recall {path}"),
    ),
    Sort.RECORD: Known("the record of a run", ("audiorec runs {path}",)),
    Sort.REPORT: Known("a JSON document that audiorec wrote"),
    Sort.PLAYLIST: Known("a playlist", ("audiorec similar --from {path}",)),
    Sort.SONG: Known("a song", ("audiorec info {path}", "audiorec similar {path}")),
    Sort.FOLDER: Known("a folder", ("audiorec start {path}",)),
}
# The kind in the metadata of a table, where it is a sort of its own.
OF_KIND = {
    "vectors": Sort.STORE,
    "features": Sort.FEATURES,
    "interactions": Sort.LOG,
    "song_embeddings": Sort.SONG_EMBEDDINGS,
    "user_embeddings": Sort.USER_EMBEDDINGS,
    "song_lists": Sort.CANDIDATES,
    "manifest": Sort.MANIFEST,
}
TABLES = frozenset(OF_KIND.values()) | {Sort.TABLE}
DOCUMENTS = frozenset({Sort.RECORD, Sort.REPORT, Sort.PLAYLIST})
RUNS = frozenset({Sort.MODEL, Sort.NIGHT, Sort.NIGHTS})
# For an argument by its name on the help page: what it is called, and the sorts that it is not.
REFUSED: dict[str, tuple[str, frozenset[Sort]]] = {
    "SONG": ("a song", TABLES | DOCUMENTS | RUNS | {Sort.FOLDER}),
    "SONGS": ("songs", TABLES | DOCUMENTS | RUNS),
    "PATH": ("songs or folders of them", TABLES | DOCUMENTS | RUNS),
    "PLACE": ("songs or folders of them", TABLES | DOCUMENTS | RUNS),
    "FOLDER": ("a folder of songs", TABLES | DOCUMENTS | RUNS),
    "STORE": ("a store", DOCUMENTS | RUNS | {Sort.SONG, Sort.FOLDER}),
    "ALIASES": ("a store", frozenset(Sort) - {Sort.STORE}),
    "NIGHTS": ("a folder of nightly runs", frozenset(Sort) - {Sort.NIGHTS, Sort.FOLDER}),
    "PART": ("a store or a file beside one", DOCUMENTS | RUNS | {Sort.SONG, Sort.LOG}),
    "MODEL": ("a trained model", frozenset(Sort) - {Sort.MODEL, Sort.FOLDER}),
    "LOG": ("a listening log", (frozenset(Sort) - {Sort.LOG, Sort.FOLDER, Sort.CANDIDATES})),
    "MANIFEST": ("a manifest", frozenset(Sort) - {Sort.MANIFEST}),
    "CANDIDATES": (
        "lists of songs",
        DOCUMENTS | RUNS | {Sort.STORE, Sort.LOG, Sort.SONG, Sort.MANIFEST},
    ),
    "LABELS": ("labels of songs", DOCUMENTS | RUNS | TABLES | {Sort.SONG}),
    "CHANNEL": ("a channel", TABLES | DOCUMENTS | {Sort.SONG}),
    "WORDS": ("a sentence", TABLES | DOCUMENTS),
    "SERVER": ("the name of a server", TABLES | DOCUMENTS | {Sort.SONG}),
    "COMMAND": ("a command", TABLES | DOCUMENTS | {Sort.SONG}),
}
# Commands whose argument has a name that says less: what it is called instead.
BY_COMMAND = {
    "audiorec listening check": "LOG",
    "audiorec store aliases": "ALIASES",
    "audiorec recall promote": "NIGHTS",
}
# Where a name of a folder may as well be that of an artist, it is looked at after the error.
AFTERWARDS = frozenset({"SONG", "SONGS"})
INSTEAD = {
    ("audiorec start", Sort.STORE): "audiorec browse --vectors {path}",
    ("audiorec start", Sort.NIGHTS): "audiorec browse --recall {path}",
    ("audiorec browse", Sort.FOLDER): "audiorec start {path}",
}


@dataclass(frozen=True, slots=True)
class Thing:
    """What a path names.

    Attributes
    ----------
    path : Path
    sort : Sort
    detail : str
        More of what it is than its sort says: the kind of a table or of a model.
    facts : dict
        What is known of it without its rows being read.
    """

    path: Path
    sort: Sort
    detail: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """What it is, with an article."""
        return self.detail or KNOWN[self.sort].words

    @property
    def commands(self) -> list[str]:
        """The commands that tell of it or use it."""
        return [one.format(path=quote(str(self.path))) for one in KNOWN[self.sort].commands]


def recognise(path: Path) -> Thing | None:
    """Return what a path names; None if it cannot be read or audiorec does not know it."""
    try:
        return _recognise(path)
    except OSError:  # a closed folder, a name that is too long: the command itself says so
        return None


def _recognise(path: Path) -> Thing | None:
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        return None
    name = path.name.lower()
    if name.endswith(PARQUET):
        return _table(path)
    if name.endswith((".m3u8", ".m3u")):
        return Thing(path, Sort.PLAYLIST)
    if name.endswith(".json"):
        return _document(path)
    if name.endswith(".csv"):
        return _listing(path)

    from audiorec.extraction.catalogue import AUDIO_EXTENSIONS

    return Thing(path, Sort.SONG) if path.suffix.lower() in AUDIO_EXTENSIONS else None


def _folder(path: Path) -> Thing:
    from audiorec.learning.bundle import CONFIG_FILE, WEIGHTS_FILE, read_kind
    from audiorec.recall.serving.nightly.current import CURRENT, FUSED, RECORD

    if (path / CONFIG_FILE).is_file() and (path / WEIGHTS_FILE).is_file():
        try:
            kind = read_kind(path)
        except AudiorecError as error:
            return Thing(path, Sort.MODEL, facts={"problem": str(error)})
        return Thing(path, Sort.MODEL, facts={"kind": kind})
    if (path / CURRENT).is_file():
        return Thing(path, Sort.NIGHTS)
    if (path / FUSED).is_file() and (path / RECORD).is_file():
        record = _read_json(path / RECORD)
        named = ("users", "rows", "models")
        counts: dict[str, Any] = {name: record[name] for name in named if name in record}
        return Thing(path, Sort.NIGHT, facts=counts)
    return Thing(path, Sort.FOLDER)


def _table(path: Path) -> Thing | None:
    from audiorec.files.tables import TableFile
    from audiorec.store.inventory import declared_kind

    try:
        with TableFile.open(path) as file:
            columns = list(file.schema.names)
    except StoreError:
        return None
    facts = {"columns": columns}
    kind = declared_kind(path)
    if kind in OF_KIND:
        return Thing(path, OF_KIND[kind], facts=facts)
    if kind:
        words = HOLDS.get(kind, kind.replace("_", " "))
        return Thing(path, Sort.TABLE, f"a table of audiorec: {words}", facts)
    named = _by_columns(columns)
    return None if named is None else Thing(path, named, facts=facts)


def _listing(path: Path) -> Thing | None:
    """Return what a CSV file is by its first line."""
    with path.open(encoding="utf-8", errors="replace") as file:
        columns = file.readline(MOST_LINE).strip().replace('"', "").split(",")
    named = _by_columns(columns)
    return None if named is None else Thing(path, named, facts={"columns": columns})


def _by_columns(columns: list[str]) -> Sort | None:
    if not {LogColumns.USER, LogColumns.SONG} <= set(columns):
        return None
    is_log = LogColumns.TIME in columns or LogColumns.WEIGHT in columns
    return Sort.LOG if is_log else Sort.CANDIDATES


def _document(path: Path) -> Thing | None:
    from audiorec.runs.record import RECORD_FORM

    schema = _read_json(path).get("schema")
    if not isinstance(schema, str) or not schema.startswith(FORM):
        return None
    sort = Sort.RECORD if schema.startswith(RECORD_FORM) else Sort.REPORT
    return Thing(path, sort, facts={"schema of the file": schema})


def _read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object; empty if the file is none or too large."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return {}
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def refuse_others(ctx: click.Context) -> None:
    """Refuse a thing that is not what an argument takes; the error names the command for it.

    Raises
    ------
    StoreError
        If an argument of the command names another thing than it takes.
    """
    for metavar, path in _arguments(ctx):
        if metavar in AFTERWARDS and path.is_dir():
            continue
        _refuse(ctx, metavar, path)


def refuse_blamed(ctx: click.Context, error: UnknownSongError) -> None:
    """Refuse a folder of which an error says that no song has this name."""
    for metavar, path in _arguments(ctx):
        if metavar in AFTERWARDS and path.is_dir() and str(path) == error.query:
            _refuse(ctx, metavar, path, error)


def _refuse(
    ctx: click.Context, metavar: str, path: Path, error: AudiorecError | None = None
) -> None:
    wanted, refused = REFUSED[metavar]
    thing = recognise(path)
    if thing is not None and thing.sort in refused:
        raise StoreError(
            f"{path}: is {thing.words}, not {wanted}; {instead(ctx, thing)}"
        ) from error


def instead(ctx: click.Context, thing: Thing) -> str:
    """Return the command to run with a thing that this command cannot take as it is given."""
    place = quote(str(thing.path))
    if special := INSTEAD.get((ctx.command_path, thing.sort)):
        return f"run: {special.format(path=place)}"
    option = KNOWN[thing.sort].option
    for one in ctx.command.get_params(ctx):
        if option and one.name == option and isinstance(one, click.Option):
            names = [_metavar(p) for p in ctx.command.get_params(ctx)]
            first = next(filter(None, names), "")
            line = f"{ctx.command_path} {first}".strip()
            return f"run: {line} {max(one.opts, key=len)} {place}"
    return f"run: {thing.commands[0]}"


def extra_argument(error: click.UsageError) -> str | None:
    """Return the error of a command that takes no argument and was given a thing; else None."""
    ctx = error.ctx
    if ctx is None or any(_metavar(one) for one in ctx.command.get_params(ctx)):
        return None
    for word in _extra(error):
        thing = recognise(Path(word))
        if thing is not None:
            return f"{word}: is {thing.words}; {instead(ctx, thing)}"
    return None


def _extra(error: click.UsageError) -> list[str]:
    before, found, rest = error.message.partition("unexpected extra argument")
    return rest.partition("(")[2].rpartition(")")[0].split(" ") if found and before else []


def _metavar(one: click.Parameter) -> str:
    """Return the name of an argument on the help page; empty for an option."""
    return (one.metavar or "").strip("[].") if isinstance(one, click.Argument) else ""


def _arguments(ctx: click.Context) -> Iterator[tuple[str, Path]]:
    """Yield the arguments of the command line that are looked at, by their names in the help."""
    for one in ctx.command.get_params(ctx):
        metavar = _metavar(one) and BY_COMMAND.get(ctx.command_path, _metavar(one))
        if metavar not in REFUSED:
            continue
        value = ctx.params.get(one.name or "")
        for word in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(word, (str, Path)) and word and "://" not in str(word):
                yield metavar, Path(word)
