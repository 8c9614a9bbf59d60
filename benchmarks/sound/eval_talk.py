"""Judge when talk over music is told: mixes of speech and music, and songs that are none.

    python -m benchmarks eval_talk SPEECH MUSIC [--songs STORE ...] [--mixes 32] [--seed 0]

SPEECH is a folder whose files begin with their speaker, ``SpeakerA_...``; MUSIC a folder of music
without voices. Each mix is half a minute of one piece under sentences of one speaker, with pauses
of up to a second, who is 0, 6 or 12 dB louder. A mix is rightly told if it is called talk over
music, or no music at all. Of the STOREs, whose songs are music, it counts what is called talk.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from audiorec import extract, open_store
from audiorec.audio.decode import decode
from audiorec.errors import SongError
from audiorec.library.readings import readings
from audiorec.tagger.reading import TALK
from audiorec.types import FloatArray

RATE, SECONDS = 16_000, 30
LOUD = 0.1  # root mean square of each part
LEVELS = (0, 6, 12)  # dB that talk is louder


def samples(path: Path) -> FloatArray:
    """Return a file at 16 kHz and an even loudness; nothing of one that is too short."""
    try:
        found = decode(path, lambda blocks: np.concatenate(list(blocks)))[0]
    except SongError:
        return np.zeros(0, np.float32)
    return found * np.float32(LOUD / max(1e-9, np.sqrt(np.mean(found**2))))


def talk(paths: list[Path], rng: np.random.Generator) -> FloatArray:
    """Return half a minute of sentences of one speaker."""
    parts: list[FloatArray] = []
    while sum(map(len, parts)) < SECONDS * RATE:
        parts += [
            samples(paths[rng.integers(len(paths))]),
            np.zeros(rng.integers(RATE), np.float32),
        ]
    return np.concatenate(parts)[: SECONDS * RATE]


def main() -> None:
    """Print a line of JSON for each level, and one for each store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("speech", type=Path)
    parser.add_argument("music", type=Path)
    parser.add_argument("--songs", nargs="*", default=[])
    parser.add_argument("--mixes", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    speakers: dict[str, list[Path]] = {}
    for path in sorted(p for p in asked.speech.rglob("*") if p.suffix in (".ogg", ".flac", ".wav")):
        speakers.setdefault(path.stem.partition("_")[0], []).append(path)
    music = sorted(p for p in asked.music.rglob("*") if p.suffix in (".ogg", ".flac", ".mp3"))
    names = sorted(speakers)
    pairs = [
        (music[rng.integers(len(music))], names[rng.integers(len(names))])
        for _ in range(asked.mixes)
    ]
    with tempfile.TemporaryDirectory() as made:
        for at, (piece, speaker) in enumerate(pairs):
            under, over = samples(piece)[-SECONDS * RATE :], talk(speakers[speaker], rng)
            for level in LEVELS:
                mixed = over.copy()
                mixed[: len(under)] += under * np.float32(10 ** (-level / 20))
                mixed /= max(1.0, float(np.abs(mixed).max()) / 0.95)
                (Path(made) / f"{level}").mkdir(exist_ok=True)
                soundfile.write(Path(made) / f"{level}" / f"{at}.flac", mixed, RATE)
        extract(made, out=f"{made}/vecs.parquet")
        found = open_store(f"{made}/vecs.parquet")
        told = dict(zip(found.ids, (one.remark for one in readings(found)), strict=True))
        for level in LEVELS:
            remarks = [remark for name, remark in told.items() if name.startswith(f"{level}/")]
            counts = [sum(map(remark.startswith, (TALK, "not music"))) for remark in remarks]
            row = {"mixes": len(remarks), "talk": remarks.count(TALK), "told": sum(counts)}
            print(json.dumps({"louder_db": level, **row}))
    for path in asked.songs:
        remarks = [one.remark for one in readings(open_store(path))]
        print(json.dumps({"songs": path, "n": len(remarks), "talk": remarks.count(TALK)}))


if __name__ == "__main__":
    main()
