"""Choose the default space of a store: features if complete, else the vector.

    store, "auto"  ──choose_space──▶ `SpaceChoice`: by, table, and a note for the user

Features retrieve more of the same music than the vector (docs/decisions/0006-similarity.md), so
they are the default if ``features.parquet`` beside the store covers every song and has the same
extractor. An index, weights and explanations work on the vector only.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from audiorec.errors import InputError, MissingFileError, StoreError
from audiorec.search.index_files import index_path, sidecar_path
from audiorec.search.scaling import By
from audiorec.search.space import TABLES
from audiorec.store.features import LAST_LAYERS, FeatureFile
from audiorec.store.store import VectorStore
from audiorec.types import IdMap

AutoBy = Literal["auto", "vector", "mean", "features", "embedding"]
# Features of this many songs take a second to read, and 0.6 GB of memory
# (docs/decisions/0006-similarity.md); beyond, they must be asked for.
MOST_SONGS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceChoice:
    """The space in which songs are compared, and its file.

    Attributes
    ----------
    by : {"vector", "mean", "features", "embedding"}
    table : Path or None
        The file that holds features or embeddings.
    note : str
        Why features are not used, and the command that would change it; empty where there is
        nothing to report.
    """

    by: By
    table: Path | None = None
    note: str = ""


def choose_space(store: VectorStore, by: AutoBy = "auto", table: Path | None = None) -> SpaceChoice:
    """Choose the space in which songs are compared.

    Parameters
    ----------
    store : VectorStore
    by : {"auto", "vector", "mean", "features", "embedding"}
    table : Path, optional
        File of features or embeddings; by default the one of the usual name beside the store.

    Raises
    ------
    InputError
        If `by` is unknown, the file beside the store is missing, or a table is given while `by`
        is ``auto``.
    """
    if by not in get_args(AutoBy):
        raise InputError(f"by must be one of {', '.join(get_args(AutoBy))}, got {by!r}")
    if by != "auto":
        if table is None and by in TABLES:
            table = store.path.with_name(TABLES[by])
            if not table.exists():
                raise MissingFileError(f"{table}: no such file, needed to compare by {by}")
        return SpaceChoice(by=by, table=table)
    if table is not None:
        raise InputError(f"{table}: say what it holds: by features or by embedding")
    path = store.path.with_name(TABLES["features"])
    if index_path(store.path).exists() or sidecar_path(index_path(store.path)).exists():
        return SpaceChoice(by="vector")
    note = _why_not_features(store, path)
    return SpaceChoice(by="vector", note=note) if note else SpaceChoice(by="features", table=path)


def _why_not_features(store: VectorStore, path: Path) -> str:
    """Say why the features beside a store cannot be used; empty if they can."""
    extract = f"audiorec extract FOLDER --out {store.path} --features {path}"
    if not path.exists():
        return f"compared by vector; features are more accurate: {extract}"
    if len(store) > MOST_SONGS:
        return f"compared by vector: {len(store):,} songs; --by features works, but takes longer"
    try:
        file = FeatureFile.open_last_layers(path)
    except (StoreError, InputError) as error:
        return f"compared by vector: {error}"
    if file.extractor_id != store.metadata.extractor_id:
        return f"compared by vector: {path} comes from another extractor; make it again: {extract}"
    if set(file.inputs) & set(LAST_LAYERS) and set(file.inputs) != set(LAST_LAYERS):
        return f"compared by vector: {path} lacks one of {', '.join(LAST_LAYERS)}"
    lacking = int((IdMap(file.id_array).rows(store.id_array) < 0).sum())
    if lacking:
        some = f"lacks {lacking} of {len(store)} songs"
        return f"compared by vector: {path} {some}; add them: {extract}"
    return ""
