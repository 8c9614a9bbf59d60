"""`audiorec.audio.attributes`: what is heard is what passes by, once."""

import numpy as np
import pytest
from made_pulses import cadence, pulse

from audiorec.audio.attributes import METHODS, AttributeMeter
from audiorec.store.schema import ATTRIBUTE, HEARD, TEXT_ATTRIBUTES
from audiorec.types import SCALES, TONICS


@pytest.fixture
def song():
    return 0.3 * pulse(120, 12) + cadence(9, "major")


def test_the_blocks_pass_as_they_are_and_are_heard_once(song):
    blocks = np.array_split(song, 7)
    listened = AttributeMeter(blocks)
    for _ in range(2):  # a long track is read twice
        assert all(a is b for a, b in zip(listened, blocks, strict=True))
    found = listened.attributes()
    assert found.bpm == pytest.approx(120, rel=0.01)
    assert (found.key, found.scale) == ("A", "major")
    once = AttributeMeter(blocks)
    list(once)
    assert once.attributes() == found


def test_nothing_was_heard():
    found = AttributeMeter([]).attributes()
    assert (found.bpm, found.key, found.scale) == (None, None, None)
    assert (found.bpm_confidence, found.key_confidence) == (0.0, 0.0)


def test_the_columns_are_those_that_a_store_knows(song):
    assert all(ATTRIBUTE.fullmatch(name) for name in METHODS)
    assert HEARD in METHODS
    assert set(TEXT_ATTRIBUTES) < set(METHODS)
    listened = AttributeMeter([song])
    list(listened)
    found = listened.attributes()
    assert found.key in TONICS
    assert found.scale in SCALES
