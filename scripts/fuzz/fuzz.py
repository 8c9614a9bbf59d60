"""Run spoilt files through the real workers and see that nothing worse comes of it than a status.

    python scripts/fuzz/fuzz.py [--cases 20000] [--seed 0] [--minutes 90] [--jobs 2] [--keep DIR]
    python scripts/fuzz/fuzz.py --only 1234 --keep DIR

A case is one file of `fuzz_seeds`, spoilt by `fuzz_mutations`, extracted by
``audiorec.extraction.pipeline:song_handler`` in a child of ``audiorec.runs.workers`` as in any run.
It has to end in a finite vector or in a typed failure. A finding is anything else: an exception
that no one foresaw, a dead or hanging child, a child that holds more file descriptors
after a case than before it or more memory than a song needs, a file left behind, an error
of more than one line. Case `i` of a seed is always the same file.

Prints one JSON document, counts by format, way and status; exits 1 if there are findings.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_mutations import mutate
from fuzz_seeds import FORMATS, seeds

from audiorec.errors import Failure, SongError
from audiorec.extraction.pipeline import ExtractorConfig, Song, song_handler
from audiorec.runs.workers import Answer, Limits, Workers

CLEAR_REFS = Path("/proc/self/clear_refs")  # Linux, like the rest of what is watched
LIMITS = Limits(timeout_s=60.0)  # the songs last three seconds; the machine may be busy
MAX_RSS_MIB = 320  # of a child during a case; without one it has about 150
MAX_CPU_S = 10.0  # of a case; a good one takes 0.1
REMARK_EVERY = 500  # cases, on stderr
DEADLY = (Failure.CRASHED, Failure.TIMEOUT, Failure.OOM)


@dataclass(frozen=True, slots=True)
class Case:
    """One spoilt file."""

    number: int
    kind: str
    ways: tuple[str, ...]
    data: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """The file's name, which tells nothing about its content."""
        return f"{self.number:06d}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a child tells of a case that it lived through."""

    status: str
    message: str
    new_descriptors: int
    cpu_s: float
    peak_rss_mib: float


@dataclass(slots=True)
class Result:
    """What came of all cases."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    findings: list[dict[str, Any]] = field(default_factory=list)
    slowest_cpu_s: float = 0.0
    slowest: int = -1
    peak_rss_mib: float = 0.0

    def add(self, case: Case, answer: Answer) -> None:
        """Count a case; whatever is not as it should be becomes a finding."""
        facts: Facts | None = answer.value
        status = facts.status if facts else str(answer.failure or "unclassified")
        self.counts[(case.kind, case.ways[0], status)] += 1
        for problem in _problems(facts, answer):
            about = {"case": case.number, "format": case.kind, "ways": case.ways, "status": status}
            self.findings.append({**about, "problem": problem})
        if facts:
            if facts.cpu_s > self.slowest_cpu_s:
                self.slowest_cpu_s, self.slowest = facts.cpu_s, case.number
            self.peak_rss_mib = max(self.peak_rss_mib, facts.peak_rss_mib)


def make_case(seed: int, number: int) -> Case:
    """Make case `number` of a seed."""
    rng = np.random.default_rng([seed, number])
    kind = FORMATS[number % len(FORMATS)]
    data, ways = mutate(rng, kind, seeds()[kind])
    return Case(number, kind, ways, data)


def measured_handler(*arguments: Any) -> Callable[[str], Facts]:
    """Make what a child runs: the pipeline's own handler, watched."""
    handle = song_handler(*arguments)

    def watched(path: str) -> Facts:
        CLEAR_REFS.write_text("5")  # the peak of the memory starts anew
        before, start = descriptors(), time.process_time()
        try:
            status, message = _outcome(handle(path)), ""
        except SongError as error:
            status, message = str(error.failure), error.reason
        cpu_s = time.process_time() - start
        return Facts(status, message, descriptors() - before, cpu_s, peak_rss_mib())

    return watched


def run_cases(
    numbers: range, *, seed: int, jobs: int, folder: Path, minutes: float, keep: Path | None = None
) -> Result:
    """Run cases through the workers; `folder` is empty before and afterwards."""
    result, deadline = Result(), time.monotonic() + 60 * minutes
    open_cases: dict[str, Case] = {}

    def paths() -> Iterator[str]:
        for number in numbers:
            if time.monotonic() > deadline:
                return
            case = make_case(seed, number)
            path = folder / case.name
            path.write_bytes(case.data)
            open_cases[str(path)] = case
            yield str(path)

    arguments = (ExtractorConfig(), frozenset(), ())
    with Workers("fuzz:measured_handler", arguments, jobs=jobs, limits=LIMITS) as workers:
        for answer in workers.map_unordered(paths()):
            case, n_findings = open_cases.pop(answer.item), len(result.findings)
            result.add(case, answer)
            if keep is not None and len(result.findings) > n_findings:
                (keep / f"{seed}-{case.name}.{case.kind}").write_bytes(case.data)
            Path(answer.item).unlink()
            if (done := result.counts.total()) % REMARK_EVERY == 0:
                print(f"{done} cases, {len(result.findings)} findings", file=sys.stderr)
    return result


def fuzz(args: argparse.Namespace) -> dict[str, Any]:
    """Run what was asked for and sum it up."""
    start, before = time.perf_counter(), descriptors()
    first = args.only if args.only is not None else args.first
    numbers = range(first, first + (1 if args.only is not None else args.cases))
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    seeds()  # encoders may open what they keep
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["TMPDIR"] = str(folder)  # of the children, so that nothing of theirs is missed
        paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        options = {"jobs": args.jobs, "minutes": args.minutes, "keep": args.keep}
        result = run_cases(numbers, seed=args.seed, folder=folder, **options)
        for path in folder.iterdir():
            result.findings.append({"problem": f"left behind: {path.name}"})
    if descriptors() > before:
        result.findings.append({"problem": f"{descriptors() - before} descriptors in the parent"})
    return {
        "schema": "audiorec/fuzz/1",
        "cases": result.counts.total(),
        "seed": args.seed,
        "jobs": args.jobs,
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "slowest_cpu_s": round(result.slowest_cpu_s, 2),
        "slowest": result.slowest,
        "peak_rss_mib": round(result.peak_rss_mib),
        "statuses": _totals(result, 2),
        "formats": table(result.counts, 0),
        "ways": table(result.counts, 1),
        "findings": result.findings,
    }


def fuzz_parser(about: str | None, *, cases: int, seed: int) -> argparse.ArgumentParser:
    """Return the options of a fuzzer of numbered cases."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=cases)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", type=int, help="run this case alone")
    parser.add_argument("--seed", type=int, default=seed)
    parser.add_argument("--minutes", type=float, default=240.0, help="begin no case after these")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="a folder for the files of the findings")
    return parser


def main() -> None:
    """Fuzz, print, and exit 1 if there are findings."""
    report = fuzz(fuzz_parser(__doc__, cases=20_000, seed=0).parse_args())
    print(json.dumps(report, indent=1))
    sys.exit(1 if report["findings"] else 0)


def _outcome(song: "Song | str") -> str:
    """Return a song's status; a vector that is not as it should be is no status."""
    if not isinstance(song, Song):
        return "not a song"
    is_whole = song.vector.shape == (84,) and len(song.content_hash) == 32
    return str(song.info.status) if is_whole and np.isfinite(song.vector).all() else "not finite"


def _problems(facts: Facts | None, answer: Answer) -> Iterator[str]:
    if facts is None:
        yield answer.message or repr(answer.error)
        return
    if facts.status in ("not a song", "not finite"):
        yield facts.status
    if facts.status in DEADLY or "\n" in facts.message or len(facts.message) > 400:
        yield f"message: {facts.message!r}"
    if facts.new_descriptors > 0:
        yield f"{facts.new_descriptors} descriptors more than before"
    if facts.cpu_s > MAX_CPU_S:
        yield f"{facts.cpu_s:.1f} CPU-seconds"
    if facts.peak_rss_mib > MAX_RSS_MIB:
        yield f"{facts.peak_rss_mib:.0f} MiB of memory"


def descriptors() -> int:
    """Return how many file descriptors this process holds."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counts its own, always one


def peak_rss_mib() -> float:
    """Return the most memory that this process held since its peak was last cleared."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def _totals(result: Result, place: int) -> dict[str, int]:
    totals: Counter[str] = Counter()
    for key, count in result.counts.items():
        totals[key[place]] += count
    return dict(totals.most_common())


def table(counts: Counter[tuple[str, str, str]], place: int) -> dict[str, dict[str, int]]:
    """Return, for each value in one place of the keys, how often each outcome came."""
    found: dict[str, Counter[str]] = {}
    for key, count in sorted(counts.items()):
        found.setdefault(key[place], Counter())[key[2]] += count
    return {name: dict(outcomes.most_common()) for name, outcomes in found.items()}


if __name__ == "__main__":
    main()
