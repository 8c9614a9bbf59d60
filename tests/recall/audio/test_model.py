"""`audiorec.recall.audio.model`: what a bundle holds, and what it refuses."""

import json
import subprocess
import sys

import numpy as np
import pytest

from audiorec.errors import ShapeError, SpecMismatchError, WeightsError
from audiorec.recall.audio.model import (
    Embedder,
    MetricModel,
    TowerSpec,
    expected_shapes,
    save_model,
)
from audiorec.spec import FeatureSpec
from audiorec.store.segments import join_songs

SPEC = TowerSpec(inputs=("msd_tags",), width=4, embedding=3, hidden=2)
TENSORS = {
    name: np.random.default_rng(i).standard_normal(shape).astype(np.float32)
    for i, (name, shape) in enumerate(expected_shapes(SPEC).items())
}
CONFIG = {
    "tower": {**{n: getattr(SPEC, n) for n in SPEC.__slots__}, "inputs": ["msd_tags"]},
    "extractor_id": "e" * 16,
    "audio_spec": FeatureSpec().to_dict(),
    "space": "u" * 16,
    "split": {"valid": 0.1, "test": 0.2, "new_songs": 0.0, "seed": 3},
    "end_to_end": False,
}


def saved(path, **changes):
    return save_model(path, tensors=TENSORS, config=CONFIG | changes, card="# card", metrics="{}\n")


def test_round_trip(tmp_path):
    model_id = saved(tmp_path / "m")
    model = MetricModel.load(tmp_path / "m")
    songs = join_songs([("a", np.ones((2, 4), np.float32)), ("b", np.eye(4, dtype=np.float32))])
    np.testing.assert_array_equal(model.embed(songs), Embedder(SPEC, TENSORS).embed(songs))
    assert model.model_id == model_id
    assert (model.space, model.extractor_id) == ("u" * 16, "e" * 16)
    assert model.split.test == 0.2
    assert model.spec == SPEC
    assert model.audio_spec == FeatureSpec()
    assert {p.name for p in (tmp_path / "m").iterdir()} == {
        "model.safetensors",
        "model.json",
        "MODEL_CARD.md",
        "metrics.jsonl",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"tower": {**CONFIG["tower"], "width": 5}},
        {"tower": {"width": 4}},
        {"split": {"valid": 2.0}},
        {"split": None},
        {"audio_spec": {}},
        {"space": None},
    ],
)
def test_refuses_a_config_that_does_not_fit(tmp_path, changes):
    saved(tmp_path / "m", **changes)
    with pytest.raises(WeightsError, match=r"m: model.json"):
        MetricModel.load(tmp_path / "m")


def test_refuses_another_kind_and_changed_weights(tmp_path):
    saved(tmp_path / "m")
    path = tmp_path / "m" / "model.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"kind": "users"}))
    with pytest.raises(WeightsError, match="holds a users, not a metric"):
        MetricModel.load(tmp_path / "m")


def test_refuses_other_features_and_other_users(tmp_path):
    saved(tmp_path / "m")
    model = MetricModel.load(tmp_path / "m")
    model.check_extractor("e" * 16, "x")
    model.check_space({"", "u" * 16}, "x")
    model.check_space({model.model_id}, "x")
    with pytest.raises(SpecMismatchError, match=r"f.parquet was made by extractor other"):
        model.check_extractor("other", "f.parquet")
    with pytest.raises(SpecMismatchError, match=r"users.parquet: users of another, the model"):
        model.check_space({"another", ""}, "users.parquet")
    with pytest.raises(ShapeError):
        model.embed(join_songs([("a", np.ones((2, 3), np.float32))]))


def test_a_model_is_used_and_judged_without_torch():
    modules = ", ".join(f"audiorec.recall.audio.{n}" for n in ("model", "embed", "judge"))
    script = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
