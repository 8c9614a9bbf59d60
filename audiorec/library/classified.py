"""What songs are, in words: of files, and of many songs at once.

paths ──classify──▶ `Readings`: song id → `Reading`, as a table and as a DataFrame
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiorec.errors import InputError, SongError
from audiorec.files.frames import pandas_frame
from audiorec.files.text_tables import html_table, text_table
from audiorec.tagger.reading import Reading, read_scores

if TYPE_CHECKING:
    from audiorec.extraction.catalogue import Source

MOST_ROWS = 20  # of a table; the rest is counted


class Readings(dict[str, Reading]):
    """What songs are: a `Reading` for each song id.

    Attributes
    ----------
    failed : tuple of SongError
        Files that could not be used.
    """

    def __init__(
        self, songs: Iterable[tuple[str, Reading]] = (), failed: Sequence[SongError] = ()
    ) -> None:
        super().__init__(songs)
        self.failed = tuple(failed)

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`, indexed by ``song_id``.

        Columns: for each head its class and that class's mean score (``genre``,
        ``genre_score``), then ``voiced``, ``segments`` and ``remark``.

        Raises
        ------
        MissingExtraError
            Without pandas.
        """
        columns: dict[str, list[Any]] = {}
        for reading in self.values():
            for name, value in _columns(reading).items():
                columns.setdefault(name, []).append(value)
        return pandas_frame(columns, index=("song_id", list(self)))

    def __repr__(self) -> str:
        names, rows = self._table()
        lines = [
            f"{len(self)} song{'s' * (len(self) != 1)}",
            *([text_table(names, rows)] if rows else []),
        ]
        if len(self) > len(rows):
            lines.append(f"… {len(self) - len(rows)} more")
        if self.failed:
            n = len(self.failed)
            lines.append(f"{n} file{'s' * (n != 1)} could not be used, see .failed")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        names, rows = self._table()
        more = f", the first {len(rows)}" if len(self) > len(rows) else ""
        failed = f", {len(self.failed)} could not be used" if self.failed else ""
        return html_table(names, rows, caption=f"{len(self)} songs{more}{failed}")

    def _table(self) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
        rows, names = [], ["song_id"]
        for song_id, reading in [*self.items()][:MOST_ROWS]:
            columns = _columns(reading)
            names = ["song_id", *columns]
            rows.append((song_id, *columns.values()))
        return tuple(names), rows


def classify(
    paths: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    heads: Sequence[str | os.PathLike[str]] = (),
    jobs: int = 0,
) -> Readings:
    """Say of audio files what they are: version, genre, how much of them has a voice.

    Parameters
    ----------
    paths : path or sequence of path
        Files, folders and globs, as for `audiorec.extract`.
    heads : sequence of path
        Heads of your own in place of the shipped ones.
    jobs : int
        Worker processes; 0 for one per processor.

    Returns
    -------
    readings : Readings
        A mapping of song ids to readings, in the order of the paths. Songs of a store answer
        at once: `Library.classify`.

    Raises
    ------
    InputError
        If a path does not exist, or there are no songs.
    SongError
        If no file can be used: of the first one. Where some can, the others are
        ``readings.failed``.

    Examples
    --------
    >>> import audiorec
    >>> found = audiorec.classify("fixtures/audio/blues-band.mp3")
    >>> found["blues-band.mp3"].best
    {'version': 'vocal_accompaniment', 'genre': 'blues'}
    """
    from audiorec.extraction.catalogue import find_songs

    many = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    sources = find_songs(many)
    if not sources:
        raise InputError("no audio files there; name files, folders or globs")
    found: list[tuple[str, Reading]] = []
    failed: list[SongError] = []
    for source, song in zip(sources, _read(sources, tuple(map(Path, heads)), jobs), strict=True):
        if isinstance(song, SongError):
            failed.append(song)
        else:
            found.append((source.song_id, song))
    if failed and not found:
        raise failed[0]
    return Readings(found, failed)


def _read(
    sources: "Sequence[Source]", heads: tuple[Path, ...], jobs: int
) -> "Iterable[Reading | SongError]":
    from audiorec.extraction.pipeline import ExtractorConfig
    from audiorec.extraction.reader import song_reader

    workers = min(jobs or os.cpu_count() or 1, len(sources))
    with song_reader(ExtractorConfig(heads=heads), jobs=workers) as reader:
        for song in reader.read_each(source.path for source in sources):
            if isinstance(song, SongError):
                yield song
            else:
                yield read_scores(song.series, song.info.status)


def _columns(reading: Reading) -> dict[str, Any]:
    """Return what stands in a row: each head's class and its score, and what goes with it."""
    columns: dict[str, Any] = {}
    for head, label in reading.best.items():
        columns[head] = label
        columns[f"{head}_score"] = None if label is None else reading.scores[head][label]
    return {
        **columns,
        "voiced": reading.voiced,
        "segments": reading.segments,
        "remark": reading.remark,
    }
