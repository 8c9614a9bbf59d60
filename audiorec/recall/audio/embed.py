"""Embed songs from stored sound, from audio files, or from the songs of a store.

    sound   ──embed_stored──▶  embeddings.parquet
    songs   ──embed_audio───▶  embeddings.parquet, embeddings.errors.parquet

For every channel with a shared space of users and songs. Songs are extracted by an ordinary run
into a folder beside the output, which is resumable and skips known songs: embedding a folder again
costs only its new songs. An end-to-end model decodes the songs itself, and keeps log-mel segments
in that folder instead.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.errors import InputError, SongError, SpecMismatchError
from audiorec.extraction.catalogue import Source, make_source
from audiorec.extraction.pipeline import Extractor, ExtractorConfig, extractor_by_id
from audiorec.extraction.reader import Reader, hash_reader
from audiorec.extraction.run import RunOptions, failure_row, make_outputs, run, run_metadata
from audiorec.recall.audio.channel import UserAudio
from audiorec.recall.audio.inputs import decode_songs
from audiorec.recall.contract.data import Sound
from audiorec.recall.contract.space import SharedSpace
from audiorec.runs.report import RunProgress, Stopped
from audiorec.search.music import is_music
from audiorec.search.searchable import SearchableStore
from audiorec.spec import FeatureSpec
from audiorec.store.embeddings import write_embeddings
from audiorec.store.features import FeatureFile, join_songs
from audiorec.store.inventory import errors_path, kind_of
from audiorec.store.schema import Kind, schema_of, write_table
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, FloatArray

WORK_SUFFIX = ".work"
STORE_FILE, FEATURES_FILE = "vecs.parquet", "features.parquet"
DESCRIBED = ("title", "artist", "uri")  # columns that cold start reads beside an embedding
MUSIC = "music"  # column: whether the song is music
Progress = Callable[[RunProgress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingReport:
    """Result of embedding songs."""

    embedded: int  # songs
    failed: int
    # ``interrupted`` or ``max_failures``: nothing was written, and the same call resumes
    stopped: str | None
    without: int = 0  # songs that the model cannot embed
    model_id: str
    space: str
    out: Path  # `errors` exists only if songs failed
    errors: Path

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "out": str(self.out), "errors": str(self.errors)}


def embed_stored(channel: SharedSpace, sound: Sound | None, *, out: str | Path) -> EmbeddingReport:
    """Embed songs from stored sound, or write the embeddings of a channel's catalogue.

    Parameters
    ----------
    channel : SharedSpace
    sound : Sound, optional
        Sound of the kind that the channel was trained on; by default the catalogue is written. A
        store beside it tells titles, artists and which songs are music.
    out : path
        The ``embeddings.parquet`` to write, atomically.

    Raises
    ------
    SpecMismatchError
        If the sound was made differently from that of the training.
    InputError
        If the channel cannot use this kind of sound, or no song gets an embedding.
    """
    ids = channel.song_ids if sound is None else sound.song_ids
    embedded = channel.song_embeddings() if sound is None else channel.embed_sound(sound)
    known = np.asarray(embedded.any(axis=1), np.bool_)
    if not known.any():
        raise InputError(f"{channel.name}: no song has an embedding")
    columns = {} if sound is None else _columns(sound)
    _write(channel, Path(out), ids, embedded, known, columns)
    return _report(channel, Path(out), int(known.sum()), failed=0, without=int((~known).sum()))


def embed_audio(
    channel: SharedSpace,
    sources: Sequence[Source],
    *,
    out: str | Path,
    options: RunOptions | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    stop: Event | None = None,
) -> EmbeddingReport:
    """Embed audio files.

    Parameters
    ----------
    channel : SharedSpace
    sources : sequence of Source
        As listed by `audiorec.extraction.catalogue.find_songs`.
    out : path
        The ``embeddings.parquet`` to write, for exactly the songs of `sources`.
    options : RunOptions, optional
    device : str
        Device for an end-to-end model.
    progress : callable, optional
    stop : Event, optional
        Once set, songs in progress are finished; nothing is written, and the same call resumes.

    Returns
    -------
    report : EmbeddingReport
        Failed songs do not raise: they are rows of the errors file beside `out`.

    Raises
    ------
    InputError
        If the channel was trained without the sound of songs.
    SpecMismatchError
        If the model was trained on another extractor than this audiorec's.
    """
    out = Path(out)
    folder = out.with_name(out.name + WORK_SUFFIX)
    options = options or RunOptions()
    if channel.hears == "audio" and isinstance(channel, UserAudio):
        return _heard(channel, sources, out, folder, options, device, progress, stop)
    spec = FeatureSpec.from_dict(channel.audio_spec) if channel.audio_spec else FeatureSpec()
    by_features = channel.hears == "features"
    config = extractor_by_id(channel.made_by.rpartition("extractor ")[2], spec)
    if config is None:
        config = ExtractorConfig(spec=spec)
    config = replace(config, sound=isinstance(channel, UserAudio) and channel.hears == "vectors")
    ours = f"{'features of ' if by_features else ''}extractor {Extractor(config).extractor_id}"
    if channel.made_by not in ("", ours):
        raise SpecMismatchError(
            f"{channel.name}: trained on {channel.made_by}, this audiorec makes {ours}: extract "
            f"its songs again and train it on them (audiorec recall train {channel.name} ...)"
        )
    outputs = make_outputs(
        folder / STORE_FILE,
        features=folder / FEATURES_FILE if by_features else None,
        errors=errors_path(out),
    )
    done = run(sources, outputs, config=config, options=options, progress=progress, stop=stop)
    failed = done.failed + (0 if done.stopped is not None else done.failed_before)
    if done.stopped is not None or not (folder / STORE_FILE).exists():
        stopped = None if done.stopped is None else str(done.stopped)
        return _report(channel, out, 0, failed=failed, stopped=stopped)
    store = SearchableStore.open(folder / STORE_FILE)
    sound = Sound.of_store(store)
    if by_features:
        sound = Sound.of_features(FeatureFile.open(folder / FEATURES_FILE), store)
    asked = tuple(sorted({source.song_id for source in sources} & set(sound.song_ids)))
    if not asked:
        return _report(channel, out, 0, failed=failed)
    report = embed_stored(channel, sound.among(asked), out=out)
    return replace(report, failed=failed)


def store_sources(store: VectorStore) -> list[Source]:
    """List the songs of a store, at the paths recorded in it."""
    uris = store.column("uri").to_pylist()
    return [make_source(uri, name) for uri, name in zip(uris, store.ids, strict=True)]


def _columns(sound: Sound) -> dict[str, Any]:
    """Return the further columns of the embeddings; null if unknown."""
    columns: dict[str, list[Any]] = {}
    hashes: list[str | None] | None = None
    if sound.features is not None:
        file = sound.features
        row_of = {name: row for row, name in enumerate(file.ids)}
        rows = [row_of.get(name) for name in sound.song_ids]
        hashes = _taken(file.hashes, rows)
        columns = {"content_hash": hashes, "segments": _taken(file.counts.tolist(), rows)}
    store = sound.store
    if store is not None:
        of_store = store.column("content_hash").to_pylist()
        row_of = {name: row for row, name in enumerate(store.ids)}
        rows = [row_of.get(name) for name in sound.song_ids]
        if hashes is None:
            columns = {
                "content_hash": _taken(of_store, rows),
                "segments": _taken(store.column("segments").to_pylist(), rows),
            }
        else:  # with other audio in the store, it is another song
            rows = [
                row if row is not None and of_store[row] == own else None
                for row, own in zip(rows, hashes, strict=True)
            ]
        for name in DESCRIBED:
            columns[name] = _taken(store.column(name).to_pylist(), rows)
        columns[MUSIC] = _taken(is_music(store).tolist(), rows)
    kinds = {MUSIC: pa.bool_(), "segments": pa.int32()}
    return {n: pa.array(values, kinds.get(n, pa.string())) for n, values in columns.items()}


def _taken(values: Sequence[Any], rows: Sequence[int | None]) -> list[Any]:
    return [None if row is None else values[row] for row in rows]


def _write(
    channel: SharedSpace,
    out: Path,
    ids: Sequence[str],
    embedded: FloatArray,
    known: BoolArray,
    columns: dict[str, Any],
) -> None:
    mask = pa.array(known)
    write_embeddings(
        out,
        [song for song, has in zip(ids, known.tolist(), strict=True) if has],
        embedded[known],
        kind="songs",
        model_id=channel.model_id,
        extractor_id=channel.made_by.rpartition("extractor ")[2],
        space=channel.space,
        columns={name: column.filter(mask) for name, column in columns.items()},
    )


def _heard(
    channel: UserAudio,
    sources: Sequence[Source],
    out: Path,
    folder: Path,
    options: RunOptions,
    device: str,
    progress: Progress | None,
    stop: Event | None,
) -> EmbeddingReport:
    """Decode songs and embed them end to end."""
    embed = channel.embedder(device)
    spec = FeatureSpec.from_dict(channel.audio_spec)
    ids: list[str] = []
    hashes: list[str | None] = []
    segments: list[int] = []
    blocks = [np.zeros((0, channel.spec.embedding), np.float32)]
    failures: list[dict[str, Any]] = []
    decoded = decode_songs(
        sources,
        folder,
        spec=spec,
        max_segments=channel.recipe.max_segments,
        jobs=options.jobs or 1,
        limits=options.limits,
    )
    with hash_reader(limits=options.limits) as reader:
        for done, (source, result) in enumerate(decoded, start=1):
            if isinstance(result, np.ndarray):
                ids.append(source.song_id)
                hashes.append(_hash_of(source, reader))
                segments.append(len(result))
                blocks.append(embed(join_songs([(source.song_id, result)])))
            else:
                failures.append(failure_row(source, result, 1))
            if progress is not None:
                at = {"done": done, "total": len(sources), "failed": len(failures)}
                progress(RunProgress(**at, audio_s=0.0, song_id=source.song_id, song=None))
            if stop is not None and stop.is_set():
                break
    if len(ids) + len(failures) < len(sources):
        stopped = str(Stopped.INTERRUPTED)
        return _report(channel, out, 0, failed=len(failures), stopped=stopped)
    _write_failures(spec, errors_path(out), failures)
    if ids:
        columns = {
            "content_hash": pa.array(hashes, pa.string()),
            "segments": pa.array(segments, pa.int32()),
        }
        _write(channel, out, ids, np.concatenate(blocks), np.ones(len(ids), np.bool_), columns)
    return _report(channel, out, len(ids), failed=len(failures))


def _hash_of(source: Source, hashes: Reader[str]) -> str | None:
    """Return the content hash, or None if the song has disappeared since it was decoded."""
    try:
        return hashes.read(source.path)
    except SongError:
        return None


def _write_failures(spec: FeatureSpec, path: Path, failures: list[dict[str, Any]]) -> None:
    """Write the errors file, or remove an old one if nothing failed."""
    if not failures:
        if path.exists() and kind_of(path) == Kind.ERRORS:  # never delete a file that is not ours
            path.unlink()
        return
    outputs = make_outputs(path.with_name(STORE_FILE), errors=path)
    whole = run_metadata(Extractor(ExtractorConfig(spec=spec)), outputs)
    metadata = replace(whole, kind=Kind.ERRORS)
    now = datetime.now(UTC)
    rows = [{**row, "failed_at": now} for row in failures]
    write_table(path, pa.Table.from_pylist(rows, schema_of(metadata)), metadata)


def _report(
    channel: SharedSpace,
    out: Path,
    embedded: int,
    *,
    failed: int,
    without: int = 0,
    stopped: str | None = None,
) -> EmbeddingReport:
    return EmbeddingReport(
        embedded=embedded,
        failed=failed,
        stopped=stopped,
        without=without,
        model_id=channel.model_id,
        space=channel.space,
        out=out,
        errors=errors_path(out),
    )
