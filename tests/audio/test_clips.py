"""`audiorec.audio.segment`: segments whose spectrograms are made one by one, at one loudness."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from made_front_end import MEL, noise

from audiorec.audio import segment as segment_module
from audiorec.audio.mel import log_mel
from audiorec.audio.segment import gain, levelled, loudness_lufs, meter_spec, segments
from audiorec.errors import InputError, ShapeError
from audiorec.spec import FeatureSpec, LevelSpec, SegmentSpec

RATE = 8_000
SEGMENT = SegmentSpec(n_frames=MEL.n_frames(3 * RATE), length_s=3.0)
SPEC = FeatureSpec(
    decode=replace(FeatureSpec().decode, sample_rate=RATE), level=None, mel=MEL, segment=SEGMENT
)
LEVELLED = replace(SPEC, level=LevelSpec())


def expected(waveform, spec=SPEC, factor=1.0):
    hop = round(spec.segment.hop_s * RATE)
    waveform = np.pad(waveform, (0, max(0, 3 * RATE - len(waveform))))
    starts = list(range(0, len(waveform) - 3 * RATE + 1, hop))
    covered = hop * len(starts) + max(0, 3 * RATE - hop)
    if len(waveform) - covered >= round(spec.segment.min_tail_s * RATE):
        starts.append(len(waveform) - 3 * RATE)
    return [(s / RATE, log_mel(waveform[s : s + 3 * RATE], MEL, gain=factor)) for s in starts]


@pytest.mark.parametrize("hop_s", [3.0, 1.0, 5.0])
@pytest.mark.parametrize("seconds", [1.0, 2.9, 3.0, 4.6, 13.3, 16.0])
@pytest.mark.parametrize("block", [777, 100_000])
def test_each_segment_is_made_of_its_own_samples(hop_s, seconds, block):
    spec = replace(SPEC, segment=replace(SEGMENT, hop_s=hop_s))
    waveform = noise(round(seconds * RATE))
    blocks = np.split(waveform, range(block, len(waveform), block))
    found, right = list(segments(blocks, spec)), expected(waveform, spec)
    assert [s.start_s for s in found] == [start for start, _ in right]
    for segment, (_, frames) in zip(found, right, strict=True):
        np.testing.assert_array_equal(segment.log_mel, frames)


def test_a_track_is_brought_to_the_loudness_of_the_spec():
    waveform = noise(10 * RATE)
    loudness = loudness_lufs(waveform, meter_spec(MEL))
    track = levelled([waveform], LEVELLED)
    assert track.loudness_lufs == loudness
    for segment, (_, frames) in zip(
        track.segments, expected(waveform, factor=gain(loudness, LevelSpec())), strict=True
    ):
        np.testing.assert_allclose(segment.log_mel, frames, atol=1e-6)
    quiet = levelled([waveform / 10], LEVELLED)
    assert quiet.loudness_lufs == pytest.approx(loudness - 20, abs=1e-3)
    for one, other in zip(quiet.segments, levelled([waveform], LEVELLED).segments, strict=True):
        np.testing.assert_allclose(one.log_mel, other.log_mel, atol=1e-4)


def test_the_meter_hears_the_same_whatever_the_front_end():
    waveform = noise(10 * RATE)
    plain = replace(LEVELLED, mel=meter_spec(MEL), segment=SegmentSpec(n_frames=187))
    emphasised = replace(LEVELLED, segment=SegmentSpec(n_frames=240))  # one STFT over the track
    found = [levelled([waveform], spec).loudness_lufs for spec in (plain, emphasised, LEVELLED)]
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    assert found[1] == found[2]


def test_a_front_end_over_the_whole_track_is_cut_like_the_shipped_one():
    spec = replace(SPEC, segment=SegmentSpec(n_frames=240))
    waveform = noise(10 * RATE)
    found, frames = list(segments(np.split(waveform, 10), spec)), log_mel(waveform, MEL)
    assert [s.start_s for s in found] == [0.0, 3.0125 - 0.0125, 6.0]
    np.testing.assert_array_equal(found[1].log_mel, frames[240:480])


def test_a_long_track_is_read_twice(monkeypatch):
    monkeypatch.setattr(segment_module, "HELD_BYTES", 3 * 240 * 40 * 4)
    waveform, times = noise(12 * RATE), []

    class Blocks:
        def __iter__(self):
            times.append(1)
            return iter(np.split(waveform, 16))

    found = [s.log_mel for s in levelled(Blocks(), LEVELLED).segments]
    assert len(times) == 2
    for one, other in zip(found, levelled([waveform], SPEC).segments, strict=True):
        assert one.shape == other.log_mel.shape
    with pytest.raises(InputError, match="can only be iterated over once"):
        levelled(iter([waveform]), LEVELLED)


def test_hours_take_no_more_memory_than_minutes():
    def peak(minutes):
        blocks = (noise(RATE, seed) for seed in range(60 * minutes))
        tracemalloc.start()
        for _ in segments(blocks, SPEC):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1)
    assert peak(6) < 1.2 * peak(1)


def test_a_track_under_a_second_is_refused():
    with pytest.raises(ShapeError, match="at least 8000 samples, got 7999"):
        list(segments([noise(7_999)], SPEC))
