"""`audiorec.audio.segment`: the standard's own cases, another meter, what has no loudness."""

import av
import numpy as np
import pytest
import soxr

from audiorec.audio.decode import waveform
from audiorec.audio.mel import power_spectra
from audiorec.audio.segment import LoudnessMeter, gain, loudness_lufs
from audiorec.errors import InputError, ShapeError
from audiorec.spec import FeatureSpec, LevelSpec, MelSpec

RATE = 16_000
CLIPS = (
    "blues-band.mp3",
    "classical-piano.flac",
    "drum-loop.aiff",
    "jazz-vibraphone.mp3",
    "man-singing-alone.ogg",
    "speech-in-french.mp3",
    "tabla-loop.m4a",
)


def tone(lufs: float, seconds: float, hz: float = 997.0) -> np.ndarray:
    """A sine whose loudness the standard gives: its peak lies 3.01 dB above it."""
    n = np.arange(round(seconds * RATE))
    peak = 10 ** ((lufs + 3.01) / 20)
    return (peak * np.sin(2 * np.pi * hz * n / RATE)).astype(np.float32)


def by_ffmpeg(samples: np.ndarray) -> float:
    """Integrated loudness by FFmpeg's filter, at the rate that the standard is written for."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=48_000, format="flt", layout="mono")
    meter, sink = graph.add("ebur128", "metadata=1"), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    found = ""
    for piece in np.array_split(soxr.resample(samples, RATE, 48_000, quality="VHQ"), 50):
        frame = av.AudioFrame.from_ndarray(piece[None], format="flt", layout="mono")
        frame.sample_rate = 48_000
        graph.push(frame)
        while True:
            try:
                found = graph.pull().metadata.get("lavfi.r128.I", found)
            except av.error.BlockingIOError:
                break
    return float(found)


# EBU Tech 3341: sequences of a tone, and what a meter has to show, within 0.1 LU.


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(-23, 20)], -23),
        ([(-33, 20)], -33),
        ([(-36, 10), (-23, 60), (-36, 10)], -23),
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23),
        ([(-26, 20), (-20, 20.1), (-26, 20)], -23),
    ],
)
def test_the_cases_of_the_standard(parts, expected):
    track = np.concatenate([tone(lufs, seconds) for lufs, seconds in parts])
    assert loudness_lufs(track) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(
    ("hz", "within"), [(50, 1.2), (80, 0.2), (100, 0.1), (440, 0.02), (2_000, 0.02), (6_000, 0.02)]
)
def test_weighting_of_a_tone(hz, within):
    # The two filters of the standard at 48 kHz, at one frequency.
    z = np.exp(-2j * np.pi * hz / 48_000)
    shelf = (1.53512485958697 - 2.69169618940638 * z + 1.19839281085285 * z**2) / (
        1 - 1.69065929318241 * z + 0.73248077421585 * z**2
    )
    high_pass = (1 - 2 * z + z**2) / (1 - 1.99004745483398 * z + 0.99007225036621 * z**2)
    expected = -20 - 0.691 + 20 * np.log10(abs(shelf * high_pass))
    assert loudness_lufs(tone(-20, 5, hz)) == pytest.approx(expected, abs=within)


@pytest.mark.parametrize("name", CLIPS)
def test_agrees_with_another_meter(name):
    samples, _ = waveform(f"fixtures/audio/{name}")
    assert loudness_lufs(samples) == pytest.approx(by_ffmpeg(samples), abs=0.2)


def test_cuts_do_not_change_one_bit():
    samples = np.random.default_rng(3).normal(0, 0.1, 5 * RATE).astype(np.float32)
    meter = LoudnessMeter()
    for spectra in power_spectra(np.array_split(samples, 77)):
        meter.add(spectra)
    assert meter.loudness_lufs(len(samples)) == loudness_lufs(samples)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, np.float32),
        np.zeros(5 * RATE, np.float32),
        np.full(5 * RATE, 0.5, np.float32),  # a constant cannot be heard
        tone(-71.0, 5.0),  # below the gate
        tone(-20.0, 0.39),  # no block
    ],
)
def test_what_has_no_loudness(samples):
    assert loudness_lufs(samples) is None
    assert gain(None, LevelSpec()) == 1.0


@pytest.mark.parametrize("seconds", [0.4, 0.41, 1.0])
def test_a_block_is_enough(seconds):
    assert loudness_lufs(tone(-20.0, seconds)) == pytest.approx(-20.0, abs=0.1)


def test_silence_around_a_sound_does_not_count():
    sound = tone(-20.0, 3.0)
    track = np.concatenate([np.zeros(60 * RATE, np.float32), sound, np.zeros(7 * RATE, np.float32)])
    assert loudness_lufs(track) == pytest.approx(-20.0, abs=0.5)


def test_another_mel_spec_measures_the_same():
    samples = np.random.default_rng(3).normal(0, 0.1, 10 * RATE).astype(np.float32)
    other = MelSpec(n_fft=1_024, hop_length=160)
    assert loudness_lufs(samples, other) == pytest.approx(loudness_lufs(samples), abs=0.05)


@pytest.mark.parametrize(
    ("loudness", "decibels"), [(-23.0, 0.0), (-43.0, 20.0), (-3.0, -20.0), (-69.0, 40.0)]
)
def test_gains(loudness, decibels):
    assert gain(loudness, LevelSpec()) == pytest.approx(10 ** (decibels / 20))
    assert gain(loudness, None) == 1.0


def test_refuses_other_shapes():
    with pytest.raises(ShapeError, match=r"shape \(n,\), got \("):
        loudness_lufs(np.zeros((100, 2), np.float32))


# The spec


@pytest.mark.parametrize(
    "wrong", [{"target_lufs": -70.0}, {"target_lufs": 1.0}, {"max_gain_db": -1}]
)
def test_levels_out_of_bounds_are_refused(wrong):
    with pytest.raises(InputError, match="expected -70 < target_lufs <= 0"):
        LevelSpec(**wrong)


def test_a_spec_from_before_there_was_a_level_keeps_its_fingerprint():
    old = {name: part for name, part in FeatureSpec().to_dict().items() if name != "level"}
    spec = FeatureSpec.from_dict(old)
    assert spec == FeatureSpec(level=None)
    assert spec.to_dict() == old
    assert spec.fingerprint == "bd819b8dc4fa5cdb"
    assert len({spec.fingerprint, FeatureSpec().fingerprint}) == 2


def test_the_front_end_has_a_level_and_no_hop():
    from audiorec.spec import SegmentSpec

    hop = FeatureSpec(segment=SegmentSpec(hop_s=6.0))
    assert hop.front_end == FeatureSpec().front_end
    others = (FeatureSpec(level=None), FeatureSpec(level=LevelSpec(target_lufs=-18.0)))
    assert len({FeatureSpec().front_end, *(spec.front_end for spec in others)}) == 3
