"""Render the MIDI music of some packages as clips whose tempo its composer wrote down.

    apt install fluidsynth; pip install mido soundfile
    apt download freedoom freedm freedink-data pianobooster simutrans-data openttd-openmsx \
        fluid-soundfont-gm timgm6mb-soundfont opl3-soundfont
    for deb in *.deb; do dpkg-deb -x $deb unpacked/${deb%%_*}; done
    python scripts/tempo/score_clips.py unpacked CLIPS [--loops FOLDER]

Each piece is rendered as it is written and once more at another tempo, by a sound font that is
drawn: fast music slower by up to four tenths, so that half of all clips are at most at 100. Whole
packages are in one split, ``truth.csv`` has it: file, set, split, bpm, key (empty). Drum loops
whose names begin with their tempo, ``120bpm_`` (WaivOps, CC BY 4.0), are added as they are: half
of them to train, half to test.

Left out are pieces of less than 20 seconds, whose tempo moves, and whose notes do not lie on the
file's grid: fewer than 0.7 of them within a tenth of a sixteenth, or of a triplet.
"""

import argparse
import csv
import hashlib
import random
import struct
import subprocess
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import mido
import numpy as np
import soundfile

SPLITS = {
    **dict.fromkeys(("freedoom", "freedm", "freedink-data", "pianobooster"), "train"),
    "simutrans-data": "dev",
    "openttd-openmsx": "test",
}
FONTS = {"timgm6mb-soundfont": 5, "opl3-soundfont": 3, "fluid-soundfont-gm": 2}  # how often
SECONDS, RATE = 32, 22_050
SLOW = 100.0  # beats per minute
STEADY, ON_GRID = 0.96, 0.7


def pieces(package: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and MIDI data of each piece: of files, of zip archives, and of Doom's WADs."""
    for path in sorted(p for p in package.rglob("*") if p.is_file()):
        if path.suffix == ".mid":
            yield path.stem, path.read_bytes()
        elif path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                names = [n for n in archive.namelist() if n.endswith(".mid")]
                yield from ((Path(name).stem, archive.read(name)) for name in names)
        elif path.suffix == ".wad":
            data = path.read_bytes()
            count, at = struct.unpack("<II", data[4:12])
            for begin, size, name in struct.iter_unpack("<II8s", data[at : at + 16 * count]):
                if data[begin : begin + 4] == b"MThd":
                    lump = name.rstrip(b"\0").decode()
                    yield f"{path.stem}-{lump}", data[begin : begin + size]


def tempo_of(file: mido.MidiFile) -> float | None:
    """Return the tempo of a file's metre; None if it moves or the notes are elsewhere."""
    track, at, before = mido.merge_tracks(file.tracks), 0.0, (0.0, 500_000)
    lasts: Counter[int] = Counter()
    metre, places = (4, 4), []
    for message in track:
        at += message.time / file.ticks_per_beat
        if message.type == "set_tempo":
            lasts[before[1]] += round((at - before[0]) * before[1])
            before = at, message.tempo
        elif message.type == "time_signature":
            metre = message.numerator, message.denominator
        elif message.type == "note_on" and message.velocity:
            places.append(at)
    lasts[before[1]] += round((at - before[0]) * before[1])
    chosen, most = lasts.most_common(1)[0]
    total = sum(lasts.values())
    if not places or most < STEADY * total or total < 20e6 or metre[1] == 16:
        return None
    steps = [np.asarray(places) * by for by in (4, 3)]
    if max(np.mean(np.abs(s - np.rint(s)) < 0.1) for s in steps) < ON_GRID:
        return None
    is_compound = metre[1] == 8 and metre[0] % 3 == 0 and metre[0] > 3
    return 6e7 / chosen / (1.5 if is_compound else 1.0)


def slower(bpm: float, rng: random.Random) -> float:
    """Draw by what the tempo of the second clip of a piece is multiplied."""
    factor = rng.uniform(0.58, 0.85) if bpm >= SLOW else rng.uniform(0.8, 1.25)
    return max(factor, 50.0 / bpm) if bpm > 50 else 1.0


def beginning(file: mido.MidiFile, factor: float) -> mido.MidiFile:
    """Return what of a file sounds first, `factor` times as fast, in one track."""
    cut, at, tempo = mido.MidiTrack(), 0.0, round(500_000 / factor)
    cut.append(mido.MetaMessage("set_tempo", tempo=tempo))
    for message in mido.merge_tracks(file.tracks):
        at += mido.tick2second(message.time, file.ticks_per_beat, tempo)
        if at > SECONDS + 1:
            break
        if message.type == "set_tempo":
            tempo = min(0xFFFFFF, round(message.tempo / factor))
            cut.append(message.copy(tempo=tempo))
        else:
            cut.append(message)
    return mido.MidiFile(type=0, ticks_per_beat=file.ticks_per_beat, tracks=[cut])


def render(file: mido.MidiFile, font: Path, has_reverb: bool, out: Path) -> None:
    """Write a file's sound, at most `SECONDS` of it."""
    with tempfile.TemporaryDirectory() as folder:
        midi, wave = Path(folder, "a.mid"), Path(folder, "a.wav")
        file.save(midi)
        options = ["-niq", "-C", "0", "-R", str(int(has_reverb)), "-g", "0.5", "-r", str(RATE)]
        command = ["fluidsynth", *options, "-F", wave, font, midi]
        subprocess.run(command, check=True, capture_output=True)
        samples, rate = soundfile.read(wave, always_2d=True)
    mono = samples[: SECONDS * rate].mean(axis=1)
    soundfile.write(out, np.clip(mono, -1, 1), rate)


def main() -> None:
    """Write all clips, and the table of their tempos."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("unpacked", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--loops", type=Path)
    args = parser.parse_args()
    args.clips.mkdir(parents=True, exist_ok=True)
    fonts = {name: next((args.unpacked / name).rglob("*.sf2")) for name in FONTS}
    rows, seen = [], set[object]()
    for package, split in SPLITS.items():
        for name, data in pieces(args.unpacked / package):
            if not seen.isdisjoint((data, (package, name))):
                continue
            seen |= {data, (package, name)}
            with tempfile.TemporaryFile() as raw:
                raw.write(data)
                raw.seek(0)
                try:
                    file = mido.MidiFile(file=raw, clip=True)
                except (OSError, EOFError, ValueError, KeyError, mido.KeySignatureError):
                    continue
            bpm = tempo_of(file)
            for number in range(2 if bpm else 0):
                rng = random.Random(f"{package} {name} {number}")  # noqa: S311 - no secret
                factor = slower(bpm, rng) if number else 1.0
                font = rng.choices(list(FONTS), list(FONTS.values()))[0]
                out = args.clips / f"{package}-{name}-{number}.flac"
                if not out.exists():
                    render(beginning(file, factor), fonts[font], rng.random() < 0.5, out)
                rows.append([out.name, package, split, round(bpm * factor, 3), ""])
    for path in sorted(args.loops.glob("*bpm_*")) if args.loops else ():
        samples, rate = soundfile.read(path, always_2d=True)
        soundfile.write(args.clips / f"loops-{path.stem}.flac", samples.mean(axis=1), rate)
        half = hashlib.sha256(path.stem.encode()).digest()[0] % 2
        bpm = float(path.stem.split("bpm_")[0])
        rows.append([f"loops-{path.stem}.flac", "loops", ("train", "test")[half], bpm, ""])
    with (args.clips / "truth.csv").open("w", newline="") as table:
        csv.writer(table).writerows([["file", "set", "split", "bpm", "key"], *rows])
    print(Counter((row[1], row[2]) for row in rows), sum(row[3] <= SLOW for row in rows), "slow")


if __name__ == "__main__":
    main()
