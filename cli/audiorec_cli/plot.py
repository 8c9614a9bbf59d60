"""``audiorec plot``: draw a song, two songs or a library as a picture."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiorec.errors import MissingFileError, SongError
from audiorec_cli import plot_people
from audiorec_cli.shared.console import out, print_json, say
from audiorec_cli.shared.heads import StoreHeadOption, chosen_heads
from audiorec_cli.shared.options import JsonOption, SeedOption, more
from audiorec_cli.shared.pages import command, group
from audiorec_cli.shared.pictures import PictureOptions
from audiorec_cli.shared.seeds import find_id
from audiorec_cli.shared.stores import (
    SpaceOptions,
    VectorsOption,
    open_vectors,
    say_basis,
    vectors_path,
)

if TYPE_CHECKING:
    from audiorec.extraction.pipeline import Song
    from audiorec.extraction.reader import Reader
    from audiorec.library.library import Library
    from audiorec.plots.library_map import LibraryMap
    from audiorec.search.space import Space
    from audiorec.store.features import SeriesFile
    from audiorec.types import Envelope, FloatArray, Numbers, ScoreSeries

app = group(
    """Draw songs, libraries, users and reports as PNG, SVG or HTML (extra plot).

    Examples
    --------
    audiorec plot song jazz-vibraphone.mp3 --out song.png
    audiorec plot compare jazz-vibraphone.mp3 blues-band.mp3 --out two.png
    audiorec plot library --out map.svg
    """
)

SONG = "A song id, a unique part of one, or an audio file."
ScoresOption = Annotated[
    Path | None, more(help="Score series of the songs [default: scores.parquet beside the store].")
]


@command(app)
def song(
    song: Annotated[str, typer.Argument(metavar="SONG", help=SONG)],
    *,
    picture: PictureOptions,
    vectors: VectorsOption = None,
    json: JsonOption = False,
    head: StoreHeadOption = None,
    scores: ScoresOption = None,
) -> None:
    """Draw a song's scores over time below its waveform.

    Scores of a song in the store come from scores.parquet beside it; without that file, and for
    any other audio file, the song is scored now.

    Examples
    --------
    audiorec plot song jazz-vibraphone.mp3 --out song.png
    audiorec plot song fixtures/audio/birds.ogg --out birds.svg
    audiorec plot song blues-band.mp3 --out song.png --width 16 --dpi 200 --json
    """
    from audiorec.plots.song import SONG_SIZE, song_figure

    size = picture.check(SONG_SIZE)
    with _Listener(vectors, scores, chosen_heads(head)) as listener:
        heard = listener.hear(song)
        wave = listener.envelope(heard)
    picture.write(song_figure(heard.series, wave, title=heard.title, size=size))
    if json:
        document = {
            "schema": "audiorec/plot-song/1",
            "picture": str(picture.out),
            "song": heard.name,
            "segments": len(heard.series),
            "waveform": wave is not None,
            "mean_scores": _means(heard.series),
        }
        print_json(document)


@command(app)
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help=SONG)],
    second: Annotated[str, typer.Argument(metavar="B", help="The other song.")],
    *,
    picture: PictureOptions,
    vectors: VectorsOption = None,
    compared: SpaceOptions,
    json: JsonOption = False,
    head: StoreHeadOption = None,
    scores: ScoresOption = None,
) -> None:
    """Draw two songs side by side: their mean scores, and their scores over time.

    Also gives their similarity, on the scale of a store.

    Examples
    --------
    audiorec plot compare jazz-vibraphone.mp3 blues-band.mp3 --out two.png
    audiorec plot compare blues-band.mp3 fixtures/audio/birds.ogg --out two.svg
    audiorec plot compare blues-band.mp3 birds.ogg --out two.png --by mean --json
    """
    from audiorec.plots.compare import COMPARE_SIZE, compare_figure

    size = picture.check(COMPARE_SIZE)
    with _Listener(vectors, scores, chosen_heads(head), compared=compared) as listener:
        pair = listener.hear(first), listener.hear(second)
    store = listener.store
    space = None
    if store is not None:
        basis = compared.default_space(store)
        space = store.space(basis.by, table=basis.table, use_index=False)
        say_basis(basis)
    similarity = None if space is None else _similarity(space, pair)
    titles = pair[0].title, pair[1].title
    figure = compare_figure(
        pair[0].series,
        pair[1].series,
        titles=titles,
        similarity=similarity,
        size=size,
    )
    picture.write(figure)
    if similarity is None:
        say("note: no similarity: it needs a store, and songs of it if embeddings are compared")
    if json:
        means = _means(pair[0].series), _means(pair[1].series)
        document = {
            "schema": "audiorec/plot-compare/1",
            "picture": str(picture.out),
            "songs": [heard.name for heard in pair],
            "similarity": None if similarity is None else round(similarity, 6),
            "by": None if space is None else space.by,
            "mean_scores": {name: [mean[name] for mean in means] for name in means[0]},
        }
        print_json(document)
    elif similarity is not None and space is not None:
        out(f"similarity by {space.by}: {similarity:.4f}")


@command(app)
def library(
    *,
    picture: PictureOptions,
    vectors: VectorsOption = None,
    projection: Annotated[
        Literal["pca", "tsne", "umap"], typer.Option(help="Projection method.")
    ] = "pca",
    seed: SeedOption = 0,
    compared: SpaceOptions,
    json: JsonOption = False,
) -> None:
    """Draw a map of a store: nearby songs sound alike; colour is genre, marker is version.

    Songs that are near to many others are labelled.

    Examples
    --------
    audiorec plot library --out map.png
    audiorec plot library --out map.svg --by vector
    audiorec plot library --out map.png --projection tsne --json
    """
    from audiorec.plots.library_map import MAP_SIZE, draw_map, map_library

    size = picture.check(MAP_SIZE)
    store = open_vectors(vectors, empty=False)
    basis = compared.default_space(store)
    space = store.space(basis.by, table=basis.table, use_index=False)
    say_basis(basis)
    found = map_library(space, projection=projection, seed=seed)
    picture.write(draw_map(found, title=store.path.name, size=size))
    if json:
        print_json(_map_document(found, store, picture.out, seed))


command(app, "user")(plot_people.user)
command(app, "report")(plot_people.report)


def _map_document(found: "LibraryMap", store: "Library", path: Path, seed: int) -> dict[str, Any]:
    return {
        "schema": "audiorec/plot-library/1",
        "picture": str(path),
        "vectors": str(store.path),
        "songs": len(found),
        "by": found.by,
        "projection": found.projection,
        "seed": seed,
        "variance": None if found.variance is None else [round(v, 4) for v in found.variance],
        "colours": found.counts(found.colour_head),
        "markers": found.counts(found.marker_head),
        "no_music": len(found) - int(found.music.sum()),
        "hubs": [store.ids[int(found.rows[place])] for place, _ in found.hubs],
    }


@dataclass(frozen=True, slots=True)
class _Heard:
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

    With `compared`, files are scored and placed like the store's songs, else scored by `heads` or
    the shipped heads.
    """

    def __init__(
        self,
        vectors: Path | None,
        scores: Path | None,
        heads: tuple[Path, ...],
        *,
        compared: SpaceOptions | None = None,
    ) -> None:
        self._vectors, self._scores, self._heads = vectors, scores, heads
        self._compared = compared
        self._readers: dict[bool, Reader[Song]] = {}
        self._closing = ExitStack()
        self.store: Library | None = None

    def __enter__(self) -> "_Listener":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closing.close()

    def hear(self, name: str) -> _Heard:
        """Return a song with its scores."""
        if self.store is None and self._has_store(name):
            self.store = open_vectors(self._vectors, empty=False)
        song_id = None if self.store is None else find_id(self.store, name)
        if self.store is None or song_id is None:
            return self._read(name)
        return self._known(self.store, song_id)

    def envelope(self, heard: _Heard) -> "Envelope | None":
        """Return the waveform; None for a song of the store whose file cannot be used."""
        from audiorec.extraction.reader import envelope_reader

        with envelope_reader() as reader:
            try:
                return reader.read(heard.file)
            except SongError as error:
                if heard.row is None:
                    raise
                say(f"note: drawn without its waveform: {error}")
                return None

    def _has_store(self, name: str) -> bool:
        """Return whether there is a store; a file can be drawn without one."""
        try:
            vectors_path(self._vectors)
        except MissingFileError:
            if self._vectors is not None or not Path(name).is_file():
                raise
            return False
        return True

    def _known(self, store: "Library", song_id: str) -> _Heard:
        row = store.row(song_id)
        title = _title(row["artist"], row["title"], song_id)
        file = self._series_file(store)
        if file is not None and song_id in file:
            series = file.series(song_id)
        else:
            series = self._reader(as_stored=True).read(row["uri"]).series
        number, vector = store.row_number(song_id), store.vector(song_id)
        return _Heard(song_id, title, row["uri"], number, series, vector)

    def _read(self, path: str) -> _Heard:
        alike = self._compared is not None and self.store is not None
        song = self._reader(as_stored=alike).read(path)
        title = _title(song.tags.artist, song.tags.title, Path(path).name)
        return _Heard(path, title, path, None, song.series, song.vector, song.lists)

    def _reader(self, *, as_stored: bool) -> "Reader[Song]":
        """Return a reader that scores audio in a worker process."""
        from audiorec.extraction.backbones import extractor_config
        from audiorec.extraction.pipeline import Extractor
        from audiorec.extraction.reader import song_reader

        if as_stored not in self._readers:
            config = extractor_config(self._heads)
            if as_stored and self.store is not None:
                compared = self._compared
                sound = compared is not None and compared.default_space(self.store).by == "sound"
                metadata = self.store.metadata
                config = Extractor.for_store(metadata, heads=self._heads, sound=sound).config
            self._readers[as_stored] = self._closing.enter_context(song_reader(config))
        return self._readers[as_stored]

    def _series_file(self, store: "Library") -> "SeriesFile | None":
        """Open the score series of the store's songs; None if there are none."""
        from audiorec.store.features import open_series
        from audiorec.store.inventory import USUAL_NAMES
        from audiorec.store.schema import Kind

        path = self._scores or store.path.with_name(USUAL_NAMES[Kind.SCORES])
        if path.exists():
            return open_series(store, path, Kind.SCORES)
        if self._scores is not None:
            raise MissingFileError(f"{path}: no such file")
        return None


def _title(artist: str | None, title: str | None, name: str) -> str:
    return f"{artist}: {title}" if artist and title else title or name


def _means(series: "ScoreSeries") -> dict[str, float]:
    means = series.scores.mean(axis=0, dtype="float64").tolist()
    return {name: round(mean, 4) for name, mean in zip(series.classes, means, strict=True)}


def _similarity(space: "Space", pair: Sequence[_Heard]) -> float | None:
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
