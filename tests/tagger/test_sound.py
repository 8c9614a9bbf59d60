"""`audiorec.tagger.vectors`: values worked by hand, the shipped file, refusals."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

from audiorec.errors import MissingWeightsError, ShapeError, WeightsError
from audiorec.extraction.pipeline import Extractor
from audiorec.spec import FeatureSpec
from audiorec.tagger import vectors
from audiorec.tagger.vectors import (
    BLOCKS,
    FILE,
    METADATA_KEY,
    SHA256,
    SoundProjection,
    shipped_sound,
)
from audiorec.tagger.weights import WEIGHTS, data_folder

AUDIO = Path(__file__).parents[2] / "fixtures" / "audio"
LAST, LIVING = 200, 2
SIZE = LAST + 2 * LIVING


def small(**changes) -> SoundProjection:
    """Two living channels, three numbers: the sum of each block, doubled for the last layer."""
    matrix = np.zeros((SIZE, 3), np.float32)
    matrix[:LAST, 0], matrix[LAST : LAST + 2, 1], matrix[LAST + 2 :, 2] = 2, 1, 1
    parts = {
        "backbone_sha256": "b",
        "front_end": "f",
        "living": np.array([3, 752]),
        "centre": np.zeros(SIZE, np.float32),
        "scale": np.ones(SIZE, np.float32),
        "matrix": matrix,
        "bias": np.zeros(3, np.float32),
    }
    return SoundProjection(**{**parts, **changes})


def means(last: dict[int, float], mean: dict[int, float], largest: dict[int, float]):
    found = [np.zeros(n, np.float32) for n in (LAST, 753, 753)]
    for array, values in zip(found, (last, mean, largest), strict=True):
        array[list(values)] = list(values.values())
    return found


def test_embedding_holds_last_layer_then_the_living_channels_of_both_pools():
    found = small().embedding(*means({0: 1.5, 199: -2}, {3: 4, 5: 99}, {752: 8}))
    assert found.dtype == np.float16
    assert np.flatnonzero(found).tolist() == [0, 199, 200, 203]
    assert found[[0, 199, 200, 203]].tolist() == [1.5, -2, 4, 8]


def test_projection_by_hand():
    # Blocks (3, 4, 0...), (0, 2), (5, 0): of length 1 they are (.6, .8), (0, 1), (1, 0). The
    # matrix gives 2.8, 1, 1, of length sqrt(9.84).
    embedding = small().embedding(*means({0: 3, 1: 4}, {752: 2}, {3: 5}))
    found = small().project(embedding)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.array([2.8, 1, 1]) / np.sqrt(9.84), atol=1e-6)


def test_centre_scale_and_bias_by_hand():
    # Only the first number moves: (3 - 1) * 0.5 = 1; the block has length 1 whatever the scale, so
    # the matrix gives 2; the bias makes it (2, 1, 2), of length 3.
    centre, scale = np.zeros(SIZE, np.float32), np.ones(SIZE, np.float32)
    centre[0], scale[0] = 1, 0.5
    turned = small(centre=centre, scale=scale, bias=np.float32([0, 1, 2]))
    found = turned.project(turned.embedding(*means({0: 3}, {}, {})))
    np.testing.assert_allclose(found, [2 / 3, 1 / 3, 2 / 3], atol=1e-6)


def test_scale_0_leaves_a_number_out():
    scale = np.ones(SIZE, np.float32)
    scale[1] = 0
    turned = small(scale=scale)
    one, two = (turned.embedding(*means({0: 3, 1: v}, {3: 1}, {3: 1})) for v in (0.0, 7.0))
    np.testing.assert_array_equal(turned.project(one), turned.project(two))


def test_a_song_at_the_centre_has_no_direction():
    assert not small().project(np.zeros(SIZE, np.float16)).any()


@given(st.floats(0.01, 100), st.integers(1, 5))
def test_a_table_is_projected_row_by_row_whatever_its_length(factor, rows):
    rng = np.random.default_rng(rows)
    embedding = (rng.standard_normal((rows, SIZE)) * factor).astype(np.float16)
    found = small().project(embedding)
    assert found.shape == (rows, 3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    for row, one in zip(found, embedding, strict=True):
        np.testing.assert_allclose(small().project(one), row, atol=1e-6)


def test_an_embedding_is_read_as_it_is_stored():
    exact = np.random.default_rng(0).standard_normal(SIZE)
    np.testing.assert_array_equal(small().project(exact), small().project(exact.astype(np.float16)))


def test_odd_shapes_and_numbers_are_refused():
    last, mean, largest = means({}, {}, {})
    with pytest.raises(ShapeError, match="penultimate must have shape"):
        small().embedding(last[:-1], mean, largest)
    with pytest.raises(ShapeError, match="max_pool must have shape"):
        small().embedding(last, mean, largest[:5])
    for odd in (np.nan, np.inf, 70_000):
        with pytest.raises(ShapeError, match="finite and within float16"):
            small().embedding(last + np.float32(odd), mean, largest)
    with pytest.raises(ShapeError, match="embedding must have shape"):
        small().project(np.zeros(SIZE + 1, np.float16))


@pytest.mark.parametrize(
    "changes",
    [
        {"living": np.array([752, 3])},
        {"living": np.array([3, 753])},
        {"living": np.array([-1, 3])},
        {"centre": np.zeros(3, np.float32)},
        {"scale": np.full(SIZE, np.nan, np.float32)},
        {"bias": np.zeros(4, np.float32)},
    ],
)
def test_what_does_not_fit_together_is_refused(changes):
    with pytest.raises(ShapeError):
        small(**changes)


def test_a_saved_file_comes_back_and_has_its_own_checksum(tmp_path):
    digest = small().save(tmp_path / "a")
    back = SoundProjection.load(tmp_path / "a", sha256=digest)
    assert back.sha256 == digest
    other = replace(small(), bias=np.float32([0, 0, 1])).save(tmp_path / "b")
    assert other != digest
    embedding = np.random.default_rng(0).standard_normal(SIZE)
    np.testing.assert_array_equal(back.project(embedding), small().project(embedding))


def test_another_file_a_damaged_one_and_none_are_refused(tmp_path):
    path = tmp_path / "sound"
    digest = small().save(path)
    replace(small(), front_end="g").save(path)
    with pytest.raises(WeightsError, match="damaged or replaced; reinstall"):
        SoundProjection.load(path, sha256=digest)
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    with pytest.raises(WeightsError, match="damaged"):
        SoundProjection.load(path)
    with pytest.raises(MissingWeightsError, match="no-such"):
        SoundProjection.load(tmp_path / "no-such")


@pytest.mark.parametrize(
    ("tensors", "about"),
    [
        ({"extra": np.zeros(1, np.float32)}, {}),
        ({"bias": np.zeros(9, np.float32)}, {}),
        ({}, {"format_version": 2}),
        ({}, {"backbone_sha256": None, "format_version": "x"}),
    ],
)
def test_a_file_of_another_content_is_refused(tmp_path, tensors, about):
    path = tmp_path / "sound"
    small().save(path)
    kept = {"format_version": 1, "backbone_sha256": "b", "front_end": "f", **about}
    path.write_bytes(save(load(path.read_bytes()) | tensors, {METADATA_KEY: json.dumps(kept)}))
    with pytest.raises(WeightsError, match="damaged"):
        SoundProjection.load(path)


def test_the_shipped_file_reads_the_shipped_network():
    shipped = shipped_sound()
    assert shipped.sha256 == SHA256
    assert shipped.backbone_sha256 == WEIGHTS["msd"].sha256
    assert shipped.front_end == FeatureSpec().front_end
    assert (shipped.size, shipped.width) == (624, 128)
    assert (data_folder() / FILE).stat().st_size <= 500_000


def test_a_replaced_shipped_file_is_refused(tmp_path, monkeypatch):
    small().save(tmp_path / FILE)
    monkeypatch.setattr(vectors, "data_folder", lambda: tmp_path)
    shipped_sound.cache_clear()
    with pytest.raises(WeightsError, match="damaged or replaced"):
        shipped_sound()
    shipped_sound.cache_clear()


def test_real_clips_of_one_recording_or_band_lie_together():
    """Through the whole pass: decoded, levelled, tagged, averaged, projected."""
    names = ["jazz-vibraphone.mp3", "jazz-vibraphone-later.ogg", "man-singing-alone.ogg"]
    names += ["man-singing-with-guitar.mp3", "death-metal-band.ogg", "classical-piano.flac"]
    extractor, shipped = Extractor(), shipped_sound()
    embeddings = []
    for name in names:
        heard = extractor.song(AUDIO / name, outputs=[f"msd.{block}" for block in BLOCKS]).features
        embeddings.append(shipped.embedding(*(values.mean(axis=0) for values in heard.values())))
    units = shipped.project(np.stack(embeddings))
    similar = units @ units.T
    np.fill_diagonal(similar, -1)
    assert similar.argmax(axis=1)[:4].tolist() == [1, 0, 3, 2]
    assert similar[0, 1] > 0.6 > similar[4:].max()
