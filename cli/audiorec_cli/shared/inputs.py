"""What a command wants a file to be, and which command makes one.

    check(path, Wanted.SONGS)     before anything else is read
    with trained(path, kind):     around the loading of a model

A file that is not there, or that holds something else, is an error of one line: which file, what it
holds, what it should hold, and the command to run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from audiorec.errors import MissingFileError, StoreError, WeightsError


class Wanted(StrEnum):
    """What a command reads, in words."""

    VECTORS = "vectors of songs"
    FEATURES = "features of songs"
    SONGS = "embeddings of songs"
    USERS = "embeddings of users"
    LOG = "listening"


# The command that makes such a file at {path}, of the songs of {folder}.
MAKES = {
    Wanted.VECTORS: "audiorec extract {folder} --out {path}",
    Wanted.FEATURES: "audiorec extract {folder} --features {path}",
    Wanted.SONGS: "audiorec metric embed {folder} --out {path}",
    Wanted.USERS: "audiorec recall users MODEL -i LOG --out {path}",
    Wanted.LOG: "audiorec listening simulate --out world/ makes one up",
}
USUAL = {
    Wanted.VECTORS: "vecs.parquet",
    Wanted.FEATURES: "features.parquet",
    Wanted.SONGS: "embeddings.parquet",
    Wanted.USERS: "users.parquet",
    Wanted.LOG: "",
}
# What the metadata of a file says, in words.
HOLDS = {
    "vectors": Wanted.VECTORS,
    "features": Wanted.FEATURES,
    "song_embeddings": Wanted.SONGS,
    "user_embeddings": Wanted.USERS,
    "interactions": Wanted.LOG,
    "scores": "score series",
    "errors": "failures of a run",
    "audiences": "audiences",
    "song_lists": "lists of songs",
    "tastes": "tastes of users",
}
# What to do with a file that holds the second where the first is wanted.
INSTEAD = {
    (Wanted.SONGS, "vectors"): "embed the songs first: audiorec metric embed {path} "
    "--out embeddings.parquet",
    (Wanted.SONGS, "features"): "embed the songs first: audiorec metric embed {path} "
    "--out embeddings.parquet",
    (Wanted.VECTORS, "song_embeddings"): "embeddings of songs are compared with those of users: "
    "--users users.parquet",
}
MODELS = {  # the command that trains one, and the usual name of its folder
    "metric": ("audiorec metric train -i LOG", "metric_model"),
}
PARQUET = ".parquet"


def check(path: Path | None, wanted: Wanted) -> None:
    """Refuse a file that is not there, or that says it holds something else; None is passed over.

    What is damaged, or says nothing, is left to its reader.
    """
    if path is None:
        return
    if not path.exists():
        raise MissingFileError(f"{path}: no such file; {_make(wanted, path)}")
    of_songs = wanted in (Wanted.VECTORS, Wanted.FEATURES, Wanted.SONGS)
    if path.is_dir() and of_songs:
        how = _make(wanted, folder=str(path))
        raise StoreError(f"{path}: is a folder, not {wanted}; {how}")
    if path.is_dir() or (wanted == Wanted.LOG and path.suffix != PARQUET):
        return
    from audiorec.store.inventory import kind_said

    kind = kind_said(path)
    holds = HOLDS.get(kind)
    if holds is None or holds == wanted:
        return
    instead = INSTEAD.get((wanted, kind), "").format(path=path)
    raise StoreError(f"{path}: holds {holds}, not {wanted}; {instead or _make(wanted)}")


@contextmanager
def trained(path: Path, kind: str) -> Iterator[None]:
    """Add to what is wrong with a model's folder the command that trains a model of the kind."""
    try:
        yield
    except WeightsError as error:
        name = MODELS[kind][1] if path.exists() else path
        raise type(error)(f"{error}; train one: {MODELS[kind][0]} --out {name}") from error


def _make(wanted: Wanted, path: Path | None = None, *, folder: str = "FOLDER") -> str:
    """Return the command that makes what is wanted, at `path` if that is a name for it."""
    name = path if path is not None and path.suffix == PARQUET else USUAL[wanted]
    command = MAKES[wanted].format(path=name, folder=folder)
    return command if wanted == Wanted.LOG else f"make them: {command}"
