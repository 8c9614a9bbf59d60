"""Decode songs to log-mel segments in disposable workers, as inputs of end-to-end models.

    (song id, path) ──worker processes──▶ (T, 187, 96) float16, or the reason of a failure

A folder caches the segments, one file per song, so that an interrupted run does not decode them
again. A segment takes 36 kB.
"""

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.audio.decode import decode
from audiorec.audio.segment import segments
from audiorec.extraction.catalogue import Source
from audiorec.files.own_files import read_own, replaced
from audiorec.runs.workers import Answer, Limits, Workers
from audiorec.spec import FeatureSpec
from audiorec.store.features import SongSegments

DIGEST_BYTES = 32
MAX_KEPT_BYTES = 1 << 30  # per song: 29,000 segments, or a day
HANDLER = "audiorec.recall.audio.log_mels:log_mel_handler"
HalfArray = npt.NDArray[np.float16]


def log_mel_handler(spec: FeatureSpec, max_segments: int) -> Callable[[str], HalfArray]:
    """Build the function of a worker process: path in, segments (T, 187, 96) out.

    Songs with more than `max_segments` are thinned evenly to that number; 0: keep all.
    """

    def handle(path: str) -> HalfArray:
        def consume(blocks: Any) -> HalfArray:
            return np.stack([s.log_mel.astype(np.float16) for s in segments(blocks, spec)])

        whole, _info = decode(path, consume, spec=spec)
        song = SongSegments((path,), whole, np.array([0, len(whole)], np.int64))
        rows, _owner = song.rows(np.array([0]), limit=max_segments)
        return whole[rows]

    return handle


def decode_songs(
    sources: Sequence[Source],
    folder: Path,
    *,
    spec: FeatureSpec,
    max_segments: int,
    jobs: int = 1,
    limits: Limits | None = None,
) -> Iterator[tuple[Source, HalfArray | Answer]]:
    """Yield songs in any order, each with its segments (T, 187, 96) float16.

    If a song fails, the worker's answer, with the reason, is yielded instead. `folder` caches the
    segments; entries of other songs or other content are ignored.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keys = {s.song_id: _key(s, spec, max_segments) for s in sources}
    todo = {}
    for source in sources:
        kept = _kept(folder / keys[source.song_id])
        if kept is None:
            todo[source.path] = source
        else:
            yield source, kept
    if not todo:
        return
    with Workers(HANDLER, (spec, max_segments), jobs=jobs, limits=limits) as workers:
        for answer in workers.map_unordered(todo):
            source = todo[answer.item]
            if answer.value is None:
                yield source, answer
            else:
                _keep(folder / keys[source.song_id], answer.value)
                yield source, answer.value


def _key(source: Source, spec: FeatureSpec, max_segments: int) -> str:
    parts = (source.path, source.size, source.mtime_ns, spec.fingerprint, max_segments)
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:24] + ".npy"


def _keep(path: Path, segments: HalfArray) -> None:
    """Write segments as an npy file, followed by its sha256."""
    content = io.BytesIO()
    np.save(content, segments, allow_pickle=False)
    with replaced(path) as temporary:
        temporary.write_bytes(content.getvalue() + hashlib.sha256(content.getbuffer()).digest())


def _kept(path: Path) -> HalfArray | None:
    """Return the segments that `_keep` wrote; None if they are missing or damaged."""
    with suppress(OSError, ValueError, EOFError):
        content = read_own(path, MAX_KEPT_BYTES)
        content, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
        if hashlib.sha256(content).digest() == digest:
            found = np.load(io.BytesIO(content), allow_pickle=False)
            if found.dtype == np.float16 and found.ndim == 3:
                kept: HalfArray = found
                return kept
    return None
