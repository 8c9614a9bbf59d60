"""`audiorec.recall.audio.model`: the form of a tower, and what it refuses."""

import subprocess
import sys

import numpy as np
import pytest

from audiorec.errors import InputError, ShapeError, WeightsError
from audiorec.recall.audio.model import Embedder, TowerSpec, expected_shapes
from audiorec.store.features import join_songs

SPEC = TowerSpec(inputs=("msd_tags",), width=4, embedding=3, hidden=2)
TENSORS = {
    name: np.random.default_rng(i).standard_normal(shape).astype(np.float32)
    for i, (name, shape) in enumerate(expected_shapes(SPEC).items())
}


def test_a_song_is_embedded_alone_as_among_others():
    songs = join_songs([("a", np.ones((2, 4), np.float32)), ("b", np.eye(4, dtype=np.float32))])
    embedder = Embedder(SPEC, TENSORS)
    both = embedder.embed(songs)
    np.testing.assert_allclose(np.linalg.norm(both, axis=1), 1, atol=1e-6)
    alone = embedder.embed(join_songs([("b", np.eye(4, dtype=np.float32))]))
    np.testing.assert_allclose(both[1], alone[0], atol=1e-6)


@pytest.mark.parametrize("name", ["linear.weight", "mean", "importance.bias"])
def test_refuses_tensors_that_do_not_fit(name):
    with pytest.raises(WeightsError, match=f"tensor '{name}' must have shape"):
        Embedder(SPEC, {**TENSORS, name: np.zeros((7, 7), np.float32)})
    with pytest.raises(WeightsError, match="got none"):
        Embedder(SPEC, {n: t for n, t in TENSORS.items() if n != name})


def test_refuses_rows_of_another_width_and_odd_forms():
    with pytest.raises(ShapeError, match=r"must have shape \(4,\), got \(3,\)"):
        Embedder(SPEC, TENSORS).embed(join_songs([("a", np.ones((2, 3), np.float32))]))
    with pytest.raises(InputError, match="width must be at least 1, got 0"):
        TowerSpec(inputs=(), width=0)


def test_a_model_is_used_and_judged_without_torch():
    modules = ", ".join(f"audiorec.recall.audio.{n}" for n in ("channel", "embed", "judge"))
    script = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
