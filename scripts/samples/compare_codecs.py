"""How far the scores of a song move when it is stored in another format.

    python scripts/samples/compare_codecs.py [clip ...]

Takes ten music clips of ``fixtures/audio``, 9.2 s of each at 22,050 Hz in mono, stores each
by every maker of `make_codec_samples` and by `dsd_files`, and compares the scores (T, 14)
with those of the same samples in FLAC. Prints a row a format: whether the samples at 16 kHz
are equal, the largest and the mean absolute difference of a score, and that of the 14 means
that a vector holds. MP3 and AAC stand beside them for comparison. Needs the tools of
`make_codec_samples`.
"""

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import soundfile
from dsd_files import dff, dsf, one_bit
from make_codec_samples import MAKERS, Maker, ffmpeg, run

from audiorec.audio.decode import waveform
from audiorec.extraction.pipeline import Extractor, ExtractorConfig

AUDIO = Path(__file__).parents[2] / "fixtures" / "audio"
CLIPS = (
    *("tabla-loop.m4a", "classical-piano.flac", "guitar-band.flac", "jazz-vibraphone.mp3"),
    *("blues-band.mp3", "folk-flute-and-guitar.ogg", "country-fiddle-and-banjo.m4a"),
    *("metal-band-with-woman-singing.mp3", "synthesizer-beat.opus", "choir-a-cappella.mp3"),
)
SECONDS = 9.2  # three segments
Floats = npt.NDArray[np.float32]


def write_dsf(wav: Path, out: Path) -> None:
    """Write a DSF at the rate of an SACD."""
    samples, rate = soundfile.read(wav)
    out.write_bytes(dsf([one_bit(samples, rate)]))


def write_dff(wav: Path, out: Path, *, packed: bool) -> None:
    """Write a DFF at the rate of an SACD, plain or packed by DST."""
    samples, rate = soundfile.read(wav)
    out.write_bytes(dff([one_bit(samples, rate)], packed=packed))


def makers() -> Mapping[str, Maker]:
    """Return what makes a file of each format, by the file's name; FLAC is the first."""
    made = {name: make for name, (_, make) in MAKERS.items()}
    return {
        **made,
        "x.dsf": write_dsf,
        "x.dff": partial(write_dff, packed=False),
        "dst.dff": partial(write_dff, packed=True),
        "x.mp3": partial(ffmpeg, "libmp3lame", "-b:a 64k"),
        "x.m4a": partial(ffmpeg, "aac", "-b:a 64k"),
    }


def measure(
    clip: Path, extractor: Extractor, folder: Path
) -> dict[str, tuple[bool, Floats, Floats]]:
    """Store one clip in every format: equal samples, differences of scores (T, 14), of means."""
    wav = folder / "piece.wav"
    run("ffmpeg", "-v", "error", "-y", "-i", clip, "-t", SECONDS, "-ac", 1, "-ar", 22_050,
        "-c:a", "pcm_s16le", wav)  # fmt: skip
    found, good, reference = {}, None, None
    for name, make in makers().items():
        path = folder / name
        make(wav, path)
        samples, scores = waveform(path)[0], extractor.song(path).series.scores
        path.unlink()
        if good is None or reference is None:
            good, reference = samples, scores
        rows = min(len(scores), len(reference))
        difference = np.abs(scores[:rows] - reference[:rows])
        means = np.abs(scores.mean(axis=0) - reference.mean(axis=0))
        found[name] = (np.array_equal(samples, good), difference, means)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="*", type=Path, default=[AUDIO / name for name in CLIPS])
    clips, extractor = parser.parse_args().clips, Extractor(ExtractorConfig())
    with TemporaryDirectory() as folder:
        found = [measure(clip, extractor, Path(folder)) for clip in clips]
    print(f"{'file':18} {'equal':>6} {'largest':>8} {'mean':>8} {'means':>8}")
    for name in found[0]:
        equal = sum(row[name][0] for row in found)
        scores = np.concatenate([row[name][1] for row in found])
        means = np.concatenate([row[name][2] for row in found])
        print(
            f"{name:18} {equal:>3}/{len(found):<2} {scores.max():8.4f} {scores.mean():8.4f} "
            f"{means.max():8.4f}"
        )


if __name__ == "__main__":
    main()
