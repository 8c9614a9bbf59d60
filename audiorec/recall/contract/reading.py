"""Read the context of a channel from files.

vectors, features, embeddings, side information,
profiles, favourites, triples                    ──read_context──▶ `Context`
"""

from pathlib import Path

from audiorec.errors import InputError
from audiorec.listening.interactions import read_interactions
from audiorec.listening.profiles import read_profiles
from audiorec.listening.sequences import favourites_of
from audiorec.listening.side import fill_missing, read_side, read_triples, side_of_store
from audiorec.recall.contract.data import Context, Sound
from audiorec.search.searchable import SearchableStore
from audiorec.store.embeddings import EmbeddingTable
from audiorec.store.features import FeatureFile

STORE_NAME = "vecs.parquet"


def read_context(
    *,
    vectors: SearchableStore | Path | None = None,
    features: Path | None = None,
    songs: Path | None = None,
    side: Path | None = None,
    profiles: Path | None = None,
    triples: Path | None = None,
    favourites: Path | None = None,
) -> Context:
    """Read the context of songs and users; each part is optional.

    Parameters
    ----------
    vectors : SearchableStore or path, optional
        A store: sound and artists. Its tags and head classes fill gaps in `side`.
    features : path, optional
        ``features.parquet``: sound by segment; artists come from `vectors`, or from the store
        beside it.
    songs : path, optional
        ``embeddings.parquet`` of any model; artists come from `side`.
    side, profiles, triples : path, optional
    favourites : path, optional
        A log whose ``like`` events are read.

    Raises
    ------
    InputError
        If a table cannot be used, or the sound comes from two sources.
    StoreError
        If a file of audiorec is missing or damaged.
    """
    if songs is not None and (vectors is not None or features is not None):
        raise InputError("give only one of --songs, --features and --vectors as the sound of songs")
    if features is not None and vectors is None and features.with_name(STORE_NAME).is_file():
        vectors = features.with_name(STORE_NAME)
    store = SearchableStore.open(vectors) if isinstance(vectors, Path) else vectors
    sound = None
    if songs is not None:
        sound = Sound.of_embeddings(EmbeddingTable.open(songs, kind="songs"))
    elif features is not None:
        sound = Sound.of_features(FeatureFile.open(features), store)
    elif store is not None:
        sound = Sound.of_store(store)
    known = read_side(side) if side is not None else None
    if known is not None and store is not None:
        known = fill_missing(known, side_of_store(store))
    sound = None if sound is None else sound.with_artists(known)
    return Context(
        sound=sound,
        side=known,
        triples=read_triples(triples) if triples is not None else None,
        profiles=read_profiles(profiles) if profiles is not None else None,
        favourites=favourites_of(read_interactions(favourites)) if favourites else None,
    )
