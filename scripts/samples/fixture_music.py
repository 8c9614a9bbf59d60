"""The scores behind the rendered fixture clips: melodies in the public domain, as notes.

A voice is text: ``"G4:1 B4:.5 -:.5"`` is G4 for one beat, B4 for half, a rest for half.
Notes joined by ``+`` sound together. `midi_file` turns voices into a Standard MIDI File for
a synthesiser; `singing_markup` turns a voice with words into what Festival sings.

    Piece ──midi_file──▶ bytes          SONG, SONG_WORDS ──singing_markup──▶ XML
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

TICKS = 480  # per beat
DRUMS = 9  # the General MIDI channel whose keys are drums
KICK, SNARE, HAT = "C2", "D2", "F#2"
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


class Voice(NamedTuple):
    """One instrument: General MIDI program (counted from 0), loudness 1 to 127, notes."""

    program: int
    velocity: int
    notes: str
    is_drums: bool = False


class Piece(NamedTuple):
    """A tempo in beats per minute, and the voices that play together."""

    tempo: float
    voices: tuple[Voice, ...]


def key(note: str) -> int:
    """Return the MIDI key of a note name.

    Examples
    --------
    >>> key("C4"), key("F#3"), key("Bb2")
    (60, 54, 46)
    """
    name, accidental, octave = re.fullmatch(r"([A-G])([#b]?)(-?\d)", note).groups()
    return STEPS[name] + {"": 0, "#": 1, "b": -1}[accidental] + 12 * (int(octave) + 1)


def beats(notes: str) -> Iterator[tuple[list[str], float]]:
    """Yield the notes that sound together and their length in beats; a rest has no notes."""
    for token in notes.split():
        names, length = token.split(":")
        yield ([] if names == "-" else names.split("+")), float(length)


def midi_file(piece: Piece) -> bytes:
    """Write a piece as a Standard MIDI File of format 1, one track a voice."""
    tempo = round(60e6 / piece.tempo).to_bytes(3, "big")  # microseconds a beat
    tracks = [_track(b"\x00\xff\x51\x03" + tempo)]
    melodic = iter(c for c in range(16) if c != DRUMS)
    for voice in piece.voices:
        channel = DRUMS if voice.is_drums else next(melodic)
        start = bytes([0, 0xC0 | channel, voice.program])
        tracks.append(_track(start + b"".join(_events(voice, channel))))
    return struct.pack(">4sIHHH", b"MThd", 6, 1, len(tracks), TICKS) + b"".join(tracks)


def singing_markup(notes: str, words: str, *, tempo: float, octave: int = 0) -> str:
    """Write a melody with words for Festival's singing mode.

    Parameters
    ----------
    notes : str
        One note a syllable, and rests.
    words : str
        Syllables of a word joined by ``-``: ``"ac-quain-tance"``.
    tempo : float
        Beats per minute.
    octave : int
        Octaves to add: the voice is a man's, the melodies are written for an instrument.
    """
    seconds = 60 / tempo
    melody = beats(notes)
    lines = [
        '<?xml version="1.0"?>',
        "<!DOCTYPE SINGING PUBLIC",
        SINGING_TYPE,
        '<SINGING BPM="60">',
    ]
    for word in words.split():
        sung = [_sung(melody, lines, seconds) for _ in word.split("-")]
        pitches = ",".join(name[:-1] + str(int(name[-1]) + octave) for name, _ in sung)
        lengths = ",".join(f"{length * seconds:.3f}" for _, length in sung)
        text = word.replace("-", "")
        lines.append(
            f'<PITCH NOTE="{pitches}"><DURATION SECONDS="{lengths}">{text}</DURATION></PITCH>'
        )
    return "\n".join([*lines, "</SINGING>", ""])


def _sung(
    melody: Iterator[tuple[list[str], float]], lines: list[str], seconds: float
) -> tuple[str, float]:
    """Return the next note, after writing the rests before it."""
    for names, length in melody:
        if names:
            return names[0], length
        lines.append(f'<REST SECONDS="{length * seconds:.3f}"></REST>')
    raise ValueError("more syllables than notes")


def _track(events: bytes) -> bytes:
    events += b"\x00\xff\x2f\x00"
    return struct.pack(">4sI", b"MTrk", len(events)) + events


def _events(voice: Voice, channel: int) -> Iterator[bytes]:
    """Note on and note off, each after the ticks since the event before."""
    wait = 0
    for names, length in beats(voice.notes):
        ticks = round(length * TICKS)
        keys = [key(name) for name in names]
        for k in keys:
            yield _delta(wait) + bytes([0x90 | channel, k, voice.velocity])
            wait = 0
        wait += ticks
        for k in keys:
            yield _delta(wait) + bytes([0x80 | channel, k, 0])
            wait = 0


def _delta(ticks: int) -> bytes:
    """Write a number in MIDI's groups of seven bits."""
    groups = [ticks & 0x7F]
    while ticks := ticks >> 7:
        groups.append(0x80 | ticks & 0x7F)
    return bytes(reversed(groups))


def _times(count: int, notes: str) -> str:
    return " ".join([notes] * count)


def _broken(bars: str) -> str:
    """Bach's figure: of five notes 1 2 3 4 5 a bar plays 1 2 3 4 5 3 4 5 twice."""
    order = (0, 1, 2, 3, 4, 2, 3, 4) * 2
    return " ".join(f"{bar.split()[i]}:.25" for bar in bars.split("|") for i in order)


def _picked(chords: str, length: float) -> str:
    """Each chord of three notes, one note after the other."""
    return " ".join(f"{n}:{length}" for chord in chords.split("|") for n in chord.split())


def _shuffle(root: str, fifth: str, sixth: str) -> str:
    """One bar of the boogie figure: root with fifth, root with sixth, in swung quavers."""
    pair = f"{root}+{fifth}:.667 {root}+{fifth}:.333 {root}+{sixth}:.667 {root}+{sixth}:.333"
    return f"{pair} {pair}"


def _twelve_bars(i: str, iv: str, v: str) -> str:
    return " ".join([i, i, i, i, iv, iv, i, i, v, iv, i, v])


# Johann Sebastian Bach, Prelude in C major, BWV 846 (1722), bars 1 to 6.
BACH = Piece(
    68,
    (
        Voice(
            0,
            80,
            _broken(
                "C4 E4 G4 C5 E5|C4 D4 A4 D5 F5|B3 D4 G4 D5 F5|"
                "C4 E4 G4 C5 E5|C4 E4 A4 E5 A5|C4 D4 F#4 A4 D5"
            ),
        ),
    ),
)

# "Old Hundredth", Genevan Psalter (1551), melody with our own plain harmony.
_OLD_HUNDREDTH = (
    "G4+D4+B3+G3:1 G4+D4+B3+G3:1 F#4+D4+A3+D3:1 E4+B3+G3+E3:1 D4+B3+F#3+B2:1 G4+D4+B3+G3:1 "
    "A4+E4+C4+A3:1 B4+D4+G3+G3:2 "
    "B4+D4+G3:1 B4+D4+G3:1 B4+E4+G3+E3:1 A4+D4+F#3+D3:1 G4+D4+B3+G3:1 C5+E4+G3+C3:1 "
    "B4+D4+G3+G3:1 A4+D4+F#3+D3:3"
)
CHOIR = Piece(84, (Voice(52, 100, _OLD_HUNDREDTH), Voice(53, 45, _OLD_HUNDREDTH)))

# "Greensleeves" (before 1580), in quavers.
_GREENSLEEVES = (
    "A4:1 C5:2 D5:1 E5:1.5 F5:.5 E5:1 D5:2 B4:1 G4:1.5 A4:.5 B4:1 "
    "C5:2 A4:1 A4:1.5 G#4:.5 A4:1 B4:2 G#4:1 E4:2 A4:1 "
    "C5:2 D5:1 E5:1.5 F5:.5 E5:1 D5:2 B4:1 G4:1.5 A4:.5 B4:1 "
    "C5:1.5 B4:.5 A4:1 G#4:1.5 F#4:.5 G#4:1 A4:3 A4:3"
)
_AM, _G, _EM, _E = (
    "A2 E3 C4|A3 E3 C4",
    "G2 D3 B3|G3 D3 B3",
    "E2 B2 G3|E3 B2 G3",
    "E2 B2 G#3|E3 B2 G#3",
)
_GREEN_CHORDS = "|".join([_AM, _G, _AM, _E, _AM, _G, "A2 E3 C4|E2 B2 G#3", _AM])
FOLK = Piece(
    170,
    (Voice(73, 88, _GREENSLEEVES), Voice(24, 84, "-:1 " + _picked(_GREEN_CHORDS, 1))),
)

# A twelve-bar blues in E: the progression belongs to nobody.
_BLUES_LEAD = (
    "-:1 B4:.667 D5:.333 E5:1 D5:.667 B4:.333 G4:.5 G#4:.5 E4:2 -:1 "
    "-:1 B4:.667 D5:.333 E5:1.667 G5:.333 E5:.667 D5:.333 B4:2 -:1 "
    "-:1 E5:.667 G5:.333 A5:1 G5:.667 E5:.333 D5:.667 C5:.333 A4:2 -:1 "
    "-:1 B4:.667 D5:.333 E5:1 D5:.667 B4:.333 G4:.5 G#4:.5 E4:2 -:1 "
    "F#5:1 D#5:.667 B4:.333 A4:1 B4:1 E5:1 C5:.667 A4:.333 G4:1 A4:1 "
    "B4:.667 D5:.333 B4:.667 G4:.333 E4:2 B3:4"
)
BLUES = Piece(
    138,
    (
        Voice(
            29,
            72,
            _twelve_bars(
                _shuffle("E2", "B2", "C#3"),
                _shuffle("A2", "E3", "F#3"),
                _shuffle("B2", "F#3", "G#3"),
            ),
        ),
        Voice(
            33,
            100,
            _twelve_bars(
                "E2:1 G#2:1 B2:1 C#3:1", "A2:1 C#3:1 E3:1 F#3:1", "B2:1 D#3:1 F#3:1 G#3:1"
            ),
        ),
        Voice(22, 105, _BLUES_LEAD),
        Voice(
            0,
            90,
            _times(24, f"{KICK}+{HAT}:.667 {HAT}:.333 {SNARE}+{HAT}:.667 {HAT}:.333"),
            is_drums=True,
        ),
    ),
)

# Stephen Foster, "Oh! Susanna" (1848).
_SUSANNA = (
    "D4:.25 E4:.25 F#4:.5 A4:.5 A4:.75 B4:.25 A4:.5 F#4:.5 D4:.75 E4:.25 F#4:.5 F#4:.5 E4:.5 "
    "D4:.5 E4:1.5 D4:.25 E4:.25 F#4:.5 A4:.5 A4:.75 B4:.25 A4:.5 F#4:.5 D4:.75 E4:.25 F#4:.5 "
    "F#4:.5 E4:.5 E4:.5 D4:2"
)
_ROLL_D, _ROLL_A = "D3 F#3 A3|D4 A3 F#3|A3 D4", "A2 E3 A3|C#4 A3 E3|A3 C#4"
COUNTRY = Piece(
    104,
    (
        Voice(110, 96, _SUSANNA),
        Voice(
            105,
            92,
            "-:.5 "
            + _picked(
                "|".join([_ROLL_D] * 3 + [_ROLL_A] + [_ROLL_D] * 2 + [_ROLL_A, _ROLL_D]), 0.25
            ),
        ),
        Voice(32, 100, "-:.5 " + _times(8, "D2:.5 -:.5 A2:.5 -:.5")),
        Voice(0, 70, "-:.5 " + _times(16, f"{KICK}:.5 {SNARE}:.5"), is_drums=True),
    ),
)

# "Auld Lang Syne": words by Robert Burns (1788), traditional melody.
SONG_TEMPO = 84.0  # beats per minute
SONG = (
    "C4:1 F4:1.5 F4:.5 F4:1 A4:1 G4:1.5 F4:.5 G4:1 A4:1 F4:1.5 F4:.5 A4:1 C5:1 D5:3 "
    "D5:1 C5:1.5 A4:.5 A4:1 F4:1 G4:1.5 F4:.5 G4:1 A4:1 F4:1.5 D4:.5 D4:1 C4:1 F4:3"
)
SONG_WORDS = (
    "should auld ac-quain-tance be for-got and nev-er brought to mind "
    "should auld ac-quain-tance be for-got and days of auld lang syne"
)
_SONG_BARS = (
    "F2 C3 F3 A3 C4|C3 G3 Bb3 E4 G3|F2 C3 F3 A3 C4|Bb2 F3 Bb3 D4 F3|"
    "F2 C3 F3 A3 C4|C3 G3 Bb3 E4 G3|Bb2 F3 D4 C3 G3|F2 C3 F3 A3 C4"
)
SONG_GUITAR = Piece(
    SONG_TEMPO,
    (
        Voice(
            25,
            85,
            "-:1 "
            + " ".join(
                f"{bar.split()[i]}:.5"
                for bar in _SONG_BARS.split("|")
                for i in (0, 1, 2, 3, 4, 3, 2, 1)
            ),
        ),
    ),
)
SINGING_TYPE = '"-//SINGING//DTD SINGING mark up//EN" "Singing.v0_1.dtd" []>'
