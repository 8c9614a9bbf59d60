"""A log without the songs that a model will be judged on.

A users' table whose history holds the judged songs tells the answer. `write_known` leaves
them out, by the same hash that the training goes by; make the users of what it writes.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.errors import InputError
from audiorec.files.tables import write_plain
from audiorec.listening.interactions import read_interactions
from audiorec.recall.audio.held_out import Part, Split, assign_parts
from audiorec.recall.audio.held_out_songs import find_store, groups_of
from audiorec.store.features import FeatureFile
from audiorec.store.schema import METADATA_KEY


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldoutReport:
    """What was left out.

    Attributes
    ----------
    rows, kept : int
        Of the log.
    songs : mapping of str to int
        Songs by part: ``train``, ``valid``, ``test``, ``new_song``.
    """

    rows: int
    kept: int
    songs: dict[str, int]


def write_known(
    features: str | Path,
    interactions: str | Path,
    *,
    out: str | Path,
    split: Split,
    store: str | Path | None = None,
) -> HoldoutReport:
    """Write the rows of a log whose songs may be learnt from.

    Parameters
    ----------
    features : path
        A ``features.parquet`` of all songs.
    interactions : path
    out : path
        A Parquet log.
    split : Split
        As the model's training will have it.
    store : path, optional
        A ``vecs.parquet`` with the songs' artists; by default the one beside the features.

    Raises
    ------
    InputError
        If no row remains.
    """
    file = FeatureFile.open(features)
    opened = find_store(Path(store) if store is not None else None, Path(features))
    parts = assign_parts(file.ids, groups_of(file.ids, opened), split)
    log = read_interactions(interactions)
    hidden = {name for name, part in zip(file.ids, parts, strict=True) if part != Part.TRAIN}
    known = np.array([name not in hidden for name in log.song_ids], np.bool_)
    kept = log.take(known[log.song])
    if not len(kept):
        raise InputError(f"{interactions}: every row is of a song that is held out")
    table = kept.to_table()
    texts: dict[str, Any] = dict.fromkeys(("user_id", "song_id", "event"), pa.string())
    schema = pa.schema([(f.name, texts.get(f.name, f.type)) for f in table.schema])
    if log.simulated:  # what was made up stays known as made up
        content = {"kind": "interactions", "simulated": True}
        schema = schema.with_metadata({METADATA_KEY: json.dumps(content).encode()})
    write_plain(Path(out), table.cast(schema))
    counts = np.bincount(parts, minlength=len(Part))
    return HoldoutReport(
        rows=len(log),
        kept=len(kept),
        songs={part.name.lower(): int(counts[part]) for part in Part},
    )
