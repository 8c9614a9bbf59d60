"""Make the files of ``fixtures/codecs``: one piece of music in every format that needs a tool.

    python scripts/samples/make_codec_samples.py [--out DIR] [name ...]

The piece is the beginning of ``fixtures/audio/tabla-loop.m4a``. Needed are ffmpeg, and from
Debian ``wavpack``, ``musepack-tools`` (stream version 8), ``mppenc`` (7) and
``libjmac-java`` (Monkey's Audio). A file whose tool is missing is left as it is, with a
remark. DSD has no file here, three seconds of it are a megabyte: the tests make theirs by
`dsd_files`. The same versions of the tools give the same bytes.
"""

import argparse
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "fixtures" / "audio" / "tabla-loop.m4a"
OUT = ROOT / "fixtures" / "codecs"
SECONDS = 4.6  # two segments: the second one ends with the piece
TITLE, ARTIST, ALBUM = "Tabla", "lezaarth", "Codecs"
Maker = Callable[[Path, Path], None]  # from a WAV to a file


def run(*command: object) -> None:
    """Run a tool and say what it said if it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True)
    if done.returncode:
        raise SystemExit(f"{command[0]}: {done.stderr.decode(errors='replace')[-400:]}")


def ffmpeg(codec: str, options: str, wav: Path, out: Path) -> None:
    """Encode by ffmpeg, without the writer's name, so that bytes can be compared."""
    named = ("title", TITLE), ("artist", ARTIST), ("album", ALBUM)
    tags = [part for key, value in named for part in ("-metadata", f"{key}={value}")]
    exact = ["-fflags", "+bitexact", "-flags:a", "+bitexact", "-map_metadata", "-1"]
    run(
        "ffmpeg",
        "-v",
        "error",
        "-y",
        "-i",
        wav,
        "-c:a",
        codec,
        *options.split(),
        *exact,
        *tags,
        out,
    )


def wavpack(wav: Path, out: Path) -> None:
    """Encode by wavpack, whose tags are APEv2."""
    tags = ("-w", f"Title={TITLE}", "-w", f"Artist={ARTIST}", "-w", f"Album={ALBUM}")
    run("wavpack", "-q", "-y", "-h", *tags, wav, "-o", out)


def ape(wav: Path, out: Path) -> None:
    """Encode by JMAC, which packs two equal channels far better than one, and tag by APEv2."""
    stereo = out.with_suffix(".stereo.wav")
    both = "pan=stereo|c0=c0|c1=c0"  # without it ffmpeg takes 3 dB off
    run("ffmpeg", "-v", "error", "-y", "-i", wav, "-af", both, "-fflags", "+bitexact", stereo)
    run("java", "-jar", "/usr/share/java/jmac.jar", "c3", stereo, out)
    stereo.unlink()
    out.write_bytes(out.read_bytes() + ape_tag())


def ape_tag() -> bytes:
    """Return an APEv2 tag of title, artist and album, with a header and a footer."""
    pairs = ((b"Title", TITLE), (b"Artist", ARTIST), (b"Album", ALBUM))
    items = b"".join(
        struct.pack("<II", len(value), 0) + name + b"\0" + value.encode() for name, value in pairs
    )
    marks = (
        struct.pack("<8sIIIIQ", b"APETAGEX", 2000, len(items) + 32, 3, flags << 28, 0)
        for flags in (0xA, 0x8)
    )
    return next(marks) + items + next(marks)


def musepack_8(wav: Path, out: Path) -> None:
    """Encode by mpcenc, which takes the four rates of the CD and the radio alone."""
    tags = ("--title", TITLE, "--artist", ARTIST, "--album", ALBUM)
    run("mpcenc", "--overwrite", "--silent", "--radio", *tags, _at_44100(wav), out)


def musepack_7(wav: Path, out: Path) -> None:
    """Encode by mppenc, whose build writes to its own constants: a copy of it may."""
    tool = out.with_suffix(".mppenc")
    tool.write_bytes(_writable(Path(shutil.which("mppenc") or "").read_bytes()))
    tool.chmod(0o755)
    tags = ("--title", TITLE, "--artist", ARTIST, "--album", ALBUM)
    run(tool, "--overwrite", "--silent", "--radio", *tags, _at_44100(wav), out)
    tool.unlink()


def _writable(program: bytes) -> bytes:
    """Return a 64-bit ELF program, all of whose loaded segments may be written to."""
    made = bytearray(program)
    (table,) = struct.unpack_from("<Q", made, 32)
    size, count = struct.unpack_from("<HH", made, 54)
    for at in range(table, table + size * count, size):
        kind, flags = struct.unpack_from("<II", made, at)
        if kind == 1:
            struct.pack_into("<I", made, at + 4, flags | 2)
    return bytes(made)


def _at_44100(wav: Path) -> Path:
    other = wav.with_name("44100.wav")
    run("ffmpeg", "-v", "error", "-y", "-i", wav, "-ar", 44_100, other)
    return other


# File: (the tool that has to be there, what makes it).
MAKERS: Mapping[str, tuple[str, Maker]] = {
    "tabla.flac": ("ffmpeg", partial(ffmpeg, "flac", "-compression_level 12")),
    "tabla.wv": ("wavpack", wavpack),
    "tabla.ape": ("java", ape),
    "tabla.tta": ("ffmpeg", partial(ffmpeg, "tta", "")),
    "tabla-sv7.mpc": ("mppenc", musepack_7),
    "tabla-sv8.mpc": ("mpcenc", musepack_8),
    "tabla-v1.wma": ("ffmpeg", partial(ffmpeg, "wmav1", "-b:a 48k")),
    "tabla-v2.wma": ("ffmpeg", partial(ffmpeg, "wmav2", "-b:a 48k")),
    "tabla.ac3": ("ffmpeg", partial(ffmpeg, "ac3", "-ar 32000 -b:a 64k")),
    "tabla.eac3": ("ffmpeg", partial(ffmpeg, "eac3", "-ar 32000 -b:a 64k")),
    "tabla.spx": ("ffmpeg", partial(ffmpeg, "libspeex", "-ar 16000 -compression_level 8 -b:a 27k")),
    "tabla-vorbis.mka": ("ffmpeg", partial(ffmpeg, "libvorbis", "-q:a 4")),
    "tabla-opus.webm": ("ffmpeg", partial(ffmpeg, "libopus", "-ar 48000 -b:a 48k")),
}  # fmt: skip


def main() -> None:
    """Make all files, or those that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[*MAKERS, []])
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        wav = Path(folder) / "piece.wav"
        run("ffmpeg", "-v", "error", "-y", "-i", SOURCE, "-t", SECONDS, "-map_metadata", "-1",
            "-fflags", "+bitexact", "-c:a", "pcm_s16le", wav)  # fmt: skip
        for name in args.names or MAKERS:
            tool, make = MAKERS[name]
            if shutil.which(tool) is None:
                print(f"{name}: needs {tool}", file=sys.stderr)
                continue
            make(wav, args.out / name)


if __name__ == "__main__":
    main()
