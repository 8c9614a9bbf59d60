"""Any audio to embeddings: of a features file, of audio files, of a store's songs.

    features.parquet  ──embed_features──▶  embeddings.parquet
    songs             ──embed_audio─────▶  embeddings.parquet, embeddings.errors.parquet

Songs are extracted by an ordinary run into a folder beside the output, which is resumable and
skips what it knows: embedding a folder again costs only its new songs. An end-to-end model
decodes them, hears them by its network, and keeps log-mel segments there instead.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.errors import InputError, SongError, StoreError
from audiorec.extraction.catalogue import Source, make_source
from audiorec.extraction.pipeline import Extractor, ExtractorConfig
from audiorec.extraction.reader import Reader, hash_reader
from audiorec.extraction.rows import failure_row
from audiorec.extraction.run import RunOptions, make_outputs, run, run_metadata
from audiorec.recall.audio.held_out import STORE_NAME, find_store
from audiorec.recall.audio.log_mels import decode_songs
from audiorec.recall.audio.model import MetricModel
from audiorec.runs.report import RunProgress, Stopped
from audiorec.search.music import is_music
from audiorec.spec import FeatureSpec
from audiorec.store.embeddings import write_embeddings
from audiorec.store.failures import errors_path
from audiorec.store.features import FeatureFile
from audiorec.store.inventory import kind_of
from audiorec.store.parquet import write_table
from audiorec.store.schema import Kind, schema_of
from audiorec.store.segments import join_songs
from audiorec.store.store import VectorStore
from audiorec.types import FloatArray

WORK_SUFFIX = ".work"
FEATURES_FILE = "features.parquet"
DESCRIBED = ("title", "artist", "uri")  # what a cold start reads beside an embedding
MUSIC = "music"  # and whether the song is music


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingReport:
    """What came of embedding songs."""

    embedded: int  # songs
    failed: int
    # ``interrupted`` or ``max_failures``: nothing was written, the same call goes on
    stopped: str | None
    model_id: str
    space: str
    out: Path  # `errors` exists where songs failed
    errors: Path

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "out": str(self.out), "errors": str(self.errors)}


@dataclass(slots=True, eq=False)
class SongRows:
    """Embeddings as they come in."""

    ids: list[str] = field(default_factory=list)
    hashes: list[str | None] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)
    blocks: list[FloatArray] = field(default_factory=list)

    def write(
        self, model: MetricModel, out: Path, extractor_id: str, store: VectorStore | None = None
    ) -> None:
        """Write them as an ``embeddings.parquet``, with what a store says of the songs."""
        width = model.spec.embedding
        write_embeddings(
            out,
            self.ids,
            np.concatenate([np.zeros((0, width), np.float32), *self.blocks]),
            kind="songs",
            model_id=model.model_id,
            extractor_id=extractor_id,
            space=model.space,
            columns={
                "content_hash": pa.array(self.hashes, pa.string()),
                "segments": pa.array(self.segments, pa.int32()),
                **({} if store is None else self._described(store)),
            },
        )

    def _described(self, store: VectorStore) -> dict[str, Any]:
        """Return columns of a store: null for songs that it does not hold with the same audio."""
        hashes = store.column("content_hash").to_pylist()
        row_of = {key: row for row, key in enumerate(zip(store.ids, hashes, strict=True))}
        rows = [row_of.get(key) for key in zip(self.ids, self.hashes, strict=True)]
        known: dict[str, list[Any]] = {name: store.column(name).to_pylist() for name in DESCRIBED}
        known[MUSIC] = is_music(store).tolist()
        kinds = {MUSIC: pa.bool_()}
        return {
            name: pa.array(
                [None if row is None else values[row] for row in rows],
                kinds.get(name, pa.string()),
            )
            for name, values in known.items()
        }


def embed_features(model: MetricModel, features: str | Path, *, out: str | Path) -> EmbeddingReport:
    """Embed the songs of a features file.

    Parameters
    ----------
    model : MetricModel
    features : path
        A ``features.parquet`` of the extractor that the model was trained on. A ``vecs.parquet``
        beside it says what the songs are called and which are music.
    out : path
        The ``embeddings.parquet`` to write, whole or not at all.

    Raises
    ------
    SpecMismatchError
        If the features are of another extractor.
    InputError
        If the model hears audio, or the file lacks an input of the model.
    StoreError
        If the file is not a whole ``features.parquet``, or holds no song.
    """
    if model.end_to_end:
        raise InputError("this model was trained end to end: give it songs or a vecs.parquet")
    file = FeatureFile.open(features, model.spec.inputs)
    model.check_extractor(file.extractor_id, str(features))
    rows = _of_features(model, file)
    if not rows.ids:
        raise StoreError(f"{features}: holds no songs")
    rows.write(model, Path(out), file.extractor_id, find_store(None, Path(features)))
    return _report(model, Path(out), len(rows.ids), failed=0)


def embed_audio(
    model: MetricModel,
    sources: Sequence[Source],
    *,
    out: str | Path,
    work: str | Path | None = None,
    options: RunOptions | None = None,
    device: str = "cpu",
    progress: Callable[[RunProgress], None] | None = None,
    stop: Event | None = None,
) -> EmbeddingReport:
    """Embed audio files.

    Parameters
    ----------
    model : MetricModel
    sources : sequence of Source
        As `audiorec.extraction.catalogue.find_songs` lists them.
    out : path
        The ``embeddings.parquet`` to write: the songs of `sources` and no others.
    work : path, optional
        The folder that keeps what was extracted; by default ``<out>.work``.
    options : RunOptions, optional
    device : str
        Where an end-to-end model runs.
    progress : callable, optional
    stop : Event, optional
        Once set, the songs in flight are finished; nothing is written, the same call goes on.

    Returns
    -------
    report : EmbeddingReport
        Songs that fail do not raise: they are rows of the errors file beside `out`.

    Raises
    ------
    SpecMismatchError
        If this audiorec is another extractor than the model was trained on.
    """
    options = options or RunOptions()
    out = Path(out)
    folder = Path(work) if work is not None else out.with_name(out.name + WORK_SUFFIX)
    store: VectorStore | None = None
    if model.end_to_end:
        rows, failures = _hear_songs(model, sources, folder, options, device, progress, stop)
        failed = len(failures)
        if len(rows.ids) + failed < len(sources):
            return _report(model, out, 0, failed=failed, stopped=str(Stopped.INTERRUPTED))
        _write_failures(model.audio_spec, errors_path(out), failures)
    else:
        config = ExtractorConfig(spec=model.audio_spec)
        model.check_extractor(Extractor(config).extractor_id, "what this audiorec extracts")
        outputs = make_outputs(
            folder / STORE_NAME,
            features=folder / FEATURES_FILE,
            errors=errors_path(out),
        )
        done = run(sources, outputs, config=config, options=options, progress=progress, stop=stop)
        if done.stopped is not None:
            return _report(model, out, 0, failed=done.failed, stopped=str(done.stopped))
        failed, rows = done.failed + done.failed_before, SongRows()
        if (folder / FEATURES_FILE).exists():
            extracted = FeatureFile.open(folder / FEATURES_FILE, model.spec.inputs)
            rows = _of_features(model, extracted, {source.song_id for source in sources})
            store = VectorStore.open(folder / STORE_NAME)
    if rows.ids:
        rows.write(model, out, model.extractor_id, store)
    return _report(model, out, len(rows.ids), failed=failed)


def store_sources(store: VectorStore) -> list[Source]:
    """List the songs of a store where they were when it was made."""
    uris = store.column("uri").to_pylist()
    return [make_source(uri, name) for uri, name in zip(uris, store.ids, strict=True)]


def _of_features(model: MetricModel, file: FeatureFile, wanted: set[str] | None = None) -> SongRows:
    """Embed the songs of a features file, or those of them that are wanted."""
    rows = SongRows()
    for songs, hashes in file.blocks():
        embedded = model.embed(songs)
        keep = [i for i, name in enumerate(songs.song_ids) if wanted is None or name in wanted]
        rows.ids += [songs.song_ids[i] for i in keep]
        rows.hashes += [hashes[i] for i in keep]
        rows.segments += np.diff(songs.offsets)[keep].tolist()
        rows.blocks.append(embedded[keep])
    return rows


def _hear_songs(
    model: MetricModel,
    sources: Sequence[Source],
    folder: Path,
    options: RunOptions,
    device: str,
    progress: Callable[[RunProgress], None] | None,
    stop: Event | None,
) -> tuple[SongRows, list[dict[str, Any]]]:
    """Decode songs and embed them end to end; return them, and rows of the errors file."""
    from audiorec.recall.audio.tower import load_tower
    from audiorec.recall.audio.trainer import embed_songs

    tower = load_tower(model.spec, model.bundle.tensors).to(device)
    rows, failures = SongRows(), []
    decoded = decode_songs(
        sources,
        folder,
        spec=model.audio_spec,
        max_segments=0,
        jobs=options.jobs or 1,
        limits=options.limits,
    )
    with hash_reader(limits=options.limits) as hashes:
        for done, (source, found) in enumerate(decoded, start=1):
            if isinstance(found, np.ndarray):
                songs = join_songs([(source.song_id, found)])
                rows.ids.append(source.song_id)
                rows.hashes.append(_hash_of(source, hashes))
                rows.segments.append(len(found))
                rows.blocks.append(embed_songs(tower, songs, device=device))
            else:
                failures.append(failure_row(source, found, 1))
            if progress is not None:
                at = {"done": done, "total": len(sources), "failed": len(failures)}
                progress(RunProgress(**at, audio_s=0.0, song_id=source.song_id, song=None))
            if stop is not None and stop.is_set():
                break
    return rows, failures


def _hash_of(source: Source, hashes: Reader[str]) -> str | None:
    """Return the content hash, None if the song went away since it was decoded."""
    try:
        return hashes.read(source.path)
    except SongError:
        return None


def _write_failures(spec: FeatureSpec, path: Path, failures: list[dict[str, Any]]) -> None:
    """Write the errors file, or remove an old one where nothing failed."""
    if not failures:
        if path.exists() and kind_of(path) == Kind.ERRORS:  # another file is not ours
            path.unlink()
        return
    outputs = make_outputs(path.with_name("vecs.parquet"), errors=path)
    whole = run_metadata(Extractor(ExtractorConfig(spec=spec)), outputs)
    metadata = replace(whole, kind=Kind.ERRORS)
    now = datetime.now(UTC)
    rows = [{**row, "failed_at": now} for row in failures]
    write_table(path, pa.Table.from_pylist(rows, schema_of(metadata)), metadata)


def _report(
    model: MetricModel, out: Path, embedded: int, *, failed: int, stopped: str | None = None
) -> EmbeddingReport:
    return EmbeddingReport(
        embedded=embedded,
        failed=failed,
        stopped=stopped,
        model_id=model.model_id,
        space=model.space,
        out=out,
        errors=errors_path(out),
    )
