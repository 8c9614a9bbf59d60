"""A store becomes a made-up world of listening, written as files that say so.

    vecs.parquet  ──simulate_world──▶  world/interactions.parquet, profiles.parquet,
                                       truth.parquet, truth_songs.parquet, world.json

Every file carries ``"simulated": true`` in its metadata, and every user's id begins with
``sim-``. ``world.json`` is written last: a folder without it is not a whole world.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from audiorec.errors import InputError
from audiorec.files.atomic import replaced
from audiorec.files.tables import table_writer, write_plain
from audiorec.simulation.world import NOTE, World, WorldSpec, simulate
from audiorec.store.schema import METADATA_KEY
from audiorec.store.store import VectorStore

FORMAT_VERSION = 1
WORLD_FILE = "world.json"
INTERACTIONS_FILE = "interactions.parquet"
SLICE_ROWS = 1 << 20  # of interactions that are turned into texts at a time


def simulate_world(
    store: VectorStore,
    out: Path,
    spec: WorldSpec | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Make a world over the songs of a store and write it into a folder.

    Parameters
    ----------
    store : VectorStore
    out : Path
        A new folder, an empty one, or one that holds a world, which is replaced.
    spec : WorldSpec, optional
    progress : callable, optional
        Called with the users done and all users.

    Returns
    -------
    document : dict
        What stands in ``world.json``.

    Raises
    ------
    InputError
        If the folder holds something else, or the store has fewer than two songs.
    """
    spec = spec or WorldSpec()
    _check_folder(out)
    world = simulate(store.ids, store.vectors, spec, progress=progress)
    document = _document(world, store)
    out.mkdir(parents=True, exist_ok=True)
    (out / WORLD_FILE).unlink(missing_ok=True)  # from here until the end, not a whole world
    for name, kind, table in (
        ("profiles.parquet", "user_profiles", world.profiles),
        ("truth.parquet", "planted_users", world.truth_users),
        ("truth_songs.parquet", "planted_songs", world.truth_songs),
    ):
        write_plain(out / name, table.replace_schema_metadata(_metadata(kind, spec)))
    _write_interactions(out / INTERACTIONS_FILE, world)
    with replaced(out / WORLD_FILE) as path:
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return document


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: not a folder")
    if out.is_dir() and not (out / WORLD_FILE).exists():
        names = sorted(path.name for path in out.iterdir())
        known = {INTERACTIONS_FILE, "profiles.parquet", "truth.parquet", "truth_songs.parquet"}
        if set(names) - known:
            raise InputError(f"{out}: holds {names[0]} and is no world; give a new folder")


def _metadata(kind: str, spec: WorldSpec) -> dict[bytes, bytes]:
    content = {
        "kind": kind,
        "simulated": True,
        "note": NOTE,
        "world": asdict(spec),
        "format_version": FORMAT_VERSION,
        "created_by": f"audiorec {version('audiorec')}",
    }
    return {METADATA_KEY: json.dumps(content, sort_keys=True).encode()}


def _write_interactions(path: Path, world: World) -> None:
    table = world.interactions.to_table()
    texts = {name: pa.string() for name in ("user_id", "song_id", "event")}
    schema = pa.schema([(f.name, texts.get(f.name, f.type)) for f in table.schema])
    schema = schema.with_metadata(_metadata("interactions", world.spec))
    with table_writer(path, schema) as writer:
        for start in range(0, table.num_rows, SLICE_ROWS):
            writer.write_table(table.slice(start, SLICE_ROWS).cast(schema))


def _document(world: World, store: VectorStore) -> dict[str, Any]:
    log = world.interactions
    return {
        "schema": "audiorec/world/1",
        "simulated": True,
        "note": NOTE,
        "created_by": f"audiorec {version('audiorec')}",
        "spec": asdict(world.spec),
        "extractor_id": store.metadata.extractor_id,
        "songs": len(store),
        "cold_songs": int(world.truth_songs["cold"].to_numpy().sum()),
        "users": world.spec.users,
        "sensitive_users": int(world.truth_users["sensitive"].to_numpy().sum()),
        "cold_users": int(world.truth_users["cold"].to_numpy().sum()),
        "users_with_events": len(log.user_ids),
        "events": len(log),
        "files": [
            INTERACTIONS_FILE,
            "profiles.parquet",
            "truth.parquet",
            "truth_songs.parquet",
        ],
    }
