"""`audiorec.audio.decode`: the mix, the levels, and what follows from them."""

import numpy as np
import pytest

from audiorec.audio.decode import AS_MIXED, ChannelMix, Mono, NotFiniteError
from audiorec.audio.readers import RawBlock
from audiorec.spec import DecodeSpec

SPEC = DecodeSpec()
RATE = 16_000  # no resampling: values come out as they went in


def run(*blocks: RawBlock, mix: ChannelMix = AS_MIXED) -> tuple[np.ndarray, Mono]:
    mono = Mono(SPEC, mix)
    out = [part for block in blocks for part in mono.add(block)]
    out += list(mono.flush())
    return np.concatenate([np.zeros(0, np.float32), *out]), mono


def block(*rows: tuple[float, ...], rate: int = RATE) -> RawBlock:
    return RawBlock(np.array(rows, np.float32), rate)


def test_mean_of_channels_by_hand():
    values, mono = run(block((0.5, -0.25), (1.0, 0.0)), block((-0.75, 0.25)))
    np.testing.assert_array_equal(values, np.float32([0.125, 0.5, -0.25]))
    assert (mono.n_samples, mono.seconds, mono.peak) == (3, 3 / RATE, 1.0)
    values, _ = run(block((0.3, 0.6, -0.6, 0.9)))
    np.testing.assert_allclose(values, [0.3], atol=1e-7)


@pytest.mark.parametrize("order", ["C", "F"])
def test_levels_do_not_depend_on_the_memory_layout(order):
    samples = np.random.default_rng(3).normal(0, 0.2, (500, 2)).astype(np.float32)
    samples[:, 1] = -samples[:, 0]
    samples[0] = 0.001
    _, mono = run(RawBlock(np.asarray(samples, order=order), RATE))
    assert mono.better_mix() == ChannelMix(channel=0)


def test_treatment_is_applied():
    values, mono = run(block((0.5, -8.0), (3.0, 2.0)), mix=ChannelMix(channel=0, gain=0.125))
    np.testing.assert_array_equal(values, np.float32([0.0625, 0.375]))
    assert mono.better_mix() is None


def test_too_loud_gives_the_gain_and_no_samples_after_it():
    values, mono = run(block((1.0,), (0.5,)), block((0.5,), (-5.0,)), block((10.0,)))
    np.testing.assert_array_equal(values, np.float32([1.0, 0.5]))
    assert mono.better_mix() == ChannelMix(gain=0.1)


def test_one_channel_cannot_cancel():
    _, mono = run(block((0.0,), (0.0,)))
    assert mono.better_mix() is None
    assert mono.is_silent


def test_silent_channels_do_not_count_as_cancelled():
    _, mono = run(block((0.0, 0.0), (0.0, 0.0)))
    assert mono.better_mix() is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_position_of_a_bad_sample(bad):
    mono = Mono(SPEC)
    list(mono.add(RawBlock(np.zeros((16_000, 2), np.float32), RATE)))
    samples = np.zeros((4_000, 2), np.float32)
    samples[2_000:, 1] = bad
    with pytest.raises(NotFiniteError) as caught:
        list(mono.add(RawBlock(samples, RATE)))
    assert caught.value.at_s == 1.125


def test_a_change_of_rate_loses_no_time():
    values, mono = run(
        RawBlock(np.full((48_000, 2), 0.25, np.float32), 48_000),
        RawBlock(np.full((8_000, 1), 0.5, np.float32), 8_000),
        RawBlock(np.full((16_000, 1), -0.5, np.float32), 16_000),
    )
    assert (mono.seconds, len(values)) == (3.0, 48_000)
    assert (mono.sample_rate, mono.channels) == (48_000, 2)
    np.testing.assert_allclose(values[[8_000, 24_000, 40_000]], [0.25, 0.5, -0.5], atol=1e-3)


def test_the_decoders_buffer_may_be_used_again():
    buffer = np.full((100, 1), 0.5, np.float32)
    mono = Mono(SPEC)
    kept = list(mono.add(RawBlock(buffer, RATE)))
    buffer[:] = 9.0
    assert (kept[0] == 0.5).all()
