"""The files that stand beside a ``vecs.parquet`` and belong to it.

"library/vecs.parquet"  ──files_beside──▶  {scores: library/scores.parquet, ...}
"""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from audiorec.errors import MissingStoreError, StoreError
from audiorec.files.parquet_files import read_schema
from audiorec.store.schema import METADATA_KEY, Kind, StoreMetadata

USUAL_NAMES = {
    Kind.SCORES: "scores.parquet",
    Kind.FEATURES: "features.parquet",
    Kind.ERRORS: "errors.parquet",
}


def files_beside(
    vectors: Path, given: Mapping[Kind, Path | None] | None = None
) -> dict[Kind, Path]:
    """Return scores, features and errors that belong to a store.

    Parameters
    ----------
    vectors : Path
    given : mapping of Kind to Path, optional
        Files that are named outright; they need not exist, so that a wrong name is noticed.

    Returns
    -------
    paths : dict of Kind to Path
        Those given, and of the rest those that exist under their usual names.
    """
    found = {}
    for kind, name in USUAL_NAMES.items():
        path = (given or {}).get(kind)
        if path is not None:
            found[kind] = path
        elif (usual := vectors.with_name(name)) != vectors and usual.exists():
            found[kind] = usual
    return found


def kind_of(path: Path) -> Kind | None:
    """Return which of the four files a Parquet file is, None if it is none of audiorec's.

    Raises
    ------
    StoreError
        If it is not a whole Parquet file.
    """
    try:
        metadata = read_schema(path).metadata or {}
    except FileNotFoundError as error:
        raise MissingStoreError(f"{path}: no such file") from error
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        reason = (str(error).strip() or "unknown").splitlines()[0]
        raise StoreError(f"{path}: not a whole Parquet file: {reason}") from error
    try:
        return StoreMetadata.from_json(metadata[METADATA_KEY]).kind
    except (KeyError, StoreError):
        return None
