r"""Make clips of known tempo and key, to judge `extract --attributes` by.

    apt install fluidsynth fluid-soundfont-gm mma openttd-openmsx planetblupi-music-midi \
        fretsonfire-songs-muldjord fretsonfire-songs-sectoid
    pip install music21 mido soundfile
    python -m benchmarks attribute_clips CLIPS [--loops FOLDER] [--seconds 45] [--seed 0]

========  ===============================================================  ===========
set       what                                                             known
========  ===============================================================  ===========
grooves   accompaniments of MMA's library of styles (drums, bass, chords)  tempo, key
tunes     Ryan's Mammoth Collection (fiddle tunes), one instrument         tempo, key
chorales  chorales by J. S. Bach, four voices                              tempo, key
games     MIDI music of OpenTTD (OpenMSX) and Planet Blupi                 tempo
songs     the songs of Frets on Fire: recordings, not renderings           tempo
loops     drum loops whose names begin with their tempo, ``120bpm_``       tempo
========  ===============================================================  ===========

What is written as notes is rendered by fluidsynth with the FluidR3 sound font. Tempos of grooves,
tunes and chorales are drawn (a tune's from the range of its kind), keys of grooves as well; keys
of tunes and chorales are those that the edition states, where the last bass note is their tonic.
The tempo is that of the metre's beat: a dotted quarter in 6/8 and 12/8. Of the games' files those
are left out whose tempo moves by more than 4 %, or whose notes do not lie on the grid that the
file claims (fewer than 0.7 of them within a tenth of a sixteenth).

CLIPS/truth.csv has a line a clip: file, set, split (dev or test, by the name of the groove, tune
or song), bpm, key (``C# minor``, or empty).
"""

import argparse
import csv
import hashlib
import io
import random
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mido
import music21
import numpy as np
import soundfile

SOUND_FONT = "/usr/share/sounds/sf2/FluidR3_GM.sf2"
GROOVES = Path("/usr/share/mma/lib")
LIBRARIES = ("alexis", "casio", "kara", "pflib", "stdlib")
GAMES = ("/usr/share/games/openttd/baseset/openmsx", "/usr/share/planetblupi/music")
SONGS = Path("/usr/share/games/fretsonfire/data/songs")
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
# Chords of four bars, by their place in the scale; an upper-case numeral is a major chord.
CHORDS = {
    "major": ("I V vi IV", "I vi IV V", "I IV I V", "I vi ii V", "I iii IV V", "I IV V I"),
    "minor": ("i VII VI V", "i iv V i", "i VI III VII", "i iv i V", "i VI iv V", "i VII i V"),
}
STEPS = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
NUMERALS = ("i", "ii", "iii", "iv", "v", "vi", "vii")
# Beats a minute that fiddle tunes are played at; the beat of a jig is a dotted quarter.
TUNE_TEMPOS = {"reel": (90, 125), "jig": (90, 130), "hornpipe": (70, 100), "": (80, 140)}
TUNE_VOICES = (0, 22, 40, 73, 24, 105, 21, 110)  # piano, harmonica, violin, flute, guitar ...
CHORALE_VOICES = (0, 19, 48, 52, 68, 6)  # piano, organ, strings, choir, oboe, harpsichord
CHORALE_TEMPOS = (60, 110)
GROOVE_TEMPOS = (65, 175)
ON_GRID = 0.7  # of the notes, within a tenth of a sixteenth
STEADY = 0.96  # of the time, at one tempo


@dataclass(frozen=True)
class Clip:
    """What one clip is made of, and what is known of it; `origin` decides its split."""

    name: str
    group: str
    origin: str
    bpm: float
    key: str = ""
    midi: bytes = b""  # to be rendered, or
    audio: Path | None = None  # a recording


def grooves(rng: random.Random) -> Iterator[Clip]:
    """One groove of each file of MMA's library, over chords that are drawn; simple metres."""
    for path in sorted(p for name in LIBRARIES for p in GROOVES.glob(f"{name}/*.mma")):
        names = re.findall(r"(?mi)^\s*DefGroove\s+(\S+)", path.read_text(errors="replace"))
        plain = [n for n in names if not re.search(r"(?i)end|intro|fill|plus", n)]
        if not plain or re.search(r"metronome|none|68|128", path.stem):
            continue
        name, mode, tonic = rng.choice(plain), rng.choice(tuple(CHORDS)), rng.randrange(12)
        first, second = rng.sample(CHORDS[mode], 2)
        bpm = rng.randint(*GROOVE_TEMPOS)
        chords = [chord(n, mode, tonic) for n in f"{first} {first} {second} {first}".split() * 4]
        lines = [f"Tempo {bpm}", f"Use {path.parent.name}/{path.stem}", f"Groove {name}", *chords]
        with tempfile.TemporaryDirectory() as folder:
            source, midi = Path(folder, "a.mma"), Path(folder, "a.mid")
            source.write_text("\n".join(lines) + "\n")
            made = subprocess.run(["mma", "-f", midi, source], capture_output=True, check=False)
            if made.returncode or not midi.exists():
                continue
            data = midi.read_bytes()
        key = f"{NAMES[tonic]} {mode}"
        yield Clip(f"{path.parent.name}-{name}", "grooves", path.stem, bpm, key, data)


def chord(numeral: str, mode: str, tonic: int) -> str:
    """Return a chord's name: ``vi`` in C major is ``Am``."""
    step = STEPS[mode][NUMERALS.index(numeral.lower())]
    return NAMES[(tonic + step) % 12] + ("m" if numeral.islower() else "")


def tunes(rng: random.Random) -> Iterator[Clip]:
    """Fiddle tunes as they stand, in one voice, played twice."""
    paths = music21.corpus.getComposer("ryansMammoth")
    for path in sorted(rng.sample(paths, 150)):
        kind = re.search(r"(?mi)^R: *(\w*)", Path(path).read_text(errors="replace"))
        low, high = TUNE_TEMPOS.get(kind[1].lower() if kind else "", TUNE_TEMPOS[""])
        yield from scored(path, "tunes", rng.uniform(low, high), [rng.choice(TUNE_VOICES)], rng)


def chorales(rng: random.Random) -> Iterator[Clip]:
    """Four-part chorales, all voices by one instrument."""
    paths = [p for p in music21.corpus.getComposer("bach") if p.name.startswith("bwv")]
    for path in sorted(rng.sample(paths, 150)):
        bpm = rng.uniform(*CHORALE_TEMPOS)
        yield from scored(path, "chorales", bpm, [rng.choice(CHORALE_VOICES)] * 4, rng)


def scored(
    path: Path, group: str, bpm: float, voices: list[int], rng: random.Random
) -> Iterator[Clip]:
    """Return a score as a clip, if it states a key on whose tonic its bass ends."""
    try:
        score = music21.converter.parse(path)
        keys = {(k.tonic.pitchClass, k.mode) for k in score.recurse().getElementsByClass("Key")}
        parts = [part.stripTies().flatten() for part in score.parts]
        notes = [n for part in parts for n in part.notes if n.pitches]
        metre = next(iter(score.recurse().getElementsByClass("TimeSignature")))
    except (music21.exceptions21.Music21Exception, StopIteration):
        return
    last = max((n.offset for n in notes), default=0)
    final = min((p for n in notes if n.offset == last for p in n.pitches), default=None)
    if len(keys) != 1 or final is None or len(parts) > len(voices):
        return
    tonic, mode = keys.pop()
    if mode not in STEPS or final.pitchClass != tonic:
        return
    beat = metre.beatDuration.quarterLength
    data = performed(parts, voices, bpm, float(beat), rng)
    yield Clip(path.stem, group, path.stem, bpm, f"{NAMES[tonic]} {mode}", data)


def performed(
    parts: list[Any], voices: list[int], bpm: float, beat: float, rng: random.Random
) -> bytes:
    """Return parts as a MIDI file, three times over: beats louder, onsets a little uneven."""
    per_quarter, file = 480, mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=round(6e7 / bpm / beat))])
    events: list[tuple[int, Any]] = []
    length = max(float(part.highestTime) for part in parts)
    length = beat * round(length / beat + 0.49)
    for channel, (part, voice) in enumerate(zip(parts, voices, strict=False)):
        events.append((0, mido.Message("program_change", channel=channel, program=voice)))
        for turn in range(3):
            for note in part.notes:
                at, lasts = float(note.offset) + turn * length, float(note.quarterLength)
                loud = (84 if at % beat == 0 else 70) + rng.randint(-6, 6)
                begin = max(0, round(at * per_quarter + rng.gauss(0, 6)))
                end = begin + max(20, round(lasts * per_quarter * 0.92))
                for pitch in note.pitches:
                    about = {"channel": channel, "note": pitch.midi}
                    events.append((begin, mido.Message("note_on", velocity=loud, **about)))
                    events.append((end, mido.Message("note_off", **about)))
    now = 0
    for at, message in sorted(events, key=lambda event: event[0]):
        track.append(message.copy(time=at - now))
        now = at
    file.tracks.append(track)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def games(_rng: random.Random) -> Iterator[Clip]:
    """MIDI music of two games, where its tempo is steady and its notes keep to it."""
    for path in sorted(p for folder in GAMES for p in Path(folder).glob("*.mid")):
        bpm = steady_tempo(mido.MidiFile(path, clip=True))
        if bpm is not None:
            yield Clip(path.stem, "games", path.stem, bpm, midi=path.read_bytes())


def steady_tempo(file: mido.MidiFile) -> float | None:
    """Return the tempo of a file's metre; None if it moves or the notes are elsewhere."""
    lasts: Counter[float] = Counter()
    tempo, metre = 500_000, (4, 4)
    for message in file:
        lasts[tempo] += message.time
        tempo = message.tempo if message.type == "set_tempo" else tempo
        if message.type == "time_signature":
            metre = message.numerator, message.denominator
    chosen, most = lasts.most_common(1)[0]
    if most < STEADY * sum(lasts.values()):
        return None
    places: list[float] = []
    for track in file.tracks:
        at = 0
        for message in track:
            at += message.time
            if message.type == "note_on" and message.velocity:
                places.append(at / file.ticks_per_beat * 4)
    apart = np.abs(np.asarray(places) - np.rint(places))
    is_compound = metre[1] == 8 and metre[0] % 3 == 0 and metre[0] > 3
    return 6e7 / chosen / (1.5 if is_compound else 1) if np.mean(apart < 0.1) >= ON_GRID else None


def songs(_rng: random.Random) -> Iterator[Clip]:
    """Yield recorded songs whose notes for players state the tempo."""
    for path in sorted(SONGS.glob("*/*/notes.mid")):
        bpm = steady_tempo(mido.MidiFile(path, clip=True))
        if bpm is not None:
            name = path.parent.name.replace(" ", "-")
            yield Clip(name, "songs", name, bpm, audio=path.with_name("song.ogg"))


def loops(folder: Path) -> Iterator[Clip]:
    """Loops whose names begin with their tempo."""
    for path in sorted(folder.glob("*bpm_*.ogg")):
        yield Clip(path.stem, "loops", path.stem, float(path.stem.split("bpm_")[0]), audio=path)


def write(clip: Clip, out: Path, seconds: float) -> None:
    """Write a clip's first seconds as FLAC; of a recording those from its middle on."""
    with tempfile.TemporaryDirectory() as folder:
        path = clip.audio
        if path is None:
            path, midi = Path(folder, "a.wav"), Path(folder, "a.mid")
            beginning(clip.midi, seconds).save(midi)
            command = ["fluidsynth", "-niq", "-g", "0.5", "-r", "44100", "-F", path]
            subprocess.run([*command, SOUND_FONT, midi], check=True, capture_output=True)
        samples, rate = soundfile.read(path, always_2d=True, dtype="float32")
    wanted = int(seconds * rate)
    begin = max(0, (len(samples) - wanted) // 2) if clip.audio else 0
    samples = samples[begin : begin + wanted]
    soundfile.write(out, np.clip(samples, -1, 1), rate)


def beginning(data: bytes, seconds: float) -> mido.MidiFile:
    """Return what of a MIDI file sounds before `seconds`, in one track."""
    file = mido.MidiFile(file=io.BytesIO(data), clip=True)
    cut, at, tempo = mido.MidiTrack(), 0.0, 500_000
    for message in mido.merge_tracks(file.tracks):
        at += mido.tick2second(message.time, file.ticks_per_beat, tempo)
        tempo = message.tempo if message.type == "set_tempo" else tempo
        if at > seconds + 1:
            break
        cut.append(message)
    return mido.MidiFile(type=0, ticks_per_beat=file.ticks_per_beat, tracks=[cut])


def split_of(origin: str) -> str:
    """Return dev or test, by the name alone."""
    return ("dev", "test")[hashlib.sha256(origin.encode()).digest()[0] % 2]


def main() -> None:
    """Write all clips and the table of what is known of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--loops", type=Path)
    parser.add_argument("--seconds", type=float, default=45.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.clips.mkdir(parents=True, exist_ok=True)
    rows = []
    for make in (games, songs, loops, tunes, chorales, grooves):
        rng = random.Random(f"{args.seed} {make.__name__}")  # noqa: S311 - no secret
        if make is loops and args.loops is None:
            continue
        for clip in loops(args.loops) if make is loops else make(rng):
            name = f"{clip.group}-{clip.name}.flac"
            if not (args.clips / name).exists():
                write(clip, args.clips / name, args.seconds)
            rows.append([name, clip.group, split_of(clip.origin), round(clip.bpm, 3), clip.key])
    with (args.clips / "truth.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "set", "split", "bpm", "key"], *rows])
    print(Counter((row[1], row[2]) for row in rows))


if __name__ == "__main__":
    main()
