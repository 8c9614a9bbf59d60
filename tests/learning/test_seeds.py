"""`audiorec.learning.machine`: a draw is told by what it is for, and by nothing before it."""

import numpy as np

from audiorec.learning.machine import generator, torch_seed


def test_every_purpose_and_number_has_its_own_stream():
    keys = [(0, 1), (0, 2), (1, 1), (0, 1, 0, 1), (0, 1, 1, 0), (0, 1, 1, 1)]
    drawn = {key: generator(*key).integers(2**62) for key in keys}
    assert len(set(drawn.values())) == len(keys)
    assert all(generator(*key).integers(2**62) == value for key, value in drawn.items())


def test_streams_stay_what_they_are():
    """Weights of older versions were made with them."""
    assert generator(3, 2, 5, 7).random() == np.random.default_rng([3, 2, 5, 7]).random()
    assert torch_seed(generator(3, 2)) == int(np.random.default_rng([3, 2]).integers(2**62))
