"""Ways to change one thing of a library: `plant` draws a target and a way that suits it.

    generator, library, unfinished run, victim  ──plant──▶  target, way

Bytes are spoilt as `fuzz_mutations` does it; a JSON is told lies in one of its values, among
them places outside of the library; and where a file is expected there may be a link to
somebody else's file, a second name of it, a pipe, a folder, or a file of another kind. Some
lies are told with the checksums put right, as by one who means harm and not by a bad disk.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_library import RUN
from fuzz_mutations import WAYS

from audiorec.store.commit import MARKER, MARKER_SCHEMA, staged_path
from audiorec.store.records import _framed

Generator = np.random.Generator

FILES = (
    *("vecs.parquet", "scores.parquet", "features.parquet", "vecs.errors.parquet"),
    *("embeddings.parquet", "users.parquet", "aliases.parquet", "manifest.parquet"),
    *("interactions.parquet", "interactions.csv", "foreign.npz", "head.safetensors"),
    "vecs.parquet.run.json",
    *("taste/model.json", "taste/model.safetensors"),
    *("audio_model/model.json", "audio_model/model.safetensors"),
)
JSONS = ("taste/model.json", "audio_model/model.json")
RUNS = 14  # of 33 targets drawn: run folders are where most harm was done
RUN_NAMES = (
    *("lock", "vectors-0001.rows", "errors-0001.rows", "scores-0001.rows", "vectors-0002.rows"),
    *(MARKER, ".commit.json.0123456789ab.tmp", "job.json", "block-000000.parquet", "notes.txt"),
    *("000000.run.parquet", "checkpoint.safetensors", "deep", "..rows", "vectors-9.rows"),
)
ODD: tuple[Any, ...] = (
    *("", "../victim/bashrc", "VICTIM/bashrc", "..", "/", "vecs.parquet", "a\0b", "x" * 3000),
    *(None, True, -1, 0, 1, 2**63, 10**400, -0.5, 1e308, [], {}, [[[]]], "\ud800", "\u202e"),
)


def plant(rng: Generator, library: Path, run: Path, victim: Path) -> tuple[str, str]:
    """Change one thing.

    Parameters
    ----------
    rng : Generator
    library : Path
        A copy that may be changed.
    run : Path
        An unfinished run of this library, to be copied in where the target is one.
    victim : Path
        Somebody else's files.

    Returns
    -------
    target : str
        A name of `FILES`, or ``vecs.parquet.run``.
    way : str
    """
    if rng.random() < RUNS / (RUNS + len(FILES)):
        return RUN, _plant_run(rng, library, run, victim)
    target = FILES[int(rng.integers(len(FILES)))]
    path = library / target
    if not path.exists():
        path.write_bytes(b'{"schema": "audiorec/run/1"}')
    draw = rng.random()
    if draw < 0.15:
        return target, _put(rng, path, victim)
    if draw < 0.4 and target in JSONS:
        return target, _lie(rng, path, victim)
    if draw < 0.5 and target.endswith(".safetensors"):
        return target, _resealed(rng, path)
    return target, _spoil(rng, path)


def _spoil(rng: Generator, path: Path) -> str:
    """Change bytes: one bit in a third of the cases, else as for songs."""
    data = path.read_bytes()
    if not data:
        return "nothing"
    if rng.random() < 0.33:
        bit = int(rng.integers(8 * len(data)))
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        return "flip_bit"
    name = str(rng.choice(list(WAYS)))
    path.write_bytes(WAYS[name](rng, data))
    return name


def _put(rng: Generator, path: Path, victim: Path) -> str:
    """Put something else in the place of a file."""
    ways: Mapping[str, Callable[[], object]] = {
        "link": lambda: path.symlink_to(victim / "bashrc"),
        "link_to_folder": lambda: path.symlink_to(victim),
        "link_to_nothing": lambda: path.symlink_to(victim / "new"),
        "link_to_device": lambda: path.symlink_to("/dev/zero"),
        "hard_link": lambda: os.link(victim / "store.json", path),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "other_file": lambda: shutil.copy(victim / "bashrc", path),
        "empty": path.touch,
    }
    name = str(rng.choice(list(ways)))
    if path.exists() and not path.is_dir():
        path.unlink()
    if not path.exists():
        ways[name]()
    return name


def _lie(rng: Generator, path: Path, victim: Path) -> str:
    """Change one value of a JSON."""
    content = json.loads(path.read_bytes())
    places = list(_places(content))
    keys = places[int(rng.integers(len(places)))]
    value = ODD[int(rng.integers(len(ODD)))]
    if isinstance(value, str):
        value = value.replace("VICTIM", str(victim))
    holder = content
    for key in keys[:-1]:
        holder = holder[key]
    if rng.random() < 0.2:
        del holder[keys[-1]]
    else:
        holder[keys[-1]] = value
    path.write_text(json.dumps(content))
    return "lie"


def _places(content: Any, keys: tuple[Any, ...] = ()) -> Any:
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        yield (*keys, key)
        if isinstance(value, (dict, list)):
            yield from _places(value, (*keys, key))


def _resealed(rng: Generator, path: Path) -> str:
    """Spoil a file and put the checksum beside it right."""
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    _spoil(rng, path)
    after = hashlib.sha256(path.read_bytes()).hexdigest()
    for beside in (path.with_name(f"{path.name}.json"), path.with_name("model.json")):
        if beside.exists():
            beside.write_text(beside.read_text().replace(before, after))
    return "resealed"


def _plant_run(rng: Generator, library: Path, run: Path, victim: Path) -> str:
    """Put an unfinished run beside the store, with something wrong in it."""
    folder = library / RUN
    if rng.random() < 0.06:
        return f"run_{_put(rng, folder, victim)}"
    shutil.copytree(run, folder)
    draw = rng.random()
    if draw < 0.25:
        name = RUN_NAMES[int(rng.integers(len(RUN_NAMES)))]
        return f"in_run_{_put(rng, folder / name, victim)}"
    if draw < 0.4:
        return _planted_record(rng, folder)
    if draw < 0.7:
        return _planted_marker(rng, library, folder, victim)
    if draw < 0.75:
        staged = staged_path(library / "vecs.parquet", folder)
        return f"staged_{_put(rng, staged, victim)}"
    records = sorted(folder.glob("*.rows"))
    return f"record_{_spoil(rng, records[int(rng.integers(len(records)))])}"


def _planted_record(rng: Generator, folder: Path) -> str:
    """Append records with good checksums and other content."""
    path = folder / "vectors-0001.rows"
    data = path.read_bytes()
    length = int.from_bytes(data[4:8], "little")  # of the header's payload
    payload = data[16 + length :][16:]
    for _ in range(int(rng.integers(1, 4))):
        name = str(rng.choice(list(WAYS)))
        data += _framed(WAYS[name](rng, payload))
    if rng.random() < 0.2:
        data = _framed(WAYS["set_bytes"](rng, data[16 : 16 + length])) + data[16 + length :]
    path.write_bytes(data)
    return "planted_record"


def _planted_marker(rng: Generator, library: Path, folder: Path, victim: Path) -> str:
    """Write a marker: a good one that is told a lie, with staged files or without."""
    kinds = {"scores": "scores.parquet", "errors": "vecs.errors.parquet", "vectors": "vecs.parquet"}
    for kind, name in kinds.items():
        if rng.random() < 0.5:
            shutil.copy(library / name, staged_path(library / name, folder))
        if rng.random() < 0.2:
            kinds = {**kinds, kind: str(ODD[int(rng.integers(8))]).replace("VICTIM", str(victim))}
    path = folder / MARKER
    path.write_text(json.dumps({"schema": MARKER_SCHEMA, "files": kinds}))
    if rng.random() < 0.5:
        _lie(rng, path, victim)
    if rng.random() < 0.2:
        pairs = [["song0.flac", "../victim/bashrc"], ["song1.flac", str(victim / "store.json")]]
        path.write_text(json.dumps({"files": pairs}))
    staged = staged_path(library / "vecs.parquet", folder)
    if staged.exists() and rng.random() < 0.2:
        _spoil(rng, staged)
    return "marker"
