"""`audiorec.audio.attributes`: what is heard is what passes by, once."""

from pathlib import Path

import numpy as np
import pytest
from made_pulses import cadence, pulse

from audiorec.audio import segment as segment_module
from audiorec.audio.attributes import METHODS, AttributeMeter
from audiorec.audio.mel import power_spectra
from audiorec.audio.segment import levelled
from audiorec.extraction.pipeline import Extractor, ExtractorConfig
from audiorec.spec import FeatureSpec, MelSpec
from audiorec.store.schema import ATTRIBUTE, HEARD, TEXT_ATTRIBUTES
from audiorec.types import SCALES, TONICS

AUDIO = Path(__file__).parents[2] / "fixtures" / "audio"


@pytest.fixture
def song():
    return 0.3 * pulse(120, 12) + cadence(9, "major")


def heard(blocks):
    meter = AttributeMeter(blocks)
    for spectra in power_spectra(meter):
        meter.add(spectra)
    return meter.attributes()


def test_the_blocks_pass_as_they_are_and_are_heard_once(song):
    blocks = np.array_split(song, 7)
    listened = AttributeMeter(blocks)
    for _ in range(2):  # a long track is read twice
        assert all(a is b for a, b in zip(listened, blocks, strict=True))
    for spectra in power_spectra(blocks):
        listened.add(spectra)
    found = listened.attributes()
    assert found.bpm == pytest.approx(120, rel=0.01)
    assert (found.key, found.scale) == ("A", "major")
    assert heard(blocks) == found


SPECS = {
    "the shipped front end": FeatureSpec(),
    "without a level": FeatureSpec(level=None),
    "other frames": FeatureSpec(mel=MelSpec(hop_length=128)),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_spectra_come_from_any_front_end_at_16_khz(spec, song):
    blocks = np.array_split(song, 7)
    listened = AttributeMeter(blocks)
    track = levelled(listened, spec, heard=listened.add)
    list(track.segments)
    assert listened.attributes() == heard(blocks)


def test_a_song_that_is_read_twice_is_heard_once(song, monkeypatch):
    monkeypatch.setattr(segment_module, "HELD_S", 5.0)
    blocks = np.array_split(song, 7)
    listened = AttributeMeter(blocks)
    list(levelled(listened, heard=listened.add).segments)
    assert listened.attributes() == heard(blocks)


def test_tempo_needs_no_spectra_of_its_own(monkeypatch):
    frames = []
    transform = np.fft.rfft

    def counted(samples, *given, **options):
        if np.shape(samples)[-1] == FeatureSpec().mel.n_fft:
            frames.append(len(samples))
        return transform(samples, *given, **options)

    monkeypatch.setattr(np.fft, "rfft", counted)
    song = Extractor(ExtractorConfig(attributes=True)).song(AUDIO / "blues-band.mp3")
    assert sum(frames) == FeatureSpec().mel.n_frames(round(song.info.duration_s * 16_000))
    assert song.attributes["bpm"] > 0


def test_nothing_was_heard():
    found = AttributeMeter([]).attributes()
    assert (found.bpm, found.key, found.scale) == (None, None, None)
    assert (found.bpm_confidence, found.key_confidence) == (0.0, 0.0)


def test_the_columns_are_those_that_a_store_knows(song):
    assert all(ATTRIBUTE.fullmatch(name) for name in METHODS)
    assert HEARD in METHODS
    assert set(TEXT_ATTRIBUTES) < set(METHODS)
    found = heard([song])
    assert found.key in TONICS
    assert found.scale in SCALES
