"""`audiorec.audio.decode`: the waveform's values, second readings, limits, statuses."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_files import append, cut, encode, id3v1, mp3, music, sound
from peak import PEAK_MB

from audiorec.audio import decode as decode_module
from audiorec.audio.decode import decode, waveform
from audiorec.audio.pyav_reader import PyavReader
from audiorec.audio.sniff import PathLike
from audiorec.errors import Failure, SongError
from audiorec.spec import DecodeSpec, FeatureSpec, MelSpec, SegmentSpec
from audiorec.types import Status


def tone(hz: float, seconds: float, rate: int) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate).astype(np.float32)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    n = min(len(a), len(b))
    return float(np.corrcoef(a[:n], b[:n])[0, 1])


def failure_of(path: PathLike, **options: object) -> SongError:
    with pytest.raises(SongError) as caught:
        waveform(path, **options)
    return caught.value


# Values


def test_mix_is_the_mean_of_the_channels(tmp_path):
    stereo = np.stack([tone(300, 2, 16_000), 0.25 * tone(700, 2, 16_000)], axis=1)
    sound(tmp_path / "a.wav", stereo, 16_000, subtype="FLOAT")
    mono, _ = waveform(tmp_path / "a.wav")
    np.testing.assert_allclose(mono, stereo.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_resampling_keeps_time_and_level(tmp_path, rate):
    sound(tmp_path / "a.wav", 0.5 * tone(1_000, 2, rate)[:, None], rate, subtype="FLOAT")
    mono, info = waveform(tmp_path / "a.wav")
    assert (len(mono), info.sample_rate) == (32_000, rate)
    middle = slice(1_000, -1_000)  # the filter rings at the ends
    np.testing.assert_allclose(mono[middle], 0.5 * tone(1_000, 2, 16_000)[middle], atol=2e-4)


def test_resampling_removes_what_16_khz_cannot_hold(tmp_path):
    sound(tmp_path / "a.wav", 0.5 * tone(9_000, 2, 44_100)[:, None])
    mono, _ = waveform(tmp_path / "a.wav")
    assert np.abs(mono[1_000:-1_000]).max() < 1e-3  # slicing would put 7 kHz in its place


@pytest.mark.parametrize(
    "name",
    ["pcm24.flac", "cbr.mp3", "vbr.mp3", "vorbis.ogg", "opus.opus", "aac.m4a", "alac.m4a",
     "pcm16.aiff", "pcm16.caf", "pcm8.wav", "ulaw_8k.wav", "mono.wav"],
)  # fmt: skip
def test_formats_hold_the_same_music(name, odd):
    reference = 0.5 * music().sum(axis=1) if name != "mono.wav" else music(channels=1)[:, 0]
    mono, _ = waveform(odd[name].path)
    # Lossy coders and old rates keep the chord below 4 kHz; 1 ms of delay would show.
    expected = reference[:: 44_100 // 100][: 100 * 4]
    at = np.round(np.arange(len(expected)) * (44_100 // 100) * 16_000 / 44_100).astype(int)
    kept = at < len(mono)
    assert correlation(mono[at[kept]], expected[kept]) > 0.99


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_soundfile_and_pyav_agree_in_every_bit(tmp_path, monkeypatch, subtype):
    sound(tmp_path / "a.flac", kind="FLAC", subtype=subtype)
    a, info_a = waveform(tmp_path / "a.flac")
    monkeypatch.setattr(decode_module, "readers_for", lambda _sniffed: [PyavReader])
    b, info_b = waveform(tmp_path / "a.flac")
    assert info_a.decoder.startswith("soundfile 0.")
    assert info_b.decoder.startswith("PyAV ")
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("n_bytes", [1, 128, 5_000, 300_000])
@pytest.mark.parametrize("kind", ["zeros", "noise", "tag"])
def test_unknown_bytes_behind_a_flac_are_no_audio(tmp_path, monkeypatch, kind, n_bytes):
    sound(tmp_path / "a.flac", kind="FLAC")
    expected, _ = waveform(tmp_path / "a.flac")
    junk = {
        "zeros": bytes(n_bytes),
        "noise": np.random.default_rng(n_bytes).bytes(n_bytes),
        "tag": bytes(n_bytes) + id3v1(),
    }
    append(tmp_path / "a.flac", junk[kind])
    monkeypatch.setattr(PyavReader, "blocks", lambda _self: pytest.fail("decoded twice"))
    found, info = waveform(tmp_path / "a.flac")
    assert (info.status, info.decoder[:9]) == (Status.OK, "soundfile")
    np.testing.assert_array_equal(found, expected)


def test_mp3_blocks_join_without_a_seam(tmp_path):
    # libsndfile's binding seeks after each block, and an MP3 decoder that seeks loses bits.
    import soundfile
    import soxr

    mp3(tmp_path / "a.mp3", 0.1 * tone(440, 8, 44_100)[:, None], vbr=True)
    whole, _ = soundfile.read(tmp_path / "a.mp3", dtype="float32")
    mono, _ = waveform(tmp_path / "a.mp3")
    np.testing.assert_allclose(mono, soxr.resample(whole, 44_100, 16_000, "HQ"), atol=1e-4)


def test_another_sample_rate(tmp_path):
    spec = FeatureSpec(
        decode=DecodeSpec(sample_rate=8_000), mel=MelSpec(sample_rate=8_000, f_max=4_000.0)
    )
    sound(tmp_path / "a.wav")
    assert len(waveform(tmp_path / "a.wav", spec=spec)[0]) == 32_000


# What the caller's function sees


def test_blocks_are_short_float32_and_may_be_kept(odd):
    for name in ("16k.wav", "mono.wav", "ulaw_8k.wav", "vorbis.ogg"):
        blocks, _ = decode(odd[name].path, list)
        assert {b.dtype for b in blocks} == {np.dtype(np.float32)}
        assert all(b.ndim == 1 and 0 < len(b) <= 10.5 * 16_000 for b in blocks)
        np.testing.assert_array_equal(np.concatenate(blocks), waveform(odd[name].path)[0])


def test_what_is_left_is_decoded_for_the_status(odd):
    first, info = decode(odd["cut.mp3"].path, lambda blocks: next(iter(blocks)))
    assert len(first) > 0
    assert info.status is Status.TRUNCATED
    nothing, info = decode(odd["cbr.mp3"].path, lambda _: None)
    assert (nothing, info.duration_s) == (None, pytest.approx(4.0))


def test_the_callers_errors_pass_through(odd):
    def fail(blocks):
        next(iter(blocks))
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        decode(odd["cbr.mp3"].path, fail)


def test_errors_of_the_song_cannot_be_swallowed(odd):
    def swallow(blocks):
        try:
            return list(blocks)
        except SongError:
            return []

    with pytest.raises(SongError, match=r"NaN or infinity, first at 1\.587 s"):
        decode(odd["nan.wav"].path, swallow)


@pytest.mark.parametrize(
    ("name", "decoder", "codec"),
    [
        ("pcm16.wav", "soundfile", "pcm_s16"),
        ("float.aifc", "soundfile", "pcm_f32"),
        ("pcm24.flac", "soundfile", "flac"),
        ("vbr.mp3", "soundfile", "mp3"),
        ("vbr_no_count.mp3", "PyAV", "mp3"),
        ("vorbis.ogg", "PyAV", "vorbis"),
        ("opus.opus", "PyAV", "opus"),
        ("alac.m4a", "PyAV", "alac"),
        ("bare.aac", "PyAV", "aac"),
        ("id3v1.flac", "soundfile", "flac"),
    ],
)
def test_decoder_and_codec(name, decoder, codec, odd):
    _, info = decode(odd[name].path, lambda _: None)
    assert (info.decoder.split()[0], info.codec) == (decoder, codec)
    assert any(c.isdigit() for c in info.decoder)


# Second readings


@pytest.mark.parametrize("name", ["pcm16.wav", "vbr.mp3", "vorbis.ogg", "scratched.mp3"])
def test_each_iteration_reads_the_file_from_its_start(odd, name):
    def consume(blocks):
        whole = np.concatenate(list(blocks))
        begun = next(iter(blocks))
        return whole, begun, np.concatenate(list(blocks))

    (first, begun, second), info = decode(odd[name].path, consume)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first[: len(begun)], begun)
    assert info == decode(odd[name].path, lambda _: None)[1]


def test_an_iteration_ends_the_one_before(odd):
    def consume(blocks):
        first, second = iter(blocks), iter(blocks)
        return len(list(first)), sum(map(len, second))

    assert decode(odd["cbr.mp3"].path, consume)[0] == (0, 64_000)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux' list of open files")
def test_no_file_stays_open(odd):
    def open_files():
        return len(list(Path("/proc/self/fd").iterdir()))

    def consume(blocks):
        for _ in range(3):
            next(iter(blocks))

    before = open_files()
    for _ in range(3):
        decode(odd["cbr.mp3"].path, consume)
    assert open_files() == before


def test_fallback_reads_the_whole_file_again(odd):
    readings = []

    def consume(blocks):
        readings.append(0)
        for block in blocks:
            readings[-1] += len(block)
        return readings[-1]

    n_samples, info = decode(odd["scratched.mp3"].path, consume)
    assert len(readings) == 2  # soundfile broke off in the first, PyAV began anew
    assert 0 < readings[0] < readings[1] == n_samples
    assert info.decoder.startswith("PyAV")
    assert info.packet_errors == 3
    assert (info.status, info.claimed_s) == (Status.DAMAGED, pytest.approx(4.0))


def test_a_scratch_costs_a_few_frames_and_not_the_rest_of_the_song(odd):
    _, info = decode(odd["scratched_a_little.mp3"].path, lambda _: None)
    assert info.duration_s > 3.8
    assert info.packet_errors > 0


def test_cancelled_channels_give_the_first(tmp_path):
    left = 0.3 * tone(440, 4, 16_000)
    sound(tmp_path / "a.wav", np.stack([left, -left], axis=1), 16_000, subtype="FLOAT")
    mono, info = waveform(tmp_path / "a.wav")
    np.testing.assert_allclose(mono, left, atol=1e-7)
    assert info.status is Status.PHASE_CANCELLED


@pytest.mark.parametrize(
    ("ratio", "status"),
    # With R = -r L the mix has (1 - r)^2 / 4 of L's energy, the channels (1 + r^2) / 2:
    # r = 0.973 gives 1.87e-4, above the limit of 1e-4; r = 0.981 gives 0.92e-4.
    [(0.973, Status.OK), (0.981, Status.PHASE_CANCELLED)],
)
def test_limit_of_cancellation(tmp_path, ratio, status):
    left = 0.3 * tone(440, 4, 16_000)
    sound(tmp_path / "a.wav", np.stack([left, -ratio * left], axis=1), 16_000, subtype="FLOAT")
    assert waveform(tmp_path / "a.wav")[1].status is status


def test_samples_in_another_unit_are_scaled_to_peak_one(tmp_path):
    counts = np.stack([20_000 * tone(440, 4, 16_000), 5_000 * tone(300, 4, 16_000)], axis=1)
    counts[37, 0] = -25_000
    sound(tmp_path / "a.wav", counts, 16_000, subtype="FLOAT")
    mono, info = waveform(tmp_path / "a.wav")
    np.testing.assert_allclose(mono, counts.mean(axis=1) / 25_000, atol=1e-6)
    assert info.status is Status.OK


def test_a_decoders_overshoot_is_left_alone(tmp_path):
    loud = 3.9 * tone(440, 4, 16_000)[:, None]
    sound(tmp_path / "a.wav", loud, 16_000, subtype="FLOAT")
    np.testing.assert_allclose(waveform(tmp_path / "a.wav")[0], loud[:, 0], atol=1e-6)


def test_cancelled_and_in_another_unit(tmp_path):
    left = 1e30 * tone(440, 4, 16_000)
    sound(tmp_path / "a.wav", np.stack([left, -left], axis=1), 16_000, subtype="FLOAT")
    mono, info = waveform(tmp_path / "a.wav")
    np.testing.assert_allclose(mono, tone(440, 4, 16_000), atol=1e-6)
    assert info.status is Status.PHASE_CANCELLED


# Limits


def test_too_short_by_one_sample(tmp_path):
    sound(tmp_path / "a.wav", music(rate=16_000)[:15_999], 16_000)
    sound(tmp_path / "b.wav", music(rate=16_000)[:16_000], 16_000)
    error = failure_of(tmp_path / "a.wav")
    assert (error.failure, error.reason[:16]) == (Failure.TOO_SHORT, "1.000 s long; at")
    assert waveform(tmp_path / "b.wav")[1].status is Status.SHORT


def test_short_ends_at_one_segment(tmp_path):
    sound(tmp_path / "a.wav", music(rate=16_000)[:47_999], 16_000)
    sound(tmp_path / "b.wav", music(rate=16_000)[:48_000], 16_000)
    assert waveform(tmp_path / "a.wav")[1].status is Status.SHORT
    assert waveform(tmp_path / "b.wav")[1].status is Status.OK


def test_least_length_is_the_specs(odd):
    spec = FeatureSpec(segment=SegmentSpec(min_track_s=5.0))
    assert failure_of(odd["cbr.mp3"].path, spec=spec).failure is Failure.TOO_SHORT


def test_too_long_by_its_header_is_not_decoded(odd):
    calls = []
    with pytest.raises(SongError, match=r"limit is 0.00 h") as caught:
        decode(odd["pcm16.flac"].path, calls.append, max_duration_s=3.9)
    assert (caught.value.failure, calls) == (Failure.TOO_LONG, [])


@pytest.mark.parametrize("name", ["streamed.flac", "streamed.wav", "bare.aac", "vorbis.ogg"])
def test_too_long_without_a_header_stops_on_the_way(name, odd):
    assert failure_of(odd[name].path, max_duration_s=3.9).failure is Failure.TOO_LONG
    assert waveform(odd[name].path, max_duration_s=4.2)[1].duration_s == pytest.approx(4, abs=0.05)


def test_a_cut_file_is_judged_by_what_it_holds(tmp_path):
    sound(tmp_path / "a.wav", music(seconds=30.0))
    cut(tmp_path / "a.wav", 0.2)
    _, info = waveform(tmp_path / "a.wav", max_duration_s=10.0)
    assert (info.status, info.claimed_s) == (Status.TRUNCATED, pytest.approx(30.0))


# Statuses


@pytest.mark.parametrize("share", [0.99, 0.97])
def test_truncated_from_two_percent(tmp_path, share):
    sound(tmp_path / "a.wav", music(seconds=20.0))
    cut(tmp_path / "a.wav", share)
    expected = Status.OK if share > 0.98 else Status.TRUNCATED
    assert waveform(tmp_path / "a.wav")[1].status is expected


@pytest.mark.parametrize(
    ("offset", "half_range", "status"),
    [(0.0, 0.9e-4, Status.SILENT), (0.0, 1.1e-4, Status.OK), (0.5, 0.9e-4, Status.SILENT)],
)
def test_silence_is_a_range_below_minus_80_db(tmp_path, offset, half_range, status):
    quiet = offset + half_range * tone(400, 4, 16_000)[:, None]
    sound(tmp_path / "a.wav", quiet, 16_000, subtype="FLOAT")
    assert waveform(tmp_path / "a.wav")[1].status is status


def test_the_worst_status_applies(tmp_path):
    sound(tmp_path / "a.wav", np.zeros((160_000, 2), np.float32), 16_000)
    cut(tmp_path / "a.wav", 0.2)  # 2 s of silence are left: truncated, silent and short
    assert waveform(tmp_path / "a.wav")[1].status is Status.TRUNCATED
    sound(tmp_path / "b.wav", np.zeros((32_000, 2), np.float32), 16_000)
    assert waveform(tmp_path / "b.wav")[1].status is Status.SILENT


def test_streams_that_change_on_the_way(tmp_path):
    first, second = tmp_path / "a.aac", tmp_path / "b.aac"
    encode(first, codec="aac", container="adts")
    encode(second, music(rate=22_050, channels=1), 22_050, codec="aac", container="adts")
    append(first, second.read_bytes())
    mono, info = waveform(first)
    assert info.duration_s == pytest.approx(8.0, abs=0.15)
    assert len(mono) == pytest.approx(info.duration_s * 16_000, abs=3)
    assert (info.sample_rate, info.channels, info.status) == (44_100, 2, Status.OK)
    alone, _ = waveform(second)
    assert correlation(mono[-len(alone) + 500 :], alone[500:]) > 0.98


# Untrusted input


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(
        ["cbr.mp3", "pcm16.flac", "vorbis.ogg", "aac.m4a", "pcm16.wav", "opus.opus"]
    ),
    end=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7)), max_size=6),
)
def test_any_damage_ends_in_a_status_or_a_typed_error(tmp_path, odd, name, end, flips):
    data = bytearray(odd[name].path.read_bytes())
    for where, bit in flips:  # half of them in the header, where they hurt
        place = where * 2 * len(data) if where < 0.5 else (where - 0.5) * 400
        data[min(int(place), len(data) - 1)] ^= 1 << bit
    path = tmp_path / "damaged"
    path.write_bytes(data[: int(len(data) * min(1.0, 0.5 + end))])
    with contextlib.suppress(SongError):  # and no other error
        mono, info = waveform(path)
        assert np.isfinite(mono).all()
        assert info.duration_s == pytest.approx(len(mono) / 16_000, abs=1e-3)


MEMORY_TEST = """
import sys
from audiorec.audio.decode import decode
from audiorec.audio.segment import segments
before = peak_mb()
count, info = decode(sys.argv[1], lambda blocks: sum(1 for _ in segments(blocks)))
after = peak_mb()
print(count, info.status, round(after - before))
"""


def test_an_hour_in_a_small_file_takes_little_memory(tmp_path):
    import soundfile

    path = tmp_path / "bomb.flac"
    with soundfile.SoundFile(path, "w", 16_000, 1, format="FLAC") as out:
        for _ in range(60):
            out.write(np.zeros(60 * 16_000, np.int16))
    assert path.stat().st_size < 1_000_000
    run = [sys.executable, "-c", PEAK_MB + MEMORY_TEST, str(path)]
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # as in a worker
    out = subprocess.run(run, capture_output=True, text=True, check=True, env=env).stdout.split()
    assert out[:2] == ["1200", "silent"]
    assert int(out[2]) < 160  # megabytes, 86 of them mel power; the waveform alone would be 230


def test_nothing_of_the_scripts_target_is_read(odd):
    assert Path(odd["script.mp3"].path).with_name("secret.wav").exists()
    assert failure_of(odd["script.mp3"].path).failure is Failure.NOT_AUDIO
