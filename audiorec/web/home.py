"""What one sees first: places of the map under names, an evening, what is new, what was heard.

    library ──`home_of`──▶ places: regions of the map, each with a name, a plain line and songs
                           evening: songs from calm to wild, other ones each day
                           added, continue, rediscover: rows; the last two need ``plays.parquet``

A place is named by the genre and the mood that stand out there, from 60 fixed names.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from typing import Any

import numpy as np

from audiorec.errors import AudiorecError
from audiorec.search.choice import Chosen
from audiorec.search.questions import Choice, PathQuestion
from audiorec.store.schema import schema_of
from audiorec.types import BoolArray, Float64Array, Int64Array
from audiorec.web.song_columns import SongColumns, class_words

LOG = "plays.parquet"  # beside the store: what `audiorec sync` brings home
DAY_S = 86_400
SHOWN = 24  # songs of each part
IN_PLACE = 60  # songs of a place, its middle first
PLACES, SONGS_OF_PLACE = (3, 12), 40  # fewest and most, and songs for one
ROUNDS = 20  # of k-means
EVENING = 9  # songs
LONG_AGO_S = 30 * 86_400.0
WEEK_S = 7 * 86_400.0
# Each mood, and the columns that say how much a song has of it; loudness stands for wildness.
MOODS = {
    "calm": ("tag_mellow",),
    "sad": ("tag_sad",),
    "bright": ("tag_happy", "tag_catchy"),
    "tender": ("tag_beautiful",),
    "wild": ("loudness_lufs",),
    "festive": ("tag_party",),
}
# By genre: the names in the order of the moods.
NAMES = {
    "blues": "The back porch|Down by the river|Fish fry|One slow lamp|The juke joint|Payday",
    "classical": "Slow rivers|The empty hall|Morning at court|The great hall|Storm at sea"
    "|The ballroom",
    "country": "Open country|The last bus home|Sunday drive|Letters home|Wild horses"
    "|The county fair",
    "electronic": "Deep space|Empty stations|Neon|Glass gardens|Machine rooms|All night long",
    "folk": "By the fire|Old letters|The village green|Lullabies|Over the hills|The harvest dance",
    "hiphop": "Low lights|Night buses|Sunny corners|Smooth talk|Street voices|Block party",
    "jazz": "After hours|Rain on the window|The bandstand|Blue velvet|Late and loud"
    "|The dance floor downstairs",
    "metal": "Before the storm|Dark water|Iron and light|Cathedrals|Heavy weather|The pit",
    "pop": "Sunday, slowly|Songs for the rain|Windows down|Close dancing|Bright lights"
    "|The house party",
    "rock": "Long roads|Grey skies|Summer garage|Slow burners|Loud rooms|Festival field",
}
Document = dict[str, Any]


def home_of(shelf: SongColumns, *, today: date | None = None) -> Document:
    """Return the parts of the page that one sees first, in values that JSON can hold."""
    with shelf.lock:  # only for what is read once
        chosen = shelf.library.chosen(Choice())
        moods = _moods(shelf, chosen.allowed)
        _ = shelf.layout, shelf.likeliest
    places = _places(shelf, chosen.allowed, moods)
    day = (today or date.today()).toordinal()
    return {
        "places": places,
        "evening": _evening(shelf, chosen, moods, day),
        "added": _added(shelf, chosen.allowed),
        **_heard(shelf),
    }


def _moods(shelf: SongColumns, there: BoolArray) -> dict[str, Float64Array]:
    """Return how much each song has of each mood: its place among all songs, 0 to 1."""
    moods, there_are = {}, {*schema_of(shelf.library.metadata).names}
    for mood, names in MOODS.items():
        known = [shelf.floats(name) for name in names if name in there_are]
        if known:
            total = np.where(there, np.nan_to_num(np.sum(known, axis=0), nan=-99.0), -np.inf)
            place = total.argsort(kind="stable").argsort(kind="stable") - (~there).sum()
            moods[mood] = np.clip(place / max(1, there.sum() - 1), 0, 1)
    return moods


def _places(shelf: SongColumns, there: BoolArray, moods: dict[str, Float64Array]) -> list[Document]:
    places = shelf.layout.places
    rows = np.flatnonzero(there & np.isfinite(places[:, 0]))
    least, most = PLACES
    if len(rows) < least * least:
        return []
    k = min(max(len(rows) // SONGS_OF_PLACE, least), most)
    points = places[rows].astype(np.float64)
    middles, of = _regions(points, k)
    regions = []
    for n in range(k):
        if len(own := np.flatnonzero(of == n)):
            apart = ((points[own] - middles[n]) ** 2).sum(axis=1)
            regions.append((rows[own[apart.argsort(kind="stable")]], middles[n]))
    named = _named(shelf, rows, [own for own, _ in regions], moods)
    result = [
        {
            **names,
            "songs": len(own),
            "at": [round(float(place), 4) for place in middle],
            "rows": own[:IN_PLACE].tolist(),
        }
        for (own, middle), names in zip(regions, named, strict=True)
    ]
    return sorted(result, key=lambda one: -one["songs"])


def _regions(points: Float64Array, k: int) -> tuple[Float64Array, Int64Array]:
    """Return the middles (k, 2) of groups of points (m, 2), and the group of each: k-means.

    Each group begins at the point that is farthest from the others, so the same points make the
    same groups.
    """
    middles = points[[0]]
    for _ in range(k - 1):
        apart = ((points[:, None] - middles) ** 2).sum(axis=2).min(axis=1)
        middles = np.vstack([middles, points[apart.argmax()]])
    for _ in range(ROUNDS):
        of = ((points[:, None] - middles) ** 2).sum(axis=2).argmin(axis=1)
        counts = np.bincount(of, minlength=k)[:, None]
        sums = np.stack([np.bincount(of, axis, k) for axis in points.T], axis=1)
        middles = np.where(counts > 0, sums / np.maximum(1, counts), middles)
    return middles, of


def _named(
    shelf: SongColumns,
    rows: Int64Array,
    regions: Sequence[Int64Array],
    moods: dict[str, Float64Array],
) -> list[Document]:
    """Return name, genre and mood of each region: what stands out most first, no name twice."""
    genres, codes = shelf.likeliest.get("genre", (("",), np.zeros(len(shelf.library), int)))

    def shares(of: Int64Array) -> Float64Array:
        """Return the share of each genre among songs; some have none: -1."""
        return np.bincount(codes[of][codes[of] >= 0], minlength=len(genres)) / len(of)

    share = shares(rows)
    pairs = []
    for n, own in enumerate(regions):
        here = shares(own)
        for g in np.flatnonzero(here).tolist():
            for mood, values in (moods or {"": np.zeros(len(codes))}).items():
                lift = float(values[own].mean() - 0.5) if moods else 0.0
                pairs.append((here[g] + 0.5 * (here[g] - share[g]) + lift, n, g, mood))
    result: dict[int, Document] = {}
    taken: set[tuple[int, str]] = set()
    for _, n, g, mood in sorted(pairs, key=lambda pair: (-pair[0], *pair[1:])):
        if n not in result and (g, mood) not in taken:
            taken.add((g, mood))
            names = NAMES.get(genres[g], "").split("|")
            place = list(MOODS).index(mood) if mood else 0
            name = names[place] if len(names) > 1 else f"{genres[g]}, {mood}".strip(", ")
            line = ", ".join(filter(None, (mood, class_words(f"genre/{genres[g]}"))))
            result[n] = {"name": name, "line": line, "genre": genres[g], "mood": mood}
    rest = {
        "name": "Elsewhere",
        "line": "",
        "genre": "",
        "mood": "",
    }  # all names of its genres are taken
    return [result.get(n, rest) for n in range(len(regions))]


def _evening(
    shelf: SongColumns, chosen: Chosen, moods: dict[str, Float64Array], day: int
) -> Document | None:
    """Return songs from a calm one to a wild one, each wilder than the one before."""
    rows = np.flatnonzero(chosen.allowed)
    if "wild" not in moods or len(rows) < EVENING:
        return None
    energy = moods["wild"] - moods.get("calm", 0.0)
    order = rows[energy[rows].argsort(kind="stable")]
    ends = max(1, len(order) // 20)
    start, end = int(order[day % ends]), int(order[-1 - day % ends])
    try:
        path = shelf.ready.ask(PathQuestion(seeds=(start, end), steps=EVENING - 2), chosen=chosen)
    except AudiorecError:  # the two ends cannot be compared
        return None
    songs = sorted(path.rows.tolist(), key=lambda row: energy[row])
    low, high = float(energy[songs[0]]), float(energy[songs[-1]])
    heights = [round((float(energy[row]) - low) / max(1e-9, high - low), 3) for row in songs]
    return {"rows": songs, "energy": heights}


def _added(shelf: SongColumns, there: BoolArray) -> Document:
    """Return the newest songs, and how many the library got in a week; 0 if it is that young."""
    added = shelf.added.astype(np.int64)
    rows = np.flatnonzero(there)
    made = shelf.library.column("mtime_ns").fill_null(0).to_numpy()[rows]
    newest = rows[np.lexsort((-made, -(added[rows] // DAY_S)))]  # of a day: the newest files
    recent = added >= time.time() - WEEK_S
    return {"rows": newest[:SHOWN].tolist(), "week": 0 if recent.all() else int(recent.sum())}


def _heard(shelf: SongColumns) -> dict[str, list[int]]:
    """Return what was not heard to its end lately, and what was liked and not heard for long."""
    from audiorec.listening.interactions import read_interactions

    path = shelf.library.path.with_name(LOG)
    log = None
    with suppress(AudiorecError):  # a damaged log
        log = read_interactions(path) if path.exists() else None
    if log is None or not len(log.song):
        return {"continue": [], "rediscover": []}
    place = {song: row for row, song in enumerate(shelf.library.ids)}
    rows = np.array([place.get(song, -1) for song in log.song_ids])
    plays = np.bincount(log.song, minlength=len(rows))
    last = np.full(len(rows), -np.inf)
    np.maximum.at(last, log.song, np.nan_to_num(log.timestamp, nan=-np.inf))
    broken = np.zeros(len(rows), np.bool_)
    broken[log.song[log.played_ratio < 0.9]] = True
    latest, often = np.argsort(-last, kind="stable"), np.argsort(-plays, kind="stable")
    old = last < last.max() - LONG_AGO_S
    found = {
        "continue": [int(n) for n in latest if broken[n] and not old[n]],
        "rediscover": [int(n) for n in often if old[n] and plays[n] > 1],
    }
    return {
        name: [int(rows[n]) for n in own if rows[n] >= 0][:SHOWN] for name, own in found.items()
    }
