"""How many songs of a server are matched by sound with the right song of a store, or a wrong one.

    python -m benchmarks eval_matching AUDIO [--work DIR]

AUDIO is a folder of music. Every second file of it is extracted into a store; then each file, in
turn as MP3, Vorbis and FLAC, is what a server hands out, without path, artist and title. Of those
of the store the right match is their own; of the others none is. One JSON line: how many were
matched with their own song, and how many with another one, and the names of what is wrong; shares
have Wilson's 95 % interval.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import soundfile
from eval_reasons import interval

from audiorec.library import open_store
from audiorec.listening.imports.rows import SongRef
from audiorec.players.contract import Account, Player, PlayerList, PlayerSong
from audiorec.players.matching import Matched, UnmatchedSong, match_by_sound
from audiorec.players.push import ledger_of

ENDS = (".mp3", ".ogg", ".flac")


class Encodes(Player):
    """Hands out files in another format and without tags."""

    def __init__(self, files: Sequence[Path]) -> None:
        super().__init__(Account(url="made://files"))
        self.files = files

    def audio(self, song_id: str) -> bytes:
        """Return a file, encoded anew."""
        samples, rate = soundfile.read(self.files[int(song_id)])
        with tempfile.NamedTemporaryFile(suffix=ENDS[int(song_id) // 2 % len(ENDS)]) as file:
            soundfile.write(file.name, samples, rate)
            return Path(file.name).read_bytes()

    def songs(self) -> Iterator[PlayerSong]:
        """Yield nothing: the songs are given."""
        return iter(())

    def lists(self) -> list[PlayerList]:
        """Return nothing."""
        return []

    def songs_of(self, list_id: str) -> tuple[str, ...]:
        """Return nothing."""
        return (list_id,)

    create = replace = remove = songs_of  # type: ignore[assignment]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("audio", type=Path)
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    files = sorted(p.resolve() for p in given.audio.rglob("*") if p.suffix in (".ogg", ".flac"))
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        os.environ["AUDIOREC_DATA"] = folder
        (Path(folder) / "music").mkdir()
        for n, file in enumerate(files[::2]):
            shutil.copy(file, Path(folder) / "music" / f"{2 * n:04d}{file.suffix}")
        words = ("-m", "audiorec_cli.main", "extract", "music", "--out", "vecs.parquet", "--quiet")
        subprocess.run([sys.executable, *words], cwd=folder, check=True)
        library = open_store(Path(folder) / "vecs.parquet")
        lengths = [soundfile.info(file).duration for file in files]
        lost = [UnmatchedSong(SongRef(id=str(n), duration_s=s), "") for n, s in enumerate(lengths)]
        with ledger_of("made://files", "") as ledger:
            none = Matched({}, Counter(), tuple(lost))
            found = match_by_sound(library, Encodes(files), none, ledger)
        print(json.dumps(counted(files, {k: library.ids[r] for k, r in found.rows.items()})))


def counted(files: Sequence[Path], found: dict[str, str]) -> dict[str, Any]:
    """Return the figures of what was found, by place in `files`."""
    stored = [str(n) for n in range(0, len(files), 2)]
    right = [n for n in stored if n in found and int(Path(found[n]).stem) == int(n)]
    wrong = [n for n in found if n not in right]
    others = len(files) - len(stored)
    return {
        "in the store, matched with their own song": interval(len(right), len(stored)),
        "in the store, matched with another song": interval(
            sum(n in stored for n in wrong), len(stored)
        ),
        "not in the store, matched": interval(sum(n not in stored for n in wrong), others),
        "wrong": [[files[int(n)].name, files[int(Path(found[n]).stem)].name] for n in wrong],
        "missed": [files[int(n)].name for n in stored if n not in found],
    }


if __name__ == "__main__":
    main()
