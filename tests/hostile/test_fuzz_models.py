"""Spoilt model folders are read: each ends in a channel or one line of a typed error.

Half of them are spoilt blindly; in the other half the words and numbers of ``model.json`` or of the
tensors lie, and all checksums are right, as of a model that somebody made to do harm. A finding is
anything else: an error that no one foresaw or of more than one line, a file that appears, a module
that is imported, memory that a folder of some kilobytes does not need. Longer: `fuzzing`.
"""

import hashlib
import json
import shutil
import struct
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fuzzing import fuzz
from hypothesis import strategies as st

from audiorec.errors import AudiorecError
from audiorec.learning.bundle import CONFIG_FILE, WEIGHTS_FILE
from audiorec.recall.registry import load_channel

MODELS = Path(__file__).parents[2] / "fixtures/formats/models-v1"
KINDS = sorted(
    path.name
    for path in MODELS.iterdir()
    if path.is_dir() and path.name not in ("mmoe", "one-way", "two-tower")  # of a plug-in
)
CASES = 200
MOST_MIB = 200  # above what is held after all kinds were read once
LIES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(-3, 40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "os:system", "audiorec.recall.simple.counts:Popular", "\x1b[2J", "\n"])
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=4,
)
DTYPES = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL", "F8_E4M3", "x")
BLIND = st.tuples(
    st.sampled_from(["cut", "flip", "write", "repeat"]),
    st.sampled_from([CONFIG_FILE, WEIGHTS_FILE]),
    st.integers(0, 2**32),
)


def blindly(folder, way):
    """Spoil the bytes of one file."""
    how, name, seed = way
    rng, path = np.random.default_rng(seed), folder / name
    data = bytearray(path.read_bytes())
    first, last = sorted(rng.integers(0, len(data) + 1, 2).tolist())
    if how == "cut":
        del data[first:last]
    elif how == "flip":
        for place in rng.integers(0, len(data), 1 + seed % 8).tolist():
            data[place] ^= 1 << int(rng.integers(8))
    elif how == "write":
        data[first:last] = rng.bytes(last - first)
    else:
        data[first:first] = data[first:last] * int(rng.integers(1, 9))
    path.write_bytes(data)


def parts(value):
    """Return every object and list within a JSON value."""
    own = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value] * isinstance(value, (dict, list)) + [p for one in own for p in parts(one)]


def lied(draw, content):
    """Replace, remove or add one value anywhere in a JSON value."""
    part = draw(st.sampled_from(parts(content)))
    keys = list(part) if isinstance(part, dict) else list(range(len(part)))
    if not keys or draw(st.integers(0, 9)) == 0:
        if isinstance(part, dict):
            part[draw(st.text(max_size=6))] = draw(LIES)
        else:
            part.append(draw(LIES))
        return
    key = draw(st.sampled_from(keys))
    if draw(st.integers(0, 5)) == 0:
        del part[key]
    else:
        part[key] = draw(LIES)


def tensors_lied(draw, data):
    """Change a name, type, shape, place or content of a tensor."""
    size = struct.unpack("<Q", data[:8])[0]
    header, content = json.loads(data[8 : 8 + size]), bytearray(data[8 + size :])
    name = draw(st.sampled_from([one for one in header if one != "__metadata__"]))
    about = header[name]
    how = draw(st.sampled_from(["content", "shape", "dtype", "places", "name", "any"]))
    first, last = about["data_offsets"]
    if how == "content" and last > first:
        for _ in range(draw(st.integers(1, 4))):
            place = draw(st.integers(first, last - 1))
            content[place] = draw(st.integers(0, 255))
    elif how == "shape":
        shape, count = about["shape"], int(np.prod(about["shape"]))
        about["shape"] = draw(st.sampled_from([[count], [*shape, 1], [1, *shape], shape[::-1], []]))
    elif how == "dtype":
        about["dtype"] = draw(st.sampled_from(DTYPES))
    elif how == "places":
        about["data_offsets"] = draw(st.lists(st.integers(0, 2**66), min_size=2, max_size=2))
    elif how == "name":
        header[draw(st.text(max_size=5))] = header.pop(name)
    else:
        lied(draw, header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(content)


def with_lies(folder, draw):
    """Lie in a model whose checksums are all right."""
    config = json.loads((folder / CONFIG_FILE).read_text())
    del config["content_sha256"]
    weights = (folder / WEIGHTS_FILE).read_bytes()
    for _ in range(draw(st.integers(1, 2))):
        if draw(st.booleans()):
            lied(draw, config)
        else:
            weights = tensors_lied(draw, weights)
    (folder / WEIGHTS_FILE).write_bytes(weights)
    config["weights_sha256"] = hashlib.sha256(weights).hexdigest()
    (folder / CONFIG_FILE).write_text(json.dumps(config))


def modules():
    return {name for name in sys.modules if not name.startswith("hypothesis")}


@pytest.fixture
def check(tmp_path, monkeypatch, peak_mib):
    """Spoil one model in a folder of its own, load it, and say what is wrong with that."""
    monkeypatch.chdir(tmp_path)
    for kind in KINDS:
        load_channel(MODELS / kind)
    known, counts = modules(), Counter()

    def checked(kind, spoil, *given):
        folder = tmp_path / "model"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            shutil.copyfile(MODELS / kind / name, folder / name)
        spoil(folder, *given)
        said = ""
        with peak_mib() as peak:
            try:
                load_channel("model")
                counts["loaded"] += 1
            except AudiorecError as error:
                counts[type(error).__name__] += 1
                said = str(error)
        assert "\n" not in said
        assert "\x1b" not in said
        assert len(said) < 2_000
        assert peak.grown < MOST_MIB
        assert modules() <= known
        assert [path.name for path in tmp_path.iterdir()] == ["model"]
        assert {path.name for path in folder.iterdir()} == {CONFIG_FILE, WEIGHTS_FILE}

    yield checked
    assert {"loaded", "WeightsError"} <= set(counts)


def test_spoilt_bytes_end_in_a_channel_or_one_line(check):
    fuzz(lambda kind, way: check(kind, blindly, way), st.sampled_from(KINDS), BLIND, cases=CASES)


def test_lies_with_right_checksums_end_in_a_channel_or_one_line(check):
    def lie(kind, data):
        check(kind, with_lies, data.draw)

    fuzz(lie, st.sampled_from(KINDS), st.data(), cases=CASES)
