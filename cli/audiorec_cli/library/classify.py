"""``audiorec classify``: label songs; those of a store without decoding them.

    songs, --vectors ──find_known──▶ store, [Named(name, row, source), ...]

A name that exists on disk is a file; if the store has it unchanged, its row is used. Any other
name is an id of the store, or a part of one.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from glob import glob, has_magic
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import click

from audiorec.errors import (
    Failure,
    InputError,
    MissingFileError,
    SeveralSongsError,
    SongError,
    SpecMismatchError,
    StoreError,
    UnknownFileError,
    UnknownSongError,
)
from audiorec.files.visible import visible
from audiorec.options import argument, chooses, writes
from audiorec_cli.shared.console import (
    WORD,
    Column,
    Exit,
    duration,
    flush,
    no_songs,
    out_lines,
    print_json,
    print_table,
    remarks_behind,
    say,
)
from audiorec_cli.shared.extraction import limits_of
from audiorec_cli.shared.inputs import ENVIRONMENT, VectorsOption, has_usual, open_vectors
from audiorec_cli.shared.options import (
    BackboneOption,
    HeadOption,
    JobsOption,
    JsonOption,
    QuietOption,
    chosen_heads,
)
from audiorec_cli.shared.progress import song_counter, working

if TYPE_CHECKING:
    from audiorec.extraction.catalogue import Source
    from audiorec.extraction.pipeline import ExtractorConfig, Song
    from audiorec.extraction.reader import Reader
    from audiorec.library.library import Library
    from audiorec.tagger.reading import Reading
    from audiorec.types import FloatArray, ScoreSeries

    Line = tuple[str, str, Reading]  # name, source, reading


@dataclass(frozen=True, slots=True)
class GivenSong:
    """One song: a row of the store, a file, or a file that is a row.

    `name` is its id in the store, or the id that `find_songs` gives the file.
    """

    name: str
    row: int | None
    source: "Source | None"

    @property
    def is_opened(self) -> bool:
        """Whether the song is not in the store and has a readable file."""
        return self.row is None and self.source is not None and not self.source.problem

    @property
    def why_not(self) -> SongError:
        """The error of a file that cannot be opened."""
        assert self.source is not None  # noqa: S101 - never called for a row of the store
        return SongError(self.source.path, Failure.UNREADABLE, self.source.problem, "walk")

    @property
    def place(self) -> object:
        """A key that is equal for two names of one song."""
        return self.row if self.row is not None or self.source is None else self.source.uri

    @property
    def as_file(self) -> "GivenSong":
        """The song as a file, ignoring the store."""
        assert self.source is not None  # noqa: S101 - without a row there is always a file
        return replace(self, name=self.source.song_id, row=None)


def find_known(
    songs: Sequence[str] | None, vectors: Path | None
) -> "tuple[Library | None, list[GivenSong]]":
    """Find the named songs, each once, in the order given.

    Without names, all songs of the store are returned. The store is None if none was given and
    there is none in the current folder.
    """
    store = _store(vectors, needed=not songs)
    if not songs and store is not None:
        return store, [GivenSong(name, row, None) for row, name in enumerate(store.ids)]
    result = _marked(store, [one for name in songs or () for one in _named(name, store)])
    folders = [name for name in songs or () if Path(name).is_dir()]
    if len(folders) > 1:  # two folders may contain the same file name
        result = [_with_folder(one, folders) for one in result]
    first: dict[object, GivenSong] = {}
    for one in result:
        first.setdefault(one.place, one)
    times = Counter(one.name for one in first.values())
    return store, [
        replace(one, name=one.source.uri) if one.source is not None and times[one.name] > 1 else one
        for one in first.values()
    ]


def _named(name: str, store: "Library | None") -> list[GivenSong]:
    """Return the files that a name matches, or the row of the store."""
    from audiorec.extraction.catalogue import find_songs

    is_id = store is not None and name in store
    if store is None or os.path.lexists(name) or (has_magic(name) and not is_id):
        # One by one: together, two files of the same name would be refused as duplicate ids.
        paths = [] if os.path.lexists(name) else sorted(glob(name, recursive=True))  # noqa: PTH207
        files = [file for path in paths or [name] for file in find_songs([path])]
        return [GivenSong(file.song_id, None, file) for file in files]
    try:
        song_id = store.resolve(name)
    except (SeveralSongsError, UnknownFileError):  # says both
        raise
    except UnknownSongError as error:
        raise MissingFileError(f"{name}: no such file, and {error}") from error
    return [GivenSong(song_id, store.row_number(song_id), None)]


def _marked(store: "Library | None", found: list[GivenSong]) -> list[GivenSong]:
    """Return the songs, with the rows of files that the store has unchanged."""
    if store is None:
        return found

    from audiorec.library.readings import unchanged_rows

    rows = iter(unchanged_rows(store, [one.source for one in found if one.source is not None]))
    return [
        replace(one, name=store.ids[row], row=row)
        if one.source is not None and (row := next(rows)) is not None
        else one
        for one in found
    ]


def _with_folder(one: GivenSong, folders: Sequence[str]) -> GivenSong:
    """Prefix the name of a file that is not in the store with its folder."""
    if one.row is not None or one.source is None:
        return one
    inside = (f for f in folders if Path(f).absolute() in Path(one.source.uri).parents)
    folder = next(inside, None)
    return replace(one, name=f"{Path(folder).resolve().name}/{one.name}") if folder else one


def find_one(song: str, vectors: Path | None) -> "tuple[Library | None, GivenSong]":
    """Find the one named song.

    Raises
    ------
    InputError
        If a folder or a pattern with several matches is named; otherwise as `find_known`.
    """
    store = _store(vectors, needed=False)
    if Path(song).is_dir():
        raise InputError(f"{song}: is a folder; name one song")
    result = _marked(store, _named(song, store))
    if len(result) > 1:
        raise InputError(f"{song}: matches {len(result)} files; name one song")
    return store, result[0]


def _store(vectors: Path | None, *, needed: bool) -> "Library | None":
    """Open the store; an unusable one that was not asked for is ignored with a note."""
    named = vectors is not None or bool(os.environ.get(ENVIRONMENT))
    if named or needed:
        return open_vectors(vectors)
    if not has_usual():
        return None
    try:
        return open_vectors(None)
    except StoreError as error:
        say(f"note: {error}; reading audio files instead")
        return None


MODEL = "musicnn_msd"
TOP = 3  # genres per song
GENRE = "genre"
GENRE_COLUMNS = ("genre_clear", "genre_source", "styles", "genre_tag", "tag_agrees")
TAG_WIDTH = 12
UNCLEAR_WIDTH = 22  # of "unclear: blues or rock"; longer ones fold
REMARK_WIDTH = 17  # characters of the usual remarks on a terminal
SONG_WIDTH = 40


class ClassifyOutput(NamedTuple):
    """What is shown while songs are decoded."""

    quiet: bool
    prints_rows: bool


def classify(
    songs: Annotated[
        list[str] | None,
        argument(
            metavar="SONG",
            help="Folders, audio files or globs; ids of the store, or unique parts of them. "
            "None: all songs of the store.",
        ),
    ] = None,
    vectors: VectorsOption = None,
    jobs: JobsOption = 0,
    form: Annotated[
        Literal["table", "csv", "json"], chooses("--format", help="Output format.")
    ] = "table",
    quiet: QuietOption = False,
    json: JsonOption = False,
    backbone: BackboneOption = None,
    head: HeadOption = None,
    tags: Annotated[
        int | None,
        chooses(
            metavar="N", min=1, max=50, help="Tags of one song, the likeliest N of each segment."
        ),
    ] = None,
    correct: Annotated[
        list[str] | None,
        writes(
            "--correct",
            metavar="FIELD=VALUE",
            help="Say what songs of the store are: genre=soul, version=instrumental, tempo=90, "
            "music=yes. All answers follow it.",
        ),
    ] = None,
    uncorrect: Annotated[
        list[str] | None, writes("--uncorrect", metavar="FIELD", help="Take that back.")
    ] = None,
) -> None:
    """Label each song: its version, its likeliest genres, and the share of it with a voice.

    The genre is what you say, else that of the file's tag, else that of the artist's other songs if
    they agree, else what is heard: one genre, a family such as "rock or metal", or "unclear: blues
    or rock", or "too short" of less than 20 s. The tag stands beside it, with ≠ if it sounds
    different. Songs of the store are not decoded. Silence, speech and songs under three segments
    get no genre. --tags prints the backbone's own tags of a song, segment by segment, instead.

    Examples
    --------
    audiorec classify ~/Music/new --vectors vecs.parquet --json
    audiorec classify ~/Music/blues-band.mp3 --tags 3
    audiorec classify blues-band --correct genre=soul --correct tempo=90
    """
    from audiorec.runs.workers import one_thread_each

    one_thread_each()
    if tags is not None:
        _print_tags(songs, vectors, tags, quiet=quiet, json=json)
        return
    store, result = find_known(songs, vectors)
    if correct or uncorrect:
        _correct(store, result if songs else [], correct or [], uncorrect or [])
    store, result, config = _agreed(store, result, chosen_heads(head), backbone)
    if not result:
        raise no_songs()
    opened = sum(one.is_opened for one in result)
    form = "json" if json else form
    failed: list[str] = []
    processes = max(1, min(jobs or os.cpu_count() or 1, opened))
    from audiorec.extraction.reader import song_reader

    with song_reader(config, jobs=processes, limits=limits_of()) as reader:
        output = ClassifyOutput(quiet, prints_rows=form != "json")
        _print(_reading_lines(result, store, reader, failed, output), form, widths=opened > 0)
    if failed:
        some = len(failed) < len(result)
        raise click.exceptions.Exit(Exit.SOME_FAILED if some else Exit.NOTHING_USABLE)


def _correct(
    store: "Library | None", songs: Sequence[GivenSong], values: list[str], back: list[str]
) -> None:
    """Write corrections of songs that the store has."""
    if store is None or not songs or any(one.row is None for one in songs):
        raise InputError("only named songs of a store can be corrected")
    for one in songs:
        for text in (*values, *(f"{field}=" for field in back)):
            field, _, value = text.partition("=")
            if text in values and not value:
                raise InputError(f"--correct {text}: write FIELD=VALUE, such as genre=soul")
            store.correct(one.name, field, value)


def _agreed(
    store: "Library | None",
    found: list[GivenSong],
    heads: tuple[Path, ...],
    backbone: str | None,
) -> "tuple[Library | None, list[GivenSong], ExtractorConfig | None]":
    """Use the store only if its networks and heads are those used for files, and those given."""
    if store is not None and not (heads or backbone or any(one.is_opened for one in found)):
        return store, found, None

    from audiorec.extraction.pipeline import Extractor, extractor_config

    asked = replace(extractor_config(heads, backbone), sound=True)
    if store is None:
        return None, found, asked
    try:
        config = Extractor.for_store(store.metadata, heads=heads, sound=True).config
        if backbone is not None and config.backbone != asked.backbone:
            raise SpecMismatchError(f"made by another backbone than {backbone!r}")
        return store, found, config
    except SpecMismatchError as error:
        if any(one.source is None for one in found):
            raise SpecMismatchError(f"{store.path}: {error}") from error
        say(f"note: {store.path} is not used: {error}")
    return None, [one.as_file for one in found], asked


def _reading_lines(
    found: Sequence[GivenSong],
    store: "Library | None",
    reader: "Reader[Song]",
    failed: list[str],
    output: ClassifyOutput,
) -> "Iterator[Line]":
    """Yield each song's reading in order; report unusable songs, and add them to `failed`."""
    from audiorec.errors import SongError
    from audiorec.extraction.pipeline import Song
    from audiorec.words.labels import is_talk

    known = _known_readings(store, [one.row for one in found if one.row is not None])
    opened = [one.source.path for one in found if one.source is not None and one.is_opened]
    songs = reader.read_each(opened)
    with song_counter(len(opened), quiet=output.quiet, prints_rows=output.prints_rows) as count:
        for one in found:
            if one.row is not None:
                yield one.name, "store", next(known)
                continue
            song: Song | SongError
            if one.is_opened:
                song = next(songs)
                count(one.name, isinstance(song, SongError))
            else:
                song = one.why_not
            if isinstance(song, SongError):
                say(f"error: {song}")
                failed.append(one.name)
                continue
            yield one.name, "file", song.reading(is_talk=is_talk(song.lists))
            flush()  # songs take seconds each: hand them to a pipe at once


def _known_readings(store: "Library | None", rows: list[int]) -> "Iterator[Reading]":
    """Read rows of the store; say why a column is empty, where a table would show it."""
    if store is None or not rows:
        return
    from audiorec.library.readings import each_reading, scores_beside

    series, why = scores_beside(store)
    if series is None and not sys.stdout.isatty():
        say(f"note: voiced is empty: {why}; make it: audiorec extract ... --scores scores.parquet")
    yield from each_reading(store, rows, series)


def _print(lines: "Iterator[Line]", form: str, *, widths: bool) -> None:
    """Print songs as they are read; JSON is one document at the end."""
    first = list(islice(lines, 1))  # before any header, as the heads may still be refused
    every = chain(first, lines)
    reading = first[0][2] if first else None
    if form == "json":
        print_json({"schema": "audiorec/classify/1", "songs": list(map(_document, every))})
    elif form == "csv":
        _print_csv(every, reading)
    else:
        heads = list(reading.scores) if reading else []
        rows = (_row(name, reading, heads) for name, _, reading in every)
        print_table(_columns(reading, widths=widths), rows, title="what the songs are")


def _document(line: "Line") -> dict[str, Any]:
    name, source, reading = line
    return {
        "song": name,
        "source": source,
        **dict(reading.best),
        **_genre(reading),
        "scores": {head: dict(scores) for head, scores in reading.scores.items()},
        "voiced": reading.voiced,
        "segments": reading.segments,
        "remark": reading.remark,
    }


def _genre(reading: "Reading") -> dict[str, Any]:
    """Return what is known of the genre beside its name; nothing without a head for genres."""
    if GENRE not in reading.best:
        return {}
    likely = dict(list(reading.likely.items())[:TOP])
    return {
        "genre_clear": reading.genre_clear,
        "genre_source": reading.stated.source or None,
        "genre_likely": likely,
        "styles": list(reading.styles),
        "genre_words": reading.genre_words,
        "genre_tag": reading.tag_facts() or None,
    }


def _columns(reading: "Reading | None", *, widths: bool) -> list[Column]:
    """Return the columns: the best classes of each head, of which a terminal shows one."""
    columns = [Column("song", width=SONG_WIDTH)]
    has_genre = reading is not None and GENRE in reading.best
    for head, scores in reading.scores.items() if reading else ():
        longest = max([len(head), *map(len, scores), UNCLEAR_WIDTH * (head == GENRE)])
        for name, shown in [(head, True), *((f"{head}_{n}", False) for n in _more(head))]:
            columns.append(Column(name, width=longest, word=WORD, shown=shown))
            columns.append(Column(f"{name}_score", "score", width=5, right=True, shown=shown))
    # Of songs that are streamed a column is shown if the first song needs it.
    tags = not widths or bool(reading and reading.tagged)
    columns += [
        Column("voiced", width=6, right=True),
        *([Column(name, shown=False) for name in GENRE_COLUMNS[:3]] if has_genre else []),
        *([Column("genre_tag", "tag", TAG_WIDTH, WORD, shown=tags)] if has_genre else []),
        *([Column("tag_agrees", shown=False)] if has_genre else []),
        Column("segments", width=8, right=True, shown=False),
        Column("remark", width=REMARK_WIDTH, word=7),
    ]
    return columns if widths else [replace(one, width=0) for one in columns]


def _more(head: str) -> range:
    """Return the ranks to report after a head's first class: a song may have two genres."""
    return range(2, 2 if head == "version" else TOP + 1)


def _row(name: str, reading: "Reading", heads: Sequence[str]) -> list[object]:
    row: list[object] = [name]
    for head in heads:
        count = len(_more(head)) + 1
        kept = reading.likely if head == GENRE else reading.scores[head]
        named = reading.best[head]
        others = ((label, score) for label, score in kept.items() if label != named)
        best: list[Any] = [(named, kept.get(named)), *others][:count] if named else []
        for label, score in best + [(None, None)] * (count - len(best)):
            row += [label, score]
        if head == GENRE and sys.stdout.isatty():
            row[-2 * count] = reading.genre_words
    # On a terminal `not music` is enough, without the explanation.
    remark = reading.remark.partition(":")[0] if sys.stdout.isatty() else reading.remark
    genre = _beside(reading) if GENRE in heads else []
    if genre and sys.stdout.isatty() and reading.tag_agrees is False:
        genre[3] = f"≠ {genre[3]}"
    return [*row, reading.voiced, *genre, reading.segments, remark]


def _beside(reading: "Reading") -> list[object]:
    """Return the values of `GENRE_COLUMNS`."""
    tag = "" if reading.tagged is None else reading.tagged.text
    source, styles = reading.stated.source, " ".join(reading.styles)
    return [reading.genre_clear, source, styles, tag, reading.tag_agrees]


def _print_csv(lines: "Iterable[Line]", first: "Reading | None") -> None:
    """Print one row per song, one column per class score; the first song determines the columns."""
    heads = list(first.best) if first else []
    names = [f"{h}/{k}" for h, s in first.scores.items() for k in sorted(s)] if first else []
    beside = GENRE_COLUMNS if GENRE in heads else ()
    out_lines(_csv_line(["song", *heads, *beside, "voiced", "segments", "remark", *names]))
    with remarks_behind():
        for song, _, reading in lines:
            values = [
                f"{reading.scores[n.partition('/')[0]][n.partition('/')[2]]:.4f}" for n in names
            ]
            best = [reading.best[h] or "" for h in heads]
            genre = _beside(reading) if beside else []
            row = [song, *best, *genre, reading.voiced, reading.segments, reading.remark, *values]
            out_lines(_csv_line(row))


def _csv_line(values: Sequence[object]) -> str:
    import csv
    import io

    line = io.StringIO()
    shown = [visible(value) if isinstance(value, str) else value for value in values]
    csv.writer(line, lineterminator="").writerow(shown)
    return line.getvalue()


def _print_tags(
    songs: Sequence[str] | None, vectors: Path | None, top: int, *, quiet: bool, json: bool
) -> None:
    """Print the top tags of a song, segment by segment (musicnn's taggram).

    A song with features beside the store (extract --features) is not decoded.
    """
    from audiorec.extraction.reader import taggram_reader

    if songs is None or len(songs) != 1:
        raise InputError("--tags are of one song: name it")
    (song,) = songs
    store, result = find_one(song, vectors)
    with taggram_reader(limits=limits_of()) as reader:
        series = _taggram(store, result, reader, quiet=quiet)
    best = [_top(row, series.classes, top) for row in series.scores]
    overall = _top(series.scores.mean(axis=0), series.classes, top)
    if json:
        segments = [
            {"start_s": float(s), "tags": dict(row)}
            for s, row in zip(series.start_s, best, strict=True)
        ]
        print_json(
            {
                "schema": "audiorec/tags/1",
                "song": song,
                "model": MODEL,
                "song_tags": dict(overall),
                "segments": segments,
            }
        )
        return
    _print_segments(series.start_s, best, f"{result.name}: {MODEL}")
    say(f"whole song: {_words(overall)}")


def _taggram(
    store: "Library | None",
    found: "GivenSong",
    reader: "Reader[ScoreSeries]",
    *,
    quiet: bool,
) -> "ScoreSeries":
    """Return the tags stored beside the store, else those of the decoded file."""
    from audiorec.library.readings import stored_tags

    path = found.source.path if found.source is not None else ""
    if store is not None and found.row is not None:
        series, why = stored_tags(store, found.name)
        if series is not None:
            return series
        path = path or store.row(found.name)["uri"]
        if why and not quiet:
            say(f"note: the song is decoded: {why}")
    with working(f"decoding {found.name}", quiet=quiet):
        return reader.read(path)


def _print_segments(
    start_s: "FloatArray", best: Sequence[Sequence[tuple[str, float]]], title: str
) -> None:
    """Print one line per segment: as text for a terminal, one value per column for a pipe."""
    if sys.stdout.isatty():
        rows = [(duration(float(s)), _words(row)) for s, row in zip(start_s, best, strict=True)]
        print_table(("start", "tags"), rows, title=title)
        return
    names = ["start_s", "tag", "score"]
    names += [f"{name}_{n}" for n in range(2, len(best[0]) + 1) for name in ("tag", "score")]
    values = [
        (float(s), *(value for pair in row for value in pair))
        for s, row in zip(start_s, best, strict=True)
    ]
    print_table(names, values, title=title)


def _words(tags: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{tag} {value:.2f}" for tag, value in tags)


def _top(values: "FloatArray", names: Sequence[str], count: int) -> list[tuple[str, float]]:
    import numpy as np

    order = np.argsort(-values, kind="stable")[:count]
    return [(names[i], float(values[i])) for i in order]
