"""How the library of `fuzz_stores` is read: by the functions behind each command, and by commands.

    READERS[target](library)  →  what was read, or an `AudiorecError`
    COMMANDS[target]          →  command lines that meet the target

What a reader returns is compared between a good file and one in which a bit was changed.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from fuzz_library import outputs_of

import audiorec
from audiorec.errors import AudiorecError, StoreError
from audiorec.extraction.catalogue import find_songs
from audiorec.extraction.manifest import Manifest
from audiorec.extraction.pipeline import ExtractorConfig
from audiorec.extraction.run import RunOptions, prepare, preview
from audiorec.files.own_files import RunFolder
from audiorec.files.tables import run_blocks
from audiorec.listening.check import describe
from audiorec.listening.interactions import read_interactions
from audiorec.recall.audio.channel import UserAudio
from audiorec.recall.registry import load_channel
from audiorec.runs.record import JobRun, compare_runs, read_runs, timestamp, write_run
from audiorec.search.questions import Choice
from audiorec.store.aliases import alias_table
from audiorec.store.compact import compact
from audiorec.store.embeddings import EmbeddingTable, read_foreign
from audiorec.store.features import open_series
from audiorec.store.inventory import default_path, inventory
from audiorec.store.journal import Journal
from audiorec.store.schema import Kind, open_checked
from audiorec.store.verify import verify
from audiorec.tagger.heads import Head

Reader = Callable[[Path], Any]


def read_vectors(library: Path) -> Any:
    """Open, read everything, search and verify."""
    path = library / "vecs.parquet"
    store = audiorec.open_store(path)
    near = [(n.song_id, n.similarity) for n in all_near(store, store.ids[0])]
    rows = store.rows(range(len(store)))
    inventory(path)
    _verify(path)
    return store.ids, store.vectors.tobytes(), near, rows, store.metadata, store.fingerprint


def all_near(store: Any, song_id: str) -> Any:
    """Return the two nearest songs by the vector, whatever they are."""
    return store.similar(song_id, 2, by="vector", minimum=-1, choice=Choice(also=("non-music",)))


def read_beside(kind: Kind) -> Reader:
    """Read scores, features or errors as a whole, and verify the store with them."""

    def read(library: Path) -> Any:
        path = default_path(library / "vecs.parquet", kind)
        file = open_checked(path, kind)
        try:
            table = file.read()
        finally:
            file.file.close()
        _verify(library / "vecs.parquet")
        inventory(library / "vecs.parquet")
        if kind == Kind.FEATURES:
            store = audiorec.open_store(library / "vecs.parquet")
            open_series(store, path, kind).read(store.ids)
        return table.to_pylist(), file.metadata

    return read


def read_embeddings(name: str) -> Reader:
    """Read a table of embeddings as a whole."""

    def read(library: Path) -> Any:
        table = EmbeddingTable.open(library / name)
        return table.ids, table.embeddings.tobytes(), table.metadata

    return read


def read_taste(library: Path) -> Any:
    """Load a channel of recall."""
    channel: Any = load_channel(library / "taste")
    return channel.song_ids, channel.song_embeddings().tobytes(), channel.recipe, channel.trained


def read_audio_model(library: Path) -> Any:
    """Load a model of user-audio."""
    model = UserAudio.load(library / "audio_model")
    tensors = {**model.tower, "songs": model.songs, "tastes": model.tastes}
    return model.model_id, {n: t.tobytes() for n, t in tensors.items()}


def read_head(library: Path) -> Any:
    """Load a head."""
    head = Head.load(library / "head.safetensors")
    return head.classes, head.info, {n: t.tobytes() for n, t in head.tensors().items()}


def read_aliases(library: Path) -> Any:
    """Look all aliases up."""
    store = audiorec.open_store(library / "vecs.parquet")
    return alias_table(store).to_pylist(), store.resolve("first")


def read_manifest(library: Path) -> Any:
    """Read all songs of a manifest."""
    with Manifest.open(str(library / "manifest.parquet")) as manifest:
        return manifest.sources(0, len(manifest))


def read_log(name: str) -> Reader:
    """Read a listening log and describe it."""

    def read(library: Path) -> Any:
        return describe(read_interactions(library / name))

    return read


def read_npz(library: Path) -> Any:
    """Read embeddings from elsewhere."""
    return read_foreign(library / "foreign.npz", id_column="user_id")


def replace_record(library: Path) -> Any:
    """Read the record of a run, compare its last two, and put another run into it."""
    path, now = library / "vecs.parquet.run.json", timestamp()
    runs = read_runs(path) if path.exists() else []
    if runs:
        compare_runs(runs[0], runs[-1])
    run = JobRun(
        run_id="0" * 12, job="extract", output="", started_at=now, ended_at=now, exit_code=0
    )
    write_run(str(path), run)


def resume_run(library: Path) -> Any:
    """Go on with whatever run is found, by every command that leaves one."""
    outputs = outputs_of(library)
    metadata = prepare(ExtractorConfig(), outputs, RunOptions()).metadata
    errors: list[AudiorecError] = []

    def look() -> None:
        preview(find_songs([library / "song0.flac"]), outputs)

    def go_on() -> None:
        with Journal.open(outputs, metadata) as journal:
            journal.failures()
            for hash_ in sorted(journal.hashes(Kind.VECTORS))[:1]:
                journal.append_copy(hash_, {"song_id": "new", "uri": "/music/new.flac"})
            journal.commit()
        _verify(outputs.vectors)

    def join() -> None:
        compact([outputs.vectors], outputs.vectors)

    def blocks() -> None:
        table = pa.table({"n": [1, 2]})
        out = outputs.vectors
        run_blocks(out, 2, lambda _i: table, schema=table.schema, fingerprint="f")

    def train() -> None:
        folder = RunFolder(outputs.vectors, r"checkpoint\.safetensors|metrics\.jsonl")
        folder.clear()
        folder.release(remove=True)

    for step in (look, go_on, join, train, blocks):
        try:
            step()
        except AudiorecError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _verify(path: Path) -> None:
    found = verify(path)
    if not found.is_good:
        raise StoreError(f"{path}: {found.problems[0] if found.problems else found.counts}")


READERS: Mapping[str, Reader] = {
    "vecs.parquet": read_vectors,
    **{
        default_path(Path("vecs.parquet"), kind).name: read_beside(kind)
        for kind in (Kind.SCORES, Kind.FEATURES, Kind.ERRORS)
    },
    **{name: read_embeddings(name) for name in ("embeddings.parquet", "users.parquet")},
    "taste": read_taste,
    "audio_model": read_audio_model,
    "head.safetensors": read_head,
    "aliases.parquet": read_aliases,
    "manifest.parquet": read_manifest,
    "interactions.parquet": read_log("interactions.parquet"),
    "interactions.csv": read_log("interactions.csv"),
    "foreign.npz": read_npz,
    "vecs.parquet.run.json": replace_record,
    "vecs.parquet.run": resume_run,
}

_EXTRACT = ("extract", ".", "--jobs", "1")
_SEVERAL = (
    ("store", "verify"),
    ("store", "info", "--json"),
    ("info", "song0.flac"),
    ("similar", "song1.flac", "--k", "2"),
)
_COLD = ("cold-start", "songs", "--songs", "embeddings.parquet", "--users", "users.parquet")
_EMBED_USERS = ("recall", "users", "taste", "-i", "interactions.csv")
_EMBED_SONGS = ("recall", "songs", "audio_model", "--vectors", "features.parquet")
_COMPACT = ("store", "compact", "vecs.parquet", "--out")
_SIMILAR = ("similar", "song1.flac", "--k", "2")
COMMANDS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "vecs.parquet": (*_SEVERAL, _EXTRACT, (*_COMPACT, "c.parquet")),
    "scores.parquet": (*_SEVERAL, (*_EXTRACT, "--scores", "scores.parquet")),
    "features.parquet": (
        *_SEVERAL,
        (*_SIMILAR, "--by", "features"),
        (*_EXTRACT, "--features", "features.parquet"),
    ),
    "vecs.errors.parquet": (*_SEVERAL, _EXTRACT, (*_EXTRACT, "--dry-run")),
    "embeddings.parquet": ((*_COLD, "--out", "lists.parquet"),),
    "users.parquet": ((*_COLD, "--out", "lists.parquet"),),
    "taste": ((*_EMBED_USERS, "--out", "u.parquet"),),
    "audio_model": ((*_EMBED_SONGS, "--out", "e.parquet"),),
    "head.safetensors": (("extract", ".", "--head", "version=head.safetensors", "--dry-run"),),
    "aliases.parquet": (("similar", "first", "--k", "2"), ("store", "aliases")),
    "manifest.parquet": (("extract", "--from", "manifest.parquet", "--dry-run"),),
    "interactions.parquet": (("listening", "check", "interactions.parquet"),),
    "interactions.csv": (("listening", "check", "interactions.csv"),),
    "foreign.npz": (("recall", "users", "--import", "foreign.npz", "--out", "u.parquet"),),
    "vecs.parquet.run.json": (_EXTRACT, ("runs", "list"), ("runs", "show", "vecs.parquet")),
    "vecs.parquet.run": (
        _EXTRACT,
        (*_EXTRACT, "--dry-run"),
        (*_EXTRACT, "--overwrite"),
        (*_EXTRACT, "--scores", "scores.parquet"),
        (*_COMPACT, "vecs.parquet"),
        ("store", "info"),
    ),
}
