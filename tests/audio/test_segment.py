"""`audiorec.audio.segment`: where segments begin, tails, padding, streaming."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiorec.audio import segment as segment_module
from audiorec.audio.mel import log_mel
from audiorec.audio.segment import gain, levelled, loudness_lufs, segments
from audiorec.errors import InputError, ShapeError
from audiorec.spec import FeatureSpec, LevelSpec, SegmentSpec

SECOND = 16_000  # samples
AS_IT_IS = FeatureSpec(level=None)


def noise(n_samples: int) -> np.ndarray:
    return np.random.default_rng(9).normal(0, 0.2, n_samples).astype(np.float32)


def level(waveform: np.ndarray) -> float:
    return gain(loudness_lufs(waveform), LevelSpec())


def expected_segments(waveform: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """The rule as the design words it, on the whole track."""
    n, factor = len(waveform), level(waveform)
    if n < 3 * SECOND:
        waveform = np.concatenate([waveform, np.zeros(3 * SECOND - n, np.float32)])
    frames = log_mel(waveform, gain=factor)
    n_whole = len(waveform) // 48_000
    starts = [(375 * i + 1) // 2 for i in range(n_whole)]
    found = [(3.0 * i, frames[a : a + 187]) for i, a in enumerate(starts)]
    if len(waveform) - 48_000 * n_whole >= 24_000:
        found.append(((len(frames) - 187) * 256 / 16_000, frames[-187:]))
    return found


def check(waveform: np.ndarray, blocks: list[np.ndarray]) -> None:
    found = list(segments(blocks))
    expected = expected_segments(waveform)
    assert [s.start_s for s in found] == [start for start, _ in expected]
    for segment, (_, log_mel_of_it) in zip(found, expected, strict=True):
        assert segment.log_mel.shape == (187, 96)
        np.testing.assert_array_equal(segment.log_mel, log_mel_of_it)


@pytest.mark.parametrize(
    ("n_samples", "starts"),
    [
        (SECOND, [0.0]),
        (47_999, [0.0]),
        (48_000, [0.0]),
        (48_000 + 23_999, [0.0]),  # the tail is one sample too short
        # 72,000 samples have 282 frames; the last 187 begin with frame 95, at 1.52 s.
        (48_000 + 24_000, [0.0, 1.52]),
        (95_999, [0.0, 3.008]),  # frame 375 - 187 = 188
        (96_000, [0.0, 3.0]),
        # 31.7 s are 507,200 samples and 1,982 frames; 1,795 * 16 ms = 28.72 s.
        (507_200, [*(3.0 * i for i in range(10)), 28.72]),
    ],
)
def test_starts_worked_by_hand(n_samples, starts):
    found = [segment.start_s for segment in segments([noise(n_samples)])]
    np.testing.assert_allclose(found, starts, atol=1e-9)


def test_first_frames_round_half_up():
    # Frame k of this track is constant over its bands and grows with k: it tells its number.
    waveform = noise(6 * 48_000)
    frames = log_mel(waveform, gain=level(waveform))
    for segment, first in zip(segments([waveform]), [0, 188, 375, 563, 750, 938], strict=True):
        np.testing.assert_array_equal(segment.log_mel, frames[first : first + 187])


@settings(max_examples=40, deadline=None)
@given(
    n_samples=st.integers(SECOND, 20 * SECOND),
    cuts=st.lists(st.floats(0, 1), max_size=6),
)
def test_any_length_and_any_cut_follow_the_rule(n_samples, cuts):
    waveform = noise(n_samples)
    check(waveform, np.split(waveform, sorted(int(cut * n_samples) for cut in cuts)))


def test_padding_is_samples_and_not_frames():
    # Zero samples leave the frame at the seam a part of the signal, zero frames would cut it.
    waveform = noise(SECOND)
    (segment,) = segments([waveform], AS_IT_IS)
    assert segment.log_mel[62].any()  # centred on sample 15,872, sees up to 16,128
    assert not segment.log_mel[64:].any()


def test_without_a_level_segments_come_while_the_track_is_read():
    def blocks():
        for i in range(60):
            drawn.append(i)
            yield noise(SECOND)

    drawn = []
    first = next(segments(blocks(), AS_IT_IS))
    assert first.start_s == 0.0
    assert len(drawn) <= 5


class Repeated:
    """A track of one block, as often as it is asked for."""

    def __init__(self, block: np.ndarray, n_blocks: int) -> None:
        self.iterations = 0
        self._block, self._n_blocks = block, n_blocks

    def __iter__(self):
        self.iterations += 1
        return iter([self._block] * self._n_blocks)


@pytest.mark.parametrize("spec", [FeatureSpec(), AS_IT_IS])
def test_memory_does_not_grow_with_length(monkeypatch, spec):
    monkeypatch.setattr(segment_module, "HELD_S", 50.0)

    def peak(n_seconds: int) -> int:
        block = noise(SECOND)
        tracemalloc.start()
        for _ in segments(Repeated(block, n_seconds), spec):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(300) < 1.1 * peak(60)


@pytest.mark.parametrize("spec", [FeatureSpec(), AS_IT_IS])
def test_an_array_is_not_copied_whole(monkeypatch, spec):
    monkeypatch.setattr(segment_module, "HELD_S", 5.0)
    track = np.tile(noise(SECOND), 300)
    tracemalloc.start()
    n_segments = sum(1 for _ in segments([track], spec))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_segments == 100
    assert most < track.nbytes / 3


def test_a_track_longer_than_is_held_is_read_twice_and_gives_the_same(monkeypatch):
    block = noise(SECOND)
    held, again = Repeated(block, 60), Repeated(block, 60)
    expected = levelled(held)
    at_once = list(expected.segments)
    monkeypatch.setattr(segment_module, "HELD_S", 59.0)
    found = levelled(again)
    assert found.loudness_lufs == expected.loudness_lufs
    for a, b in zip(at_once, found.segments, strict=True):
        assert a.start_s == b.start_s
        np.testing.assert_array_equal(a.log_mel, b.log_mel)
    assert (held.iterations, again.iterations) == (1, 2)


def test_blocks_that_come_once_may_only_be_as_long_as_is_held(monkeypatch):
    monkeypatch.setattr(segment_module, "HELD_S", 5.0)
    assert len(list(segments(noise(SECOND) for _ in range(5)))) == 2
    with pytest.raises(InputError, match="more than 5 s is read twice, but these blocks"):
        list(segments(noise(SECOND) for _ in range(6)))


def test_two_hours_are_held_and_no_more():
    assert segment_module.HELD_S >= 2 * 3600 + 30  # encoders pad
    spec = FeatureSpec()
    frames_per_s = spec.mel.sample_rate / spec.mel.hop_length
    held_mb = segment_module.HELD_S * frames_per_s * spec.mel.n_mels * 4 / 1e6
    assert held_mb < 175


# The level


@pytest.mark.parametrize("decibels", [-40.0, -20.0, -10.0, 6.0, 12.0])
def test_the_same_track_at_another_level_gives_the_same_segments(decibels):
    waveform = noise(10 * SECOND)
    other = waveform * np.float32(10 ** (decibels / 20))
    for a, b in zip(segments([waveform]), segments([other]), strict=True):
        np.testing.assert_allclose(a.log_mel, b.log_mel, atol=1e-5)


def test_a_track_is_brought_to_the_loudness_of_the_spec():
    waveform = noise(10 * SECOND)
    found = levelled([waveform])
    assert found.loudness_lufs == loudness_lufs(waveform)
    factor = np.float32(10 ** ((-23.0 - loudness_lufs(waveform)) / 20))
    expected = segments([waveform * factor], AS_IT_IS)
    for a, b in zip(found.segments, expected, strict=True):
        np.testing.assert_allclose(a.log_mel, b.log_mel, atol=1e-5)


def test_quiet_and_loud_parts_of_a_track_stay_apart():
    waveform = np.concatenate([noise(6 * SECOND), 0.01 * noise(6 * SECOND)])
    loud, *_, quiet = segments([waveform])
    assert (loud.log_mel - quiet.log_mel)[:, 40:].mean() > 1.0


def test_a_track_without_loudness_is_left_as_it_is():
    floor = 1e-4 * noise(6 * SECOND)  # about -93 dB of full scale
    found = levelled([floor])
    assert found.loudness_lufs is None
    for a, b in zip(found.segments, segments([floor], AS_IT_IS), strict=True):
        np.testing.assert_array_equal(a.log_mel, b.log_mel)


def test_the_gain_has_an_end():
    quiet = np.float32(10 ** ((-68.0 - loudness_lufs(noise(6 * SECOND))) / 20)) * noise(6 * SECOND)
    found = levelled([quiet])
    assert found.loudness_lufs == pytest.approx(-68.0, abs=0.01)
    for a, b in zip(found.segments, segments([100 * quiet], AS_IT_IS), strict=True):
        np.testing.assert_allclose(a.log_mel, b.log_mel, atol=1e-5)


def test_padding_has_no_part_in_the_loudness():
    waveform = noise(SECOND)
    assert levelled([waveform]).loudness_lufs == loudness_lufs(waveform)


def test_segments_are_copies():
    # 22.5 s: the last whole segment and the window over the tail overlap, and come from the
    # same chunk of frames.
    *_, whole, tail = segments([noise(round(22.5 * SECOND))])
    kept = tail.log_mel.copy()
    whole.log_mel[:] = 7
    np.testing.assert_array_equal(tail.log_mel, kept)


@pytest.mark.parametrize("n_samples", [0, 1, SECOND - 1])
def test_refuses_short_tracks(n_samples):
    with pytest.raises(ShapeError, match=f"at least 16000 samples, got {n_samples}"):
        list(segments([noise(n_samples)]))


def test_another_spec():
    spec = FeatureSpec(
        segment=SegmentSpec(n_frames=62, hop_s=1.0, min_tail_s=0.25, min_track_s=0.5)
    )
    found = list(segments([noise(round(2.3 * SECOND))], spec))
    # 36,800 samples, 144 frames: the window over the tail begins with frame 82.
    assert [s.start_s for s in found] == pytest.approx([0.0, 1.0, 82 * 0.016])
    assert {s.log_mel.shape for s in found} == {(62, 96)}


@pytest.mark.parametrize(
    ("hop_s", "seconds", "starts"),
    [
        (6.0, 4.0, [0.0]),
        (6.0, 7.0, [0.0]),  # what follows 6 s is too short for a tail
        (6.0, 7.5, [0.0, 4.512]),  # 469 frames; the last 187 begin with frame 282
        (6.0, 9.0, [0.0, 6.0]),
        (6.0, 12.0, [0.0, 6.0]),  # the gap after 9 s was asked for
        (1.5, 3.0, [0.0]),
        (1.5, 4.4, [0.0]),  # 1.4 s behind the end of the first
        (1.5, 4.5, [0.0, 1.5]),
        (1.5, 7.0, [0.0, 1.5, 3.0]),
    ],
)
def test_another_hop(hop_s, seconds, starts):
    spec = FeatureSpec(segment=SegmentSpec(hop_s=hop_s))
    waveform = noise(round(seconds * SECOND))
    found = list(segments([waveform], spec))
    assert [s.start_s for s in found] == pytest.approx(starts)
    frames = log_mel(waveform, gain=level(waveform))
    for segment in found:
        first = int(segment.start_s * 62.5 + 0.5)
        np.testing.assert_array_equal(segment.log_mel, frames[first : first + 187])


def test_a_long_hop_streams_the_same_as_at_once():
    spec = FeatureSpec(segment=SegmentSpec(hop_s=20.0))
    waveform = noise(70 * SECOND)
    at_once = list(segments([waveform], spec))
    streamed = list(segments(np.array_split(waveform, 777), spec))
    assert [s.start_s for s in streamed] == [0.0, 20.0, 40.0, 60.0]
    for a, b in zip(at_once, streamed, strict=True):
        np.testing.assert_array_equal(a.log_mel, b.log_mel)


@pytest.mark.parametrize("hop_s", [0.4, 61.0, float("nan")])
def test_hops_out_of_bounds_are_refused(hop_s):
    with pytest.raises(InputError, match=r"the hop must be from 0\.5 to 60 s"):
        SegmentSpec(hop_s=hop_s)
