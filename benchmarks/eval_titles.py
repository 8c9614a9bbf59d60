"""Judge sentences on real lists with titles: how well a title orders the songs of its list.

    PYTHONPATH=scripts:benchmarks python benchmarks/eval_titles.py DATA PLAYLISTS

DATA holds GTZAN's tag series and names (`head_gtzan`) and ``spotify_songs.zip``, PLAYLISTS the
folder ``hari_playlists`` of ``recall.tar.xz``. Songs are joined by artist and title. Of nearly all
of them only the network's 50 tags are known, so titles are read, but only tags are heard. Judged
are lists of two songs or more whose title is understood: the share of pairs of a song of the list
and another listed song that are in the right order (AUC), by the title, by in how many other lists
a song stands, and by the mean of both ranks. One JSON line, with 95 % bootstrap intervals over
lists.
"""

import argparse
import csv
import io
import json
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
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

    def column(self, name: str) -> FloatArray:
        """Return by how much each song has a tag: (n,)."""
        return self._columns[name]

    def of_songs(self, _name: str, songs: tuple[()]) -> FloatArray:
        """Return the same of songs that are not in the store: none."""
        return np.zeros(len(songs), np.float32)


def in_order(values: Float64Array, inside: Int64Array) -> float:
    """Return the share of pairs of one inside and one outside that are in the right order."""
    outside = np.setdiff1d(np.arange(len(values)), inside)
    apart = values[inside][:, None] - values[outside]
    return float((apart > 0).mean() + (apart == 0).mean() / 2)


def judge(lists: Mapping[str, Int64Array], scores: Float64Array) -> dict[str, list[float]]:
    """Return how well each way orders the songs of each list whose title is understood."""
    found = defaultdict(list)
    hears = TagsOnly(scores)
    often = np.bincount(np.concatenate(list(lists.values())), minlength=len(scores))
    for title, inside in lists.items():
        try:
            terms = understood(read_sentence(title), hears)
        except InputError:
            continue
        if len(inside) < LEAST or not terms:
            continue
        by_title = scored(terms, hears).sum(axis=0)
        popular = (often - np.isin(np.arange(len(scores)), inside)).astype(np.float64)
        both = rankdata(by_title) + rankdata(popular)
        for name, values in (("title", by_title), ("popular", popular), ("both", both)):
            found[name].append(in_order(values, inside))
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
    line: dict[str, object] = {"songs": len(kept), "lists": len(found["title"])}
    more = np.subtract(found["both"], found["popular"]).tolist()
    for name, values in (*found.items(), ("both_minus_popular", more)):
        line[name] = [round(float(np.mean(values)), 3), interval(values)]
    print(json.dumps(line))


if __name__ == "__main__":
    main()
