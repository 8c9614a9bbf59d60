"""The songs of one store: search, paths, playlists, labels and maps.

    open_store(path)  →  `Library`: .ids  .vectors (n, V)  library["etude"]  .similar(query, k)

Names and defaults of the methods are those of the command line. Wherever a method takes a song,
a unique part of its id is enough.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from audiorec.files.arrow import arrow_to_pandas, arrow_to_polars, pandas_frame
from audiorec.files.copies import with_local
from audiorec.files.visible import clock, html_table, visible
from audiorec.library.classify_files import Readings
from audiorec.library.readings import readings
from audiorec.library.rows import SongRow
from audiorec.playlists.of_store import PathOfSongs, PlaylistOfSongs, playlist_near
from audiorec.playlists.of_store import path_between as _path_between
from audiorec.search.choice import Choice
from audiorec.search.searchable import SearchableStore
from audiorec.search.space_choice import AutoBy
from audiorec.store.inventory import files_beside
from audiorec.store.schema import number_names
from audiorec.tagger.reading import Reading

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from audiorec.search.atlas import MapKind

MOST_COUNTED = 100_000  # largest library whose versions and genres a notebook counts
COMMON = 4  # classes listed by name


class Library(SearchableStore):
    """The songs of one ``vecs.parquet``, searchable by name and by similarity.

    Obtained from `open_store`. Iterating yields the ids, ``library[song]`` is one song's columns,
    and ``song_id in library`` tests for an exact id.

    Examples
    --------
    >>> library = open_store("fixtures/formats/vecs-v1.parquet")
    >>> library
    Library('fixtures/formats/vecs-v1.parquet': 5 songs, 6:15, extractor 0123456789abcdef)
    >>> list(library)[:2], library["etude"]["artist"]
    (['piano/etude.flac', 'piano/prelude.flac'], 'Anna')
    >>> [n.song_id for n in library.similar("etude", 2)]
    ['piano/prelude.flac']
    """

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __getitem__(self, song: str) -> SongRow:
        """Return one song's columns and vector; see `resolve` for how it may be named."""
        number = self.row_number(self.resolve(song))
        return SongRow(self.rows([number])[0], self.read_rows([number])[0], self.metadata)

    def to_pandas(self, columns: Sequence[str] | None = None) -> Any:
        """Return the store as a `pandas.DataFrame`, one row per song; all columns by default.

        Raises `InputError` for an unknown column, `MissingExtraError` without pandas.
        """
        return arrow_to_pandas(self.table(columns))

    def to_polars(self, columns: Sequence[str] | None = None) -> Any:
        """Return the store as a `polars.DataFrame`, like `to_pandas`."""
        return arrow_to_polars(self.table(columns))

    def frame(self) -> Any:
        """Return the vectors as a `pandas.DataFrame` (n, V), float32, indexed by song_id.

        Columns run class by class, from ``version_vocal_max`` to ``genre_rock_skewness``. Raises
        `MissingExtraError` without pandas.
        """
        names = number_names(self.metadata)
        columns = dict(zip(names, self.vectors.T, strict=True))
        return pandas_frame(columns, index=("song_id", list(self.ids)))

    def path_between(
        self,
        start: str,
        end: str,
        *,
        steps: int = 8,
        by: AutoBy = "auto",
        table: str | Path | None = None,
        only: str | None = None,
        exclude: Collection[str] = (),
        per_artist: int | None = None,
        per_album: int | None = None,
        include_non_music: bool = False,
        keep_duplicates: bool = False,
    ) -> PathOfSongs:
        """Find a smooth path from one song to another, like ``audiorec path``.

        Parameters
        ----------
        start, end : str
        steps : int
            Number of songs between them; fewer if the path cannot hold more.
        by, table
            The space in which songs are compared; see `similar`.
        only, exclude, per_artist, per_album, include_non_music, keep_duplicates
            Which songs are eligible, and how many per artist or album; see
            `audiorec.search.choice.Choice`.

        Returns
        -------
        path : PathOfSongs
            Songs in playing order; ``notes`` lists requests that could not be met.

        Raises
        ------
        UnknownSongError
            If `start` or `end` names no song, or several.
        InputError
            As for `similar`.
        """
        choice = Choice(
            only=only,
            exclude=exclude,
            per_artist=per_artist,
            per_album=per_album,
            include_non_music=include_non_music,
            keep_duplicates=keep_duplicates,
        )
        return _path_between(self, start, end, steps=steps, by=by, table=table, choice=choice)

    def playlist(
        self,
        *songs: str,
        minutes: float = 60.0,
        curve: str | Sequence[str] = (),
        artist_gap: int = 3,
        by: AutoBy = "auto",
        table: str | Path | None = None,
        only: str | None = None,
        exclude: Collection[str] = (),
        per_artist: int | None = 2,
        per_album: int | None = None,
        include_non_music: bool = False,
        keep_duplicates: bool = False,
    ) -> PlaylistOfSongs:
        """Make a playlist near some songs, like ``audiorec playlist``.

        Parameters
        ----------
        *songs : str
            They come first, in this order; with a curve, wherever they fit.
        minutes : float
            Length of the playlist.
        curve : str, or sequence of str
            How the score of a class changes: ``"metal:rise"`` (or fall, arc, dip),
            ``"vocal:0.1..0.9..0.1"``.
        artist_gap : int
            Minimum number of songs between two songs of one artist.
        by, table
            The space in which songs are compared; see `similar`.
        only, exclude, per_artist, per_album, include_non_music, keep_duplicates
            Which songs are eligible, and how many per artist or album; see
            `audiorec.search.choice.Choice`.

        Returns
        -------
        playlist : PlaylistOfSongs
            Songs in playing order; ``notes`` lists requests that could not be met.

        Raises
        ------
        UnknownSongError
            If a text names no song, or several.
        InputError
            If no song is named, a curve is invalid, or as for `similar`.
        """
        choice = Choice(
            only=only,
            exclude=exclude,
            per_artist=per_artist,
            per_album=per_album,
            include_non_music=include_non_music,
            keep_duplicates=keep_duplicates,
        )
        return playlist_near(
            self,
            songs,
            minutes=minutes,
            curves=[curve] if isinstance(curve, str) else curve,
            artist_gap=artist_gap,
            by=by,
            table=table,
            choice=choice,
        )

    @overload
    def classify(self, songs: str) -> Reading: ...  # type: ignore[overload-overlap]
    @overload
    def classify(self, songs: Sequence[str] | None = None) -> Readings: ...
    def classify(self, songs: str | Sequence[str] | None = None) -> Reading | Readings:
        """Classify songs of the library: version, genre, and the share of segments with a voice.

        Nothing is decoded: mean scores are in the vectors, and the share of segments with a voice
        comes from ``scores.parquet`` beside the store, if there is one.

        Parameters
        ----------
        songs : str or sequence of str, optional
            All songs by default.

        Returns
        -------
        reading : Reading
            For one song; for several a `Readings`, a mapping of ids to readings.

        Examples
        --------
        >>> library = open_store("fixtures/formats/vecs-v1.parquet")
        >>> library.classify("etude").best["genre"], len(library.classify())
        ('blues', 5)
        """
        named = list(self.ids) if songs is None else [songs] if isinstance(songs, str) else songs
        ids = named if songs is None else [self.resolve(name) for name in named]
        found = readings(self, None if songs is None else [self.row_number(name) for name in ids])
        return found[0] if isinstance(songs, str) else Readings(zip(ids, found, strict=True))

    def map(
        self,
        *,
        by: AutoBy = "auto",
        table: str | Path | None = None,
        projection: "MapKind" = "pca",
        seed: int = 0,
        title: str = "",
    ) -> "Figure":
        """Draw a two-dimensional map of the library, like ``audiorec plot library``.

        Parameters
        ----------
        by, table
            The space in which songs are compared; see `space`.
        projection : {"pca", "tsne", "umap"}
            t-SNE needs the extra ``plot``, UMAP the extra ``map``.
        seed : int
            Used by t-SNE and UMAP.
        title : str
            By default the file name of the store.

        Returns
        -------
        figure : matplotlib.figure.Figure
            Shown by notebooks; save it with ``figure.savefig("map.png")``.

        Raises
        ------
        MissingExtraError
            If matplotlib, or a library that the projection needs, is not installed.
        """
        from audiorec.plots.figures import require_plots
        from audiorec.plots.library_map import library_figure

        require_plots()
        return library_figure(
            self, by=by, table=table, projection=projection, seed=seed, title=title
        )

    def __repr__(self) -> str:
        path = visible(str(self.path))
        songs = f"{len(self)} song{'s' * (len(self) != 1)}"
        length = clock(self._seconds())
        return f"Library({path!r}: {songs}, {length}, extractor {self.metadata.extractor_id})"

    def _repr_html_(self) -> str:
        rows: list[tuple[str, object]] = [
            ("file", str(self.path)),
            ("songs", len(self)),
            ("audio", clock(self._seconds())),
            ("extractor", self.metadata.extractor_id),
            ("vector", f"{self.metadata.dimension} numbers"),
            *self._counts(),
        ]
        beside = [path.name for path in files_beside(self.path).values()]
        rows += [("beside it", ", ".join(beside))] if beside else []
        return html_table(("library", ""), rows)

    def _seconds(self) -> float:
        return float(sum(self.column("duration_s").to_pylist()))

    def _counts(self) -> Iterator[tuple[str, object]]:
        """Yield the statuses, and each head's most common classes, with their counts."""
        yield "status", _counted(self.column("status").to_pylist())
        if not 0 < len(self) <= MOST_COUNTED or "mean" not in self.metadata.statistics:
            return
        found = readings(self)
        for head in found[0].best:
            yield head, _counted([reading.best[head] for reading in found])


def open_store(path: str | os.PathLike[str]) -> Library:
    """Open a ``vecs.parquet``, by path or URI; see `Library` and `VectorStore.open`.

    Raises
    ------
    MissingStoreError
        If there is no such file; also a ``FileNotFoundError``.
    StoreError
        If the file is not a store, or damaged.
    """
    return Library.open(os.fspath(with_local(path)))


def _counted(labels: Sequence[str | None]) -> str:
    counts = Counter(label for label in labels if label is not None).most_common()
    rest = sum(count for _, count in counts[COMMON:])
    named = [f"{label} {count}" for label, count in counts[:COMMON]]
    return ", ".join([*named, *([f"others {rest}"] if rest else [])])
