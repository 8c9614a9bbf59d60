"""The songs of one store: search, paths, playlists, labels and maps.

    open_store(path)  →  `Library`: .ids  .vectors (n, V)  library["etude"]  .similar(query, k)
    library["etude"]  →  `SongRow`: row["title"]  row.vector (V,)  row.numbers {name: value}
    vectors="vecs.parquet"  →  similar, path, playlist, duplicates, in one call

A question (`audiorec.search.questions`) is answered by `Library.ask`; `similar`, `path_between` and
`playlist` ask the common ones in one call. Wherever a method takes a song, a unique part of its id
is enough. Calls without a library open the store each time: by default $AUDIOREC_VECTORS, else
``vecs.parquet`` in the current folder.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from audiorec.columns import StoreColumns
from audiorec.errors import MissingFileError
from audiorec.files.arrow import arrow_to_pandas, arrow_to_polars, pandas_frame
from audiorec.files.copies import with_local
from audiorec.files.visible import clock, html_table, text_table, visible
from audiorec.library.readings import Readings, readings
from audiorec.library.seeds import read_seeds, seeds_of_store
from audiorec.playlists.answers import PathOfSongs, PlaylistOfSongs, path_between, playlist_near
from audiorec.search.choice import Chosen
from audiorec.search.copies import Group
from audiorec.search.questions import (
    MINIMUM,
    SPREAD,
    Choice,
    FindQuestion,
    PathQuestion,
    PlaylistQuestion,
    Question,
    SimilarQuestion,
)
from audiorec.search.searchable import SearchableStore
from audiorec.search.similar import Asked, SimilarSongs, similar_songs
from audiorec.search.space import Neighbours
from audiorec.search.stored_labels import forget_stated
from audiorec.store.corrections import correct
from audiorec.store.inventory import files_beside
from audiorec.store.schema import StoreMetadata, number_names
from audiorec.tagger.reading import Reading
from audiorec.types import FloatArray

if TYPE_CHECKING:
    from audiorec.words.find import DescribedSongs
    from audiorec.words.hearing import Hearing
    from audiorec.words.titles import Titles

COLUMNS = ("what", "value")
# Shown unless empty; the other columns are bookkeeping.
SHOWN = (
    *(StoreColumns.ID, "title", "artist", "album", "duration_s", "loudness_lufs"),
    *("segments", "status", "codec"),
    *("source_rate", "source_channels", "uri", "extracted_at"),
)


class SongRow(dict[str, Any]):
    """The columns of one song, including its ``vector``.

    Attributes
    ----------
    vector : ndarray, shape (V,), float32
    numbers : dict of str to float
        The numbers of the vector by name, as in the columns of `Library.frame`.
    """

    def __init__(
        self, columns: Mapping[str, Any], vector: FloatArray, metadata: StoreMetadata
    ) -> None:
        super().__init__(columns, vector=vector)
        self._metadata = metadata

    @property
    def vector(self) -> FloatArray:
        """The vector: shape (V,), float32."""
        return self["vector"]

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers of the vector by name: ``genre_jazz_mean`` and so on."""
        return dict(zip(number_names(self._metadata), self.vector.tolist(), strict=True))

    def __repr__(self) -> str:
        return text_table(COLUMNS, self._rows())

    def _repr_html_(self) -> str:
        return html_table(COLUMNS, self._rows())

    def _rows(self) -> list[tuple[object, ...]]:
        rows: list[tuple[object, ...]] = [
            (name, _shown(self[name], name)) for name in SHOWN if self.get(name) is not None
        ]
        return [*rows, ("vector", f"{len(self.vector)} numbers")]


def _shown(value: Any, name: str) -> str:
    if name == "duration_s":
        return clock(value)
    if name == "loudness_lufs":
        return f"{value:.1f}"
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value)


MOST_COUNTED = 100_000  # largest library whose versions and genres a notebook counts
COMMON = 4  # classes listed by name
CORRECTED = (
    "corrections",
    "facts",
    "usual",
    "hearing",
    "titles",
    "_chooser",
    "_closeness",
)  # kept answers
ANSWERS: dict[type[Question], Callable[[Asked], SimilarSongs | PathOfSongs | PlaylistOfSongs]] = {
    SimilarQuestion: similar_songs,
    PathQuestion: path_between,
    PlaylistQuestion: playlist_near,
}


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
    ['piano/prelude.flac', 'speech/news.ogg']
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
        return pandas_frame(columns, index=(StoreColumns.ID, list(self.ids)))

    @overload
    def ask(self, question: SimilarQuestion, *, chosen: Chosen | None = None) -> SimilarSongs: ...
    @overload
    def ask(self, question: PathQuestion, *, chosen: Chosen | None = None) -> PathOfSongs: ...
    @overload
    def ask(
        self, question: PlaylistQuestion, *, chosen: Chosen | None = None
    ) -> PlaylistOfSongs: ...
    @overload
    def ask(self, question: FindQuestion, *, chosen: Chosen | None = None) -> "DescribedSongs": ...
    def ask(
        self, question: Question | FindQuestion, *, chosen: Chosen | None = None
    ) -> "SimilarSongs | PathOfSongs | PlaylistOfSongs | DescribedSongs":
        """Answer a question about the library, as commands and servers ask it.

        Parameters
        ----------
        question : SimilarQuestion, PathQuestion, PlaylistQuestion or FindQuestion
            Its seeds are ids, unique parts of them, audio files, or rows; a `FindQuestion` has a
            sentence instead.
        chosen : Chosen, optional
            The question's choice, if it was already applied to this library.

        Returns
        -------
        answer : SimilarSongs, PathOfSongs, PlaylistOfSongs or DescribedSongs
            The songs in order; ``to_dict`` is the answer as a document, ``to_m3u8`` writes a
            playlist file, and ``remarks`` are for a person.

        Raises
        ------
        UnknownSongError, SongError
            If a seed names no song, or several; if its file cannot be read.
        InputError
            If there is no seed, a path has other than two, a value is out of range, or nothing of
            a sentence is understood.

        Examples
        --------
        >>> from audiorec.search import SimilarQuestion
        >>> library = open_store("fixtures/formats/vecs-v1.parquet")
        >>> two = SimilarQuestion(seeds=("etude", "live"), k=2, by="vector", minimum=-1)
        >>> [(n.song_id, round(n.similarity, 2)) for n in library.ask(two)]
        [('piano/prelude.flac', 0.95), ('speech/news.ogg', 0.52)]
        """
        from audiorec.library.sentences import chosen_by, found, liked, read_in
        from audiorec.words.find import held, wished_of

        if isinstance(question, FindQuestion):
            return found(self, question, self.titles, self.hearing)
        near = isinstance(question, SimilarQuestion)
        words = question.words if isinstance(question, SimilarQuestion | PlaylistQuestion) else ""
        sentence = read_in(self, words, self.titles, self.hearing) if words else None
        space = self.space(question.by)
        names = (*question.seeds, *liked(self.titles, sentence))
        if isinstance(question, PathQuestion):
            seeds = seeds_of_store(self, space, question.seeds)
        elif words and not near and not names:
            seeds = []
        else:
            seeds = read_seeds(
                self, space, names, question.heads, words=bool(words), titles=self.titles
            )
        facts = None if sentence is None else held(self, sentence, self.titles)
        if chosen is None:
            chosen = chosen_by(self, question.choice, sentence, facts)
        asked = Asked(
            question=question,
            store=self,
            space=space,
            seeds=seeds,
            less_like=read_seeds(self, space, question.less_like, question.heads)
            if isinstance(question, SimilarQuestion) and question.less_like
            else (),
            chosen=chosen,
            wished=None
            if sentence is None
            else wished_of(sentence, self.hearing, seeds, facts=facts, why=question.why),
        )
        return ANSWERS[type(question)](asked)

    @cached_property
    def hearing(self) -> "Hearing":
        """What is heard in the songs: computed for the first sentence, then kept."""
        from audiorec.words.hearing import Hearing

        return Hearing(self)

    @cached_property
    def titles(self) -> "Titles":
        """The words of titles, artists, albums and file names."""
        from audiorec.words.titles import Titles

        return Titles(self)

    def find(self, text: str, k: int = 10, *, choice: Choice = Choice()) -> "DescribedSongs":  # noqa: B008
        """Return the `k` songs that a sentence describes best, like ``audiorec find``; see `ask`.

        Parameters
        ----------
        text : str
            For example ``calm piano at night, no drums``.
        k : int
        choice : Choice
            Which songs may be listed.

        Examples
        --------
        >>> library = open_store("fixtures/formats/vecs-v1.parquet")  # has no embedding
        >>> library.find("calm piano")
        Traceback (most recent call last):
        audiorec.errors.InputError: fixtures/formats/vecs-v1.parquet: songs cannot be found by \
        words: its songs have no embedding; add what is needed: audiorec extract FOLDER \
        --overwrite --out fixtures/formats/vecs-v1.parquet
        """
        return self.ask(FindQuestion(text=text, k=k, choice=choice))

    @overload
    def similar(
        self,
        query: str,
        k: int = 10,
        *,
        by: str | Path = "auto",
        choice: Choice = Choice(),  # noqa: B008
        diversity: float = 0.0,
        minimum: float = MINIMUM,
    ) -> SimilarSongs: ...
    @overload
    def similar(
        self, query: str | Sequence[str] | FloatArray, k: int = 10, **how: Any
    ) -> Neighbours: ...
    def similar(
        self, query: str | Sequence[str] | FloatArray, k: int = 10, **how: Any
    ) -> Neighbours:
        """Return the `k` songs nearest to a song, like ``audiorec similar``, or to each of several.

        Parameters
        ----------
        query
            An id, a unique part of one, or an audio file: the answer is that of `ask`. For
            vectors and several queries, see `SearchableStore.similar`.
        k : int
        by, choice, diversity, minimum
            See `SimilarQuestion`.

        Examples
        --------
        >>> library = open_store("fixtures/formats/vecs-v1.parquet")
        >>> library.similar("etude", 1).to_dict()["songs"][0]["song_id"]
        'piano/prelude.flac'
        """
        if isinstance(query, str):
            return self.ask(SimilarQuestion(seeds=(query,), k=k, **how))
        return super().similar(query, k, **how)

    def path_between(
        self,
        start: str,
        end: str,
        *,
        steps: int = 8,
        by: str | Path = "auto",
        choice: Choice = Choice(),  # noqa: B008 - frozen
    ) -> PathOfSongs:
        """Find a smooth path from one song to another, like ``audiorec playlist A --to B``.

        Parameters
        ----------
        start, end : str
        steps : int
            Number of songs between them; fewer if the path cannot hold more.
        by, choice
            The space in which songs are compared, and which songs are eligible; see `similar`.
        """
        return self.ask(PathQuestion(seeds=(start, end), steps=steps, by=by, choice=choice))

    def playlist(
        self,
        *songs: str,
        minutes: float = 60.0,
        curve: str | Sequence[str] = (),
        by: str | Path = "auto",
        choice: Choice = SPREAD,
    ) -> PlaylistOfSongs:
        """Make a playlist near some songs, like ``audiorec playlist``; see `ask`.

        Parameters
        ----------
        *songs : str
            They come first, in this order; with a curve, wherever they fit.
        minutes : float
            Length of the playlist.
        curve : str, or sequence of str
            How the score of a class changes; see `PlaylistQuestion`.
        by, choice
            The space in which songs are compared, and which songs are eligible; see `similar`.
        """
        curves = (curve,) if isinstance(curve, str) else curve
        question = PlaylistQuestion(
            seeds=songs, minutes=minutes, curve=curves, by=by, choice=choice
        )
        return self.ask(question)

    def correct(self, song: str, field: str, value: str) -> None:
        """Say what a song is, whatever was heard or is written in its file; all answers follow it.

        Parameters
        ----------
        song : str
            An id, or a unique part of one.
        field : {"version", "genre", "tempo", "music"}
        value : str
            See `audiorec.store.corrections.correct`; empty to take a correction back.

        Raises
        ------
        InputError
            If the field is unknown, or the value is none of it.
        """
        correct(self, self.resolve(song), field, value)
        forget_stated(self)
        for name in CORRECTED:
            self.__dict__.pop(name, None)

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
        result = readings(self, None if songs is None else [self.row_number(name) for name in ids])
        return result[0] if isinstance(songs, str) else Readings(zip(ids, result, strict=True))

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
        result = readings(self)
        for head in result[0].best:
            yield head, _counted([reading.best[head] for reading in result])


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


ENVIRONMENT = "AUDIOREC_VECTORS"
DEFAULT = "vecs.parquet"

StorePath = str | os.PathLike[str]


def similar(
    song: str | os.PathLike[str],
    k: int = 10,
    *,
    vectors: StorePath | Library | None = None,
    by: str | Path = "auto",
    choice: Choice = Choice(),  # noqa: B008 - frozen
    diversity: float = 0.0,
    minimum: float = MINIMUM,
) -> SimilarSongs:
    """Return the `k` songs of a store nearest to one song, from the store or any audio file.

    Parameters
    ----------
    song : str or path
        An id, a unique part of one, or an audio file. A file that is not in the store is decoded
        in a worker process, and compared as the store's songs are.
    k : int
    vectors : path or Library, optional
        The store; by default $AUDIOREC_VECTORS, else ``vecs.parquet`` in the current folder.
    by, choice, diversity, minimum
        As for `Library.similar`.

    Raises
    ------
    MissingFileError
        If there is no store.
    UnknownSongError, SongError, InputError
        If the song is unknown, cannot be used, or as for `Library.ask`.

    Examples
    --------
    >>> import audiorec
    >>> found = audiorec.similar("etude", 2, vectors="fixtures/formats/vecs-v1.parquet")
    >>> found[0].song_id
    'piano/prelude.flac'
    """
    return as_library(vectors).similar(
        os.fspath(song), k, by=by, choice=choice, diversity=diversity, minimum=minimum
    )


def path(
    start: str,
    end: str,
    *,
    vectors: StorePath | Library | None = None,
    steps: int = 8,
    by: str | Path = "auto",
    choice: Choice = Choice(),  # noqa: B008 - frozen
) -> PathOfSongs:
    """Find a smooth path from one song of a store to another; see `Library.path_between`.

    `vectors` is the store; by default $AUDIOREC_VECTORS, else ``vecs.parquet`` in the current
    folder. Raises `MissingFileError` if there is none.
    """
    return as_library(vectors).path_between(start, end, steps=steps, by=by, choice=choice)


def playlist(
    *songs: str,
    vectors: StorePath | Library | None = None,
    minutes: float = 60.0,
    curve: str | Sequence[str] = (),
    by: str | Path = "auto",
    choice: Choice = SPREAD,
) -> PlaylistOfSongs:
    """Make a playlist near some songs of a store; see `Library.playlist`.

    `vectors` is the store; by default $AUDIOREC_VECTORS, else ``vecs.parquet`` in the current
    folder. Raises `MissingFileError` if there is none.
    """
    return as_library(vectors).playlist(*songs, minutes=minutes, curve=curve, by=by, choice=choice)


def duplicates(*, vectors: StorePath | Library | None = None) -> list[Group]:
    """Return the recordings of which a library holds several copies, most certain first.

    Parameters
    ----------
    vectors : path or Library, optional
        The store; by default $AUDIOREC_VECTORS, else ``vecs.parquet`` in the current folder.

    Raises
    ------
    MissingFileError
        If there is no store.

    Examples
    --------
    >>> import audiorec
    >>> audiorec.duplicates(vectors="fixtures/formats/vecs-v1.parquet")
    []
    """
    return as_library(vectors).duplicates()


def as_library(vectors: StorePath | Library | None) -> Library:
    """Return or open the library; if there is none, raise an error that says how to make one."""
    if isinstance(vectors, Library):
        return vectors
    place = Path(vectors or os.environ.get(ENVIRONMENT) or DEFAULT)
    if not place.exists():
        hint = "" if vectors else f" (checked vectors=, ${ENVIRONMENT} and ./{DEFAULT})"
        raise MissingFileError(
            f"{place}: no such store{hint}; make one: audiorec.extract(folder, out={str(place)!r})"
        )
    return open_store(place)
