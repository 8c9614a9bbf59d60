"""One world to try every channel in: real songs, playlists and counts, and made-up sessions.

    python scripts/make_recall_world.py DATA OUT [--sessions 20000] [--audio-share 0.3] [--seed 0]

=====================  ==================================================================
``songs.parquet``      real: names, artists, dates, popularity, 12 numbers of the audio
``playlists.parquet``  real: lists of 10 to 2,000 songs, as a log by ``list_id``
``counts.parquet``     real: how often users of Last.fm played artists of the catalogue
``sessions.parquet``   made up: users, times, and which song follows which
=====================  ==================================================================

DATA holds ``spotify_songs.zip``, ``recall/hari_playlists/`` and ``listening/lastfm2k/``. Songs of
the two sources are one where their ids agree, or artist and title. Every row says in ``source``
what it is from; made-up users and sessions are called ``sim-...``, and the metadata of a file
names its simulated columns. Sessions contain the audio that they were drawn by: they serve for
time, memory and plumbing, and quality is claimed on playlists and counts alone. A playlist's genre
is left out, since it is that of the list which is to be found. Nothing of this may be shipped.
"""

import argparse
import csv
import io
import json
import zipfile
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audiorec.files.tables import write_plain
from audiorec.types import plain_name

NUMBERS = (
    *("danceability", "energy", "key", "loudness", "mode", "speechiness", "acousticness"),
    *("instrumentalness", "liveness", "valence", "tempo", "duration_ms"),
)
SHORTEST, LONGEST = 10, 2_000  # songs of a list: longer ones are collections
NEAREST = 20  # songs that a step by the audio chooses from
BEGIN_S, YEAR_S, DAY_S = 1_704_067_200.0, 31_536_000.0, 86_400.0  # 2024
DEFAULT_S = 210.0  # of a song whose length is not known
NOTE = "real songs, playlists and counts; simulated columns are named; not to be shipped"

Row = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """How sessions are made up.

    Attributes
    ----------
    sessions, users : int
    audio_share : float
        Of the steps from song to song that follow the audio; the others follow playlists.
    mean_songs : float
        Of a session, at least two.
    seed : int
    """

    sessions: int = 20_000
    users: int = 2_000
    audio_share: float = 0.3
    mean_songs: float = 8.0
    seed: int = 0


@dataclass(slots=True)
class Catalogue:
    """Songs by id, and the lists that they stand in."""

    songs: dict[str, dict[str, Any]] = field(default_factory=dict)
    lists: dict[str, tuple[str, list[str]]] = field(default_factory=dict)  # id: source, songs
    named: dict[tuple[str, str], str] = field(default_factory=dict)  # artist and title: id

    def add(self, song_id: str, source: str, artist: str, title: str, **known: Any) -> str:
        """Add what a source knows of a song; return the id under which it stands."""
        name = (plain_name(artist), plain_name(title))
        if song_id not in self.songs and all(name):
            song_id = self.named.setdefault(name, song_id)
        song = self.songs.setdefault(song_id, {"title": title, "artist": artist, "source": source})
        if song["source"] != source:
            song["source"] = "both"
        for key, value in known.items():
            song.setdefault(key, value)
        return song_id


def read_spotify(path: Path, catalogue: Catalogue) -> None:
    """Add the songs and playlists of the table in the zip."""
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".csv"))
        text = io.TextIOWrapper(archive.open(name), "utf-8", newline="")
        lists: dict[str, dict[str, None]] = defaultdict(dict)
        for row in csv.DictReader(text):
            numbers = {key: float(row[key]) for key in NUMBERS}
            known = {
                "album": row["track_album_name"],
                "released": row["track_album_release_date"],
                "popularity": float(row["track_popularity"]),
            }
            artist, title = row["track_artist"], row["track_name"]
            song = catalogue.add(row["track_id"], "spotify", artist, title, **known, **numbers)
            lists[row["playlist_id"]][song] = None
    catalogue.lists |= {f"spotify-{key}": ("spotify", list(songs)) for key, songs in lists.items()}


def read_hari(folder: Path, catalogue: Catalogue) -> None:
    """Add playlists of songs with a name, but for those of one artist."""
    names: dict[str, tuple[str, str]] = {}
    for line in (folder / "tracks.tsv").read_text("utf-8").splitlines():
        song, _, name = line.partition("\t")
        artist, dash, title = name.partition(" - ")
        if dash:
            names[song] = (artist.partition(",")[0], title)
    for line in (folder / "playlists.tsv").read_text("utf-8").splitlines():
        name, _, songs = line.partition("\t")
        if name.startswith("Artists/"):
            continue
        ids = (s for s in songs.split() if s in names or s in catalogue.songs)
        found = [catalogue.add(s, "hari", *names.get(s, ("", ""))) for s in ids]
        catalogue.lists[f"hari-{name}"] = ("hari", list(dict.fromkeys(found)))


def read_counts(folder: Path, artists: set[str]) -> list[tuple[str, str, float]]:
    """Return user, artist and plays, of artists whose plain names are in the catalogue."""
    named = {}
    for line in (folder / "artists.dat").read_text("utf-8").splitlines()[1:]:
        number, name, *_ = line.split("\t")
        if plain_name(name) in artists:
            named[number] = plain_name(name)
    lines = (folder / "user_artists.dat").read_text("utf-8").splitlines()[1:]
    rows = (line.split("\t") for line in lines)
    return [(f"lastfm-{u}", named[a], float(weight)) for u, a, weight in rows if a in named]


class Walk:
    """Steps from song to song: along playlists, or to what sounds alike."""

    def __init__(self, catalogue: Catalogue, spec: Spec) -> None:
        self.ids = sorted(catalogue.songs)
        self.spec, self.rng = spec, np.random.default_rng(spec.seed)
        self.number = {song: place for place, song in enumerate(self.ids)}
        lists = [songs for _, songs in catalogue.lists.values()]
        self.lists = [np.array([self.number[s] for s in songs]) for songs in lists]
        self.stands_in: dict[int, list[int]] = defaultdict(list)
        for place, songs in enumerate(self.lists):
            for song in songs.tolist():
                self.stands_in[song].append(place)
        songs = [catalogue.songs[song] for song in self.ids]
        self.heard = np.array([n in s for s in songs for n in NUMBERS[:1]])
        table = np.array([[s.get(n, 0.0) for n in NUMBERS] for s in songs], np.float64)
        self.length_s = np.where(self.heard, table[:, -1] / 1000, DEFAULT_S)
        known = table[self.heard]
        spread = known.std(axis=0) if len(known) else np.ones(len(NUMBERS))
        centre = known.mean(axis=0) if len(known) else np.zeros(len(NUMBERS))
        self.space = ((table - centre) / np.where(spread > 0, spread, 1)).astype(np.float32)
        self.audible = np.flatnonzero(self.heard)
        self.near: dict[int, npt.NDArray[np.int64]] = {}
        by_artist: dict[str, list[int]] = defaultdict(list)
        for place, song in enumerate(songs):
            by_artist[plain_name(song["artist"])].append(place)
        self.by_artist = dict(by_artist)
        counts = np.array([len(self.stands_in[place]) for place in range(len(self.ids))])
        self.weight = counts + np.array([s.get("popularity", 0.0) for s in songs]) / 20 + 0.1

    def enter(self, artist: str) -> int:
        """Return a song of an artist, the popular ones more often."""
        songs = np.array(self.by_artist[artist])
        share = self.weight[songs]
        return int(self.rng.choice(songs, p=share / share.sum()))

    def step(self, song: int) -> int:
        """Return what is played after a song."""
        lists = self.stands_in[song]
        if self.heard[song] and (not lists or self.rng.random() < self.spec.audio_share):
            return int(self.rng.choice(self._alike(song)))
        if not lists:
            return song
        return int(self.rng.choice(self.lists[lists[self.rng.integers(len(lists))]]))

    def _alike(self, song: int) -> npt.NDArray[np.int64]:
        if song not in self.near:
            far = np.square(self.space[self.audible] - self.space[song]).sum(axis=1)
            far[self.audible == song] = np.inf
            most = min(NEAREST, max(1, len(far) - 1))
            self.near[song] = self.audible[np.argpartition(far, most - 1)[:most]]
        return self.near[song]


def sessions(walk: Walk, counts: list[tuple[str, str, float]], spec: Spec) -> Any:
    """Make up sessions: a user's artist by real counts, an entry song, a walk, and times."""
    rng = walk.rng
    tastes: dict[str, Counter[str]] = defaultdict(Counter)
    for user, artist, plays in counts:
        tastes[user][artist] += int(plays)
    real = sorted(tastes)
    models = rng.choice(len(real), spec.users)
    columns: dict[str, list[Any]] = {name: [] for name in ("user_id", "session_id", "song_id")}
    times: list[float] = []
    for number in range(spec.sessions):
        user = int(rng.integers(spec.users))
        taste = tastes[real[models[user]]]
        share = np.array(list(taste.values()), np.float64)
        artist = list(taste)[rng.choice(len(taste), p=share / share.sum())]
        song, now = walk.enter(artist), BEGIN_S + rng.random() * (YEAR_S - DAY_S)
        for _ in range(2 + rng.poisson(max(0.0, spec.mean_songs - 2))):
            columns["user_id"].append(f"sim-{user:06}")
            columns["session_id"].append(f"sim-{number:08}")
            columns["song_id"].append(walk.ids[song])
            now += float(walk.length_s[song])
            times.append(now)
            song = walk.step(song)
    micros = (np.array(times) * 1e6).astype(np.int64)
    order = np.argsort(micros, kind="stable")
    stamps = pa.array(micros).cast(pa.timestamp("us", tz="UTC"))
    events, source = pa.repeat("finish", len(times)), pa.repeat("simulated", len(times))
    table = {**columns, "timestamp": stamps, "event": events, "source": source}
    return pa.table(table).take(pa.array(order))


def make_world(data: Path, out: Path, spec: Spec) -> dict[str, int]:
    """Read the sources, write the four tables, and return how much there is of what."""
    catalogue = Catalogue()
    read_spotify(data / "spotify_songs.zip", catalogue)
    read_hari(data / "recall" / "hari_playlists", catalogue)
    long = {key: of for key, of in catalogue.lists.items() if SHORTEST <= len(of[1]) <= LONGEST}
    catalogue.lists = long
    inside = {song for _, songs in long.values() for song in songs}
    catalogue.songs = {song: of for song, of in catalogue.songs.items() if song in inside}
    artists = {plain_name(song["artist"]) for song in catalogue.songs.values()} - {""}
    counts = read_counts(data / "listening" / "lastfm2k", artists)
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "songs.parquet", _songs(catalogue), spec)
    _write(out / "playlists.parquet", _playlists(long), spec)
    users, names, plays = map(list, zip(*counts, strict=True))
    source = ["lastfm"] * len(counts)
    columns = {"user_id": users, "artist": names, "plays": plays, "source": source}
    _write(out / "counts.parquet", pa.table(columns), spec)
    made = sessions(Walk(catalogue, spec), counts, spec)
    _write(out / "sessions.parquet", made, spec, simulated=made.column_names)
    return {
        "songs": len(catalogue.songs),
        "songs of both": sum(song["source"] == "both" for song in catalogue.songs.values()),
        "artists": len(artists),
        "lists": len(long),
        "entries": sum(len(songs) for _, songs in long.values()),
        "users of Last.fm": len(set(users)),
        "counts": len(counts),
        "plays made up": len(made),
    }


def _songs(catalogue: Catalogue) -> Any:
    texts = ("title", "artist", "album", "released", "source")
    rows = sorted(catalogue.songs.items())
    columns: dict[str, Any] = {"song_id": [song for song, _ in rows]}
    columns |= {name: pa.array([s.get(name) for _, s in rows], pa.string()) for name in texts}
    for name in ("popularity", *NUMBERS):
        columns[name] = pa.array([s.get(name) for _, s in rows], pa.float32())
    return pa.table(columns)


def _playlists(lists: dict[str, tuple[str, list[str]]]) -> Any:
    rows = [(key, song, source) for key, (source, songs) in lists.items() for song in songs]
    keys, songs, sources = map(list, zip(*rows, strict=True))
    columns = {"user_id": keys, "list_id": keys, "song_id": songs, "source": sources}
    return pa.table({**columns, "event": ["playlist"] * len(rows)})


def _write(path: Path, table: Any, spec: Spec, simulated: list[str] | None = None) -> None:
    """Write a table whose metadata says which of its columns are real."""
    made_up = simulated or []
    about = {
        "kind": "recall-world",
        "simulated": bool(made_up),
        "simulated_columns": made_up,
        "real_columns": [name for name in table.column_names if name not in made_up],
        "note": NOTE,
        "spec": asdict(spec),
    }
    write_plain(path, table.replace_schema_metadata({b"audiorec": json.dumps(about).encode()}))


def main() -> None:
    """Read the arguments, make the world, print what it holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sessions", type=int, default=Spec().sessions)
    parser.add_argument("--users", type=int, default=Spec().users)
    parser.add_argument("--audio-share", type=float, default=Spec().audio_share)
    parser.add_argument("--seed", type=int, default=0)
    options = vars(parser.parse_args())
    data, out = options.pop("data"), options.pop("out")
    print(json.dumps(make_world(data, out, Spec(**options)), indent=2))


if __name__ == "__main__":
    main()
