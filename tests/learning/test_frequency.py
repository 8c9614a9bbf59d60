"""`audiorec.learning.frequency`: a stream's estimate comes near the true chances."""

import numpy as np
import pytest
from needs import needs

torch = needs("torch")

from audiorec.errors import InputError
from audiorec.learning.frequency import StreamingFrequency, log_frequency

CHANCE = torch.tensor([0.5, 0.25, 0.15, 0.08, 0.02])


def stream(steps, size, seed=0, chance=CHANCE):
    draw = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        yield torch.multinomial(chance, size, replacement=True, generator=draw)


@pytest.mark.parametrize("size", [1, 8, 64])
def test_it_finds_the_chance_of_each_song(size):
    found = StreamingFrequency(5)
    for songs in stream(6_000 // min(size, 8), size):
        found.update(songs)
    ratio = found.log_q(torch.arange(5)).exp() / CHANCE
    np.testing.assert_allclose(ratio, 1, atol=0.3)


def test_worked_by_hand():
    found = StreamingFrequency(3, rate=0.5)
    np.testing.assert_allclose(found.log_q(torch.arange(3)).exp(), 1 / 3)
    found.update(torch.tensor([0, 1]))  # the first visit says nothing yet
    np.testing.assert_allclose(found.log_q(torch.arange(3)).exp(), 1 / 3)
    found.update(torch.tensor([0, 0]))
    # Song 0: repeats (1 + 2) / 2, gap (3 + 2) / 2.
    np.testing.assert_allclose(found.log_q(torch.tensor([0])).exp(), 1.5 / 2.5)
    found.update(torch.tensor([1, 0]))
    # Song 1 after 4 places: repeats (1 + 1) / 2, gap (3 + 4) / 2.
    np.testing.assert_allclose(found.log_q(torch.tensor([1, 2])).exp(), [1 / 3.5, 1 / 3])


def test_it_follows_a_change_of_taste():
    found = StreamingFrequency(5, rate=0.05)
    for songs in stream(300, 32):
        found.update(songs)
    for songs in stream(300, 32, seed=1, chance=CHANCE.flip(0)):
        found.update(songs)
    ratio = found.log_q(torch.arange(5)).exp() / CHANCE.flip(0)
    np.testing.assert_allclose(ratio, 1, atol=0.5)


def test_it_is_kept_with_the_model():
    found, again = StreamingFrequency(5), StreamingFrequency(5)
    batches = list(stream(40, 8))
    for songs in batches[:20]:
        found.update(songs)
    again.load_state_dict(found.state_dict())
    for songs in batches[20:]:
        found.update(songs)
        again.update(songs)
    assert torch.equal(found.log_q(torch.arange(5)), again.log_q(torch.arange(5)))
    assert not list(found.parameters())


def test_counts():
    np.testing.assert_allclose(log_frequency([6, 3, 0]).exp(), [0.6, 0.3, 0.1])


@pytest.mark.parametrize("given", [{"n_songs": 0}, {"n_songs": 3, "rate": 0.0}])
def test_refusals(given):
    with pytest.raises(InputError, match="n_songs must be 1 or more and rate in"):
        StreamingFrequency(**given)
