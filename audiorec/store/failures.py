"""Failures of a store: from its own errors file, or its rows of an older shared one.

    "vecs.parquet"  ──errors_path──▶    "vecs.errors.parquet"
                    ──read_failures──▶  its rows

Until 0.1 all stores in a folder shared one ``errors.parquet``. If a store has no errors file of
its own yet, the rows there for files below the folder of its songs count as its own; the next
run writes them to the new file and leaves the old one unchanged.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from audiorec.files.arrow import booleans, integers
from audiorec.store.parquet import Checked, open_checked
from audiorec.store.schema import Kind
from audiorec.types import BoolArray

SHARED_NAME = "errors.parquet"


def errors_path(vectors: Path) -> Path:
    """Return the default path of a store's errors file.

    Examples
    --------
    >>> errors_path(Path("library/vecs.parquet")).as_posix()
    'library/vecs.errors.parquet'
    """
    return vectors.with_name(f"{vectors.name.removesuffix('.parquet')}.errors.parquet")


def errors_beside(vectors: Path) -> Path | None:
    """Return the file with a store's failures: its own, else the shared one, else None."""
    own, shared = errors_path(vectors), vectors.with_name(SHARED_NAME)
    if own.exists():
        return own
    return shared if shared != vectors and shared.exists() else None


def is_shared(path: Path) -> bool:
    """Whether a file of failures may hold those of several stores."""
    return path.name == SHARED_NAME


def own_failures(failures: Checked, songs: Checked) -> BoolArray:
    """Return which rows of an errors file belong to a store: shape (n,), bool."""
    uris = failures.read(["uri"]).column("uri")
    if not is_shared(failures.path):
        return np.ones(len(uris), bool)
    places = songs.read(["uri"]).column("uri")
    if not len(places):
        return np.zeros(len(uris), bool)
    ends = [pc.min(places).as_py(), pc.max(places).as_py()]
    folder = os.path.commonprefix(ends).rpartition("/")[0]  # noqa: RUF071 - of any uris
    return booleans(pc.starts_with(uris.combine_chunks(), f"{folder}/"))


def read_failures(vectors: Path, given: Path | None = None) -> Any:
    """Read the failures of a store as a `pyarrow.Table`; None if there is no errors file.

    Raises
    ------
    StoreError
        If the store or the errors file (`given`, or the one beside it) is damaged.
    """
    path = given or errors_beside(vectors)
    if path is None:
        return None
    with open_checked(vectors, Kind.VECTORS) as songs, open_checked(path, Kind.ERRORS) as failures:
        table = failures.read(failures.schema.names)
        return table.take(integers(np.flatnonzero(own_failures(failures, songs))))
