"""Every odd file of the world ends as its row says: with a status, or with a typed error."""

import numpy as np
import pytest
from odd_files import ROWS, OddFile

from audiorec.audio import segment
from audiorec.audio.decode import decode
from audiorec.audio.segment import levelled, segments
from audiorec.errors import SongError
from audiorec.types import Status

NAMES = [
    name if isinstance(name, str) else name.decode("utf-8", "surrogateescape") for name in ROWS
]
GOOD = [name for name in NAMES if isinstance(ROWS.get(name, (None, Status.OK))[1], Status)]
BROKEN = [name for name in NAMES if name not in GOOD]


@pytest.mark.parametrize("name", GOOD, ids=ascii)
def test_good_files_have_segments_and_a_status(name: str, odd: dict[str, OddFile]):
    found, info = decode(odd[name].path, lambda blocks: list(segments(blocks)))
    assert info.status is odd[name].expected
    assert info.duration_s > 0
    assert len(found) >= 1
    assert all(np.isfinite(one.log_mel).all() for one in found)


@pytest.mark.parametrize("name", GOOD, ids=ascii)
def test_a_file_that_is_read_twice_gives_the_same(name, odd, monkeypatch):
    def consume(blocks):
        track = levelled(blocks)
        return track.loudness_lufs, list(track.segments)

    held, held_info = decode(odd[name].path, consume)
    monkeypatch.setattr(segment, "HELD_S", 0.1)
    again, info = decode(odd[name].path, consume)
    assert (again[0], info) == (held[0], held_info)
    for a, b in zip(held[1], again[1], strict=True):
        np.testing.assert_array_equal(a.log_mel, b.log_mel)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_have_a_reason(name: str, odd: dict[str, OddFile]):
    with pytest.raises(SongError, match=r"\w{4}") as caught:
        decode(odd[name].path, lambda blocks: list(segments(blocks)))
    assert caught.value.failure is odd[name].expected
    assert caught.value.path == str(odd[name].path)
    assert "\n" not in caught.value.reason


@pytest.mark.parametrize(
    "name", [n for n in GOOD if ROWS.get(n, (0, Status.OK))[1] is Status.OK], ids=ascii
)
def test_whole_files_are_read_to_the_end(name: str, odd: dict[str, OddFile]):
    # Encoders that do not say how much they padded add up to 0.1 s.
    seconds = {"vbr_no_count.mp3": 16.0, "two_joined.mp3": 8.0}.get(name, 4.0)
    n_samples, info = decode(odd[name].path, lambda blocks: sum(map(len, blocks)))
    assert seconds <= info.duration_s <= seconds + 0.11
    assert n_samples == pytest.approx(info.duration_s * 16_000, abs=1.5)
    assert info.packet_errors == 0
