"""`audiorec.tagger.heads`: hand-worked scores, the file, checks, the shipped pair."""

import dataclasses
import itertools
import json
import re

import numpy as np
import pytest
from safetensors.numpy import save_file

from audiorec.errors import InputError, ShapeError, SpecMismatchError, WeightsError
from audiorec.spec import FeatureSpec, LevelSpec, SegmentSpec
from audiorec.tagger.features import assemble, split_input
from audiorec.tagger.heads import (
    METADATA_KEY,
    OPEN,
    Head,
    Heads,
    default_heads,
    shipped_head,
    shipped_heads,
    softmax,
)
from audiorec.tagger.weights import WEIGHTS
from audiorec.types import AddedFeatures, Features

SHA = {"msd": "a" * 64, "mn04": "b" * 64}


def features(n, seed=0):
    rng = np.random.default_rng(seed)
    return Features(
        tags=rng.random((n, 50), np.float32),
        penultimate=rng.standard_normal((n, 200)).astype(np.float32),
        max_pool=rng.standard_normal((n, 753)).astype(np.float32),
        mean_pool=rng.standard_normal((n, 753)).astype(np.float32),
    )


def added(n, seed=2):
    rng = np.random.default_rng(seed)
    scores, embedding = rng.random((n, 50), np.float32), rng.standard_normal((n, 200))
    return AddedFeatures(scores=scores, embedding=embedding.astype(np.float32))


def random_head(task="mood", classes=("x", "y", "z"), inputs=("msd.tags", "mn04.embedding")):
    rng = np.random.default_rng(3)
    width = sum({"tags": 50, "embedding": 200}[name.split(".")[1]] for name in inputs)
    sizes = (width, 7, len(classes))
    return Head(
        task=task,
        classes=classes,
        inputs=inputs,
        backbones={name.split(".")[0]: SHA[name.split(".")[0]] for name in inputs},
        mean=rng.standard_normal(width).astype(np.float32),
        scale=rng.uniform(0.5, 2, width).astype(np.float32),
        layers=tuple(
            (
                rng.standard_normal((a, b)).astype(np.float32),
                rng.standard_normal(b).astype(np.float32),
            )
            for a, b in itertools.pairwise(sizes)
        ),
        calibration_scale=rng.uniform(0.5, 1, len(classes)).astype(np.float32),
        calibration_bias=rng.standard_normal(len(classes)).astype(np.float32),
        info={"licence": "CC0-1.0", "figures": {"accuracy": 0.5}},
    )


@pytest.fixture
def head():
    return random_head()


@pytest.fixture
def both():
    return {"msd": features(9, 1), "mn04": added(9)}


@pytest.mark.parametrize("n", [0, 1, 255, 256, 257, 600])
def test_long_songs_are_scored_in_blocks_and_come_out_the_same(head, n):
    both = {"msd": features(n, 1), "mn04": added(n)}
    whole = head.scores_of_columns(assemble(both, head.inputs))
    found = head.scores(both)
    assert found.shape == (n, 3)
    np.testing.assert_allclose(found, whole, atol=1e-7)


def test_scores_worked_by_hand():
    # One input differs from its mean: (5 - 3) / 4 = 0.5. Hidden: 0.5 * (2, -6) + (-0.5, 1)
    # = (0.5, -2), ReLU (0.5, 0). Logits: (0.5 * 4 + 0, 0.5 * -2 + 1) = (2, 0). Calibrated:
    # (2 * 0.5 + 0, 0 * 3 - 1) = (1, -1). Softmax: 1 / (1 + exp(-2)) = 0.880797.
    width = 200
    mean, scale = np.zeros(width, np.float32), np.ones(width, np.float32)
    mean[4], scale[4] = 3, 4
    first = np.zeros((width, 2), np.float32)
    first[4] = 2, -6
    head = Head(
        task="hand",
        classes=("yes", "no"),
        inputs=("msd.penultimate",),
        backbones={"msd": SHA["msd"]},
        mean=mean,
        scale=scale,
        layers=(
            (first, np.float32([-0.5, 1])),
            (np.float32([[4, -2], [9, 9]]), np.float32([0, 1])),
        ),
        calibration_scale=np.float32([0.5, 3]),
        calibration_bias=np.float32([0, -1]),
    )
    x = np.zeros((1, width), np.float32)
    x[0, 4] = 5
    given = dataclasses.replace(features(1), penultimate=x)
    found = head.scores({"msd": given})
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0.880797, 0.119203]], atol=1e-6)


def test_inputs_stand_in_their_order(both):
    columns = assemble(both, ("mn04.scores", "msd.penultimate"))
    np.testing.assert_array_equal(columns[:, :50], both["mn04"].scores)
    np.testing.assert_array_equal(columns[:, 50:], both["msd"].penultimate)


def test_softmax_survives_large_logits():
    np.testing.assert_allclose(softmax(np.array([[800.0, 0.0, -800.0]])), [[1, 0, 0]])


def test_round_trip_keeps_everything(head, both, tmp_path):
    head.save(tmp_path / "mood.safetensors")
    loaded = Head.load(tmp_path / "mood.safetensors")
    np.testing.assert_array_equal(loaded.scores(both), head.scores(both))
    assert (loaded.task, loaded.classes, loaded.inputs) == (head.task, head.classes, head.inputs)
    assert loaded.info == head.info
    assert loaded.licence == "CC0-1.0"
    assert loaded.sha256 == head.sha256


def test_checksum_follows_scores_and_not_figures(head):
    assert dataclasses.replace(head, info={"figures": 1}).sha256 == head.sha256
    assert dataclasses.replace(head, classes=("y", "x", "z")).sha256 != head.sha256
    moved = head.calibration_bias + np.float32([0, 0, 1e-3])
    assert dataclasses.replace(head, calibration_bias=moved).sha256 != head.sha256


def test_refuses_another_backbone(head):
    head.check_backbones(SHA)
    with pytest.raises(
        SpecMismatchError, match=r"'mn04' bbbbbbbbbbbb, but this one is cccccccccccc"
    ):
        head.check_backbones(SHA | {"mn04": "c" * 64})
    with pytest.raises(SpecMismatchError, match="this one is missing"):
        head.check_backbones({"msd": SHA["msd"]})


def test_refuses_missing_backbone_and_unequal_lengths(head, both):
    with pytest.raises(InputError, match=r"needs backbone 'mn04', got \['msd'\]"):
        head.scores({"msd": both["msd"]})
    with pytest.raises(ShapeError, match="have the same number of segments"):
        head.scores(both | {"mn04": added(8)})
    narrow = dataclasses.replace(both["msd"], tags=both["msd"].tags[:, :49])
    with pytest.raises(ShapeError, match=r"tags must have shape \(T, 50\), got \(9, 49\)"):
        head.scores(both | {"msd": narrow})


@pytest.mark.parametrize("name", ["penultimate", "msd.embedding", ".tags", "msd."])
def test_refuses_unknown_inputs(name):
    with pytest.raises(InputError, match="a head input must be"):
        split_input(name)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"classes": ("x", "y")}, "has 3 columns for 2 classes"),
        ({"classes": ("x", "x", "y")}, "different classes"),
        ({"task": "a/b"}, "without '/'"),
        ({"backbones": {"msd": "a"}}, "need checksums of"),
        ({"scale": np.ones(3, np.float32)}, r"scale must have shape \(250,\), got \(3,\)"),
        ({"scale": np.zeros(250, np.float32)}, "positive"),
        ({"calibration_bias": np.float32([0, np.nan, 0])}, "calibration_bias contains NaN"),
        ({"layers": ()}, "has 250 columns"),
    ],
)
def test_refuses_unsound_heads(head, change, match):
    with pytest.raises(InputError, match=match):
        dataclasses.replace(head, **change)


def test_load_refuses_what_is_no_head(head, tmp_path):
    path = tmp_path / "h.safetensors"
    with pytest.raises(WeightsError, match="no such file"):
        Head.load(path)
    path.write_bytes(b"not safetensors at all")
    with pytest.raises(WeightsError, match="cannot be read"):
        Head.load(path)
    save_file({"mean": np.zeros(3, np.float32)}, path)
    with pytest.raises(WeightsError, match="not a head file"):
        Head.load(path)
    save_file(head.tensors(), path, {METADATA_KEY: "{"})
    with pytest.raises(WeightsError, match="not JSON"):
        Head.load(path)
    save_file(head.tensors(), path, {METADATA_KEY: json.dumps({"format": 99})})
    with pytest.raises(WeightsError, match="head format 99; this audiorec reads 2"):
        Head.load(path)
    save_file(head.tensors(), path, {METADATA_KEY: json.dumps({"format": 2, "task": "t"})})
    with pytest.raises(WeightsError, match="not a valid head file"):
        Head.load(path)


def test_a_head_of_before_there_was_a_level_is_refused_with_the_command(head, tmp_path):
    path = tmp_path / "h.safetensors"
    old = {k: v for k, v in head._identity().items() if k != "front_end"} | {"format": 1}
    save_file(head.tensors(), path, {METADATA_KEY: json.dumps(old)})
    with pytest.raises(SpecMismatchError, match=r"normalised in loudness: .*audiorec heads LABELS"):
        Head.load(path)


def test_a_head_fits_the_front_end_it_was_trained_on_at_any_hop(head, tmp_path):
    head.save(tmp_path / "h.safetensors")
    loaded = Heads([Head.load(tmp_path / "h.safetensors")])
    loaded.check_front_end(FeatureSpec(segment=SegmentSpec(hop_s=6.0)).front_end)
    louder = FeatureSpec(level=LevelSpec(target_lufs=-18.0))
    with pytest.raises(SpecMismatchError, match=r"head 'mood' .*audiorec heads LABELS"):
        loaded.check_front_end(louder.front_end)
    other = dataclasses.replace(head, front_end=louder.front_end)
    other.save(tmp_path / "other.safetensors")
    assert Head.load(tmp_path / "other.safetensors").front_end == louder.front_end
    assert other.sha256 != head.sha256


def test_load_refuses_a_missing_tensor(head, tmp_path):
    path = tmp_path / "h.safetensors"
    head.save(path)
    meta = {METADATA_KEY: json.dumps(head._identity())}
    for name in ("mean", "weight_0", "bias_1"):
        save_file({k: v for k, v in head.tensors().items() if k != name}, path, meta)
        with pytest.raises(WeightsError, match="not a valid head file"):
            Head.load(path)


def test_heads_stand_side_by_side(both):
    first, second = random_head("a"), random_head("b", ("p", "q"), ("msd.tags",))
    heads = Heads([first, second])
    assert heads.classes == ("a/x", "a/y", "a/z", "b/p", "b/q")
    assert heads.backbones == ("msd", "mn04")
    np.testing.assert_array_equal(heads.scores(both)[:, 3:], second.scores(both))
    with pytest.raises(SpecMismatchError, match="'a' was trained on backbone 'msd'"):
        heads.check_backbones({"msd": "c", "mn04": SHA["mn04"]})


def test_heads_refuse_the_same_task_twice_and_disagreement():
    head = random_head()
    with pytest.raises(InputError, match="different tasks"):
        Heads([head, head])
    with pytest.raises(InputError, match="different tasks"):
        Heads([])
    other = dataclasses.replace(head, task="b", backbones=SHA | {"mn04": "d" * 64})
    with pytest.raises(InputError, match="different backbones 'mn04'"):
        Heads([head, other])


def test_a_head_whose_numbers_were_changed_is_refused(head, tmp_path):
    path = tmp_path / "head.safetensors"
    head.save(path)
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"head\.safetensors: damaged: checksum does not match"):
        Head.load(path)


def test_a_file_that_is_far_too_large_is_not_read(head, tmp_path):
    path = tmp_path / "head.safetensors"
    head.save(path)
    with path.open("r+b") as file:
        file.truncate(300 << 20)
    with pytest.raises(WeightsError, match="too large for a head"):
        Head.load(path)


VERSION = "vocal instrumental vocal_accompaniment other".split()
GENRE = "blues classical country electronic folk hiphop jazz metal pop rock".split()
WIDTHS = {"tags": 50, "penultimate": 200, "max_pool": 753, "mean_pool": 753}


def features_shipped(seed, segments=5):
    rng = np.random.default_rng(seed)
    return Features(**{n: rng.random((segments, w), np.float32) for n, w in WIDTHS.items()})


def test_the_shipped_pair_has_the_default_taxonomy():
    heads = default_heads()
    assert heads.classes == (*(f"version/{c}" for c in VERSION), *(f"genre/{c}" for c in GENRE))
    heads.check_backbones({name: entry.sha256 for name, entry in WEIGHTS.items()})
    scores = heads.scores({"msd": features_shipped(0)})
    np.testing.assert_allclose(scores[:, :4].sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(scores[:, 4:].sum(1), 1, atol=1e-6)


def test_one_network_serves_both_heads():
    assert default_heads().backbones == ("msd",)


def test_the_open_pair_has_the_same_classes_and_other_weights():
    pairs = zip(shipped_heads(), shipped_heads(OPEN), strict=True)
    for usual, other in [tuple(map(Head.load, pair)) for pair in pairs]:
        assert (other.task, other.classes) == (usual.task, usual.classes)
        assert other.front_end == usual.front_end
        assert other.sha256 != usual.sha256
        assert "free audio alone" in other.licence
        assert not re.search("research|NC|GTZAN|MIR-1K|not stated", other.info["sources"])


@pytest.mark.parametrize("edition", ["", OPEN])
def test_shipped_heads_say_where_they_come_from(edition):
    for path in shipped_heads(edition):
        head = Head.load(path)
        assert head.licence != "not stated"
        assert head.info["sources"]
        assert head.info["training_data"]


def test_there_is_no_other_task():
    with pytest.raises(InputError, match="no head for 'mood', only for version, genre"):
        shipped_head("mood")
