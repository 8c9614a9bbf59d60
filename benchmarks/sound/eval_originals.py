"""Judge which of two copies is said to be the original, on copies that other programs made.

    python -m benchmarks eval_originals WORK --lossless FOLDER --lossy FOLDER [--files 6]

Of each lossless file lossy copies are made, and of each Ogg or Opus file lossless ones, for at most
60 seconds, by programs that share no code with the reader: oggenc, lame, opusenc and, by way of
GStreamer, the AAC encoder of VisualOn; oggdec, lame, opusdec, FAAD and flac decode. Lossless files
are also made by way of each encoder: lossless, lossy, lossless again. One line of JSON a kind of
pair: how many answers are right, wrong, or "cannot tell"; the pairs are kept in WORK.
"""

import argparse
import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import soundfile

from audiorec.audio.originals import Listened, Origin, origin

GST = "gst-launch-1.0 -q filesrc location={a} !"
AAC = "audioconvert ! voaacenc bitrate={rate}000 ! mp4mux ! filesink location={b}"
# suffix: the codec, how to encode a WAV, and how to decode it again
ENCODERS = {
    "q2.ogg": ("vorbis", "oggenc -Q -q 2 -o {b} {a}", "oggdec -Q -o {b} {a}"),
    "q6.ogg": ("vorbis", "oggenc -Q -q 6 -o {b} {a}", "oggdec -Q -o {b} {a}"),
    "q9.ogg": ("vorbis", "oggenc -Q -q 9 -o {b} {a}", "oggdec -Q -o {b} {a}"),
    "96.m4a": ("aac", f"{GST} wavparse ! {AAC.replace('{rate}', '96')}", "aac"),
    "192.m4a": ("aac", f"{GST} wavparse ! {AAC.replace('{rate}', '192')}", "aac"),
    "v2.mp3": ("mp3", "lame --quiet -V2 {a} {b}", "lame --quiet --decode {a} {b}"),
    "320.mp3": ("mp3", "lame --quiet -b 320 {a} {b}", "lame --quiet --decode {a} {b}"),
    "96.opus": ("opus", "opusenc --quiet --bitrate 96 {a} {b}", "opusdec --quiet {a} {b}"),
}
DECODE_AAC = f"{GST} qtdemux ! faad ! audioconvert ! wavenc ! filesink location={{b}}"
SECONDS = 60


def main() -> None:
    """Make the pairs and judge them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--lossless", type=Path, required=True)
    parser.add_argument("--lossy", type=Path, required=True)
    parser.add_argument("--files", type=int, default=6, help="of each kind")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    sources = {
        kind: sorted(p for p in folder.rglob("*") if p.suffix in suffixes)[: arguments.files]
        for kind, folder, suffixes in (
            ("lossless", arguments.lossless, {".flac", ".wav"}),
            ("lossy", arguments.lossy, {".ogg", ".opus"}),
        )
    }
    counts: dict[str, Counter[str]] = {}
    for kind, lossy, codec, lossless, truth in pairs(arguments.work, sources):
        found, _ = origin(Listened.to(lossy), codec, Listened.to(lossless))
        known = "right" if found is truth else "wrong"
        counts.setdefault(kind, Counter())["cannot tell" if found is Origin.UNKNOWN else known] += 1
        if known == "wrong" and found is not Origin.UNKNOWN:
            print(json.dumps({"wrong": str(lossless), "beside": str(lossy), "said": found.name}))
    for kind, count in counts.items():
        print(
            json.dumps({"pairs": kind} | {k: count[k] for k in ("right", "wrong", "cannot tell")})
        )
    total = sum(counts.values(), Counter())
    print(json.dumps({"pairs": "all", **total}))


def pairs(
    work: Path, sources: dict[str, list[Path]]
) -> Iterator[tuple[str, Path, str, Path, Origin]]:
    """Yield the kind of a pair, the lossy file and its codec, the lossless one, and the truth."""
    for number, source in enumerate(sources["lossless"]):
        wav = work / f"{number}.wav"
        if not wav.exists():
            samples, rate = soundfile.read(source, frames=SECONDS * 44_100, dtype="int16")
            soundfile.write(wav, samples, rate)
        for suffix, (codec, encode, decode) in ENCODERS.items():
            lossy = made(encode, wav, wav.with_suffix(f".{suffix}"))
            yield f"lossless to {suffix}", lossy, codec, wav, Origin.LOSSLESS
            again = made(decode, lossy, lossy.with_suffix(".again.wav"))
            yield f"{suffix} to lossless", lossy, codec, again, Origin.LOSSY
    for number, source in enumerate(sources["lossy"]):
        codec = "vorbis" if source.suffix == ".ogg" else "opus"
        decode = ENCODERS["q2.ogg" if codec == "vorbis" else "96.opus"][2]
        wav = made(decode, source, work / f"{codec}-{number}.wav")
        flac = made("flac -s -o {b} {a}", wav, wav.with_suffix(".flac"))
        yield f"published {codec} to FLAC", source, codec, flac, Origin.LOSSY


def made(command: str, source: Path, result: Path) -> Path:
    """Run a command that makes a file of another one, if it is not there yet."""
    if not result.exists():
        words = (DECODE_AAC if command == "aac" else command).split()
        subprocess.run([w.format(a=source, b=result) for w in words], check=True)
    return result


if __name__ == "__main__":
    main()
