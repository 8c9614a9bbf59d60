"""Simulate a world of listening over real songs, to try every command without a listening log.

    song ids, features (S, D), WorldSpec  ──simulate──▶  World: events, profiles, truth
    vecs.parquet  ──simulate_world──▶  world/interactions.parquet, profiles.parquet,
                                       truth.parquet, truth_songs.parquet, world.json

Nothing here is about real people. The world includes its ground truth, to check an analysis
against: which users have a taste that depends on the audio (`sensitive`), how strongly
(`WorldSpec.signal`), and which songs and users are cold.

Every file has ``"simulated": true`` in its metadata, and every user id begins with ``sim-``.
``world.json`` is written last: a folder without it is not a complete world.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audiorec.columns import LogColumns
from audiorec.distribution import created_by
from audiorec.errors import InputError, ShapeError
from audiorec.files.own_files import write_errors, write_own
from audiorec.files.tables import table_writer, write_plain
from audiorec.listening.events import SCHEMA, Interactions
from audiorec.options import check_fields
from audiorec.simulation.plays import (
    AGE_BANDS,
    COUNTRIES,
    People,
    Plays,
    WorldSongs,
    affinities,
    make_people,
    make_songs,
    simulate_listening,
)
from audiorec.store.schema import METADATA_KEY
from audiorec.store.store import VectorStore
from audiorec.types import Int32Array, Progress

START_S = 1_704_067_200.0  # 2024-01-01 00:00 UTC, the first day of every world
BLOCK_NUMBERS = 1 << 22  # affinities in memory at a time
NOTE = "Simulated listening: no real person is in this data."
FORMAT_VERSION = 1
WORLD_FILE = "world.json"
INTERACTIONS_FILE = "interactions.parquet"
TABLES = {  # further files, and the kind in their metadata
    "profiles.parquet": "user_profiles",
    "truth.parquet": "planted_users",
    "truth_songs.parquet": "planted_songs",
}
SLICE_ROWS = 1 << 20  # interactions converted to strings at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldSpec:
    """Parameters of a simulated world.

    Attributes
    ----------
    users, days : int
        Size of the world.
    signal : float
        How much of a sensitive user's taste depends on the audio: 0 nothing, 1 all.
    sensitive_share : float
        Share of users with a taste that depends on the audio.
    cold_songs : float
        Share of songs released late, in the last 40 % of the period.
    cold_users : float
        Share of users who join late, in the last 10 % of the period.
    sessions_per_day : float
        Mean over users; users differ.
    seed : int
        The same seed and songs give the same world.

    Raises
    ------
    InputError
        If a number is out of its range.
    """

    users: int = 1000
    days: int = 90
    signal: float = 0.8
    sensitive_share: float = 0.5
    cold_songs: float = 0.3
    cold_users: float = 0.1
    sessions_per_day: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        shares = dict.fromkeys(("signal", "sensitive_share", "cold_songs", "cold_users"), "[0, 1]")
        check_fields(self, users="[1, 10000000]", days="[10, 3650]", **shares)
        check_fields(self, sessions_per_day="(0, 20]", seed=">=0")


@dataclass(frozen=True, slots=True)
class World:
    """A simulated world: interactions, profiles and ground truth.

    Attributes
    ----------
    spec : WorldSpec
    interactions : Interactions
        Sorted by time.
    profiles : pyarrow.Table
        ``user_id``, ``age_band``, ``country``, ``months`` (since the user signed up); the
        last three have nulls.
    truth_users : pyarrow.Table
        ``user_id``, ``sensitive``, ``cold``, ``joined_day``, ``activity`` (sessions per day).
    truth_songs : pyarrow.Table
        ``song_id``, ``cold``, ``release_day``, ``popularity`` (probability of being chosen by
        popularity alone), ``quality``.
    """

    spec: WorldSpec
    interactions: Interactions
    profiles: Any
    truth_users: Any
    truth_songs: Any


def simulate(
    song_ids: Sequence[str],
    features: npt.NDArray[np.floating[Any]],
    spec: WorldSpec | None = None,
    *,
    progress: Progress | None = None,
) -> World:
    """Simulate a world over songs.

    Parameters
    ----------
    song_ids : sequence of str, length S
    features : ndarray, shape (S, D)
        Audio features of the songs, finite, for example the vectors of a store.
    spec : WorldSpec, optional
    progress : callable, optional
        Called with the number of users done and in total.

    Returns
    -------
    world : World

    Raises
    ------
    InputError
        If there are fewer than two songs, an id is a duplicate, or a feature is not finite.
    ShapeError
        If `features` does not have one row per song.

    Notes
    -----
    The model is described in ``docs/simulate.md``.
    """
    spec = spec or WorldSpec()
    _check_songs(song_ids, features)
    rng = np.random.default_rng([spec.seed, 0])
    songs = make_songs(features, days=spec.days, cold_share=spec.cold_songs, rng=rng)
    people = make_people(
        spec.users,
        sensitive_share=spec.sensitive_share,
        cold_share=spec.cold_users,
        days=spec.days,
        sessions_per_day=spec.sessions_per_day,
        rng=rng,
    )
    plays = _plays(songs, people, spec, progress)
    user_ids = tuple(f"sim-{i:07d}" for i in range(spec.users))
    return World(
        spec,
        _interactions(plays, user_ids, song_ids),
        _profiles(people, user_ids, spec),
        pa.table(
            {
                LogColumns.USER: pa.array(user_ids),
                "sensitive": pa.array(people.sensitive),
                "cold": pa.array(people.joined_day > 0),
                "joined_day": pa.array(people.joined_day.astype(np.int32)),
                "activity": pa.array(people.activity.astype(np.float32)),
            }
        ),
        pa.table(
            {
                LogColumns.SONG: pa.array(list(song_ids)),
                "cold": pa.array(songs.release_day > 0),
                "release_day": pa.array(songs.release_day.astype(np.int32)),
                "popularity": pa.array(songs.popularity.astype(np.float32)),
                "quality": pa.array(songs.quality.astype(np.float32)),
            }
        ),
    )


def _check_songs(song_ids: Sequence[str], features: npt.NDArray[Any]) -> None:
    if features.ndim != 2 or len(features) != len(song_ids):
        raise ShapeError(
            f"features must have shape ({len(song_ids)}, D), one row per song, got {features.shape}"
        )
    if len(song_ids) < 2:
        raise InputError(f"a world needs at least two songs, got {len(song_ids)}")
    if len(set(song_ids)) != len(song_ids):
        raise InputError("song ids must be unique")
    if not np.isfinite(features).all():
        raise InputError("features must be finite")


def _plays(
    songs: WorldSongs,
    people: People,
    spec: WorldSpec,
    progress: Progress | None,
) -> Plays:
    """Simulate the users in blocks, each with its own random stream."""
    step = max(1, min(4096, BLOCK_NUMBERS // len(songs)))
    blocks = []
    for start in range(0, spec.users, step):
        rng = np.random.default_rng([spec.seed, 1 + start])
        block = people.take(np.arange(start, min(start + step, spec.users)))
        liking = affinities(songs, block, signal=spec.signal, rng=rng)
        blocks.append(
            simulate_listening(songs, block, liking, days=spec.days, rng=rng).moved(start)
        )
        if progress is not None:
            progress(min(start + step, spec.users), spec.users)
    return Plays.joined(blocks)


def _interactions(plays: Plays, user_ids: tuple[str, ...], song_ids: Sequence[str]) -> Interactions:
    order = np.lexsort((plays.song, plays.event, plays.user, plays.time_s))
    user, users = _numbered(plays.user[order], user_ids)
    song, songs = _numbered(plays.song[order], song_ids)
    return Interactions(
        user_ids=users,
        song_ids=songs,
        user=user,
        song=song,
        timestamp=START_S + plays.time_s[order],
        event=plays.event[order],
        played_ratio=plays.played_ratio[order],
        weight=np.ones(len(order), np.float32),
        rows_read=len(order),
        simulated=True,
    )


def _numbered(numbers: npt.NDArray[Any], ids: Sequence[str]) -> tuple[Int32Array, tuple[str, ...]]:
    """Return indices into the sorted ids that occur, and these ids."""
    used = sorted(np.unique(numbers).tolist(), key=ids.__getitem__)
    place = np.zeros(len(ids), np.int32)
    place[used] = np.arange(len(used), dtype=np.int32)
    return place[numbers], tuple(ids[i] for i in used)


def _profiles(people: People, user_ids: tuple[str, ...], spec: WorldSpec) -> Any:
    rng = np.random.default_rng([spec.seed, 0, 1])
    unknown = rng.random((3, spec.users)) < np.array([[0.2], [0.05], [0.3]])
    months = rng.integers(0, 60, spec.users).astype(np.float32)
    return pa.table(
        {
            LogColumns.USER: pa.array(user_ids),
            "age_band": pa.array(np.array(AGE_BANDS)[people.age], mask=unknown[0]),
            "country": pa.array(np.array(COUNTRIES)[people.country], mask=unknown[1]),
            "months": pa.array(months, mask=unknown[2]),
        }
    )


def simulate_world(
    store: VectorStore,
    out: Path,
    spec: WorldSpec | None = None,
    *,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Simulate a world over the songs of a store and write it to a folder.

    Parameters
    ----------
    store : VectorStore
    out : Path
        A new or empty folder, or one with a simulated world, which is replaced.
    spec : WorldSpec, optional
    progress : callable, optional
        Called with the number of users done and in total.

    Returns
    -------
    document : dict
        The content of ``world.json``.

    Raises
    ------
    InputError
        If the folder contains something else, or the store has fewer than two songs.
    """
    spec = spec or WorldSpec()
    _check_folder(out)
    world = simulate(store.ids, store.vectors, spec, progress=progress)
    document = _document(world, store)
    with write_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    (out / WORLD_FILE).unlink(missing_ok=True)  # marks the world as incomplete until the end
    tables = (world.profiles, world.truth_users, world.truth_songs)
    for (name, kind), table in zip(TABLES.items(), tables, strict=True):
        write_plain(out / name, table.replace_schema_metadata(_metadata(kind, spec)))
    _write_interactions(out / INTERACTIONS_FILE, world)
    write_own(out / WORLD_FILE, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return document


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: not a folder")
    if out.is_dir() and not (out / WORLD_FILE).exists():
        names = sorted(path.name for path in out.iterdir())
        known = {INTERACTIONS_FILE, *TABLES}
        if set(names) - known:
            raise InputError(
                f"{out}: contains {names[0]} and is not a simulated world; choose a new folder"
            )


def _metadata(kind: str, spec: WorldSpec) -> dict[bytes, bytes]:
    content = {
        "kind": kind,
        "simulated": True,
        "note": NOTE,
        "world": asdict(spec),
        "format_version": FORMAT_VERSION,
        "created_by": created_by(),
    }
    return {METADATA_KEY: json.dumps(content, sort_keys=True).encode()}


def _write_interactions(path: Path, world: World) -> None:
    table = world.interactions.to_table()
    schema = SCHEMA.with_metadata(_metadata("interactions", world.spec))
    with table_writer(path, schema) as writer:
        for start in range(0, table.num_rows, SLICE_ROWS):
            writer.write_table(table.slice(start, SLICE_ROWS).cast(schema))


def _document(world: World, store: VectorStore) -> dict[str, Any]:
    log = world.interactions
    return {
        "schema": "audiorec/world/1",
        "simulated": True,
        "note": NOTE,
        "created_by": created_by(),
        "spec": asdict(world.spec),
        "extractor_id": store.metadata.extractor_id,
        "songs": len(store),
        "cold_songs": int(world.truth_songs["cold"].to_numpy().sum()),
        "users": world.spec.users,
        "sensitive_users": int(world.truth_users["sensitive"].to_numpy().sum()),
        "cold_users": int(world.truth_users["cold"].to_numpy().sum()),
        "users_with_events": len(log.user_ids),
        "events": len(log),
        "files": [INTERACTIONS_FILE, *TABLES],
    }
