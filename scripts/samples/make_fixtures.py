"""Make the clips of ``fixtures/audio``, and the songs of ``fixtures/demo``.

    python scripts/samples/make_fixtures.py signals
    python scripts/samples/make_fixtures.py cuts --sources DIR
    python scripts/samples/make_fixtures.py renders
    python scripts/samples/make_fixtures.py demo --sources DIR

``signals`` are computed here and need nothing but the package's own dependencies; the tests
remake them and compare. ``cuts`` come from packages with a free licence, unpacked below
`DIR` in folders of the package's name: Debian's as ``dpkg -x`` leaves them, librosa's source
distribution as pip downloads it; they need ffmpeg, and ``gresource`` for the sounds of
blanket. ``renders`` play the scores of `fixture_music`: they need ffmpeg, fluidsynth with
fluid-soundfont-gm, festival with festvox-kallpc16k, and espeak-ng.

Who made what, under which licence, and what audiorec should say of it stands in
``fixtures/audio/README.md``. ``demo`` cuts what ``fixtures/demo/songs.csv`` lists.
The same versions of the tools give the same bytes.
"""

import argparse
import csv
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import av
import fixture_music as music
import numpy as np
import numpy.typing as npt
import soundfile

FIXTURES = Path(__file__).parents[2] / "fixtures"
SONGS = FIXTURES / "demo" / "songs.csv"
SONG_S = 22.0  # seven segments
SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
Samples = npt.NDArray[np.float64]


class Clip(NamedTuple):
    """What every clip has: a name, two tags, and ffmpeg's options for the encoding."""

    name: str
    title: str
    artist: str
    encoding: str
    more_tags: tuple[str, ...] = ()  # NAME=VALUE


class Cut(NamedTuple):
    """A piece of a package's files; several files are stems of one song and are summed."""

    clip: Clip
    package: str
    files: tuple[str, ...]
    start_s: float
    seconds: float
    resource: str | None = None  # the path inside a GResource file


class Render(NamedTuple):
    """A clip that a synthesiser plays; `play` writes a WAV file into a folder."""

    clip: Clip
    seconds: float
    play: Callable[[Path], Path]


MP3, MP3_VBR = "-c:a libmp3lame -b:a", "-c:a libmp3lame -q:a"
VORBIS, OPUS, AAC = "-c:a libvorbis -q:a", "-c:a libopus -b:a", "-c:a aac -b:a"
ALAC, FLAC, PCM_16 = (
    "-c:a alac",
    "-c:a flac -compression_level 12 -sample_fmt s16",
    "-c:a pcm_s16le",
)
AIFF = "-c:a pcm_s16be -write_id3v2 1"

_MARS = "usr/share/games/marsshooter/audio/"
_MULDJORD = "usr/share/games/fretsonfire/data/songs/muldjord/armygeddon/"
_SECTOID = "usr/share/games/fretsonfire/data/songs/sectoid/War of freedom/"
_SAMPLES = "usr/share/sonic-pi/samples/"
_VIBE_ACE = ("librosa/util/example_data/Kevin_MacLeod_-_Vibe_Ace.ogg",)
_PHONE = "usr/share/asterisk/sounds/en_US_f_Allison/"
_BLANKET = ("usr/share/blanket/blanket.gresource",)
_BLANKET_SOUNDS = "/com/rafaelmardojai/Blanket/sounds/"

CUTS = (
    Cut(
        Clip("metal-band-with-woman-singing.mp3", "Ezer Év", "Obsidian Shell", f"{MP3} 112k"),
        "marsshooter-data",
        (_MARS + "music/01_-_Ezer_Ev.ogg",),
        274.0,
        18.0,
    ),
    Cut(
        Clip("rock-song-with-woman-singing.m4a", "Farkaskönny", "Obsidian Shell", f"{AAC} 96k"),
        "marsshooter-data",
        (_MARS + "tutorial.ogg",),
        138.0,
        15.0,
    ),
    Cut(
        Clip("death-metal-band.ogg", "Armygeddon", "Muldjord", f"{VORBIS} 2"),
        "fretsonfire-songs-muldjord",
        (_MULDJORD + "song.ogg", _MULDJORD + "guitar.ogg"),
        40.0,
        12.0,
    ),
    Cut(
        Clip("guitar-band.flac", "War of freedom", "Sectoid", f"-ac 1 -ar 22050 {FLAC}"),
        "fretsonfire-songs-sectoid",
        (_SECTOID + "song.ogg", _SECTOID + "guitar.ogg"),
        60.0,
        8.0,
    ),
    Cut(
        Clip("jazz-vibraphone.mp3", "Vibe Ace", "Kevin MacLeod", f"-ac 1 {MP3_VBR} 5"),
        "librosa-0.7.2",
        _VIBE_ACE,
        4.0,
        18.0,
    ),
    Cut(
        Clip("jazz-vibraphone-later.ogg", "Vibe Ace (later)", "Kevin MacLeod", f"-ac 1 {VORBIS} 2"),
        "librosa-0.7.2",
        _VIBE_ACE,
        40.0,
        15.0,
    ),
    Cut(
        Clip("synthesizer-beat.opus", "A New Journey", "Maxstack", f"{OPUS} 72k"),
        "singularity-music",
        ("usr/share/games/singularity/music/A New Journey.ogg",),
        80.0,
        20.0,
    ),
    Cut(
        Clip("game-tune-caribbean.mp3", "Caribbean", "Will Savino", f"{MP3_VBR} 6"),
        "hyperrogue-music",
        ("usr/share/hyperrogue/music/hr-savino-caribbean.ogg",),
        8.0,
        15.0,
    ),
    Cut(
        Clip("drum-loop.aiff", "Amen loop", "gowers", f"-ac 1 -ar 22050 {AIFF}"),
        "sonic-pi-samples",
        (_SAMPLES + "loop_amen_full.flac",),
        0.0,
        5.0,
    ),
    Cut(
        Clip("tabla-loop.m4a", "Tabla loop", "lezaarth", f"-ac 1 -ar 22050 {ALAC}"),
        "sonic-pi-samples",
        (_SAMPLES + "loop_tabla.flac",),
        0.0,
        10.0,
    ),
    Cut(
        Clip("speech-over-telephone.wav", "Congratulations", "Allison Smith", PCM_16),
        "asterisk-core-sounds-en-wav",
        (_PHONE + "demo-congrats.wav",),
        0.0,
        12.0,
    ),
    Cut(
        Clip("city-street.mp3", "City", "Gezorten Plotz", f"-ac 1 {MP3} 64k"),
        "blanket",
        _BLANKET,
        4.0,
        12.0,
        _BLANKET_SOUNDS + "city.ogg",
    ),
    Cut(
        Clip("birds.ogg", "Birds", "Kevin Garlic", f"-ac 1 {VORBIS} 1"),
        "blanket",
        _BLANKET,
        20.0,
        12.0,
        _BLANKET_SOUNDS + "birds.ogg",
    ),
)


def played(piece: music.Piece) -> Callable[[Path], Path]:
    """Play a piece with fluidsynth and the General MIDI sound font of Frank Wen."""

    def play(folder: Path) -> Path:
        midi, wav = folder / "piece.mid", folder / "piece.wav"
        midi.write_bytes(music.midi_file(piece))
        _run("fluidsynth", "-niq", "-r", "44100", "-F", str(wav), str(SOUNDFONT), str(midi))
        return wav

    return play


def sung(folder: Path) -> Path:
    """Sing the song with Festival's voice kal_diphone, 16 kHz mono."""
    score, wav, commands = folder / "song.xml", folder / "song.wav", folder / "sing.scm"
    score.write_text(
        music.singing_markup(music.SONG, music.SONG_WORDS, tempo=music.SONG_TEMPO, octave=-1)
    )
    commands.write_text(
        "(voice_kal_diphone) (require 'singing-mode)\n"
        f'(set! tts_hooks (list utt.synth (lambda (u) (utt.save.wave u "{wav}" \'riff) u)))\n'
        f'(tts_file "{score}" \'singing)\n'
    )
    _run("festival", "-b", str(commands))
    return wav


def sung_with_guitar(folder: Path) -> Path:
    """Put a guitar under the song: both keep the same tempo and start together."""
    wav = folder / "mix.wav"
    _mix([sung(folder), played(music.SONG_GUITAR)(folder)], wav)
    return wav


def spoken(folder: Path) -> Path:
    """Say two sentences in French with espeak-ng."""
    wav = folder / "speech.wav"
    text = "Le train de dix heures partira de la voie quatre. Prenez garde à la marche."
    _run("espeak-ng", "-v", "fr", "-s", "150", "-w", str(wav), text)
    return wav


RENDERS = (
    Render(
        Clip("classical-piano.flac", "Prelude BWV 846", "Johann Sebastian Bach", f"-ac 1 {FLAC}"),
        10.0,
        played(music.BACH),
    ),
    Render(
        Clip("choir-a-cappella.mp3", "Old Hundredth", "Genevan Psalter", f"-ac 1 {MP3} 64k"),
        14.0,
        played(music.CHOIR),
    ),
    Render(
        Clip("man-singing-alone.ogg", "Auld Lang Syne", "Robert Burns", f"{VORBIS} 4"), 22.0, sung
    ),
    Render(
        Clip(
            "man-singing-with-guitar.mp3",
            "Auld Lang Syne (guitar)",
            "Robert Burns",
            f"-ac 1 -ar 22050 {MP3_VBR} 4",
        ),
        23.0,
        sung_with_guitar,
    ),
    Render(
        Clip("folk-flute-and-guitar.ogg", "Greensleeves", "traditional", f"{VORBIS} 1"),
        17.0,
        played(music.FOLK),
    ),
    Render(
        Clip("blues-band.mp3", "Blues in E", "twelve bars", f"{MP3_VBR} 6"),
        20.0,
        played(music.BLUES),
    ),
    Render(
        Clip("country-fiddle-and-banjo.m4a", "Oh! Susanna", "Stephen Foster", f"{AAC} 80k"),
        10.0,
        played(music.COUNTRY),
    ),
    Render(
        Clip("speech-in-french.mp3", "Voie quatre", "espeak-ng", f"-ar 22050 {MP3} 32k"),
        5.0,
        spoken,
    ),
)


def chord(seconds: float, rate: int) -> Samples:
    """Compute a major chord that swells and fades, peak about 0.6, shape (n,)."""
    t = np.arange(round(seconds * rate)) / rate
    tones = sum(np.sin(2 * np.pi * hz * t) for hz in (220.0, 277.18, 329.63))
    return 0.2 * tones * (0.6 + 0.4 * np.sin(np.pi * t))


def clicks(seconds: float, rate: int) -> Samples:
    """Compute a single loud sample every quarter of a second, shape (n,)."""
    samples = np.zeros(round(seconds * rate))
    samples[:: rate // 4] = 0.9
    return samples


def make_signals(folder: Path) -> None:
    """Write the signals: FLAC and WAV by soundfile, 16 bits where nothing else is said."""
    tone = 0.5 * np.sin(2 * np.pi * 440.0 * np.arange(4 * 8_000) / 8_000)
    noise = np.random.default_rng(7).uniform(-0.5, 0.5, round(3.2 * 16_000))
    inverted = chord(4.0, 32_000)
    clipped = np.clip(8 * chord(4.0, 22_050), -1.0, 1.0)
    _write(folder / "silence.flac", np.zeros((4 * 44_100, 2)), 44_100, "Silence")
    _write(folder / "sine-440-hz.wav", tone, 8_000, "Sine of 440 Hz")
    _write(folder / "clicks-short.wav", clicks(1.5, 48_000), 48_000, "Clicks", "PCM_24")
    _write(folder / "white-noise.flac", noise, 16_000, "White noise")
    _write(folder / "clipped-chord.flac", clipped, 22_050, "Clipped chord")
    _write(
        folder / "inverted-channels.flac",
        np.stack([inverted, -inverted], axis=1),
        32_000,
        "Inverted channels",
    )


def make_cuts(folder: Path, sources: Path) -> None:
    """Cut and encode what comes from packages below `sources`."""
    for cut in CUTS:
        with TemporaryDirectory() as scratch:
            paths = [sources / cut.package / file for file in cut.files]
            if cut.resource:
                paths = [_resource(paths[0], cut.resource, Path(scratch))]
            _encode(paths, folder, cut.clip, start_s=cut.start_s, seconds=cut.seconds)


def make_demo(folder: Path, sources: Path) -> None:
    """Cut the songs of the demonstration, each from a third of its piece on."""
    with SONGS.open(encoding="utf-8", newline="") as file:
        for song in csv.DictReader(file):
            places = song["cut_from"].split(" + ")
            paths = [next((sources / song["source"]).glob(place)) for place in places]
            tags = (
                f"license={song['licence']}",
                *([f"genre={song['genre']}"] * bool(song["genre"])),
            )
            clip = Clip(song["file"], song["title"], song["artist"], f"{OPUS} 45k", tags)
            start_s = max(0.0, min(_length_s(paths[0]) / 3, _length_s(paths[0]) - SONG_S))
            _encode(paths, folder, clip, start_s=start_s, seconds=SONG_S)


def _length_s(path: Path) -> float:
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        return float(file.duration / 1e6 if file.duration else stream.duration * stream.time_base)


def make_renders(folder: Path) -> None:
    """Play, sing, speak, and encode."""
    for render in RENDERS:
        with TemporaryDirectory() as scratch:
            wav = render.play(Path(scratch))
            _encode([wav], folder, render.clip, start_s=0.0, seconds=render.seconds)


def _write(path: Path, samples: Samples, rate: int, title: str, subtype: str = "PCM_16") -> None:
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(path, "w", rate, channels, subtype) as file:
        file.title, file.artist = title, "audiorec"
        file.write(samples)


def _resource(archive: Path, name: str, folder: Path) -> Path:
    path = folder / Path(name).name
    path.write_bytes(_run("gresource", "extract", str(archive), name))
    return path


def _encode(
    paths: Sequence[Path], folder: Path, clip: Clip, *, start_s: float, seconds: float
) -> None:
    """Cut, sum and encode with ffmpeg, leaving out whatever differs between two runs."""
    command = ["ffmpeg", "-v", "error", "-y", "-bitexact"]
    for path in paths:
        command += ["-ss", str(start_s), "-t", str(seconds), "-i", str(path)]
    if len(paths) > 1:
        command += ["-filter_complex", f"amix=inputs={len(paths)}:normalize=0,alimiter=level=0"]
    command += ["-map_metadata", "-1", "-vn", "-bitexact", *clip.encoding.split()]
    for tag in (f"title={clip.title}", f"artist={clip.artist}", *clip.more_tags):
        command += ["-metadata", tag]
    _run(*command, str(folder / clip.name))


def _mix(paths: Sequence[Path], out: Path) -> None:
    inputs = [part for path in paths for part in ("-i", str(path))]
    mix = f"amix=inputs={len(paths)}:normalize=0,alimiter=level=0"
    _run("ffmpeg", "-v", "error", "-y", *inputs, "-filter_complex", mix, str(out))


def _run(*command: str) -> bytes:
    """Run a program and return its output; what it says on stderr is shown."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def main() -> None:
    """Read the command line and make one part of the clips."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("signals", "cuts", "renders", "demo"))
    parser.add_argument("--sources", type=Path, help="folder of unpacked packages")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    args.out = args.out or FIXTURES / ("demo" if args.part == "demo" else "audio")
    args.out.mkdir(parents=True, exist_ok=True)
    if args.part == "signals":
        make_signals(args.out)
    elif args.part == "renders":
        make_renders(args.out)
    elif args.sources is None:
        parser.error(f"{args.part} needs --sources")
    elif args.part == "demo":
        make_demo(args.out, args.sources)
    else:
        make_cuts(args.out, args.sources)


if __name__ == "__main__":
    main()
