"""What `extract --attributes` costs: CPU time and memory, beside librosa's.

    python -m benchmarks bench_attributes [--peer [PYTHON]] [--rounds 5]

Each measurement is a process of its own with one thread. A song of three minutes goes through
`Extractor.song` with and without attributes, in turn: CPU seconds of the second song of a process
(the first loads the networks), as the median of the rounds. A song of three minutes and one of an
hour go through decoder and spectra, without and with the meters beside them: peak resident memory.
Of librosa (`peers/librosa_attributes.py`): CPU seconds of the first and of the second file, and the
peak. One JSON line each.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import soundfile
from bench_pipeline import make_song

PEER = Path(__file__).parents[1] / "peers" / "librosa_attributes.py"
SONG_S, LONG_S = 180.0, 3600.0
ONE_THREAD = {f"{n}_NUM_THREADS": "1" for n in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
EXTRACT = """
import json, sys
from audiorec.extraction.pipeline import Extractor, ExtractorConfig
extractor = Extractor(ExtractorConfig(attributes=sys.argv[2] == "True"))
for _ in range(2):
    song = extractor.song(sys.argv[1])
print(json.dumps(dict(song.cpu_s)))
"""
HEAR = """
import re, sys
from audiorec.audio.attributes import AttributeMeter
from audiorec.audio.decode import decode
from audiorec.audio.mel import power_spectra
def hear(blocks):
    meter = AttributeMeter(blocks) if sys.argv[2] == "True" else None
    for spectra in power_spectra(meter or blocks):
        if meter:
            meter.add(spectra)
    return meter and meter.attributes()
decode(sys.argv[1], hear)
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024)
"""
THEIRS = """
import re, runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024)
"""


def said_by(python: str, script: str, *arguments: object) -> list[str]:
    """Run a script in a process of its own; return the lines that it prints."""
    done = subprocess.run(
        [python, "-c", script, *map(str, arguments)],
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", nargs="?", const=sys.executable)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        song, long = Path(folder) / "song.mp3", Path(folder) / "long.flac"
        make_song(song, SONG_S)
        samples, rate = soundfile.read(song, dtype="int16")
        with soundfile.SoundFile(long, "w", rate, 2) as file:
            for _ in range(int(LONG_S / SONG_S)):
                file.write(samples)
        rounds = [
            {on: json.loads(said_by(sys.executable, EXTRACT, song, on)[-1]) for on in (False, True)}
            for _ in range(args.rounds)
        ]
        cpu_s = {on: median(sum(r[on].values()) for r in rounds) for on in (False, True)}
        own = median(r[True]["attributes"] for r in rounds)
        found = {"without": cpu_s[False], "with": cpu_s[True], "attributes": own}
        told = {name: round(value, 3) for name, value in found.items()}
        print(json.dumps({"cpu_s_of_three_minutes": told, "rounds": args.rounds}))
        for name, path in (("three_minutes", song), ("an_hour", long)):
            peak = {
                word: round(float(said_by(sys.executable, HEAR, path, on)[-1]), 1)
                for word, on in (("decoded", False), ("heard", True))
            }
            print(json.dumps({f"peak_mb_of_{name}": peak}))
        if args.peer:
            first, second, peak_mb = said_by(args.peer, THEIRS, PEER, song, song)
            seconds = [round(json.loads(line)["cpu_s"], 2) for line in (first, second)]
            print(json.dumps({"librosa_cpu_s": seconds, "peak_mb": round(float(peak_mb), 1)}))


if __name__ == "__main__":
    main()
