"""Six songs and five that poison a run, their manifest, and what a run over them must give."""

import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from made_songs import write_song

from audiorec.extraction.catalogue import find_songs
from audiorec.extraction.manifest import write_manifest
from audiorec.extraction.run import RunOptions
from audiorec.extraction.shards import ShardConfig, ShardTask, local_parts
from audiorec.store.compact import combine
from audiorec.store.schema import Kind

AT = datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC)
COUNT = 3
POISON = {
    "a/segfault.wav": "crashed",
    "a/empty.flac": "empty",
    "b/memory.wav": "oom",
    "b/page.mp3": "not_audio",
    "c/segfault.flac": "crashed",
}
GOOD = ("a/1.flac", "a/2.wav", "b/3.flac", "b/4.wav", "c/5.flac", "c/6.wav")
# The real pipeline, but for songs that kill the process by their name.
CONFIG = ShardConfig(options=RunOptions(jobs=1, handler="poison:song_handler"))


class Library(NamedTuple):
    """A folder of songs and its manifest."""

    songs: Path
    manifest: str


class DyingTask(ShardTask):
    """A shard whose process dies: shard 0 the first time, shard 1 every time."""

    @classmethod
    def of(cls, task: ShardTask) -> "DyingTask":
        """Return the same shard, deadly."""
        return cls(task.manifest, task.index, task.count, task.out, task.config)

    def attempt(self, progress=None, stop=None):
        """Die, or do as a shard does."""
        first = self.tries() == 0
        with self._mark.open("a") as file:
            file.write("x")
        if self.index == 1 or (self.index == 0 and first):
            time.sleep(float(os.environ.get("DYING_S", "0.5")))
            os.kill(os.getpid(), signal.SIGKILL)
        return super().attempt(progress, stop)

    def tries(self) -> int:
        """Return how often the shard was begun."""
        return self._mark.stat().st_size if self._mark.exists() else 0

    @property
    def _mark(self) -> Path:
        return Path(f"{self.out}.{self.index}")


def make_library(root: Path) -> Library:
    """Write the songs and their manifest."""
    songs = root / "songs"
    for seed, name in enumerate(GOOD):
        write_song(songs / name, seed=seed, seconds=1.6)
    for name in ("a/segfault.wav", "b/memory.wav", "c/segfault.flac"):
        write_song(songs / name, seed=9, seconds=1.2)
    (songs / "a/empty.flac").touch()
    (songs / "b/page.mp3").write_text("<!DOCTYPE html><p>404\n" * 50)
    manifest = str(root / "manifest.parquet")
    write_manifest(manifest, find_songs([songs]), created_at=AT)
    return Library(songs, manifest)


def children_find_poison(patch) -> None:
    """Let worker processes import the handler of `CONFIG`."""
    here = str(Path(__file__).parent)
    patch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))


def part_bytes(folder: str) -> dict[str, bytes]:
    """Return the content of the finished parts' Parquet files, by kind and number."""
    with local_parts(folder) as parts:
        return {
            f"{kind}-{number}": path.read_bytes()
            for kind, paths in parts.items()
            for number, path in enumerate(paths)
        }


def compacted(folder: str, scratch: Path) -> dict[Kind, bytes]:
    """Return the bytes of the store that the parts make together."""
    scratch.mkdir()
    with local_parts(folder) as parts:
        outputs = {kind: scratch / f"{kind}.parquet" for kind in parts}
        combine(parts, outputs)
        return {kind: path.read_bytes() for kind, path in outputs.items()}
