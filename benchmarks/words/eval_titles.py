"""Judge sentences on real lists with titles: how well a title orders the songs of its list.

    python -m benchmarks eval_titles DATA PLAYLISTS

DATA holds GTZAN's tag series and names (`head_gtzan`) and ``spotify_songs.zip``, PLAYLISTS the
folder ``hari_playlists`` of ``recall.tar.xz``. Songs are joined by artist and title. Of nearly all
of them only the network's 50 tags are known, so titles are read, but only tags are heard. Judged
are lists of two songs or more whose title is understood: the share of pairs of a song of the list
and another listed song that are in the right order (AUC). They are ordered by the title, by in how
many other lists a song stands, by how often it stands in them with the list's other songs, by how
much it sounds like those, and by means of ranks. One JSON line, with 95 % bootstrap intervals over
lists.
"""

import argparse
import csv
import io
import json
import re
import zipfile
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np
from eval_find import interval
from scipy.stats import rankdata

from audiorec.errors import InputError
from audiorec.tagger.weights import MSD
from audiorec.types import Float64Array, FloatArray, Int64Array
from audiorec.words.find import scored, understood
from audiorec.words.hearing import log_odds, standardised
from audiorec.words.labels import TAG
from audiorec.words.sentence import read_sentence

Song = tuple[str, str]
LEAST = 2  # songs of a list
SMALL = 1e-3  # popularity tells songs apart that stand together equally often
MORE = {"title_popular": "popular", "songs_title": "songs", "songs_sound_title": "songs_sound"}
_VERSION = re.compile(r"\(.*?\)|\[.*?\]| - .*(remaster|version).*")


def song(artist: str, title: str) -> Song:
    """Return how a song is compared: letters and digits, without what tells versions apart."""
    artist, title = (_VERSION.sub("", text.lower()) for text in (artist, title))
    return re.sub(r"^the |[^a-z0-9]", "", artist), re.sub(r"[^a-z0-9]", "", title)


def named(data: Path) -> dict[str, Song]:
    """Return artist and title of each track of GTZAN, by a name such as ``blues.00000``."""
    lines = (data / "gtzan" / "artists_titles.txt").read_text(errors="replace").splitlines()
    parts = [[part.strip() for part in line.split(":::")] for line in lines]
    return {p[0].removesuffix(".wav"): song(*p[1:3]) for p in parts if len(p) >= 3 and all(p[1:3])}


def tags(data: Path) -> tuple[list[str], Float64Array]:
    """Return the names of tracks, and the mean scores (n, 50) of the network's tags."""
    names, means = [], []
    for split in ("train", "test"):
        with np.load(data / "gtzan" / f"{split}_msd_taggram.npz", allow_pickle=True) as of:
            tracks, rows = of["IDS"], of["X"]
        for track in np.unique(tracks):
            names.append(Path(str(track)).stem)
            means.append(rows[tracks == track].mean(axis=0))
    return names, np.array(means, np.float64)


def listed(data: Path, playlists: Path) -> Iterator[tuple[str, Song]]:
    """Yield a list's title and a song, for all lists of both sources."""
    known = {}
    for line in (playlists / "tracks.tsv").read_text().splitlines():
        track, _, name = line.partition("\t")
        artist, _, title = name.partition(" - ")
        known[track] = song(artist.partition(",")[0], title)
    for line in (playlists / "playlists.tsv").read_text().splitlines():
        title, _, tracks = line.partition("\t")
        yield from ((title.rpartition("/")[2], known[t]) for t in tracks.split() if t in known)
    with zipfile.ZipFile(data / "spotify_songs.zip").open("spotify_songs.csv") as file:
        for row in csv.DictReader(io.TextIOWrapper(file, "utf-8")):
            yield row["playlist_name"], song(row["track_artist"], row["track_name"])


class TagsOnly:
    """Hears the network's tags alone."""

    def __init__(self, scores: Float64Array) -> None:
        self.known = np.ones(len(scores), np.bool_)
        odds = zip(MSD.tags, log_odds(scores).T, strict=True)
        self._columns = {f"{TAG}{tag}": standardised(one, self.known) for tag, one in odds}

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def columns(self, names: Collection[str]) -> list[FloatArray]:
        """Return by how much each song has each tag: (n,)."""
        return [self._columns[name] for name in names]

    def of_songs(self, _name: str, songs: tuple[()]) -> FloatArray:
        """Return the same of songs that are not in the store: none."""
        return np.zeros(len(songs), np.float32)


def in_order(values: Float64Array, hidden: int, outside: Int64Array) -> float:
    """Return the share of songs outside a list that stand behind one of its songs."""
    apart = values[hidden] - values[outside]
    return float((apart > 0).mean() + (apart == 0).mean() / 2)


def ways(
    title: Float64Array, known: Int64Array, others: Float64Array, sound: Float64Array
) -> dict[str, Float64Array]:
    """Return the values of all songs, by each way to order them beside a list's known songs.

    `others` (lists, n) says which songs stand in the other lists, `sound` (n, n) how much two songs
    resemble each other.
    """
    popular = others.sum(axis=0)
    often = np.sqrt(np.outer(popular, popular)).clip(1)
    together = (others.T @ others / often)[known].sum(axis=0) + SMALL * popular
    songs, alike, said = rankdata(together), rankdata(sound[known].sum(axis=0)), rankdata(title)
    return {
        "title": title,
        "popular": popular,
        "title_popular": said + rankdata(popular),
        "songs": together,
        "songs_title": songs + said,
        "songs_sound": songs + alike,
        "songs_sound_title": songs + alike + said,
    }


def judge(lists: Mapping[str, Int64Array], scores: Float64Array) -> dict[str, list[float]]:
    """Return how well each way orders the songs of each list whose title is understood."""
    found = defaultdict(list)
    hears = TagsOnly(scores)
    heard = np.stack(hears.columns([f"{TAG}{tag}" for tag in MSD.tags]), axis=1)
    heard /= np.linalg.norm(heard, axis=1, keepdims=True)
    every = np.arange(len(scores))
    stands = np.stack([np.isin(every, inside) for inside in lists.values()]).astype(np.float64)
    for place, (title, inside) in enumerate(lists.items()):
        try:
            terms = understood(read_sentence(title), hears)
        except InputError:
            continue
        if len(inside) < LEAST or not terms:
            continue
        by_title = scored(terms, hears).sum(axis=0)
        others, outside = np.delete(stands, place, axis=0), np.setdiff1d(every, inside)
        each = defaultdict(list)
        for hidden in inside.tolist():
            known = inside[inside != hidden]
            for name, values in ways(by_title, known, others, heard @ heard.T).items():
                each[name].append(in_order(values, hidden, outside))
        for name, shares in each.items():
            found[name].append(float(np.mean(shares)))
    return found


def main() -> None:
    """Join, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("playlists", type=Path)
    args = parser.parse_args()
    names, scores = tags(args.data)
    songs = named(args.data)
    row = {songs[name]: place for place, name in enumerate(names) if name in songs}
    members = defaultdict(set)
    for title, one in listed(args.data, args.playlists):
        if one in row:
            members[title].add(row[one])
    kept = np.array(sorted(set().union(*members.values())))
    lists = {t: np.searchsorted(kept, sorted(rows)) for t, rows in members.items()}
    found = judge(lists, scores[kept])
    line: dict[str, object] = {"tracks": len(kept), "lists": len(found["title"])}
    for more, less in MORE.items():
        found[f"{more}_minus_{less}"] = np.subtract(found[more], found[less]).tolist()
    for name, values in found.items():
        line[name] = [round(float(np.mean(values)), 3), interval(values)]
    print(json.dumps(line))


if __name__ == "__main__":
    main()
