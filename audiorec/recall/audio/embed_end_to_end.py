"""Songs through a model that was trained end to end: decoded, heard by the network, embedded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from audiorec.errors import SongError, WeightsError
from audiorec.extraction.catalogue import Source
from audiorec.extraction.pipeline import Extractor, ExtractorConfig
from audiorec.extraction.reader import Reader, hash_reader
from audiorec.extraction.run import RunOptions, failure_row, make_outputs, run_metadata
from audiorec.recall.audio.end_to_end import EndToEndTower
from audiorec.recall.audio.log_mels import decode_songs
from audiorec.recall.audio.model import MetricModel
from audiorec.recall.audio.song_rows import SongRows
from audiorec.recall.audio.tower import Tower
from audiorec.recall.audio.trainer import embed_songs
from audiorec.runs.report import RunProgress
from audiorec.spec import FeatureSpec
from audiorec.store.inventory import kind_of
from audiorec.store.parquet import write_table
from audiorec.store.schema import Kind, StoreMetadata, schema_of
from audiorec.store.segments import join_songs
from audiorec.tagger.backbone_torch import Musicnn


@dataclass(slots=True, eq=False)
class Heard:
    """What came of hearing songs.

    Attributes
    ----------
    rows : SongRows
    failures : list of dict
        Rows of ``errors.parquet``.
    """

    spec: FeatureSpec
    rows: SongRows = field(default_factory=SongRows)
    failures: list[dict[str, Any]] = field(default_factory=list)

    def write_failures(self, path: Path) -> None:
        """Write ``errors.parquet``, or remove an old one where nothing failed."""
        if not self.failures:
            if path.exists() and kind_of(path) == Kind.ERRORS:  # another file is not ours
                path.unlink()
            return
        metadata = _errors_metadata(self.spec, path)
        now = datetime.now(UTC)
        rows = [{**row, "failed_at": now} for row in self.failures]
        write_table(path, pa.Table.from_pylist(rows, schema_of(metadata)), metadata)


def load_tower(model: MetricModel) -> EndToEndTower:
    """Return the network of an end-to-end model.

    Raises
    ------
    WeightsError
        If the weights do not fit it.
    """
    tower = EndToEndTower(Musicnn(), Tower(model.spec))
    tensors = {n: torch.from_numpy(np.array(a)) for n, a in model.bundle.tensors.items()}
    try:
        tower.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"the weights do not fit an end-to-end model ({reason})") from error
    return tower.eval()


def hear_songs(
    model: MetricModel,
    sources: Sequence[Source],
    folder: Path,
    options: RunOptions,
    device: str,
    progress: Callable[[RunProgress], None] | None,
    stop: Event | None,
) -> Heard:
    """Decode and embed songs.

    Parameters
    ----------
    model : MetricModel
    sources : sequence of Source
    folder : Path
        Keeps what was decoded.
    options : RunOptions
        Its processes and limits.
    device : str
    progress : callable, optional
    stop : Event, optional
        Once set, no further song is embedded.
    """
    tower = load_tower(model).to(device)
    heard = Heard(model.audio_spec)
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
                heard.rows.ids.append(source.song_id)
                heard.rows.hashes.append(_hash_of(source, hashes))
                heard.rows.segments.append(len(found))
                heard.rows.blocks.append(embed_songs(tower, songs, device=device))
            else:
                heard.failures.append(failure_row(source, found, 1))
            if progress is not None:
                failed = len(heard.failures)
                at = {"done": done, "total": len(sources), "failed": failed}
                progress(RunProgress(**at, audio_s=0.0, song_id=source.song_id, song=None))
            if stop is not None and stop.is_set():
                break
    return heard


def _hash_of(source: Source, hashes: Reader[str]) -> str | None:
    """Return the content hash, None if the song went away since it was decoded."""
    try:
        return hashes.read(source.path)
    except SongError:
        return None


def _errors_metadata(spec: FeatureSpec, path: Path) -> StoreMetadata:
    outputs = make_outputs(path.with_name("vecs.parquet"), errors=path)
    whole = run_metadata(Extractor(ExtractorConfig(spec=spec)), outputs)
    return replace(whole, kind=Kind.ERRORS)
