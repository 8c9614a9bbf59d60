"""Windows of audio, with what a song's embedding says of each and what a teacher hears in it.

    MUSIC, DATA ──windows──▶ `Window` of 10 s ──hear──▶ embedding (624,), logits of 527 labels

MUSIC is a folder of unpacked packages (`unpack_packages.sh`): music, speech, the sounds of games.
DATA holds the labelled corpora and the teacher, EfficientAT mn04, which was trained on AudioSet.
Nothing of GTZAN is read. Voices are also mixed over music, at random levels. What is heard is kept
in a cache, one file a window, named by what it depends on.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import soundfile
import soxr
from scipy.signal.windows import hann

from audiorec.audio.segment import segments
from audiorec.spec import FeatureSpec
from audiorec.tagger.backbone import load_backbone
from audiorec.tagger.vectors import BLOCKS, shipped_sound
from audiorec.tagger.weights import MSD
from audiorec.types import Float64Array, FloatArray

SPEC = FeatureSpec()
RATE, TEACHER_RATE = 16_000, 32_000
WINDOW_S, LEAST_S = 10.0, 1.0
SHORT = ":short"
MOST, MOST_SHORT = 60, 200  # files of a corpus: of ten seconds or more, of fewer
WHOLE = f"urbansound8k{SHORT}"  # sounds of cities: all of them
WINDOWS = 3  # of one file
MIXES = 900
SUFFIXES = {".ogg", ".oga", ".opus", ".mp3", ".wav", ".flac"}
LEFT_OUT = ("gtzan", "gtzan_actcv")
FOLDERS = ("version", "version2", "genre2")  # of DATA
FREE = {"cmu_arctic", "everything_is_free_cc0", "superpowers_cc0", "waivops_loops"}  # of them
TEACHER = Path("backbones") / "efficientat_mn04" / "mn04_as.onnx"
SMALLEST = 1e-7  # a probability below is not told apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Ten seconds of a file, or the file where it is shorter; `over` is mixed in at `level` dB."""

    corpus: str
    path: Path
    start_s: float = 0.0
    over: Path | None = None
    level: float = 0.0

    @property
    def key(self) -> str:
        """Name of the file that keeps what is heard."""
        known = [_named(self.path), self.start_s, self.over and _named(self.over), self.level]
        known += [WINDOW_S, SPEC.fingerprint, MSD.sha256, shipped_sound().sha256]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heard:
    """What is known of n windows.

    Attributes
    ----------
    corpus, file, over : ndarray, shape (n,), str
        `over` is empty where nothing is mixed in.
    embedding : ndarray, shape (n, 624), float32
        As a store would have it.
    logits : ndarray, shape (n, 527), float32
        The teacher's.
    """

    corpus: npt.NDArray[np.str_]
    file: npt.NDArray[np.str_]
    over: npt.NDArray[np.str_]
    embedding: FloatArray
    logits: FloatArray

    def take(self, which: npt.NDArray[np.bool_]) -> "Heard":
        """Return some of the windows."""
        return Heard(**{field.name: getattr(self, field.name)[which] for field in fields(self)})


def windows(music: Path, data: Path) -> list[Window]:
    """Return windows of all corpora, and mixes of two of them."""
    corpora = _corpora(music, data)
    plain = [
        Window(corpus=corpus, path=path, start_s=start)
        for corpus, paths in corpora.items()
        for path in paths[:: -(-len(paths) // (MOST_SHORT if corpus.endswith(SHORT) else MOST))]
        for start in _starts(path)
    ]
    rng = np.random.default_rng(0)
    under, over = (rng.choice(len(plain), MIXES) for _ in range(2))
    chosen = {window.path for window in plain}
    return [
        *plain,
        *(Window(corpus=WHOLE, path=path) for path in corpora.get(WHOLE, ()) if path not in chosen),
        *(
            Window(
                corpus="mixed",
                path=plain[a].path,
                start_s=plain[a].start_s,
                over=plain[b].path,
                level=float(np.round(rng.uniform(-9, 9), 1)),
            )
            for a, b in zip(under.tolist(), over.tolist(), strict=True)
        ),
    ]


def hear(asked: Sequence[Window], data: Path, kept: Path) -> Heard:
    """Return what is heard in windows, from the cache where it is there already."""
    kept.mkdir(parents=True, exist_ok=True)
    rows = [_heard(window, data, kept) for window in asked]
    embedding, logits = np.split(np.stack(rows), [shipped_sound().size], axis=1)
    return Heard(
        corpus=np.array([window.corpus for window in asked]),
        file=np.array([_named(window.path) for window in asked]),
        over=np.array([_named(window.over) if window.over else "" for window in asked]),
        embedding=embedding,
        logits=logits,
    )


def all_free(heard: Heard, data: Path) -> npt.NDArray[np.bool_]:
    """Return which windows hold nothing but audio that anybody may use: (n,)."""
    corpora = {path.name for folder in FOLDERS for path in (data / folder).iterdir()} - FREE
    plain = zip(heard.file.tolist(), heard.corpus.tolist(), strict=True)
    files = {file for file, corpus in plain if corpus.partition(":")[0] in corpora}
    return ~(np.isin(heard.file, list(files)) | np.isin(heard.over, list(files)))


def _heard(window: Window, data: Path, kept: Path) -> FloatArray:
    target = kept / f"{window.key}.npy"
    if not target.exists():
        samples, rate = _samples(window)
        found = np.concatenate([embedding(samples, rate), teacher_logits(samples, rate, data)])
        partial = target.with_suffix(".partial.npy")
        np.save(partial, found.astype(np.float32))
        partial.rename(target)
    row: FloatArray = np.load(target)
    return row


def embedding(samples: FloatArray, rate: int) -> FloatArray:
    """Return the embedding (624,) that a store would have of mono samples."""
    narrow = samples if rate == RATE else soxr.resample(samples, rate, RATE, quality="HQ")
    mels = np.stack([segment.log_mel for segment in segments([narrow], SPEC)])
    said = load_backbone(MSD.name).features(mels)
    means = [getattr(said, block).mean(axis=0, dtype=np.float64) for block in BLOCKS]
    return shipped_sound().embedding(*means).astype(np.float32)


def spectra(samples: Float64Array, window: Float64Array, hop: int) -> Float64Array:
    """Return power spectra (frames, bins) of centred frames, the edges reflected."""
    n_fft = len(window)
    padded = np.pad(samples, n_fft // 2, mode="reflect")
    starts = np.arange(0, len(padded) - n_fft + 1, hop)
    return np.abs(np.fft.rfft(padded[starts[:, None] + np.arange(n_fft)] * window)) ** 2


def mn04(samples: Float64Array) -> Float64Array:
    """Return mn04's input: pre-emphasis .97, a symmetric window of 800 in 1024, 128 Kaldi mels."""
    window = np.zeros(1024)
    window[112:912] = hann(800, sym=True)
    power = spectra(samples[1:] - 0.97 * samples[:-1], window, 320)

    def mel(hz: Float64Array) -> Float64Array:
        return 1127.0 * np.log(1.0 + hz / 700.0)

    edges = np.linspace(*mel(np.array([0.0, 15_000.0])), 130)
    bins = mel(np.arange(513) * 32_000 / 1024)
    up = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0.0, np.minimum(up, down))
    return (np.log(power @ triangles.T + 1e-5) + 4.5) / 5.0


def teacher_logits(samples: FloatArray, rate: int, data: Path) -> FloatArray:
    """Return the logits (527,) that the teacher has for mono samples."""
    wide = samples if rate == TEACHER_RATE else soxr.resample(samples, rate, TEACHER_RATE)
    mel = mn04(wide.astype(np.float64)).T.astype(np.float32)[None, None]
    tags = _teacher(data / TEACHER).run(["tags"], {"mel": mel})[0][0].astype(np.float64)
    exact = np.clip(tags, SMALLEST, 1 - SMALLEST)
    logits: FloatArray = np.log(exact / (1 - exact)).astype(np.float32)
    return logits


@cache
def _teacher(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _samples(window: Window) -> tuple[FloatArray, int]:
    """Return the window's samples, mono, and their rate."""
    samples, rate = read(window.path, window.start_s)
    if window.over is None:
        return samples, rate
    other, own = read(window.over, 0.0)
    voice = soxr.resample(other, own, rate, quality="HQ")[: len(samples)]
    longer = np.pad(voice, (0, len(samples) - len(voice)))
    gain = 10 ** (window.level / 20) * _level(samples) / _level(voice)
    return (samples + gain * longer).astype(np.float32), rate


def read(path: Path, start_s: float) -> tuple[FloatArray, int]:
    """Return ten seconds of a file, mono, float32, and their rate."""
    with soundfile.SoundFile(path) as file:
        rate = int(file.samplerate)
        if start_s:
            file.seek(int(start_s * rate))
        samples = file.read(int(WINDOW_S * rate), dtype="float32", always_2d=True)
    return samples.mean(axis=1), rate


def _level(samples: FloatArray) -> float:
    return max(float(np.sqrt(np.mean(np.square(samples)))), 1e-4)


def _corpora(music: Path, data: Path) -> dict[str, list[Path]]:
    """Return the files of each corpus: a package's music and its sounds, a folder of the data."""
    found = defaultdict(list)
    for path in sorted(music.rglob("*")):
        if path.suffix.lower() in SUFFIXES and not path.is_symlink() and path.is_file():
            seconds = _seconds(path)
            kind = "" if seconds >= WINDOW_S else SHORT
            found[path.relative_to(music).parts[0] + kind] += [path] if seconds >= LEAST_S else []
    for folder in FOLDERS:
        for path in sorted((data / folder).rglob("*.ogg")):
            corpus = path.relative_to(data / folder).parts[0]
            if corpus not in LEFT_OUT and (seconds := _seconds(path)) >= LEAST_S:
                found[corpus + ("" if seconds >= WINDOW_S else SHORT)].append(path)
    return {corpus: paths for corpus, paths in found.items() if paths}


def _starts(path: Path) -> list[float]:
    """Return where up to `WINDOWS` windows of a file begin: spread over it, none at its edges."""
    count = min(WINDOWS, max(1, int(_seconds(path) // (3 * WINDOW_S))))
    room = _seconds(path) - WINDOW_S
    return [max(0.0, round(room * (i + 0.5) / count, 1)) for i in range(count)]


@cache
def _seconds(path: Path) -> float:
    try:
        return float(soundfile.info(path).duration)
    except soundfile.LibsndfileError:
        return 0.0


def _named(path: Path) -> str:
    return "/".join(path.parts[-3:])
