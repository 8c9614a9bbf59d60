"""Run one peer on one song in this process and print one JSON line.

    PYTHON benchmarks/peers/run_peer.py NAME SONG [--graph musicnn_msd.pb]

The line holds the CPU seconds of importing and loading (``startup_cpu_s``), of the work on the
song with everything loaded (``cpu_s``; ``wall_s`` is its wall time), the process's own peak memory
(``peak_mb``) and the answer: the mean of each output over time, so that the caller can check it.
``{"warm": true}`` on a line before it says that the peer works; if it cannot read the song then,
the line holds an ``error``, or the process dies.
"""

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1")
warnings.filterwarnings("ignore")

RATE = 16_000  # Hz, of musicnn
SEGMENT_FRAMES = 187
Work = Callable[[str], list[float]]


def audiorec_tags(_graph: str) -> Work:
    """Return audiorec's MSD network without heads: the tags' means."""
    from audiorec.extraction.pipeline import backbone_tags

    return lambda song: backbone_tags(song).scores.mean(axis=0).tolist()


def audiorec_plain(_graph: str) -> Work:
    """Return audiorec as an owner runs it: vector, sound, embedding, tempo, key and moods."""
    from audiorec.extraction.pipeline import Extractor, ExtractorConfig

    extractor = Extractor(ExtractorConfig(attributes=True, sound=True))

    def work(song: str) -> list[float]:
        found = extractor.song(song)
        return [*found.vector.tolist(), *found.lists["sound"].tolist()]

    return work


def audiorec_vector(_graph: str) -> Work:
    """Return audiorec with ``--vector-only``."""
    from audiorec.extraction.pipeline import Extractor

    extractor = Extractor()
    return lambda song: extractor.song(song).vector.tolist()


def essentia_musicnn(graph: str) -> Work:
    """Return essentia's MusiCNN algorithm over the same frozen weights, without overlap."""
    from essentia.standard import MonoLoader, TensorflowPredictMusiCNN

    network = TensorflowPredictMusiCNN(
        graphFilename=graph,
        input="model/Placeholder",
        output="model/Sigmoid",
        isTrainingName="",
        patchHopSize=SEGMENT_FRAMES,
    )

    def work(song: str) -> list[float]:
        # 4 is its fastest resampler; the finer ones cost it up to two seconds a song more.
        samples = MonoLoader(filename=song, sampleRate=RATE, resampleQuality=4)()
        return network(samples).mean(axis=0).tolist()

    return work


def bliss(_graph: str) -> Work:
    """Return bliss: 23 hand-made numbers, no network."""
    import bliss_audio

    return lambda song: list(bliss_audio.Song(song).analysis)


def librosa_features(_graph: str) -> Work:
    """Return MFCC, chroma and spectral contrast, with four statistics of each."""
    import librosa
    import numpy as np
    import scipy.stats

    def work(song: str) -> list[float]:
        samples, rate = librosa.load(song, sr=22_050)
        series = np.concatenate(
            [
                librosa.feature.mfcc(y=samples, sr=rate, n_mfcc=20),
                librosa.feature.chroma_stft(y=samples, sr=rate),
                librosa.feature.spectral_contrast(y=samples, sr=rate),
            ]
        )
        statistics = (np.mean, np.var, scipy.stats.skew, scipy.stats.kurtosis)
        return np.concatenate([s(series, axis=1) for s in statistics]).tolist()

    return work


PEERS: dict[str, Callable[[str], Work]] = {
    "audiorec": audiorec_plain,
    "audiorec-vector": audiorec_vector,
    "audiorec-tags": audiorec_tags,
    "essentia-musicnn": essentia_musicnn,
    "bliss": bliss,
    "librosa": librosa_features,
}


def peak_mb() -> float:
    """Return this process's own peak memory in MB."""
    with open("/proc/self/status") as file:  # noqa: PTH123
        return int(file.read().split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def main() -> None:
    """Load, work twice, report the second time: the first one pays for lazy imports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("song")
    parser.add_argument("--warm", help="a short song of the same format to warm up on")
    parser.add_argument("--graph", default="")
    args = parser.parse_args()
    work = PEERS[args.peer](args.graph)
    if args.warm:
        work(args.warm)
        print(json.dumps({"warm": True}), flush=True)
    startup, begun = time.process_time(), time.perf_counter()
    try:
        answer = work(args.song)
    except Exception as error:  # noqa: BLE001 - each peer has its own
        print(json.dumps({"peer": args.peer, "error": f"{type(error).__name__}: {error}"}))
        return
    cpu, wall = time.process_time() - startup, time.perf_counter() - begun
    line: dict[str, Any] = {"peer": args.peer, "startup_cpu_s": startup, "cpu_s": cpu}
    line["wall_s"] = wall
    print(json.dumps({**line, "peak_mb": peak_mb(), "answer": answer}))


if __name__ == "__main__":
    main()
