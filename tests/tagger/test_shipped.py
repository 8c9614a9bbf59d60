"""`audiorec.tagger.heads`: the heads that come along."""

import numpy as np
import pytest

from audiorec.errors import InputError
from audiorec.tagger.heads import Head, default_heads, shipped_head, shipped_heads
from audiorec.tagger.weights import WEIGHTS
from audiorec.types import Features

VERSION = "vocal instrumental vocal_accompaniment other".split()
GENRE = "blues classical country electronic folk hiphop jazz metal pop rock".split()
WIDTHS = {"tags": 50, "penultimate": 200, "max_pool": 753, "mean_pool": 753}


def features(seed, segments=5):
    rng = np.random.default_rng(seed)
    return Features(**{n: rng.random((segments, w), np.float32) for n, w in WIDTHS.items()})


def test_the_shipped_pair_has_the_default_taxonomy():
    heads = default_heads()
    assert heads.classes == (*(f"version/{c}" for c in VERSION), *(f"genre/{c}" for c in GENRE))
    heads.check_backbones({name: entry.sha256 for name, entry in WEIGHTS.items()})
    scores = heads.scores({"msd": features(0)})
    np.testing.assert_allclose(scores[:, :4].sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(scores[:, 4:].sum(1), 1, atol=1e-6)


def test_one_network_serves_both_heads():
    assert default_heads().backbones == ("msd",)


def test_shipped_heads_say_where_they_come_from():
    for path in shipped_heads():
        head = Head.load(path)
        assert head.licence != "not stated"
        assert head.info["sources"]
        assert head.info["training_data"]


def test_there_is_no_other_task():
    with pytest.raises(InputError, match="no head for 'mood', only for version, genre"):
        shipped_head("mood")
