"""Estimate the CPU time of a run before it starts.

    sources, outputs ──estimate──▶ seconds of audio by their headers, CPU seconds

The cost of a second of audio comes from the record of the last run beside the output, if that was
long enough, or is measured on up to three of the songs: one of each of the commonest formats.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiorec.audio.tags import header_duration_s
from audiorec.errors import SongError
from audiorec.extraction.catalogue import Source
from audiorec.extraction.pipeline import Extractor, ExtractorConfig
from audiorec.extraction.reader import song_reader
from audiorec.files.own_files import read_own
from audiorec.runs.record import MAX_RECORD_BYTES, RECORD_SCHEMA
from audiorec.runs.workers import Limits
from audiorec.store.journal import Outputs
from audiorec.tagger.features import split_input

# CPU seconds per second of audio; benchmarks/bench_pipeline.py measures them.
READING = 0.0012  # decoding an MP3 and its spectrogram
NETWORK = {"msd": 0.0008}
OTHER_NETWORK = 0.003  # an added network without measurements
START_S = 0.6  # CPU seconds to start the run, and to start each worker
ENOUGH_S = 600.0  # seconds of audio from which a run's record is used
FORMATS = 3  # formats that are measured


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated cost of a run: seconds of audio by the headers, CPU seconds, and their basis."""

    audio_s: float
    cpu_s: float
    basis: str  # ``record``, ``measured`` or ``typical``


def estimate(
    sources: Sequence[Source],
    outputs: Outputs,
    config: ExtractorConfig,
    *,
    jobs: int,
    record: Path,
    limits: Limits | None = None,
) -> Estimate:
    """Estimate the cost of extracting `sources` with `jobs` workers; `record` may be missing."""
    lengths = {source.path: header_duration_s(source.path) or 0.0 for source in sources}
    audio_s = sum(lengths.values())
    extractor = Extractor(config)
    kept = extractor.networks.feature_outputs if outputs.features is not None else ()
    networks = set(extractor.heads.backbones) | {split_input(n)[0] for n in kept}
    start_s = START_S * (1 + min(jobs, len(sources))) if sources else 0.0
    cost = _recorded(record, networks)
    if cost is not None:
        return Estimate(audio_s, start_s + audio_s * cost, "record")
    typical = READING + sum(NETWORK.get(name, OTHER_NETWORK) for name in networks)
    costs = _measured(sources, lengths, config, kept, limits) if audio_s else {}
    usual = sum(costs.values()) / len(costs) if costs else typical
    seconds = [lengths[s.path] * costs.get(_format(s), usual) for s in sources]
    return Estimate(audio_s, start_s + sum(seconds), "measured" if costs else "typical")


def _recorded(path: Path, networks: set[str]) -> float | None:
    """Return the CPU seconds per second of audio in the last run; None if unknown."""
    with suppress(OSError, ValueError, KeyError, TypeError, ZeroDivisionError, RecursionError):
        record: Mapping[str, Any] = json.loads(read_own(path, MAX_RECORD_BYTES))
        report, cpu_s = record["report"], dict(record["report"]["cpu_s"])
        if record["schema"] != RECORD_SCHEMA or report["audio_s"] < ENOUGH_S:
            return None
        named = [w["name"].removeprefix("musicnn_") for w in record["weights"]]
        ran = {name for name in named if not name.startswith("head_")}
        of_all, of_ran = (
            sum(NETWORK.get(n, OTHER_NETWORK) for n in names) for names in (networks, ran)
        )
        cpu_s.pop("load", None)
        network = float(cpu_s.pop("backbone")) * of_all / of_ran
        return (network + sum(map(float, cpu_s.values()))) / float(report["audio_s"])
    return None


def _measured(
    sources: Sequence[Source],
    lengths: Mapping[str, float],
    config: ExtractorConfig,
    outputs: tuple[str, ...],
    limits: Limits | None,
) -> dict[str, float]:
    """Extract a song of median length in each of the commonest formats; return costs by format."""
    by_format: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        if lengths[source.path]:
            by_format[_format(source)].append(source)
    usual = sorted(by_format.items(), key=lambda pair: (-len(pair[1]), pair[0]))[:FORMATS]
    costs = {}
    with song_reader(config, outputs, limits=limits) as reader:
        for name, songs in usual:
            songs.sort(key=lambda source: lengths[source.path])
            with suppress(SongError):
                song = reader.read(songs[len(songs) // 2].path)
                spent = sum(s for stage, s in song.cpu_s.items() if stage != "load")
                costs[name] = spent / song.info.duration_s
    return costs


def _format(source: Source) -> str:
    return Path(source.path).suffix.lower()
