"""``audiorec plot``: draw a song, two songs, a library, a user or reports as a picture."""

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from audiorec.errors import DamagedFileError, InputError, MissingFileError, SongError
from audiorec.files.own_files import parse_json
from audiorec.options import argument, chooses
from audiorec.search.atlas import MapKind
from audiorec.search.questions import COMPARED
from audiorec_cli.shared.console import out, print_json, say
from audiorec_cli.shared.inputs import (
    VectorsOption,
    open_vectors,
    plays_file,
    say_basis,
    vectors_path,
)
from audiorec_cli.shared.options import (
    ADVANCED,
    JsonOption,
    StoreHeadOption,
    chosen_heads,
    out_file,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from audiorec.extraction.pipeline import Song
    from audiorec.extraction.reader import Reader
    from audiorec.library.library import Library
    from audiorec.search.space import Space
    from audiorec.store.features import SeriesFile
    from audiorec.types import Envelope, FloatArray, Numbers, ScoreSeries
    from audiorec_plots.library_map import LibraryMap
    from audiorec_plots.sound import Spectrogram

MAX_REPORT = 64 << 20  # bytes
DPI = 110
SIZE = re.compile(
    r"(?:([0-9]{1,6}(?:\.[0-9]{1,6})?)x([0-9]{1,6}(?:\.[0-9]{1,6})?))?(?:@([0-9]{1,6}))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureOptions:
    """File, size and resolution of a picture."""

    out: Annotated[Path, out_file(metavar="FILE", help="The picture: .png, .svg or .html.")]
    size: Annotated[
        str | None,
        chooses(
            metavar="WxH[@DPI]",
            help="Inches, and dots per inch, as in 16x9@200 or @80.",
            panel=ADVANCED,
        ),
    ] = None

    def check(self, usual: tuple[float, float]) -> tuple[float, float]:
        """Return width and height in inches; refuse what cannot be drawn, before any work."""
        from audiorec_plots.figures import check_size, picture_format

        width, height = self.inches or usual
        picture_format(self.out)
        check_size(width, height, self.dpi)
        return width, height

    @property
    def inches(self) -> tuple[float, float] | None:
        """Width and height, None if the drawing decides them."""
        width, height, _ = self._parts()
        return None if width is None else (float(width), float(height))

    @property
    def dpi(self) -> int:
        """Resolution in dots per inch."""
        return int(self._parts()[2] or DPI)

    def _parts(self) -> tuple[Any, ...]:
        parts = SIZE.fullmatch(self.size or "")
        if parts is None:
            raise InputError(f"--size {self.size}: give inches and dots per inch, as in 16x9@200")
        return parts.groups()

    def write(self, figure: "Figure") -> None:
        """Write the picture."""
        from audiorec_plots.figures import write_picture

        write_picture(figure, self.out, dpi=self.dpi)
        say(f"written: {self.out}")


def plot(
    what: Annotated[
        list[str] | None,
        argument(
            metavar="WHAT",
            help="A song or two, by id, a part of one, or file; or reports of recall evaluate "
            "--json, or one of listening correlate --json. Without it: the whole store.",
        ),
    ] = None,
    *,
    picture: PictureOptions,
    user: Annotated[
        str | None, chooses(metavar="USER", help="Draw the plays of this user of --interactions.")
    ] = None,
    interactions: Annotated[
        Path | None,
        plays_file(help="For --user: the listening log."),
    ] = None,
    vectors: VectorsOption = None,
    by: Annotated[str | Path, COMPARED] = "auto",
    projection: Annotated[MapKind, chooses(help="Projection of the whole store.")] = "pca",
    json: JsonOption = False,
    head: StoreHeadOption = None,
) -> None:
    """Draw a library, a song, two songs, a user or reports as PNG, SVG or HTML.

    A library is a map: nearby songs sound alike, colour is genre, marker is version. A song is its
    scores over time below its waveform and spectrogram; two are drawn side by side, with their
    similarity. A user is plays on the map, with shares over long and short horizons. Reports show
    each measure of their channels with its interval; that of a correlation, the users by their r.

    Examples
    --------
    audiorec plot --out map.svg
    audiorec plot jazz-vibraphone.mp3 blues-band.mp3 --out two.png --json
    audiorec plot --user u1 -i plays.csv --out user.html
    """
    words = what or []
    if (user is None) != (interactions is None):
        raise InputError("--user and --interactions go together: a user, and a log")
    if user is not None and interactions is not None:
        if words:
            raise InputError(f"--user draws the whole store, not {words[0]!r}")
        document = _draw_user(user, interactions, picture, vectors)
    elif words and all(word.endswith(".json") for word in words):
        document = _draw_reports([Path(word) for word in words], picture)
    elif not words:
        document = _draw_library(picture, vectors, by, projection)
    elif len(words) == 1:
        document = _draw_one(words[0], picture, vectors, chosen_heads(head))
    elif len(words) == 2:
        document = _draw_two((words[0], words[1]), picture, vectors, chosen_heads(head), by)
    else:
        raise InputError(f"{len(words)} songs: give one, or two to compare")
    if json:
        print_json(document)
    elif document.get("similarity") is not None:
        out(f"similarity by {document['by']}: {document['similarity']:.4f}")


def _draw_one(
    song: str, picture: PictureOptions, vectors: Path | None, heads: tuple[Path, ...]
) -> dict[str, Any]:
    from audiorec_plots.songs import SONG_SIZE, song_figure

    size = picture.check(SONG_SIZE)
    with _Listener(vectors, heads) as listener:
        heard = listener.hear(song)
        wave, mel = listener.sound(heard)
    picture.write(song_figure(heard.series, wave, mel, title=heard.title, size=size))
    return {
        "schema": "audiorec/plot-song/1",
        "picture": str(picture.out),
        "song": heard.name,
        "segments": len(heard.series),
        "waveform": wave is not None,
        "mean_scores": _means(heard.series),
    }


def _draw_two(
    songs: tuple[str, str],
    picture: PictureOptions,
    vectors: Path | None,
    heads: tuple[Path, ...],
    by: str | Path,
) -> dict[str, Any]:
    from audiorec_plots.songs import COMPARE_SIZE, compare_figure

    size = picture.check(COMPARE_SIZE)
    with _Listener(vectors, heads, by=by) as listener:
        pair = listener.hear(songs[0]), listener.hear(songs[1])
    store = listener.store
    space = None if store is None else store.space(by)
    if store is not None:
        say_basis(store, by)
    similarity = None if space is None else _similarity(space, pair)
    titles = pair[0].title, pair[1].title
    series = pair[0].series, pair[1].series
    picture.write(compare_figure(*series, titles=titles, similarity=similarity, size=size))
    if similarity is None:
        say("note: no similarity: it needs a store, and songs of it if embeddings are compared")
    means = _means(pair[0].series), _means(pair[1].series)
    return {
        "schema": "audiorec/plot-compare/1",
        "picture": str(picture.out),
        "songs": [heard.name for heard in pair],
        "similarity": None if similarity is None else round(similarity, 6),
        "by": None if space is None else space.by,
        "mean_scores": {name: [mean[name] for mean in means] for name in means[0]},
    }


def _draw_library(
    picture: PictureOptions, vectors: Path | None, by: str | Path, projection: MapKind
) -> dict[str, Any]:
    from audiorec_plots.library_map import MAP_SIZE, draw_map, map_library

    size = picture.check(MAP_SIZE)
    store = open_vectors(vectors, empty=False, by=by)
    space = store.space(by)
    say_basis(store, by)
    result = map_library(space, projection=projection)
    picture.write(draw_map(result, title=store.path.name, size=size))
    return _map_document(result, store, picture.out)


def _draw_user(
    user: str, interactions: Path, picture: PictureOptions, vectors: Path | None
) -> dict[str, Any]:
    import numpy as np

    from audiorec.listening.interactions import read_interactions
    from audiorec.listening.sequences import to_sequences
    from audiorec.listening.side import side_of_store
    from audiorec.recall.serving.one_user.reasons import portraits
    from audiorec_plots.library_map import USER_SIZE, map_library, user_figure

    size = picture.check(USER_SIZE)
    store = open_vectors(vectors, empty=False)
    plays = to_sequences(read_interactions(interactions))
    if user not in plays.owner_ids:
        raise InputError(f"{interactions}: has no user {user!r}")
    own = plays.take(np.array([plays.owner_ids.index(user)]))
    result = map_library(store.space())
    counts = np.bincount(own.among(store.ids).song, minlength=len(store))[result.rows]
    shares = portraits(own, side_of_store(store)).to_pylist()
    picture.write(user_figure(result, counts.astype(np.int64), shares, title=user, size=size))
    return {
        "schema": "audiorec/plot-user/1",
        "picture": str(picture.out),
        "user_id": user,
        "songs": int(np.count_nonzero(counts)),
        "plays": int(counts.sum()),
        "shares": [{n: v for n, v in row.items() if n != "user_id"} for row in shares],
    }


def _draw_reports(files: Sequence[Path], picture: PictureOptions) -> dict[str, Any]:
    from audiorec_plots.report import CORRELATION, correlation_figure, report_figure, report_rows

    usual = (2.0, 2.0)  # inches, only to check the options: otherwise the content decides the size
    picture.check(usual)
    documents = [(path.name, _read_report(path)) for path in files]
    (name, found), *others = documents
    if not others and isinstance(found, dict) and found.get("schema") == CORRELATION:
        _write_resized(correlation_figure(name, found), picture)
        about = {"picture": str(picture.out), "users": found.get("users")}
        return {"schema": "audiorec/plot-correlation/1", **about}
    rows, size = report_rows(documents)
    _write_resized(report_figure(rows, title=f"lists of {size}"), picture)
    return {
        "schema": "audiorec/plot-report/1",
        "picture": str(picture.out),
        "k": size,
        "channels": list(rows),
    }


def _write_resized(figure: "Figure", picture: PictureOptions) -> None:
    """Write a figure whose content decided its size, in the size asked for."""
    if picture.inches is not None:
        figure.set_size_inches(*picture.inches)
    picture.write(figure)


def _map_document(found: "LibraryMap", store: "Library", path: Path) -> dict[str, Any]:
    return {
        "schema": "audiorec/plot-library/1",
        "picture": str(path),
        "vectors": str(store.path),
        "songs": len(found),
        "by": found.by,
        "projection": found.projection,
        "seed": 0,
        "variance": None if found.variance is None else [round(v, 4) for v in found.variance],
        "colours": found.counts(found.colour_head),
        "markers": found.counts(found.marker_head),
        "no_music": len(found) - int(found.music.sum()),
        "hubs": [store.ids[int(found.rows[place])] for place, _ in found.hubs],
    }


def _read_report(path: Path) -> object:
    """Read a report; raise `DamagedFileError` if it is not JSON."""
    if not path.is_file():
        raise MissingFileError(
            f"{path}: no such file; make one: audiorec recall evaluate CHANNEL -i LOG --json"
        )
    if path.stat().st_size > MAX_REPORT:
        raise DamagedFileError(f"{path}: too large for a report")
    try:
        return parse_json(path.read_bytes(), max_bytes=MAX_REPORT)
    except ValueError as error:
        raise DamagedFileError(f"{path}: is not JSON: {error}") from error


@dataclass(frozen=True, slots=True)
class _DrawnSong:
    """A song to draw; `row` is None if it is not in a store."""

    name: str
    title: str
    file: str
    row: int | None
    series: "ScoreSeries"
    vector: "FloatArray"
    lists: "Mapping[str, Numbers]" = field(default_factory=dict)


class _Listener:
    """Finds songs and their scores: in the store and beside it, else by decoding.

    With `by`, files are scored and placed like the store's songs, else scored by `heads` or
    the shipped heads.
    """

    def __init__(
        self,
        vectors: Path | None,
        heads: tuple[Path, ...],
        *,
        by: str | Path | None = None,
    ) -> None:
        from audiorec.extraction.pipeline import Song
        from audiorec.extraction.reader import Reader
        from audiorec.library.library import Library

        self._vectors, self._heads = vectors, heads
        self._by = by
        self._readers: dict[bool, Reader[Song]] = {}
        self._closing = ExitStack()
        self.store: Library | None = None

    def __enter__(self) -> "_Listener":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closing.close()

    def hear(self, name: str) -> _DrawnSong:
        """Return a song with its scores."""
        from audiorec.library.seeds import find_id

        if self.store is None and self._has_store(name):
            self.store = open_vectors(self._vectors, empty=False, by=self._by or "auto")

        song_id = None if self.store is None else find_id(self.store, name)
        if self.store is None or song_id is None:
            return self._song_from_file(name)
        return self._known(self.store, song_id)

    def sound(self, heard: _DrawnSong) -> "tuple[Envelope | None, Spectrogram | None]":
        """Return waveform and spectrogram; None for a song whose file cannot be used any more."""
        from audiorec_plots.sound import sound_reader

        with sound_reader() as sounds:
            try:
                return sounds.read(heard.file)
            except SongError as error:
                if heard.row is None:
                    raise
                say(f"note: drawn without its waveform: {error}")
                return None, None

    def _has_store(self, name: str) -> bool:
        """Return whether there is a store; a file can be drawn without one."""
        try:
            vectors_path(self._vectors)
        except MissingFileError:
            if self._vectors is not None or not Path(name).is_file():
                raise
            return False
        return True

    def _known(self, store: "Library", song_id: str) -> _DrawnSong:
        row = store.row(song_id)
        title = _title(row["artist"], row["title"], song_id)
        file = self._series_file(store)
        if file is not None and song_id in file:
            series = file.series(song_id)
        else:
            series = self._reader(as_stored=True).read(row["uri"]).series
        number, vector = store.row_number(song_id), store.vector(song_id)
        return _DrawnSong(song_id, title, row["uri"], number, series, vector)

    def _song_from_file(self, path: str) -> _DrawnSong:
        alike = self._by is not None and self.store is not None
        song = self._reader(as_stored=alike).read(path)
        title = _title(song.tags.artist, song.tags.title, Path(path).name)
        return _DrawnSong(path, title, path, None, song.series, song.vector, song.lists)

    def _reader(self, *, as_stored: bool) -> "Reader[Song]":
        """Return a reader that scores audio in a worker process."""
        from audiorec.extraction.pipeline import Extractor, extractor_config
        from audiorec.extraction.reader import song_reader

        if as_stored not in self._readers:
            config = extractor_config(self._heads)
            if as_stored and self.store is not None:
                by = self._by
                sound = by is not None and self.store.default_space(by).by == "sound"
                metadata = self.store.metadata
                config = Extractor.for_store(metadata, heads=self._heads, sound=sound).config
            self._readers[as_stored] = self._closing.enter_context(song_reader(config))
        return self._readers[as_stored]

    def _series_file(self, store: "Library") -> "SeriesFile | None":
        """Open the score series of the store's songs; None if there are none."""
        from audiorec.store.features import open_series
        from audiorec.store.inventory import USUAL_NAMES
        from audiorec.store.schema import Kind

        path = store.path.with_name(USUAL_NAMES[Kind.SCORES])
        return open_series(store, path, Kind.SCORES) if path.exists() else None


def _title(artist: str | None, title: str | None, name: str) -> str:
    return f"{artist}: {title}" if artist and title else title or name


def _means(series: "ScoreSeries") -> dict[str, float]:
    means = series.scores.mean(axis=0, dtype="float64").tolist()
    return {name: round(mean, 4) for name, mean in zip(series.classes, means, strict=True)}


def _similarity(space: "Space", pair: Sequence[_DrawnSong]) -> float | None:
    """Return the similarity of two songs; None if the space cannot compare a file."""
    units = []
    for heard in pair:
        if heard.row is not None:
            units.append(space.units([heard.row])[0])
        elif space.by == "learnt":
            return None
        else:
            units.append(space.of_song(heard.vector, heard.lists))
    return float(units[0] @ units[1])
