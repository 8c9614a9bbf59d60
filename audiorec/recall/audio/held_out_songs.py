"""Songs and their artists: what keeps an artist's songs on one side of a split."""

from collections.abc import Sequence
from pathlib import Path

from audiorec.errors import InputError
from audiorec.recall.audio.held_out import artist_groups
from audiorec.store.store import VectorStore

STORE_NAME = "vecs.parquet"


def find_store(given: Path | None, beside: Path) -> VectorStore | None:
    """Open the store that is given, or the ``vecs.parquet`` beside another file, if any.

    Raises
    ------
    StoreError
        If it is not a store.
    """
    path = given or beside.with_name(STORE_NAME)
    return VectorStore.open(path) if given is not None or path.is_file() else None


def groups_of(song_ids: Sequence[str], store: VectorStore | None) -> tuple[str, ...]:
    """Return the group of each song: its artist by the store's tags, or itself.

    Parameters
    ----------
    song_ids : sequence of str
    store : VectorStore or None
        Without one, every song is its own group.

    Raises
    ------
    InputError
        If not a single song is in the store: it belongs to other songs.
    """
    if store is None:
        return artist_groups(song_ids, [None] * len(song_ids))
    artists = dict(zip(store.ids, store.column("artist").to_pylist(), strict=True))
    if song_ids and not any(name in artists for name in song_ids):
        raise InputError(f"{store.path}: holds none of these songs, for example {song_ids[0]!r}")
    return artist_groups(song_ids, [artists.get(name) for name in song_ids])
