"""One song through all stages: engines, batches, and what a worker may take."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from peak import PEAK_MB

from audiorec.audio.decode import decode
from audiorec.audio.segment import segments
from audiorec.extraction.pipeline import Extractor, ExtractorConfig, backbone_tags
from audiorec.tagger import networks
from audiorec.tagger.backbone import load_backbone
from audiorec.types import Features

CLIP = Path(__file__).parents[2] / "fixtures" / "audio" / "jazz-vibraphone.mp3"


@pytest.mark.parametrize(
    ("config", "batches"),
    [
        (ExtractorConfig(), [6]),
        (ExtractorConfig(batch_size=4), [4, 2]),
    ],
)
def test_a_short_song_is_one_batch_unless_batches_are_smaller(monkeypatch, config, batches):
    expected, seen = Extractor().song(CLIP).vector, []

    def load(name, **options):
        backbone = load_backbone(name)
        features = backbone.features

        def watched(segments):
            seen.append(len(segments))
            return features(segments)

        backbone.features = watched
        return backbone

    monkeypatch.setattr(networks, "load_backbone", load)
    song = Extractor(config).song(CLIP)
    assert seen == batches
    np.testing.assert_allclose(song.vector, expected, atol=1e-5)


def test_a_worker_takes_150_megabytes_and_loads_what_a_song_needs():
    code = f"""
{PEAK_MB}
from audiorec.extraction.pipeline import ExtractorConfig, song_handler
song_handler(ExtractorConfig(), frozenset(), ())({str(CLIP)!r})
idle = {{"av", "scipy", "pyarrow", "joblib", "torch", "librosa"}} & set(sys.modules)
assert not idle, idle
print(peak_mb())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) * 2**20 <= 150e6


def test_a_song_keeps_the_outputs_asked_for_as_the_backbones_gave_them():
    extractor = Extractor()
    outputs = ("msd.max_pool", "msd.tags")
    song = extractor.song(CLIP, outputs=outputs)
    found, _info = decode(CLIP, lambda blocks: list(segments(blocks)))
    msd, step = load_backbone("msd"), ExtractorConfig().batch_size
    rows = [np.stack([s.log_mel for s in found[i : i + step]]) for i in range(0, len(found), step)]
    parts = [msd.features(batch) for batch in rows]
    names = ("tags", "penultimate", "max_pool", "mean_pool")
    joined = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
    features = {"msd": Features(*joined)}
    assert tuple(song.features) == outputs
    np.testing.assert_array_equal(song.features["msd.max_pool"], features["msd"].max_pool)
    assert extractor.heads.backbones == ("msd",)
    tags = backbone_tags(CLIP).scores
    np.testing.assert_allclose(song.features["msd.tags"], tags, atol=1e-6)
    names = [w["name"] for w in extractor.weights_with(outputs)]
    assert names == ["musicnn_msd", "head_version", "head_genre"]
    np.testing.assert_array_equal(song.series.start_s, [segment.start_s for segment in found])
    scores = extractor.heads.scores(features)
    np.testing.assert_allclose(song.series.scores, scores, rtol=0, atol=1e-6)
