"""`audiorec.tagger.backbone_spec`: what a spec may say, must say, and must not say."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_backbone import DROP, SPEC, changed
from made_front_end import MEL

from audiorec.errors import InputError, MissingFileError
from audiorec.spec import LevelSpec
from audiorec.tagger.backbone_spec import parse_spec, read_spec

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "backbones").glob("*.json"))


def read(tmp_path, changes=None):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(changed(SPEC, changes or {})))
    return read_spec(path)


def test_a_spec_says_everything(tmp_path):
    stated = read(tmp_path)
    assert stated.features.mel == MEL
    assert stated.features.level == LevelSpec(target_lufs=-23.0)
    assert stated.features.decode.sample_rate == 8_000
    segment = stated.features.segment
    assert (segment.n_frames, segment.hop_s, segment.min_tail_s) == (240, 3.0, 1.5)
    assert stated.features.segment_samples == 24_000
    assert (stated.input, stated.layout) == ("mel", "N1MT")
    assert stated.outputs == {"scores": "tags", "embedding": "emb"}
    assert stated.classes == ("bright", "dark", "loud")
    assert (stated.activation, stated.filterbank) == ("none", None)


def test_its_content_reads_as_the_same_wherever_it_lies(tmp_path):
    (tmp_path / "names.csv").write_text("index,label\n0,bright\n1,dark\n2,loud\n")
    named = {"outputs.scores.classes": "names.csv", "outputs.scores.column": "label"}
    stated = read(tmp_path, named)
    text = json.dumps(stated.content)
    assert parse_spec(text, Path("elsewhere/spec.json")) == stated
    assert stated == read(tmp_path)


def test_what_changes_numbers_changes_the_identity(tmp_path):
    same = {"name": "other", "licence": "MIT", "source": "there", "segment.hop_s": 5}
    assert read(tmp_path, same).identity == read(tmp_path).identity
    for other in (
        {"mel.pre_emphasis": 0.9},
        {"loudness_lufs": None},
        {"outputs.scores.activation": "sigmoid"},
        {"outputs.embedding": DROP},
        {"outputs.scores.classes": ["bright", "loud", "dark"]},
        {"segment.stft": "track"},
    ):
        assert read(tmp_path, other).identity != read(tmp_path).identity


def test_one_transform_over_the_whole_track(tmp_path):
    segment = {"length_s": 3.0, "stft": "track", "hop_s": 1.5, "min_tail_s": 1.0}
    found = read(tmp_path, {"segment": segment}).features.segment
    assert (found.n_frames, found.length_s, found.hop_s, found.min_tail_s) == (240, None, 1.5, 1.0)


def test_classes_of_a_list_of_lines(tmp_path):
    (tmp_path / "names.txt").write_text("bright\n\ndark\nloud\n")
    found = read(tmp_path, {"outputs.scores.classes": "names.txt"})
    assert found.classes == ("bright", "dark", "loud")


@pytest.mark.parametrize("lies", ["(bands, bins)", "(bins, bands)"])
def test_a_filterbank_that_is_given(tmp_path, lies):
    matrix = np.random.default_rng(0).random((40, 129)).astype(np.float32)
    np.savez(tmp_path / "fb.npz", fb=matrix if lies == "(bands, bins)" else matrix.T)
    given = {"mel.scale": DROP, "mel.filterbank": {"file": "fb.npz", "array": "fb"}}
    stated = read(tmp_path, given)
    np.testing.assert_array_equal(stated.filterbank, matrix)
    assert stated.features.mel.scale == "given"
    assert len(stated.features.mel.filterbank) == 64
    assert stated.content["mel"]["filterbank"] == {"file": "filterbank.npz", "array": "filterbank"}


REFUSED = {
    "a key misspelt": ({"mel.n_mel": 40}, r"mel: unknown key 'n_mel'; did you mean 'n_mels'\?"),
    "a key of another kind": ({"colour": 1}, "unknown key 'colour'; there are name, licence"),
    "nothing of the window": ({"mel.window": DROP}, "mel: missing 'window': one of 'hann'"),
    "no loudness": ({"loudness_lufs": DROP}, "missing 'loudness_lufs': a loudness from -60 to 0"),
    "a loudness above": ({"loudness_lufs": 3}, "loudness_lufs: expected .*, got 3"),
    "a rate as text": ({"sample_rate": "8000"}, "sample_rate: expected a .* got '8000'"),
    "a rate as true": ({"sample_rate": True}, "sample_rate: expected a whole number"),
    "a rate beyond": ({"sample_rate": 10**9}, "from 4000 to 192000, got"),
    "a window that is none": ({"mel.window": "hamming"}, "mel: window: expected one of 'hann', "),
    "two filterbanks": (
        {"mel.filterbank": {"file": "a", "array": "b"}},
        "mel: give a scale .* or a filterbank",
    ),
    "no filterbank": ({"mel.scale": DROP}, "mel: give a scale"),
    "a scale that is said to be given": ({"mel.scale": "given"}, "scale: expected one of 'slaney'"),
    "bands above half the rate": ({"mel.f_max": 5_000}, "f_max <= sample_rate / 2"),
    "an odd transform": ({"mel.n_fft": 255}, "n_fft must be even"),
    "other frames": ({"segment.frames": 241}, "3 s is 240 frames of this front end, not 241"),
    "no way to transform": ({"segment.stft": DROP}, "segment: missing 'stft'"),
    "a segment of an hour": ({"segment.length_s": 3_600}, "length_s: expected a number from 0.1"),
    "a hop beyond": ({"segment.hop_s": 100}, "hop_s: expected a number from 0.5 to 60"),
    "no outputs": ({"outputs": {}}, "outputs: name at least one of scores, embedding"),
    "an output of another role": ({"outputs.tags": {}}, "outputs: unknown key 'tags'; there are"),
    "scores without names": ({"outputs.scores.classes": []}, "classes: expected a list of names"),
    "names that are numbers": ({"outputs.scores.classes": [1]}, "classes: expected a list of str"),
    "a name twice": ({"outputs.scores.classes": ["a", "a"]}, "must be unique"),
    "a layout without bands": ({"input.layout": "N T"}, "layout: expected N, T, M once each"),
    "an axis twice": ({"input.layout": "N T M T"}, "layout: expected N, T, M once each"),
    "a name that is a path": ({"name": "../x"}, "name: must have up to 32 characters"),
    "a name of ours": ({"name": "msd"}, "none of msd, mtt"),
    "no object": ({"mel": [1]}, r"mel: expected an object with pre_emphasis, .* got \[1\]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_one_line_with_its_place(tmp_path, name):
    changes, message = REFUSED[name]
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, changes)
    assert str(caught.value).startswith(f"{tmp_path / 'spec.json'}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "an object with name"),
        ("{", "not JSON"),
        ('{"name": NaN}', "not JSON: NaN"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_spec(tmp_path, text, message):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_spec(tmp_path / "s.json")


def test_files_that_are_missing_or_other(tmp_path):
    with pytest.raises(MissingFileError, match=r"gone\.json"):
        read_spec(tmp_path / "gone.json")
    with pytest.raises(MissingFileError, match=r"names\.txt"):
        read(tmp_path, {"outputs.scores.classes": "names.txt"})
    given = {"mel.scale": DROP, "mel.filterbank": {"file": "fb.npz", "array": "fb"}}
    with pytest.raises(MissingFileError, match=r"fb\.npz"):
        read(tmp_path, given)
    np.savez(tmp_path / "fb.npz", fb=np.zeros((40, 128), np.float32))
    with pytest.raises(InputError, match=r"expected floats of shape \(40, 129\) or \(129, 40\)"):
        read(tmp_path, given)
    np.savez(tmp_path / "fb.npz", fb=-np.ones((40, 129), np.float32))
    with pytest.raises(InputError, match="negative or non-finite"):
        read(tmp_path, given)
    (tmp_path / "names.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="label"):
        read(tmp_path, {"outputs.scores.classes": "names.csv", "outputs.scores.column": "label"})


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_the_examples_are_specs(tmp_path, path):
    content = json.loads(path.read_text())
    classes = content["outputs"]["scores"].pop("classes")
    content["outputs"]["scores"].pop("column", None)
    content["outputs"]["scores"]["classes"] = ["a", "b"]
    assert isinstance(classes, str) or len(classes) > 2
    if "filterbank" in content["mel"]:
        place = content["mel"]["filterbank"]
        np.savez(tmp_path / place["file"], **{place["array"]: np.ones((257, 96), np.float32)})
    (tmp_path / path.name).write_text(json.dumps(content))
    assert read_spec(tmp_path / path.name).name == path.stem
