"""Choose and open the space that songs are compared in: sound if the store has it, else the vector.

    store, "auto"  ──choose_space──▶ `SpaceChoice`: by, table, and a note ──open_space──▶ `Space`

Sound finds more of the same music than the vector (docs/decisions/0054). A store that has none, of
an older audiorec or of ``extract --vector-only``, is compared by the vector, and the note says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from audiorec.errors import InputError
from audiorec.search.scaling import WEIGHTS_BY, By, Weighting
from audiorec.search.space import Space
from audiorec.search.units import LEARNT, SOUND, learnt_units, sound_units, vector_units
from audiorec.store.store import VectorStore

SPACES = ("auto", "sound", "vector", "mean")
# Names of earlier versions, and what replaces them.
RENAMED = {
    "features": "compare by sound, which a plain audiorec extract writes",
    "embedding": 'name the file: by="embeddings.parquet", --by embeddings.parquet',
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceChoice:
    """The space in which songs are compared, and its file.

    Attributes
    ----------
    by : {"sound", "vector", "mean", "learnt"}
    table : Path or None
        The file of learnt embeddings.
    note : str
        Why sound is not used, or how many songs lack it, and the command that would change it;
        empty where there is nothing to report.
    """

    by: By
    table: Path | None = None
    note: str = ""


def choose_space(store: VectorStore, by: str | Path = "auto") -> SpaceChoice:
    """Choose the space in which songs are compared.

    Parameters
    ----------
    store : VectorStore
    by : {"auto", "sound", "vector", "mean"} or path
        A space, or a file of learnt embeddings (``.parquet``).

    Raises
    ------
    InputError
        If `by` is neither.
    """
    name = str(by)
    if name in RENAMED:
        raise InputError(f"by={name!r} is no longer a space: {RENAMED[name]}")
    if name not in SPACES:
        if Path(name).suffix != ".parquet" and not Path(name).exists():
            known = ", ".join(SPACES)
            raise InputError(f"by must be one of {known}, or embeddings.parquet, got {name!r}")
        return SpaceChoice(by=LEARNT, table=Path(name))
    if name in WEIGHTS_BY:
        return SpaceChoice(by=name)
    count, n = store.songs_with(SOUND), len(store)
    upgrade = f"audiorec extract FOLDER --upgrade --out {store.path}"
    if name == "auto" and not count:
        none = f"compared by vector: this store has no sound; to add it: {upgrade}" if n else ""
        return SpaceChoice(by="vector", note=none)
    some = f"{n - count:,} of {n:,} songs have no sound and are never found; to add it: {upgrade}"
    return SpaceChoice(by=SOUND, note=some if 0 < count < n else "")


def open_space(
    store: VectorStore, compared: SpaceChoice, *, weights: Sequence[float] | None = None
) -> Space:
    """Open a space of a store; see `SearchableStore.space`."""
    by = compared.by
    if by in WEIGHTS_BY:
        asked = Weighting.of_store(store.metadata, by, weights)
        return Space(
            store, by, partial(vector_units, store, asked), count=len(store), weighting=asked
        )
    if weights is not None:
        raise InputError(f"by={by!r} has no statistics to weight")
    if compared.table is None:
        if SOUND not in store.metadata.lists:
            store.read_list(SOUND)  # raises
        return Space(store, by, partial(sound_units, store), count=store.songs_with(SOUND))
    loaded = learnt_units(store, compared.table)
    return Space(store, by, lambda: loaded, count=len(loaded.rows))
