"""`audiorec.tagger.own_backbone`: what a package's network must say, and what it answers."""

from dataclasses import replace

import numpy as np
import pytest
from made_backbone import CODE

from audiorec.errors import InputError, ShapeError, SpecMismatchError
from audiorec.spec import FeatureSpec
from audiorec.tagger.own_backbone import OpenedBackbone


@pytest.fixture(scope="module")
def network():
    module = {}
    exec(CODE, module)  # noqa: S102 - of the tests themselves
    return module["network"]


@pytest.fixture
def tiny(network):
    return network()


def test_it_is_known_by_weights_front_end_and_classes_but_not_by_its_hop(network, tiny):
    assert tiny.outputs == {"tiny.scores": 3, "tiny.embedding": 40}
    assert tiny.origin() == {"name": "tiny", "sha256": tiny.sha256, "licence": "CC0-1.0"}
    others = [
        network(weights_sha256="cd" * 32),
        network(mel={"pre_emphasis": 0.5}),
        network(classes=("a", "b", "c")),
    ]
    assert len({tiny.sha256, *(one.sha256 for one in others)}) == 4
    spec = replace(tiny.features, segment=replace(tiny.features.segment, hop_s=6.0))
    assert network(features=spec, licence="MIT").sha256 == tiny.sha256
    tiny.check_spec(spec)
    with pytest.raises(SpecMismatchError, match="backbone 'tiny' has front end"):
        tiny.check_spec(FeatureSpec())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Tiny"}, "up to 32 characters"),
        ({"name": "msd"}, "be none of msd"),
        ({"classes": (), "width": 0}, "needs classes, the width of an embedding, or both"),
        ({"classes": ("a", "a", "b")}, "unique and not empty"),
        ({"filterbank": np.ones((40, 129), np.float32)}, "goes with the scale 'given'"),
    ],
)
def test_what_it_must_say(network, changes, message):
    with pytest.raises(InputError, match=message):
        network(**changes)


def test_batches_change_nothing_and_none_is_empty(tiny):
    segments = np.random.default_rng(0).random((5, 240, 40)).astype(np.float32)
    one, many = (OpenedBackbone(tiny, batch_size=n).features(segments) for n in (1, 8))
    np.testing.assert_allclose(one.scores, many.scores, atol=1e-6)
    np.testing.assert_array_equal(one.embedding, many.embedding)
    none = OpenedBackbone(tiny).features(segments[:0])
    assert (none.scores.shape, none.embedding.shape) == ((0, 3), (0, 40))
    with pytest.raises(ShapeError, match=r"shape \(B, 240, 40\)"):
        OpenedBackbone(tiny).features(segments[:, :-1])


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"scores": np.full((2, 3), 0.5)}, "expected finite embedding"),
        (
            {"scores": np.full((2, 4), 0.5), "embedding": np.ones((2, 40))},
            r"scores of shape \(2, 3",
        ),
        ({"scores": np.full((2, 3), np.nan), "embedding": np.ones((2, 40))}, "finite scores"),
        ({"scores": np.full((2, 3), 1.5), "embedding": np.ones((2, 40))}, "between 0 and 1"),
    ],
)
def test_answers_that_do_not_fit_are_refused(network, said, message):
    odd = OpenedBackbone(network(open=lambda: lambda _: said))
    with pytest.raises(ShapeError, match=message):
        odd.features(np.zeros((2, 240, 40), np.float32))
