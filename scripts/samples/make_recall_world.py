"""One world to try every channel in: real songs, playlists and counts, and made-up sessions.

    python scripts/samples/make_recall_world.py DATA OUT [--sessions 20000] [--audio-share 0.3]
        [--seed 0]

=====================  ==================================================================
``songs.parquet``      real: names, artists, dates, popularity, 12 numbers of the audio
``numbers.parquet``    real: the 12 numbers, standardised, for ``recall ... --vectors``
``playlists.parquet``  real: lists of 10 to 2,000 songs, as a log by ``list_id``
``counts.parquet``     real: how often users of Last.fm played artists of the catalogue
``sessions.parquet``   made up: users, times, and which song follows which
=====================  ==================================================================

DATA holds ``spotify_songs.zip``, ``recall/hari_playlists/`` and ``listening/lastfm2k/``. The
catalogue is the songs whose audio is known: every channel can be tried on all of it. Lists keep
their songs of the catalogue; ``--every-song`` adds those that only the playlists name. Songs are
one where their ids agree, or artist and title: what stands in brackets or behind a dash in a title
("Remastered 2011", "feat. ...", "Live") does not count.

Every row says in ``source`` what it is from; made-up users and sessions are called ``sim-...``,
and the metadata of a file names its simulated columns. Sessions contain the audio that they were
drawn by: they serve for time, memory and plumbing, and quality is claimed on playlists and counts
alone. A playlist's genre is left out, since it is that of the list which is to be found. Nothing
of this may be shipped.
"""

import argparse
import csv
import io
import json
import re
import unicodedata
import zipfile
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audiorec.files.tables import write_plain
from audiorec.spec import fingerprint
from audiorec.store.embeddings import write_embeddings

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
    every_song : bool
        Whether songs of playlists are kept whose audio is not known.
    """

    sessions: int = 20_000
    users: int = 2_000
    audio_share: float = 0.3
    mean_songs: float = 8.0
    seed: int = 0
    every_song: bool = False


@dataclass(slots=True)
class Catalogue:
    """Songs by id, and the lists that they stand in."""

    songs: dict[str, dict[str, Any]] = field(default_factory=dict)
    lists: dict[str, tuple[str, list[str]]] = field(default_factory=dict)  # id: source, songs
    named: dict[tuple[str, str], str] = field(default_factory=dict)  # `name_of`: id
    also: dict[str, str] = field(default_factory=dict)  # a second id of a song: the first

    def add(self, song_id: str, source: str, artist: str, title: str, **known: Any) -> str:
        """Add what a source knows of a song; return the id under which it stands."""
        if song_id not in self.songs and all(name := name_of(artist, title)):
            self.also[song_id] = self.named.setdefault(name, song_id)
        song_id = self.also.get(song_id, song_id)
        song = self.songs.setdefault(song_id, {"title": title, "artist": artist, "source": source})
        if song["source"] != source:
            song["source"] = "both"
        for key, value in known.items():
            song.setdefault(key, value)
        return song_id


def name_of(artist: str, title: str) -> tuple[str, str]:
    """Return artist and title as they are compared: letters and digits, without accents.

    Examples
    --------
    >>> name_of("The Beatles", "Help! - Remastered 2009"), name_of("Beyonc\u00e9", "Halo (Live)")
    (('beatles', 'help'), ('beyonce', 'halo'))
    """
    short = re.sub(r"[(\[].*?[)\]]", " ", re.sub(r"\s[-\u2013]\s.*$", "", title))
    who, what = (letters(text) for text in (artist, short))
    return who, what


def letters(text: str) -> str:
    """Return the letters and digits of a name, without accents and a leading "the"."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(c for c in folded if not unicodedata.combining(c))
    return "".join(c for c in re.sub(r"^the\s+", "", plain) if c.isalnum())


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


def read_hari(folder: Path, catalogue: Catalogue, *, every_song: bool = True) -> int:
    """Add playlists, but for those of one artist; return how many of their tracks were known.

    Songs that the catalogue lacks are added if they have a name, or passed over.
    """
    names: dict[str, tuple[str, str]] = {}
    for line in (folder / "tracks.tsv").read_text("utf-8").splitlines():
        song, _, name = line.partition("\t")
        artist, dash, title = name.partition(" - ")
        if dash:
            names[song] = (artist.partition(",")[0], title)
    before = {*catalogue.songs, *catalogue.also}
    by_name = set(catalogue.named)
    known = {s for s in names if s in before or name_of(*names[s]) in by_name}
    known |= before
    met: set[str] = set()
    for line in (folder / "playlists.tsv").read_text("utf-8").splitlines():
        name, _, songs = line.partition("\t")
        if name.startswith("Artists/"):
            continue
        met.update(ids := [s for s in songs.split() if s in known or (every_song and s in names)])
        found = [catalogue.add(s, "hari", *names.get(s, ("", ""))) for s in ids]
        catalogue.lists[f"hari-{name}"] = ("hari", list(dict.fromkeys(found)))
    return len(met & known)


def read_counts(folder: Path, artists: set[str]) -> list[tuple[str, str, float]]:
    """Return user, artist and plays, of artists in the catalogue: `letters` of their names."""
    named = {}
    for line in (folder / "artists.dat").read_text("utf-8").splitlines()[1:]:
        number, name, *_ = line.split("\t")
        if letters(name) in artists:
            named[number] = letters(name)
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
            by_artist[letters(song["artist"])].append(place)
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
    met = read_hari(data / "recall" / "hari_playlists", catalogue, every_song=spec.every_song)
    long = {key: of for key, of in catalogue.lists.items() if SHORTEST <= len(of[1]) <= LONGEST}
    catalogue.lists = long
    inside = {song for _, songs in long.values() for song in songs}
    catalogue.songs = {song: of for song, of in catalogue.songs.items() if song in inside}
    artist = {song: letters(of["artist"]) for song, of in catalogue.songs.items()}
    artists = set(artist.values()) - {""}
    counts = read_counts(data / "listening" / "lastfm2k", artists)
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "songs.parquet", _songs(catalogue), spec)
    _write(out / "playlists.parquet", _playlists(long), spec)
    users, names, plays = map(list, zip(*counts, strict=True))
    source = ["lastfm"] * len(counts)
    columns = {"user_id": users, "artist": names, "plays": plays, "source": source}
    _write(out / "counts.parquet", pa.table(columns), spec)
    walk = Walk(catalogue, spec)
    write_numbers(out / "numbers.parquet", walk)
    made = sessions(walk, counts, spec)
    _write(out / "sessions.parquet", made, spec, simulated=made.column_names)
    return {
        "songs": len(catalogue.songs),
        "songs of both": sum(song["source"] == "both" for song in catalogue.songs.values()),
        "tracks of playlists with audio": met,
        "artists": len(artists),
        "lists": len(long),
        "entries": sum(len(songs) for _, songs in long.values()),
        "artists in Last.fm": len(heard := set(names)),
        "songs of these": sum(name in heard for name in artist.values()),
        "users of Last.fm": len(set(users)),
        "counts": len(counts),
        "plays made up": len(made),
    }


def write_numbers(path: Path, walk: Walk) -> None:
    """Write the audio numbers as embeddings of their own space: nobody else's vectors fit."""
    made_by = fingerprint(
        {"numbers": NUMBERS, "songs": [walk.ids[s] for s in walk.audible.tolist()]}
    )
    ids = [walk.ids[song] for song in walk.audible.tolist()]
    write_embeddings(path, ids, walk.space[walk.audible], kind="songs", model_id=made_by)


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
    parser.add_argument("--every-song", action="store_true", help="those without audio as well")
    parser.add_argument("--seed", type=int, default=0)
    options = vars(parser.parse_args())
    data, out = options.pop("data"), options.pop("out")
    print(json.dumps(make_world(data, out, Spec(**options)), indent=2))


if __name__ == "__main__":
    main()
