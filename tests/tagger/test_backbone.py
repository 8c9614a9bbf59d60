"""`audiorec.tagger.backbone`: the original network's answers, batches, refusals."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from peak import PEAK_MB

from audiorec.errors import InputError, ShapeError, SpecMismatchError
from audiorec.spec import MelSpec
from audiorec.tagger import backbone as module
from audiorec.tagger.backbone import OnnxBackbone, load_backbone
from audiorec.tagger.weights import WEIGHTS
from audiorec.types import Features

# Four real and random segments, and what the original TensorFlow graphs say of them.
ORACLE = Path(__file__).parents[2] / "fixtures" / "musicnn_oracle.npz"
NAMES = ["msd"]
WIDTHS = {"tags": 50, "penultimate": 200, "max_pool": 753, "mean_pool": 753}


@pytest.fixture(scope="module")
def oracle() -> dict[str, np.ndarray]:
    with np.load(ORACLE, allow_pickle=False) as stored:
        return dict(stored)


@pytest.fixture(scope="module", params=NAMES)
def backbone(request) -> OnnxBackbone:
    return OnnxBackbone(request.param)


@pytest.fixture(scope="module")
def segments() -> np.ndarray:
    """Nine segments with slow and fast changes, between silence and the loudest."""
    rng = np.random.default_rng(11)
    slow = np.cumsum(rng.normal(size=(9, 187, 96)), axis=1) * 0.15
    return np.clip(slow + rng.normal(1.5, 0.4, (9, 187, 96)), 0, 6).astype(np.float32)


def arrays(features: Features) -> dict[str, np.ndarray]:
    return {output: getattr(features, output) for output in WIDTHS}


def test_agrees_with_the_original_network(backbone, oracle):
    found = backbone.features(oracle["mel"])
    expected = {
        "tags": (oracle[f"{backbone.name}_sigmoid"], 1e-5),
        "penultimate": (oracle[f"{backbone.name}_penultimate"], 1e-4),
        "max_pool": (oracle[f"{backbone.name}_max_pool"], 2e-3),  # values up to 110
        "mean_pool": (oracle[f"{backbone.name}_mean_pool"], 2e-4),
    }
    for output, (values, tolerance) in expected.items():
        np.testing.assert_allclose(getattr(found, output), values, rtol=0, atol=tolerance)


def test_the_oracle_tells_the_networks_apart(oracle):
    assert np.abs(oracle["msd_sigmoid"] - oracle["mtt_sigmoid"]).max() > 0.1


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_batches_do_not_change_the_answer(backbone, segments, batch_size):
    whole = arrays(backbone.features(segments))
    cut = arrays(OnnxBackbone(backbone.name, batch_size=batch_size).features(segments))
    for output, values in whole.items():
        scale = max(1.0, float(np.abs(values).max()))
        np.testing.assert_allclose(cut[output], values, rtol=0, atol=1e-6 * scale)


def test_segments_do_not_influence_each_other(backbone, segments):
    order = np.random.default_rng(3).permutation(len(segments))
    forward, shuffled = backbone.features(segments), backbone.features(segments[order])
    np.testing.assert_allclose(shuffled.tags, forward.tags[order], rtol=0, atol=1e-6)
    assert np.abs(forward.tags[0] - forward.tags[1]).max() > 1e-3


def test_the_same_input_gives_the_same_bits(backbone, segments):
    first, second = arrays(backbone.features(segments)), arrays(backbone.features(segments))
    for output, values in first.items():
        np.testing.assert_array_equal(second[output], values)


def test_outputs_have_their_shapes(backbone, segments):
    features = backbone.features(segments)
    assert len(features) == len(segments)
    for output, values in arrays(features).items():
        assert values.shape == (len(segments), WIDTHS[output])
        assert values.dtype == np.float32
    assert np.all(features.mean_pool <= features.max_pool + 1e-3)
    assert np.all((features.tags >= 0) & (features.tags <= 1))


@pytest.mark.parametrize("level", [0.0, 6.5], ids=["silence", "the loudest"])
def test_constant_segments_have_finite_answers(backbone, level):
    features = backbone.features(np.full((1, 187, 96), level, np.float32))
    assert all(np.isfinite(values).all() for values in arrays(features).values())


def test_no_segments_give_empty_arrays_of_the_right_width(backbone):
    features = backbone.features(np.empty((0, 187, 96), np.float32))
    for output, values in arrays(features).items():
        assert values.shape == (0, WIDTHS[output])
        assert values.dtype == np.float32


def test_views_and_wider_floats_are_taken(backbone, segments):
    whole = backbone.features(segments[:4]).tags
    every_other = np.repeat(segments[:4], 2, axis=0)[::2].astype(np.float64)
    np.testing.assert_allclose(backbone.features(every_other).tags, whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(187, 96), (1, 96, 187), (2, 188, 96), (1, 187, 96, 1), (0,)])
def test_refuses_other_shapes(backbone, shape):
    with pytest.raises(ShapeError, match=r"\(B, 187, 96\), got \("):
        backbone.features(np.zeros(shape, np.float32))


def test_carries_names_and_checksum_of_its_weights(backbone):
    entry = WEIGHTS[backbone.name]
    assert backbone.weights_sha256 == entry.sha256
    assert backbone.tag_names == entry.tags


def test_runs_on_one_thread(backbone):
    options = backbone._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


def test_load_backbone_gives_the_network_of_a_name():
    loaded = load_backbone("msd")
    assert isinstance(loaded, OnnxBackbone)
    assert loaded.name == "msd"


def test_refuses_what_cannot_be_loaded():
    with pytest.raises(InputError, match="one of msd, got 'vgg'"):
        load_backbone("vgg")
    with pytest.raises(InputError, match="at least 1, got 0"):
        OnnxBackbone("msd", batch_size=0)


def test_refuses_a_mel_that_the_network_does_not_know():
    with pytest.raises(SpecMismatchError, match="trained on MelSpec"):
        load_backbone("msd", mel=MelSpec(n_mels=128))


def test_importing_the_module_loads_no_runtime():
    code = f"""
import sys
import {module.__name__}
heavy = {{"onnxruntime", "torch", "librosa", "scipy.stats"}} & set(sys.modules)
sys.exit(f"loaded {{heavy}}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_network_fits_into_150_megabytes():
    code = """
import numpy as np
from audiorec.tagger.backbone import load_backbone
segments = np.random.default_rng(0).random((32, 187, 96), np.float32)
load_backbone("msd").features(segments)
print(int(peak_mb()))
"""
    done = subprocess.run(
        [sys.executable, "-c", PEAK_MB + code], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) <= 150
