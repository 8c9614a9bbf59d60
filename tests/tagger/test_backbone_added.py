"""`audiorec.tagger.added`: a graph held to its spec, and its answers."""

import json

import numpy as np
import pytest
from made_backbone import DROP, write_backbone
from made_onnx import made_model, model, node, value_info, weights

from audiorec.errors import InputError, ShapeError, SpecMismatchError, WeightsError
from audiorec.spec import FeatureSpec
from audiorec.tagger.added import AddedOnnx, Graph, apply_activation, in_layout, write_added
from audiorec.tagger.backbone_spec import read_spec
from audiorec.tagger.heads import Head
from audiorec.tagger.networks import AddedNetwork, ShippedNetworks
from audiorec.types import AddedFeatures

SEGMENTS = np.random.default_rng(3).normal(0, 1, (5, 240, 40)).astype(np.float32)


@pytest.fixture(autouse=True)
def _own_data(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOREC_DATA", str(tmp_path / "own"))


@pytest.fixture
def stated(tmp_path):
    def make(changes=None):
        return read_spec(write_backbone(tmp_path / "here", changes)[1])

    return make


@pytest.fixture
def added(tmp_path, stated):
    def make(changes=None, **graph):
        path, spec = write_backbone(tmp_path / "a", changes, **graph)
        return write_added(
            read_spec(spec), path.read_bytes(), {"scores": 3, "embedding": 40}, replace=True
        )

    return make


def answers(segments):
    embedding = segments.mean(axis=1)
    return embedding, 1 / (1 + np.exp(-embedding @ weights(40, 3)))


@pytest.mark.parametrize("layout", ["N T M", "N 1 M T", "N M T 1"])
@pytest.mark.parametrize("batch", ["N", 1, 2])
def test_answers_worked_by_hand(added, layout, batch):
    network = AddedOnnx(added({"input.layout": layout}, batch=batch), batch_size=2)
    found = network.features(SEGMENTS)
    embedding, scores = answers(SEGMENTS)
    np.testing.assert_allclose(found.embedding, embedding, atol=1e-6)
    np.testing.assert_allclose(found.scores, scores, atol=1e-6)
    assert found.scores.dtype == found.embedding.dtype == np.float32
    assert len(network.features(SEGMENTS[:0])) == 0
    assert network.features(SEGMENTS[:0]).embedding.shape == (0, 40)


def test_segments_of_another_shape_are_refused(added):
    with pytest.raises(ShapeError, match=r"\(B, 240, 40\), got \(5, 240, 39\)"):
        AddedOnnx(added()).features(SEGMENTS[:, :, 1:])


def test_logits_become_scores_where_the_spec_says_how(stated):
    raw = made_model(layout="N1MT", activation="Identity")
    logits = answers(SEGMENTS)[0] @ weights(40, 3)
    with pytest.raises(WeightsError, match=r"are not probabilities: set the spec's activation"):
        Graph(stated(), raw).run(SEGMENTS)
    for activation, expected in (
        ("sigmoid", 1 / (1 + np.exp(-logits))),
        ("softmax", np.exp(logits) / np.exp(logits).sum(1, keepdims=True)),
    ):
        found = Graph(stated({"outputs.scores.activation": activation}), raw).run(SEGMENTS)
        np.testing.assert_allclose(found["scores"], expected, atol=1e-6)
    huge = np.float32([[1e4, -1e4, 0]])
    assert np.isfinite(apply_activation(huge, "sigmoid")).all()
    np.testing.assert_array_equal(apply_activation(huge, "softmax"), [[1, 0, 0]])


def test_a_layout_moves_axes():
    moved = in_layout(SEGMENTS, "1MTN1")
    assert moved.shape == (1, 40, 240, 5, 1)
    assert moved[0, 7, 11, 2, 0] == SEGMENTS[2, 11, 7]


def bad(outputs, *, nodes=None, shape=("N", 1, 40, "T")):
    made = nodes or [node("ReduceMean", ["mel"], ["y"])]
    return model(made, [value_info("mel", list(shape))], outputs)


MISFITS = {
    "another input": ({"input.name": "x"}, {}, "expected one input 'x', the graph has 'mel'"),
    "other frames": (
        {},
        {"frames": 241},
        r"\(N, 1, 40, 241\), the spec says \(N, 1, 40, 240\)",
    ),
    "other bands": ({}, {"bands": 41}, r"shape \(N, 1, 41, T\), the spec says \(N, 1, 40, 240\)"),
    "another layout": (
        {},
        {"layout": "NTM"},
        r"has shape \(N, T, 40\), the spec says \(N, 1, 40, 240\)",
    ),
    "another output": (
        {"outputs.embedding.name": "e"},
        {},
        "no output 'e'; the graph has emb, tags",
    ),
    "other classes": ({}, {"classes": 4}, "has 4 numbers per segment, the spec 3 classes"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_graph_that_does_not_fit_its_spec_is_one_line(stated, name):
    changes, made, message = MISFITS[name]
    with pytest.raises(WeightsError, match=message) as caught:
        Graph(stated(changes), made_model(**{"layout": "N1MT", **made}))
    assert "\n" not in str(caught.value)


def test_what_onnx_runtime_does_not_open_is_one_line(stated):
    nodes = [node("NoSuchOperator", ["mel"], ["tags"])]
    content = bad([value_info("tags", ["N", 3]), value_info("emb", ["N", 40])], nodes=nodes)
    with pytest.raises(WeightsError, match="ONNX Runtime cannot open it: ") as caught:
        Graph(stated(), content)
    assert "\n" not in str(caught.value)


def test_answers_of_another_shape_or_not_finite_are_refused(stated):
    outputs = [value_info("tags", ["a", "b"]), value_info("emb", ["c", "d"])]
    whole = [node("Relu", ["mel"], ["tags"]), node("Relu", ["mel"], ["emb"])]
    with pytest.raises(WeightsError, match=r"shape \(5, D\), got float32 of \(5, 1, 40, 240\)"):
        Graph(stated(), bad(outputs, nodes=whole)).run(SEGMENTS)
    silent = np.full((1, 240, 40), np.nan, np.float32)
    with pytest.raises(WeightsError, match="contains NaN or infinity"):
        Graph(stated(), made_model(layout="N1MT")).run(silent)


def head(added, **changes):
    made = {
        "task": "kind",
        "classes": ("a", "b"),
        "inputs": ("tiny.embedding", "tiny.scores"),
        "backbones": {"tiny": added.sha256},
        "mean": np.zeros(43, np.float32),
        "scale": np.ones(43, np.float32),
        "layers": ((np.eye(43, 2, dtype=np.float32), np.zeros(2, np.float32)),),
        "calibration_scale": np.ones(2, np.float32),
        "calibration_bias": np.zeros(2, np.float32),
        "front_end": added.stated.features.front_end,
    }
    return Head(**made | changes)


def test_a_head_reads_the_answers_side_by_side(tmp_path, added):
    kept = added()
    head(kept).save(tmp_path / "h.safetensors")
    networks = AddedNetwork(kept.folder, kept.stated.features)
    scorer = networks.scorer([tmp_path / "h.safetensors"])
    found = {"tiny": networks.load("tiny", engine="onnx", device="cpu").features(SEGMENTS)}
    embedding, _ = answers(SEGMENTS)
    z = np.exp(embedding[:, :2] - embedding[:, :2].max(1, keepdims=True))
    np.testing.assert_allclose(scorer.scores(found), z / z.sum(1, keepdims=True), atol=1e-6)
    assert scorer.classes == ("kind/a", "kind/b")
    narrow = {"tiny": AddedFeatures(found["tiny"].scores[:, 1:], found["tiny"].embedding)}
    with pytest.raises(ShapeError, match="head 'kind' reads 43 columns, got 42"):
        scorer.scores(narrow)
    with pytest.raises(InputError, match="backbone 'tiny' has no output scores"):
        scorer.scores({"tiny": AddedFeatures(None, found["tiny"].embedding)})


def test_heads_of_other_networks_and_front_ends_are_refused(tmp_path, added):
    kept, path = added(), tmp_path / "h.safetensors"
    networks = AddedNetwork(kept.folder, kept.stated.features)
    for changes, kind, message in (
        (
            {"backbones": {"tiny": "0" * 64}},
            SpecMismatchError,
            "was trained on backbone 'tiny' 0000",
        ),
        ({"front_end": FeatureSpec().front_end}, SpecMismatchError, "trained with front end"),
        (
            {"inputs": ("big.embedding",), "backbones": {"big": "0" * 64}},
            InputError,
            "uses the backbone 'tiny', not 'big'",
        ),
    ):
        head(kept, **changes).save(path)
        with pytest.raises(kind, match=message):
            networks.scorer([path])
    head(kept).save(path)
    with pytest.raises(InputError, match=r"the backbone 'tiny': select it \(--backbone tiny\)"):
        ShippedNetworks(FeatureSpec()).scorer([path])


def test_without_heads_a_network_scores_by_its_own_tags_or_its_embedding(added):
    kept = added()
    found = {"tiny": AddedOnnx(kept).features(SEGMENTS)}
    scorer = AddedNetwork(kept.folder, kept.stated.features).scorer(())
    assert scorer.classes == ("tiny/bright", "tiny/dark", "tiny/loud")
    assert len(scorer.statistics) == 6
    np.testing.assert_array_equal(scorer.scores(found), found["tiny"].scores)


def test_an_embedding_alone_is_kept_as_its_mean(tmp_path, stated):
    path, spec = write_backbone(tmp_path / "e", {"outputs.scores": DROP})
    kept = write_added(read_spec(spec), path.read_bytes(), {"embedding": 40})
    scorer = AddedNetwork(kept.folder, kept.stated.features).scorer(())
    assert scorer.classes == tuple(f"tiny/{i}" for i in range(40))
    assert scorer.statistics == ("mean",)
    found = {"tiny": AddedOnnx(kept).features(SEGMENTS)}
    assert found["tiny"].scores is None
    np.testing.assert_array_equal(scorer.scores(found), found["tiny"].embedding)


def test_one_engine_on_the_processor(added):
    kept = added()
    networks = AddedNetwork(kept.folder, kept.stated.features)
    with pytest.raises(InputError, match="runs only with engine onnx on device cpu"):
        networks.load("tiny", engine="torch", device="cpu")
    with pytest.raises(InputError, match=r"no output 'tiny\.tags'; there are tiny\.scores"):
        networks.width("tiny.tags")
    with pytest.raises(InputError, match="cannot be mixed"):
        networks.width("msd.tags")


def test_the_model_is_opened_from_bytes_that_are_what_was_added(added):
    kept = added()
    (kept.folder / "model.onnx").write_bytes(made_model(bands=41, layout="N1MT"))
    with pytest.raises(WeightsError, match="changed since the backbone was added"):
        AddedOnnx(kept)
    about = json.loads((kept.folder / "backbone.json").read_text())
    assert about["sha256"]["model.onnx"] == kept.model_sha256
