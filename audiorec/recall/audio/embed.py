"""Any audio to embeddings: of a features file, of audio files, of a store's songs.

    features.parquet  ──embed_features──▶  embeddings.parquet
    songs             ──embed_audio─────▶  embeddings.parquet, errors.parquet

Songs are extracted by an ordinary run into a folder beside the output, which is resumable and
skips what it knows: embedding a folder again costs only its new songs. An end-to-end model
keeps log-mel segments there instead.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from audiorec.errors import InputError, StoreError
from audiorec.extraction.catalogue import Source, make_source
from audiorec.extraction.pipeline import Extractor, ExtractorConfig
from audiorec.extraction.run import RunOptions, make_outputs, run
from audiorec.recall.audio.model import MetricModel
from audiorec.recall.audio.song_rows import EmbeddingReport, SongRows
from audiorec.runs.report import RunProgress, Stopped
from audiorec.store.features import FeatureFile
from audiorec.store.store import VectorStore

WORK_SUFFIX = ".work"
FEATURES_FILE = "features.parquet"
ERRORS_FILE = "errors.parquet"


def embed_features(model: MetricModel, features: str | Path, *, out: str | Path) -> EmbeddingReport:
    """Embed the songs of a features file.

    Parameters
    ----------
    model : MetricModel
    features : path
        A ``features.parquet`` of the extractor that the model was trained on.
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
    rows = SongRows()
    for songs, hashes in file.blocks():
        rows.ids += songs.song_ids
        rows.hashes += hashes
        rows.segments += np.diff(songs.offsets).tolist()
        rows.blocks.append(model.embed(songs))
    if not rows.ids:
        raise StoreError(f"{features}: holds no songs")
    rows.write(model, Path(out), file.extractor_id)
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
        Songs that fail do not raise: they are rows of ``errors.parquet`` beside `out`.

    Raises
    ------
    SpecMismatchError
        If this audiorec is another extractor than the model was trained on.
    """
    options = options or RunOptions()
    out = Path(out)
    folder = Path(work) if work is not None else out.with_name(out.name + WORK_SUFFIX)
    if model.end_to_end:
        from audiorec.recall.audio.embed_end_to_end import hear_songs

        heard = hear_songs(model, sources, folder, options, device, progress, stop)
        return _of_heard(model, heard, out, len(sources))
    config = ExtractorConfig(spec=model.audio_spec)
    model.check_extractor(Extractor(config).extractor_id, "what this audiorec extracts")
    errors = out.with_name(ERRORS_FILE)
    outputs = make_outputs(folder / "vecs.parquet", features=folder / FEATURES_FILE, errors=errors)
    done = run(sources, outputs, config=config, options=options, progress=progress, stop=stop)
    if done.stopped is not None:
        return _report(model, out, 0, failed=done.failed, stopped=str(done.stopped))
    rows = _of_sources(model, folder / FEATURES_FILE, sources)
    failed = done.failed + done.failed_before
    if rows.ids:
        rows.write(model, out, model.extractor_id)
    return _report(model, out, len(rows.ids), failed=failed)


def store_sources(store: VectorStore) -> list[Source]:
    """List the songs of a store where they were when it was made."""
    uris = store.column("uri").to_pylist()
    return [make_source(uri, name) for uri, name in zip(uris, store.ids, strict=True)]


def _of_sources(model: MetricModel, features: Path, sources: Sequence[Source]) -> SongRows:
    """Embed those of the extracted songs that were asked for."""
    rows = SongRows()
    if not features.exists():
        return rows
    wanted = {source.song_id for source in sources}
    for songs, hashes in FeatureFile.open(features, model.spec.inputs).blocks():
        embedded = model.embed(songs)
        keep = [i for i, name in enumerate(songs.song_ids) if name in wanted]
        rows.ids += [songs.song_ids[i] for i in keep]
        rows.hashes += [hashes[i] for i in keep]
        rows.segments += np.diff(songs.offsets)[keep].tolist()
        rows.blocks.append(embedded[keep])
    return rows


def _of_heard(model: MetricModel, heard: Any, out: Path, n_songs: int) -> EmbeddingReport:
    if len(heard.rows.ids) + len(heard.failures) < n_songs:
        stopped = str(Stopped.INTERRUPTED)
        return _report(model, out, 0, failed=len(heard.failures), stopped=stopped)
    heard.write_failures(out.with_name(ERRORS_FILE))
    if heard.rows.ids:
        heard.rows.write(model, out, model.extractor_id)
    return _report(model, out, len(heard.rows.ids), failed=len(heard.failures))


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
        errors=out.with_name(ERRORS_FILE),
    )
