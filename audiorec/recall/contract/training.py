"""Train a channel from settings and files, and write its bundle; a stopped training resumes.

    recipe class                      ──settings_of───▶ one `Setting` per field
    vectors, side information, ...    ──read_context──▶ `Context`
    channel, data                     ──train_channel─▶ model/

Processes that ``torchrun`` started train together, and the first one writes the bundle.
"""

import inspect
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, get_type_hints

from audiorec.errors import InputError
from audiorec.files.own_files import RunFolder, run_folder_path
from audiorec.learning.bundle import check_target
from audiorec.listening.interactions import read_interactions
from audiorec.listening.profiles import read_profiles
from audiorec.listening.sequences import favourites_of
from audiorec.listening.side import known_side, read_triples
from audiorec.options import fields_of
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Context, RecallData, Sound
from audiorec.search.searchable import SearchableStore
from audiorec.store.embeddings import EmbeddingTable
from audiorec.store.features import FeatureFile
from audiorec.types import LineProgress

if TYPE_CHECKING:
    from audiorec.learning.processes import Processes

# An unindented "name : type", then indented lines up to the next entry.
ENTRY = re.compile(r"^(?P<names>\w+(?:, \w+)*) : .+\n(?P<text>(?:[ \t]+.*\n?|\n)+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of a recipe."""

    name: str
    type: str
    default: Any
    meaning: str  # one line; empty if undocumented


def settings_of(recipe: type | None) -> list[Setting]:
    """Return the fields of a recipe, in order; an empty list for a channel without one.

    Their meanings are those of the section ``Attributes`` in its docstring.

    Examples
    --------
    >>> from audiorec.recall.simple.counts import PopularRecipe
    >>> setting, = settings_of(PopularRecipe)
    >>> setting.name, setting.type, setting.default
    ('half_life_days', 'float | None', None)
    >>> setting.meaning[:40]
    'Days in which a play loses half its weig'
    """
    if recipe is None:
        return []
    meanings, hints = _meanings(recipe), get_type_hints(recipe)
    said = {field.name: field.option.help for field in fields_of(recipe)}
    return [
        Setting(
            field.name,
            inspect.formatannotation(hints[field.name], base_module="").replace("typing.", ""),
            field.default if field.default is not MISSING else None,
            said.get(field.name) or meanings.get(field.name, ""),
        )
        for field in fields(recipe)
    ]


def _meanings(recipe: type) -> dict[str, str]:
    meanings: dict[str, str] = {}
    for kind in reversed(recipe.__mro__):  # inherited fields are documented in the parent
        said = inspect.cleandoc(kind.__doc__ or "")
        _, _, attributes = said.partition("Attributes\n----------\n")
        for entry in ENTRY.finditer(f"{attributes}\n"):
            text = " ".join(entry["text"].split()).replace("`", "")
            meanings |= dict.fromkeys(entry["names"].split(", "), text)
    return meanings


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
        raise InputError("give only one of songs, features and vectors as the sound of songs")
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
    known = known_side(side, store)
    if known is not None and side is None:  # the sound has the rest
        known = known.alone("language")
    sound = None if sound is None else sound.with_artists(known)
    return Context(
        sound=sound,
        side=known,
        triples=read_triples(triples) if triples is not None else None,
        profiles=read_profiles(profiles) if profiles is not None else None,
        favourites=favourites_of(read_interactions(favourites)) if favourites else None,
    )


# Files of an unfinished training, including decoded songs.
RUN_FILES = (
    r"(?:checkpoint|choose|refit)\.safetensors|metrics\.jsonl|log_mels/(?:[0-9a-f]{24}\.npy)?"
)


def train_channel(
    channel: Channel,
    data: RecallData,
    out: Path,
    *,
    start: Channel | None = None,
    progress: LineProgress | None = None,
    stop: Event | None = None,
) -> str | None:
    """Train a channel and write its bundle.

    Parameters
    ----------
    channel : Channel
    data : RecallData
    out : Path
        Folder of the bundle. An iterative training keeps its checkpoints in ``<out>.run/``, from
        which the same call resumes; several processes must share this folder.
    start : Channel, optional
        A trained channel to go on from; see `Channel.fit`.
    progress : callable, optional
        Called in the first process with the metrics of each epoch.
    stop : threading.Event, optional
        Once set, the training ends.

    Returns
    -------
    model_id : str or None
        None if the training was stopped.

    Raises
    ------
    InputError
        If `out` exists and is not a model, or the data or `start` cannot be used.
    StoreError
        If another run is writing `out`.
    """
    check_target(out)
    with _together() as processes:
        if processes is not None and not processes.is_first:
            work = run_folder_path(out)
            channel.fit(data, start=start, work=work, progress=progress, stop=stop)
            answer = processes.from_first(lambda: None) or {}
            return answer.get("model_id")
        folder = RunFolder(out, RUN_FILES)
        try:
            channel.fit(data, start=start, work=folder.path, progress=progress, stop=stop)
            model_id = channel.save(out) if channel.song_ids else None
            if model_id is not None:
                folder.clear()
        finally:
            folder.release(remove=not folder.names())
        if processes is not None:
            processes.from_first(lambda: {"model_id": model_id})
    return model_id


def is_first_process() -> bool:
    """Return whether this process is the only one, or the first that ``torchrun`` started."""
    return os.environ.get("RANK", "0") == "0" or _n_processes() == 1


@contextmanager
def _together() -> "Iterator[Processes | None]":
    """Join the processes that ``torchrun`` started; None, without importing torch, if alone."""
    if _n_processes() == 1:
        yield None
        return
    from audiorec.learning.processes import join_processes

    with join_processes() as processes:
        yield processes


def _n_processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
