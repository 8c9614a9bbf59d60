"""What a song's picture is made of, for songs that have a cover and for those that get one drawn.

    row ──`Faces.of`──▶ rings: genre, second genre, its share and the voice, from start to end
                        at: where the rings have their centre, by fixed directions of the genres
                        cover: the address of a picture in the file or beside it, or None

A drawn picture depends on the song alone: it stays what it is while the library grows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from audiorec.search.filters import mean_scores
from audiorec.types import FloatArray
from audiorec.web.gate import AddressKeys
from audiorec.web.lists import rows_in
from audiorec.web.song_columns import SongColumns
from audiorec.web.sound import SoundFiles

MOST_FACES = 200  # in one answer
FEWEST, MOST, RING_S = 6, 11, 25.0  # rings of a song, and the seconds of one
# Where each genre pulls the centre: neighbours on the circle are often heard for one another.
CIRCLE = "classical jazz blues country folk pop rock metal hiphop electronic".split()
SUNG = ("version/vocal", "version/vocal_accompaniment")
Document = dict[str, Any]


class Faces:
    """Pictures of the songs of a library, as data.

    Parameters
    ----------
    shelf : SongColumns
    sound : SoundFiles
    keys : AddressKeys
    """

    def __init__(self, shelf: SongColumns, sound: SoundFiles, keys: AddressKeys) -> None:
        self._shelf, self._sound, self._keys = shelf, sound, keys
        classes = shelf.library.metadata.classes
        self._genres = [f"genre/{name}" for name in shelf.heads.get("genre", ())]
        self._columns = [classes.index(name) for name in self._genres]
        self._sung = [classes.index(name) for name in SUNG if name in classes]

    def of(self, wish: Mapping[str, Any]) -> Document:
        """Return the faces of some songs.

        Parameters
        ----------
        wish : mapping
            ``rows``: at most `MOST_FACES` of them are answered.

        Returns
        -------
        faces : dict
            ``faces``: for each row ``rings``, each a genre, the second one, both as codes of
            ``heads.genre``, the share of the second beside the first, and the voice, 0 to 100;
            ``at``: from -1 to 1; ``cover``.
        """
        library = self._shelf.library
        rows = rows_in(wish.get("rows"), len(library))[:MOST_FACES]
        if not rows:
            return {"faces": []}
        with self._shelf.lock:
            songs = library.rows(rows)
            series = self._series([library.ids[row] for row in rows])
            means = mean_scores(library)[rows] if self._genres else None
        faces = []
        for n, (row, song) in enumerate(zip(rows, songs, strict=True)):
            face: Document = {"rings": None, "at": [0.0, 0.0], "cover": None}
            if means is not None:
                one = series.get(library.ids[row], means[n : n + 1])
                face |= {"rings": self._rings(one, song["duration_s"]), "at": self._at(means[n])}
            if self._sound.has_cover(str(song.get("uri") or "")):
                face["cover"] = self._keys.keyed(f"/cover/{row}")
            faces.append(face)
        return {"faces": faces}

    def _series(self, ids: Sequence[str]) -> Mapping[str, FloatArray]:
        file, _ = self._shelf.series
        known = {one for one in ids if file is not None and one in file}
        return file.read(known) if file is not None and known else {}

    def _rings(self, series: FloatArray, seconds: float) -> list[list[int]]:
        """Return the rings of a song's scores (T, H), from its start to its end."""
        n = min(max(round((seconds or 0) / RING_S), FEWEST), MOST)
        ends = np.arange(n + 1) * len(series) / n
        rings = []
        for start, stop in zip(ends[:-1].astype(int), np.ceil(ends[1:]).astype(int), strict=True):
            scores = series[start : max(stop, start + 1)].mean(axis=0, dtype=np.float64)
            genres = scores[self._columns]
            second, first = np.argsort(genres, kind="stable")[-2:].tolist()
            share = genres[second] / max(1e-9, genres[first] + genres[second])
            voice = min(1.0, float(scores[self._sung].sum()))
            rings.append([first, second, round(100 * float(share)), round(100 * voice)])
        return rings

    def _at(self, means: FloatArray) -> list[float]:
        """Return the centre of a song's rings from its mean scores (H,)."""
        names = [name.partition("/")[2] for name in self._genres]
        angles = [2 * np.pi * CIRCLE.index(n) / len(CIRCLE) if n in CIRCLE else 0 for n in names]
        weights = means[self._columns].astype(np.float64)
        weights /= max(1e-9, weights.sum())
        return [round(float(weights @ way(angles)), 4) for way in (np.cos, np.sin)]
