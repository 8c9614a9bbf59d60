"""A network of another package, small enough to be made where it is used.

install_backbone(site)  ──▶  a package that brings ``tiny``: embedding = mean of log-mel frames
"""

from made_package import install

CODE = """
import numpy as np
from audiorec.spec import DecodeSpec, FeatureSpec, LevelSpec, MelSpec, SegmentSpec
from audiorec.tagger.own_backbone import OwnBackbone

MEL = dict(
    sample_rate=8_000, pre_emphasis=0.97, n_fft=256, window="hann, symmetric", window_length=200,
    hop_length=100, padding="reflect", scale="kaldi", n_mels=40, f_max=4_000,
    curve="log(x + c)", compression=1e-5, shift=4.5, divide_by=5,
)
WEIGHTS = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)

def opened():
    def run(segments):
        embedding = segments.mean(axis=1)
        return {"embedding": embedding, "scores": 1 / (1 + np.exp(-embedding @ WEIGHTS))}
    return run

def network(**changes):
    mel = MelSpec(**MEL | changes.pop("mel", {}))
    features = FeatureSpec(
        decode=DecodeSpec(sample_rate=8_000), level=LevelSpec(target_lufs=-23), mel=mel,
        segment=SegmentSpec(n_frames=mel.n_frames(24_000), length_s=3.0),
    )
    made = dict(
        name="tiny", weights_sha256="ab" * 32, licence="CC0-1.0", features=features, open=opened,
        classes=("bright", "dark", "loud"), width=40,
    )
    return OwnBackbone(**made | changes)

TINY = network()
"""


def install_backbone(site, code=CODE, name="tiny", module="tiny_net"):
    """Install a package whose ``TINY`` is the backbone `name`."""
    install(site, module, code, "audiorec.backbones", {name: f"{module}:TINY"})
