"""Two networks for audiorec: ``--backbone mn04`` and ``--backbone jamendo``.

Their weights are their makers'; put the files beside this module (README.md says which).
"""

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime

from audiorec.spec import DecodeSpec, FeatureSpec, LevelSpec, MelSpec, SegmentSpec
from audiorec.tagger.own_backbone import OwnBackbone

HERE = Path(__file__).parent


def opened(file: str):
    """Open a network whose input has the axes (N, 1, M, T) and whose outputs are tags and emb."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # audiorec runs a worker on each core
    session = onnxruntime.InferenceSession(HERE / file, options)
    (given,) = session.get_inputs()

    def run(segments):
        laid = np.ascontiguousarray(segments.transpose(0, 2, 1)[:, None])
        tags, embedding = session.run(["tags", "emb"], {given.name: laid})
        return {"scores": tags, "embedding": embedding}

    return run


def sha256(file: str) -> str:
    """Identify the weights by their file."""
    return hashlib.sha256((HERE / file).read_bytes()).hexdigest()


def mn04() -> OwnBackbone:
    """Return EfficientAT's smallest network, of AudioSet: segments of 3 s at 32 kHz."""
    mel = MelSpec(
        sample_rate=32_000, pre_emphasis=0.97, n_fft=1024, window="hann, symmetric",
        window_length=800, hop_length=320, padding="reflect", scale="kaldi", n_mels=128,
        f_max=15_000, curve="log(x + c)", compression=1e-5, shift=4.5, divide_by=5,
    )  # fmt: skip
    labels = (HERE / "class_labels_indices.csv").read_text().splitlines()[1:]
    return OwnBackbone(
        name="mn04",
        weights_sha256=sha256("mn04_as.onnx"),
        licence="MIT",
        features=FeatureSpec(
            decode=DecodeSpec(sample_rate=32_000),
            level=LevelSpec(target_lufs=-14),
            mel=mel,
            segment=SegmentSpec(n_frames=300, length_s=3.0),
        ),
        open=partial(opened, "mn04_as.onnx"),
        classes=tuple(line.split(",", 2)[2].strip('"') for line in labels),
        width=384,
    )


def jamendo() -> OwnBackbone:
    """Return a musicnn of the MTG-Jamendo data, with the mel filters of its maker."""
    filters = np.load(HERE / "front_mel_window.npz")["spec.mel_scale.fb"].astype("<f4").T
    filters = np.ascontiguousarray(filters)
    mel = MelSpec(
        padding="reflect", curve="10 log10(max(x, c))", compression=1e-10, scale="given",
        filterbank=hashlib.sha256(filters.tobytes()).hexdigest(),
    )  # fmt: skip
    return OwnBackbone(
        name="jamendo",
        weights_sha256=sha256("jamendo_musicnn.onnx"),
        licence="MIT",
        features=FeatureSpec(
            level=LevelSpec(target_lufs=-14), mel=mel,
            segment=SegmentSpec(n_frames=188, length_s=3.0),
        ),
        open=partial(opened, "jamendo_musicnn.onnx"),
        classes=tuple((HERE / "jamendo_tags.txt").read_text().split("\n")[:-1]),
        width=200,
        filterbank=filters,
    )  # fmt: skip


def __getattr__(name: str) -> OwnBackbone:
    """Make a network when it is asked for: only its own files are needed."""
    makers = {"MN04": mn04, "JAMENDO": jamendo}
    if name not in makers:
        raise AttributeError(name)
    return makers[name]()
