"""Songs as log-mel segments, decoded in disposable workers: what an end-to-end model hears.

    (song id, path) ──worker processes──▶ (T, 187, 96) float16, or why there is none

A folder keeps what was decoded, a file a song, so that a run that was cut off does not decode
anew. A segment takes 36 kB.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.audio.decode import decode
from audiorec.audio.segment import segments
from audiorec.catalogue import Source
from audiorec.files.atomic import replaced
from audiorec.metric.segments import SongSegments
from audiorec.spec import FeatureSpec
from audiorec.workers import Answer, Limits, Workers

HANDLER = "audiorec.embedding.log_mels:log_mel_handler"
HalfArray = npt.NDArray[np.float16]


def log_mel_handler(spec: FeatureSpec, max_segments: int) -> Callable[[str], HalfArray]:
    """Make what a worker process runs: path in, segments (T, 187, 96) out.

    Parameters
    ----------
    spec : FeatureSpec
    max_segments : int
        A longer song is thinned to so many, spread evenly; 0 for all.
    """

    def handle(path: str) -> HalfArray:
        def consume(blocks: Any) -> HalfArray:
            return np.stack([s.log_mel.astype(np.float16) for s in segments(blocks, spec)])

        whole, _info = decode(path, consume, spec=spec)
        song = SongSegments((path,), whole, np.array([0, len(whole)], np.int64))
        rows, _owner = song.rows(np.array([0]), limit=max_segments)
        thinned: HalfArray = whole[rows]
        return thinned

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
    """Yield each song's segments, or the worker's answer that says why there are none.

    Parameters
    ----------
    sources : sequence of Source
    folder : Path
        Keeps the segments; of other songs, or of another content, nothing in it is used.
    spec : FeatureSpec
    max_segments : int
    jobs : int
    limits : Limits, optional

    Yields
    ------
    source, found : Source, ndarray (T, 187, 96) float16 or Answer
        In no order.
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
                with (
                    replaced(folder / keys[source.song_id]) as temporary,
                    temporary.open("wb") as f,
                ):
                    np.save(f, answer.value, allow_pickle=False)
                yield source, answer.value


def _key(source: Source, spec: FeatureSpec, max_segments: int) -> str:
    parts = (source.path, source.size, source.mtime_ns, spec.fingerprint, max_segments)
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:24] + ".npy"


def _kept(path: Path) -> HalfArray | None:
    with suppress(OSError, ValueError, EOFError):
        # Mapped first: a header that claims more than the file holds takes no memory.
        found = np.load(path, allow_pickle=False, mmap_mode="r")
        if found.dtype == np.float16 and found.ndim == 3:
            kept: HalfArray = np.array(found)
            return kept
    return None
