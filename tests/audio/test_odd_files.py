"""Every odd file of the world ends as its row says: with a status, or with a typed error."""

import numpy as np
import pytest
from odd_files import ROWS, OddFile

from audiorec.audio.decode import decode
from audiorec.audio.segment import segments
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
    assert all(np.isfinite(segment.log_mel).all() for segment in found)


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
