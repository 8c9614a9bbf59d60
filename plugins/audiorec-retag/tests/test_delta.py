"""`audiorec_retag.change`: the old file comes back from any new one, and little is kept."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiorec.errors import StoreError
from audiorec_retag import change as module
from audiorec_retag.change import Delta, delta_of, old_bytes

BYTES = st.binary(min_size=1, max_size=300)


def both(folder, old, new):
    (folder / "old").write_bytes(old)
    (folder / "new").write_bytes(new)
    return (folder / "old").open("rb"), (folder / "new").open("rb")


def there_and_back(folder, old, new):
    a, b = both(folder, old, new)
    with a, b:
        found = delta_of(a, b)
        again = Delta.from_json(json.loads(json.dumps(found.to_json())), len(old), len(new))
        assert again == found
        assert b"".join(old_bytes(again, b)) == old
    return found


@given(BYTES, BYTES)
def test_any_file_comes_back_from_any_other(tmp_path_factory, old, new):
    there_and_back(tmp_path_factory.mktemp("d"), old, new)


@given(st.integers(0, 40_000), st.binary(max_size=50), st.integers(0, 9_000), st.integers(0, 3))
def test_what_was_put_in_somewhere_costs_little(tmp_path_factory, at, text, taken, flips):
    rng = np.random.default_rng(at)
    old = rng.bytes(40_000)
    new = bytearray(old[:at] + text + old[at + taken :])
    for place in rng.integers(0, len(new), flips):
        new[place] ^= 1
    found = there_and_back(tmp_path_factory.mktemp("d"), old, bytes(new))
    kept = sum(len(data) for _, data in found.patches)
    assert kept <= taken + 2 * (flips + 1) * (module.GAP_BYTES + 1)


def test_the_end_moves_and_the_size_in_front_changes(tmp_path):
    old = b"FORM\0\0\0\1" + bytes(range(256)) * 100
    found = there_and_back(tmp_path, old, b"FORM\0\0\0\2" + old[8:] + b"ID3 chunk")
    assert (found.fold, found.patches) == (len(old), ((7, b"\1"),))


def test_a_file_that_differs_everywhere_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    a, b = both(tmp_path, b"a" * 1000, b"b" * 1000)
    with a, b, pytest.raises(StoreError, match="more than"):
        delta_of(a, b)


def test_another_file_than_the_new_one_is_refused(tmp_path):
    a, b = both(tmp_path, b"a" * 50, b"a" * 60)
    with a, b, pytest.raises(ValueError, match="size of the file has changed"):
        list(old_bytes(delta_of(a, b), a))


@pytest.mark.parametrize(
    "content",
    [
        {"fold": 99, "patches": []},
        {"fold": -1, "patches": []},
        {"fold": 0, "patches": [[8, "ZZZZ"]]},
        {
            "fold": 0,
            "patches": [[9, module.base64.b85encode(module.zlib.compress(b"ab")).decode()]],
        },
        {
            "fold": 0,
            "patches": [[-1, module.base64.b85encode(module.zlib.compress(b"a")).decode()]],
        },
        {
            "fold": 0,
            "patches": [[0, module.base64.b85encode(module.zlib.compress(bytes(9**8))).decode()]],
        },
    ],
)
def test_a_delta_that_makes_no_sense_is_refused(content):
    with pytest.raises(ValueError, match=r"\w"):
        Delta.from_json(content, 10, 10)
