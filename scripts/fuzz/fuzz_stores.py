"""Plant run folders, journals, tables and models, and see that they do no harm.

    python scripts/fuzz/fuzz_stores.py [--cases 9000] [--seed 1] [--jobs 2]
        [--minutes 90] [--keep DIR]
    python scripts/fuzz/fuzz_stores.py --command --cases 1000 --seed 1
    python scripts/fuzz/fuzz_stores.py --only 1234 --keep DIR

A case is a copy of the library of `fuzz_library` in which one thing was changed: bytes of a
file, a value of a JSON, a file put where none was, or a link, a pipe or a folder in the place
of a file. It is then read as the commands read it, in a child of ``audiorec.runs.workers``, or with
``--command`` by one real command. It has to end well or in a typed error. A finding is
anything else: an exception that no one foresaw, a dead or hanging child, a traceback, one bit
changed in a file with checksums and another answer, more memory or descriptors than a case
may take, or a file touched outside of the library: the folder beside it, in which somebody
else's files lie, is looked at after every case. Case `i` of a seed is always the same.

Prints one JSON document; exits 1 if there are findings.
"""

import gc
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from fuzz import CLEAR_REFS, descriptors, fuzz_parser, peak_rss_mib, table
from fuzz_library import LIBRARY, RUN, VICTIM, make_library, state
from fuzz_plants import plant
from fuzz_readers import COMMANDS, READERS

from audiorec.errors import AudiorecError
from audiorec.runs.workers import Answer, Limits, Workers

LIMITS = Limits(timeout_s=60.0)
COMMAND_TIMEOUT_S = 120.0
MAX_RSS_MIB = 700  # of a child: Arrow and the readers take 350
REMARK_EVERY = 500  # cases, on stderr
# Files whose checksums have to tell one changed bit from none.
CHECKED = (
    *("vecs.parquet", "scores.parquet", "features.parquet", "embeddings.parquet"),
    *("users.parquet", "head.safetensors"),
    *("taste/model.json", "taste/model.safetensors"),
    *("audio_model/model.json", "audio_model/model.safetensors"),
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a child tells of a case that it lived through."""

    target: str
    way: str
    outcome: str
    problems: tuple[str, ...]


@dataclass(slots=True)
class Result:
    """What came of all cases."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    findings: list[dict[str, Any]] = field(default_factory=list)

    def add(self, number: int, answer: Answer) -> bool:
        """Count a case; returns whether it was a finding."""
        facts: Facts | None = answer.value
        if facts is None:
            problem = answer.message or repr(answer.error)
            self.findings.append({"case": number, "problem": problem})
            return True
        self.counts[facts.target, facts.way, facts.outcome] += 1
        for problem in facts.problems:
            about = {"case": number, "target": facts.target, "way": facts.way}
            self.findings.append({**about, "outcome": facts.outcome, "problem": problem})
        return bool(facts.problems)


class Fuzzer:
    """Makes cases from a library and runs them one after the other.

    Parameters
    ----------
    made : str
        The folder that `make_library` has filled.
    scratch : str
        Where copies are made.
    seed : int
    by_command : bool
        Run a real command in place of the readers.
    keep : str
        A folder for the cases that are findings; empty for none.
    """

    def __init__(self, made: str, scratch: str, seed: int, by_command: bool, keep: str) -> None:
        self.made, self.seed, self.by_command = Path(made), seed, by_command
        self.place = Path(tempfile.mkdtemp(dir=scratch))
        self.keep = Path(keep) if keep else None
        self.victim = state(self.made / VICTIM)
        self.good: dict[str, str] = {}

    def run(self, number: int) -> Facts:
        """Run one case."""
        rng = np.random.default_rng([self.seed, number])
        folder = self._copy()
        target, way = plant(rng, folder / LIBRARY, self.made / RUN, folder / VICTIM)
        outside, held = state(folder / VICTIM), descriptors()
        with suppress(OSError):
            CLEAR_REFS.write_text("5")  # the peak of the memory starts anew
        if self.by_command:
            outcome, problems = self._command(rng, folder / LIBRARY, target)
        else:
            outcome, problems = self._read(folder / LIBRARY, target, way)
            gc.collect()  # a store holds what holds the store
            gc.freeze()  # modules that the case has loaded: the next collection leaves them out
            if (more := descriptors() - held) > 0:
                problems.append(f"{more} descriptors more than before")
            if (peak := peak_rss_mib()) > MAX_RSS_MIB:
                problems.append(f"{peak:.0f} MiB of memory")
        if state(folder / VICTIM) != outside or outside != self.victim:
            problems.append("files outside of the library were touched")
        if problems and self.keep is not None:
            shutil.copytree(folder, self.keep / f"{self.seed}-{number}", symlinks=True)
        return Facts(target, way, outcome, tuple(problems))

    def _copy(self) -> Path:
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        for name in (LIBRARY, VICTIM):
            shutil.copytree(self.made / name, self.place / name)
        return self.place

    def _read(self, library: Path, target: str, way: str) -> tuple[str, list[str]]:
        outcome, answer, problems = _outcome(READERS[_reader(target)], library)
        if outcome == "ok" and way == "flip_bit" and target in CHECKED:
            if target not in self.good:
                other = self._copy() / LIBRARY
                self.good[target] = _outcome(READERS[_reader(target)], other)[1]
            if answer != self.good[target]:
                problems.append("one bit was changed, and the answer is another")
        return outcome, problems

    def _command(
        self, rng: np.random.Generator, library: Path, target: str
    ) -> tuple[str, list[str]]:
        commands = COMMANDS[_reader(target)]
        command = commands[int(rng.integers(len(commands)))]
        try:
            ended = subprocess.run(
                [Path(sys.executable).with_name("audiorec"), *command],
                cwd=library,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=COMMAND_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return command[0], [f"{' '.join(command)}: takes longer than {COMMAND_TIMEOUT_S} s"]
        said = ended.stdout + ended.stderr
        problems = []
        if ended.returncode not in (0, 2, 3, 4):
            problems.append(f"{' '.join(command)}: exit {ended.returncode}: {said[-300:]!r}")
        if b"Traceback" in said or b"Warning:" in said:
            problems.append(f"{' '.join(command)}: {said[-600:]!r}")
        return f"{command[0]} {ended.returncode}", problems


def handler(*arguments: Any) -> Callable[[int], Facts]:
    """Make what a child runs: the number of a case in, `Facts` out."""
    return Fuzzer(*arguments).run


def run_cases(
    numbers: range,
    *,
    seed: int,
    jobs: int,
    made: Path,
    scratch: Path,
    minutes: float = 240.0,
    by_command: bool = False,
    keep: Path | None = None,
) -> Result:
    """Run cases in children; `made` was filled by `make_library`."""
    result, deadline = Result(), time.monotonic() + 60 * minutes

    def in_time() -> Iterator[int]:
        for number in numbers:
            if time.monotonic() > deadline:
                return
            yield number

    arguments = (str(made), str(scratch), seed, by_command, str(keep or ""))
    limits = Limits(timeout_s=COMMAND_TIMEOUT_S + 60, memory_bytes=0) if by_command else LIMITS
    done = 0
    with Workers("fuzz_stores:handler", arguments, jobs=jobs, limits=limits) as workers:
        for done, answer in enumerate(workers.map_unordered(in_time()), 1):
            result.add(answer.item, answer)
            if done % REMARK_EVERY == 0:
                print(f"{done} cases, {len(result.findings)} findings", file=sys.stderr)
    return result


def main() -> None:
    """Fuzz, print, and exit 1 if there are findings."""
    parser = fuzz_parser(__doc__, cases=9_000, seed=1)
    parser.add_argument("--command", action="store_true", help="run real commands")
    args = parser.parse_args()
    first, count = (args.first, args.cases) if args.only is None else (args.only, 1)
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as scratch:
        make_library(Path(made))
        result = run_cases(
            range(first, first + count),
            seed=args.seed,
            jobs=args.jobs,
            made=Path(made),
            scratch=Path(scratch),
            minutes=args.minutes,
            by_command=args.command,
            keep=args.keep,
        )
    report = {
        "schema": "audiorec/fuzz-stores/1",
        "cases": result.counts.total(),
        "seed": args.seed,
        "by_command": args.command,
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "targets": table(result.counts, 0),
        "ways": table(result.counts, 1),
        "findings": result.findings,
    }
    print(json.dumps(report, indent=1))
    sys.exit(1 if report["findings"] else 0)


def _reader(target: str) -> str:
    """Return which reader looks at a file: by its own name, or by its folder's."""
    return target if target in READERS else target.split("/")[0]


def _outcome(read: Callable[[Path], Any], library: Path) -> tuple[str, str, list[str]]:
    """Return how a reader ended, a digest of what it read, and what is wrong with that."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            answer = read(library)
    except AudiorecError as error:
        text = str(error)
        # A report of bad rows has a line for each; every other error has one line.
        wrong = len(text) > 4_000 or ("\n" in text and type(error).__name__ != "RowsError")
        return type(error).__name__, "", [f"message: {text[:300]!r}"] if wrong else []
    return "ok", hashlib.sha256(repr(answer).encode()).hexdigest(), []


if __name__ == "__main__":
    main()
