"""Whole runs of the real command, disturbed, and what an undisturbed one gives."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from made_songs import write_song
from poison import kept
from waiting import until

TESTS = Path(__file__).parents[1]
VOLATILE = ["extracted_at", "failed_at"]
START = "from audiorec_cli.main import main; main()"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    lines: list[str]

    @property
    def errors(self) -> list[str]:
        """The lines that say what is wrong."""
        return [line for line in self.lines if line.startswith("error: ")]


class Command:
    """`audiorec extract` on one library and one output, as often as a test wants."""

    def __init__(self, library: Path, out: Path, expected: list[dict]) -> None:
        self.library = library
        self.out = out
        self.expected = expected
        self.started: list[subprocess.Popen] = []

    def start(
        self,
        *options: str,
        handler: str | None = None,
        prelude: str = "",
        before_exec: Callable[[], None] | None = None,
        wrap: Sequence[str] = (),
    ) -> subprocess.Popen:
        """Start the command; `prelude` is Python that runs before it, `handler` the workers'."""
        if handler is not None:
            prelude += f"\nimport audiorec.extraction.run as e; e.HANDLER = {handler!r}"
            prelude += "\nimport audiorec.store.journal as j; j.PART_S = 0.0"
        command = [sys.executable, "-c", f"{prelude}\n{START}", "extract", str(self.library)]
        said, hangs = (
            Path(f"{self.out.parent}.{n}-{len(self.started)}") for n in ("said", "hangs")
        )
        hangs.mkdir()
        with said.open("w") as stderr:
            process = subprocess.Popen(
                [*wrap, *command, "--out", str(self.out), "--jobs", "1", *options],
                env={**os.environ, "PYTHONPATH": str(TESTS), "HANGS": str(hangs)},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                preexec_fn=before_exec,
            )
        process.said, process.hangs = said, hangs
        self.started.append(process)
        return process

    def end(self, process: subprocess.Popen, *signals: int) -> Ended:
        """Send the signals, and wait for the end."""
        for number in signals:
            process.send_signal(number)
        stdout, _ = process.communicate(timeout=120)
        stderr = process.said.read_text()
        assert stdout == ""
        assert "Traceback" not in stderr, stderr
        return Ended(process.returncode, stderr.splitlines())

    def run(self, *options: str, **disturbances) -> Ended:
        """Start the command and wait for its end."""
        return self.end(self.start(*options, **disturbances))

    def wait_for(self, words: str, process: subprocess.Popen) -> None:
        """Wait until a process has said something."""
        said = process.said.read_text
        until(lambda: words in said() or process.poll() is not None, told=said)

    def hangs(self, **disturbances) -> subprocess.Popen:
        """Start the command, and return when it hangs at the third song."""
        process = self.start(handler="poison:song_handler", **disturbances)
        until(lambda: [*process.hangs.iterdir()], told=process.said.read_text)
        assert self.kept() == 2
        return process

    def workers(self, process: subprocess.Popen) -> list[int]:
        """Return the ids of the processes that a run has started."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has ended
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[1]) == process.pid:
                    found.append(int(path.parent.name))
        return found

    def kept(self) -> int:
        """Count the songs in the journal of an unfinished run."""
        return kept(self.out.with_name(f"{self.out.name}.run"))

    def goes_on(self, *options: str, unchanged: int | None = None) -> None:
        """The same command ends as if nothing had happened, without doing work again."""
        ended = self.run(*options)
        assert ended.code == 0, ended.lines
        if unchanged is not None:
            assert f"{unchanged} unchanged" in ended.lines[0]
        self.is_as_expected()

    def is_as_expected(self) -> None:
        """The output is that of an undisturbed run, and nothing else lies beside it."""
        assert rows(self.out) == self.expected
        left = {path.name for path in self.out.parent.iterdir()}
        beside = {f"{self.out.name}.run.json", "vecs.errors.parquet", "vecs.copies.parquet"}
        assert left <= {self.out.name, *beside}


def rows(path: Path) -> list[dict]:
    """Return the rows of an output without the times at which they were made."""
    table = pq.read_table(path)
    return table.drop_columns([n for n in VOLATILE if n in table.column_names]).to_pylist()


@pytest.fixture(scope="session")
def library(tmp_path_factory) -> Path:
    """Four songs; the third one's name tells the handlers of `poison` to misbehave."""
    folder = tmp_path_factory.mktemp("library")
    for i, name in enumerate(["a.wav", "b.flac", "hang.wav", "z.flac"]):
        write_song(folder / name, seed=i, seconds=1.2)
    return folder


@pytest.fixture(scope="session")
def calm(library, tmp_path_factory) -> list[dict]:
    """The rows of an undisturbed run."""
    command = Command(library, tmp_path_factory.mktemp("calm") / "vecs.parquet", [])
    assert command.run().code == 0
    found = rows(command.out)
    assert [row["song_id"] for row in found] == ["a.wav", "b.flac", "hang.wav", "z.flac"]
    return found


@pytest.fixture
def command(library, calm, tmp_path) -> Iterator[Command]:
    """The command, with an output of its own."""
    made = Command(library, tmp_path / "out" / "vecs.parquet", calm)
    yield made
    for process in made.started:  # what a failed test left behind
        with process:
            process.kill()
