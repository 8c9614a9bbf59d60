"""`audiorec.tagger.weights`: the table, the shipped files, refusals."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.numpy import save

from audiorec.errors import InputError, SpecMismatchError, WeightsError
from audiorec.spec import MelSpec, fingerprint
from audiorec.tagger import weights
from audiorec.tagger.weights import (
    METADATA_KEY,
    WEIGHTS,
    backbone_weights,
    check_mel,
    data_folder,
    onnx_model,
    read_metadata,
    weights_path,
)

NAMES = ["msd"]

# As the authors of musicnn published them.
PUBLISHED = {
    "msd": [
        *["rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s"],
        *["alternative rock", "jazz", "beautiful", "metal", "chillout", "male vocalists"],
        *["classic rock", "soul", "indie rock", "Mellow", "electronica", "80s", "folk", "90s"],
        *["chill", "instrumental", "punk", "oldies", "blues", "hard rock", "ambient", "acoustic"],
        *["experimental", "female vocalist", "guitar", "Hip-Hop", "70s", "party", "country"],
        *["easy listening", "sexy", "catchy", "funk", "electro", "heavy metal"],
        *["Progressive rock", "60s", "rnb", "indie pop", "sad", "House", "happy"],
    ],
}


@pytest.fixture
def copied(tmp_path, monkeypatch) -> Path:
    """A copy of the shipped files that a test may damage."""
    for path in data_folder().glob("musicnn_*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(weights, "data_folder", lambda: tmp_path)
    weights_path.cache_clear()
    yield tmp_path
    weights_path.cache_clear()


@pytest.mark.parametrize("name", NAMES)
def test_tags_stand_in_the_published_order(name):
    assert list(WEIGHTS[name].tags) == PUBLISHED[name]
    assert len(set(PUBLISHED[name])) == 50


@pytest.mark.parametrize("name", NAMES)
def test_the_file_and_the_table_say_the_same(name):
    about = read_metadata(weights_path(name))
    assert about["name"] == name
    assert tuple(about["tags"]) == WEIGHTS[name].tags
    assert about["licence"] == WEIGHTS[name].licence == "ISC"
    assert "Universitat Pompeu Fabra" in about["copyright"]
    assert about["mel_fingerprint"] == WEIGHTS[name].mel_fingerprint
    assert fingerprint(about["mel"]) == about["mel_fingerprint"]
    assert MelSpec(**about["mel"]) == MelSpec()


@pytest.mark.parametrize("name", NAMES)
def test_checksums_are_those_of_the_contents(name):
    for content, expected in [
        (weights_path(name).read_bytes(), WEIGHTS[name].sha256),
        (onnx_model(name), WEIGHTS[name].onnx_sha256),
    ]:
        assert hashlib.sha256(content).hexdigest() == expected
    assert WEIGHTS[name].sha256 != WEIGHTS[name].onnx_sha256


@pytest.mark.parametrize("form", ["safetensors", "onnx"])
def test_refuses_a_file_with_one_flipped_bit(copied, form):
    path = copied / f"musicnn_msd.{form}"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"musicnn_msd\.{form}.*damaged or replaced.*reinstall"):
        onnx_model("msd")


def test_refuses_another_file_under_this_name(copied):
    (copied / "musicnn_msd.onnx").write_bytes((copied / "musicnn_msd.safetensors").read_bytes())
    with pytest.raises(WeightsError, match=f"expected {WEIGHTS['msd'].onnx_sha256[:12]}"):
        onnx_model("msd")


@pytest.mark.parametrize("form", ["safetensors", "onnx"])
def test_a_missing_file_says_what_to_do(copied, form):
    (copied / f"musicnn_msd.{form}").unlink()
    with pytest.raises(WeightsError, match=rf"{form}: cannot read .*No such file.*reinstall"):
        onnx_model("msd")


def test_a_repaired_file_is_taken_again(copied):
    path = copied / "musicnn_msd.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(WeightsError, match="damaged"):
        weights_path("msd")
    path.write_bytes(whole)
    assert weights_path("msd") == path


def test_a_file_is_read_once_a_process(copied, monkeypatch):
    first = weights_path("msd")
    monkeypatch.setattr(Path, "read_bytes", lambda _path: pytest.fail("read twice"))
    assert weights_path("msd") == first


def test_refuses_an_unknown_network():
    with pytest.raises(InputError, match="one of msd, got 'vgg'"):
        backbone_weights("vgg")
    with pytest.raises(InputError, match="one of msd, got 'MSD'"):
        weights_path("MSD")


@pytest.mark.parametrize("name", NAMES)
def test_refuses_another_mel(name):
    check_mel(name, MelSpec())
    with pytest.raises(SpecMismatchError, match="trained on MelSpec"):
        check_mel(name, replace(MelSpec(), compression=9_999.0))


def test_the_fingerprint_covers_every_field():
    assert fingerprint(MelSpec().to_dict()) == WEIGHTS["msd"].mel_fingerprint


def test_refuses_what_is_no_safetensors_file(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"not safetensors at all")
    with pytest.raises(WeightsError, match="not a safetensors file"):
        read_metadata(path)
    with pytest.raises(WeightsError, match="no such file"):
        read_metadata(tmp_path / "missing.safetensors")


def test_refuses_other_tensors_and_newer_formats(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(save({}, {"format": "pt"}))
    with pytest.raises(WeightsError, match="no metadata key 'audiorec_backbone'"):
        read_metadata(path)
    path.write_bytes(save({}, {METADATA_KEY: json.dumps({"format_version": 2})}))
    with pytest.raises(WeightsError, match="format version 2; this audiorec reads version 1"):
        read_metadata(path)
