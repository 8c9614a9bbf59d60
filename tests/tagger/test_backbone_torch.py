"""`audiorec.tagger.backbone_torch`: the original's answers, the ONNX form's, training."""

from pathlib import Path

import numpy as np
import pytest
from needs import needs

torch = needs("torch")

from safetensors.numpy import load_file, save

from audiorec.errors import WeightsError
from audiorec.tagger.backbone import OnnxBackbone
from audiorec.tagger.backbone_torch import (
    FrequencyBlock,
    Musicnn,
    load_network,
)
from audiorec.tagger.weights import METADATA_KEY, WEIGHTS, weights_path
from audiorec.types import Features

ORACLE = Path(__file__).parents[2] / "fixtures" / "musicnn_oracle.npz"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def network() -> Musicnn:
    return load_network(weights_path("msd")).eval()


def features_of(network: Musicnn, segments: np.ndarray) -> Features:
    with torch.inference_mode():
        logits, *rest = network(torch.from_numpy(segments))
    return Features(*(one.numpy() for one in (logits.sigmoid(), *rest)))


@pytest.fixture(scope="module")
def segments() -> np.ndarray:
    rng = np.random.default_rng(12)
    slow = np.cumsum(rng.normal(size=(6, 187, 96)), axis=1) * 0.15
    music = np.clip(slow + rng.normal(1.5, 0.4, (6, 187, 96)), 0, 6)
    beats = np.where(np.arange(187) % 30 < 4, 5.5, 0.2)[None, :, None] * rng.random((1, 1, 96))
    sparse = (rng.random((1, 187, 96)) < 0.02) * 6.0
    return np.concatenate([music, beats, sparse, np.zeros((1, 187, 96))]).astype(np.float32)


def test_agrees_with_the_original_network(network):
    with np.load(ORACLE, allow_pickle=False) as oracle:
        found = features_of(network, oracle["mel"])
        sigmoid, penultimate = oracle["msd_sigmoid"], oracle["msd_penultimate"]
    np.testing.assert_allclose(found.tags, sigmoid, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.penultimate, penultimate, rtol=0, atol=1e-4)


def test_agrees_with_the_onnx_form(network, segments):
    expected, found = OnnxBackbone("msd").features(segments), features_of(network, segments)
    for output, tolerance in [
        ("tags", 1e-5),
        ("penultimate", 1e-4),
        ("max_pool", 2e-3),
        ("mean_pool", 2e-4),
    ]:
        np.testing.assert_allclose(
            getattr(found, output), getattr(expected, output), rtol=0, atol=tolerance
        )


def test_every_weight_is_a_parameter(network):
    parameters = sum(p.numel() for p in network.parameters())
    assert parameters == 787_159  # as published
    stored = sum(a.size for a in load_file(weights_path("msd")).values())
    running = sum(b.numel() for n, b in network.named_buffers() if "running" in n)
    assert stored == parameters + running


def test_dropout_is_off_in_use_and_on_in_training(segments):
    network = load_network(weights_path("msd"))
    assert network.training
    log_mel = torch.from_numpy(segments[:2])
    first, second = network(log_mel)[0], network(log_mel)[0]
    assert not torch.equal(first, second)
    network.eval()
    torch.testing.assert_close(network(log_mel)[0], network(log_mel)[0], rtol=0, atol=0)


def test_every_layer_learns(segments):
    network = load_network(weights_path("msd"))
    network(torch.from_numpy(segments[:3]))[0].square().mean().backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_an_even_kernel_has_its_odd_zero_at_the_end():
    block = FrequencyBlock(channels=1, frames=4, bands=1).eval()
    with torch.no_grad():
        block.conv.weight.copy_(torch.tensor([1.0, 10.0, 100.0, 1000.0]).reshape(1, 1, 4, 1))
        block.conv.bias.zero_()
    frames = torch.tensor([3.0, 1.0, 2.0])
    with torch.no_grad():
        found = block(frames.reshape(1, 1, 3, 1))
    # Frame i sees i - 1 (weight 1), i (10), i + 1 (100), i + 2 (1000).
    expected = torch.tensor([[[2130.0, 213.0, 21.0]]]) / (1 + 1e-3) ** 0.5
    torch.testing.assert_close(found, expected)


def test_refuses_tensors_that_do_not_fit(tmp_path):
    tensors = load_file(weights_path("msd"))
    tensors["dense.weight"] = tensors["dense.weight"][:, 1:].copy()
    path = tmp_path / "x.safetensors"
    path.write_bytes(save(tensors, {METADATA_KEY: '{"format_version": 1}'}))
    with pytest.raises(WeightsError, match=r"do not match musicnn .*dense\.weight"):
        load_network(path)


def test_names_of_layers_are_those_of_the_file():
    learnt = {n for n in Musicnn().state_dict() if not n.endswith("num_batches_tracked")}
    assert learnt == set(load_file(weights_path("msd")))
    assert WEIGHTS["msd"].file_name("safetensors") == "musicnn_msd.safetensors"
