"""`audiorec.learning.bundle`: round trip, replacement as a whole, distrust."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from audiorec.errors import InputError, StoreError, WeightsError
from audiorec.learning import bundle as module
from audiorec.learning.bundle import read_bundle, write_bundle

TENSORS = {"weight": np.float32([[1, -2.5], [0.25, 3]]), "counts": np.int64([7, 0])}
CONFIG = {"kind": "users_model", "seed": 3, "figures": {"loss": 0.5}}


@pytest.fixture
def folder(tmp_path):
    write_bundle(tmp_path / "model", tensors=TENSORS, config=CONFIG, card="# Card\n")
    return tmp_path / "model"


def test_round_trip(folder):
    bundle = read_bundle(folder, kind="users_model")
    assert set(bundle.tensors) == set(TENSORS)
    for name, array in TENSORS.items():
        np.testing.assert_array_equal(bundle.tensors[name], array)
        assert bundle.tensors[name].dtype == array.dtype
    assert bundle.config["seed"] == 3
    assert (folder / "MODEL_CARD.md").read_text() == "# Card\n"
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_the_id_follows_weights_and_settings_but_not_figures(tmp_path):
    def model_id(tensors=TENSORS, **changes):
        where = tmp_path / "m"
        written = write_bundle(where, tensors=tensors, config=CONFIG | changes, card="")
        assert read_bundle(where, kind="users_model").model_id == written
        return written

    first = model_id()
    assert model_id(figures={"loss": 9.0}) == first
    assert model_id(seed=4) != first
    assert model_id(TENSORS | {"counts": np.int64([7, 1])}) != first


def test_replaces_a_bundle_and_what_belongs_to_it(folder):
    (folder / "metrics.jsonl").write_text("{}\n")
    write_bundle(folder, tensors=TENSORS, config=CONFIG | {"seed": 4}, card="")
    assert read_bundle(folder, kind="users_model").config["seed"] == 4
    names = ["MODEL_CARD.md", "model.json", "model.safetensors"]
    assert sorted(p.name for p in folder.iterdir()) == names
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("where", ["in it", "in the folder of the one before"])
def test_files_of_somebody_else_are_not_lost_with_a_bundle(folder, where):
    other = folder if where == "in it" else folder.with_name(f".{folder.name}.previous")
    other.mkdir(exist_ok=True)
    (other / "thesis.txt").write_text("years")
    with pytest.raises(InputError, match="the folder contains other files"):
        write_bundle(folder, tensors=TENSORS, config=CONFIG | {"seed": 4}, card="")
    assert (other / "thesis.txt").read_text() == "years"
    assert read_bundle(folder, kind="users_model").config["seed"] != 4


def test_what_a_killed_writer_left_goes_unless_it_holds_files_of_somebody_else(folder):
    left = [folder.with_name(f".{folder.name}.{n:012x}.tmp") for n in range(2)]
    for path, name in zip(left, ("model.json", "thesis.txt"), strict=True):
        path.mkdir()
        (path / name).write_text("{")
        os.utime(path, (0, 0))
    write_bundle(folder, tensors=TENSORS, config=CONFIG, card="")
    assert [path.exists() for path in left] == [False, True]
    assert (left[1] / "thesis.txt").exists()


def test_a_link_is_neither_replaced_nor_read(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(StoreError, match="link: is a link"):
        write_bundle(tmp_path / "link", tensors=TENSORS, config=CONFIG, card="")
    (folder / "model.json").rename(tmp_path / "elsewhere.json")
    (folder / "model.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(WeightsError, match=r"model\.json: is a link"):
        read_bundle(folder, kind="users_model")


def test_a_model_that_is_replaced_while_it_is_read_is_read_anew(folder, monkeypatch):
    read = module._read_config

    def replaced(path):
        result = read(path)
        monkeypatch.undo()
        write_bundle(folder, tensors={"b": np.ones(3)}, config=CONFIG, card="c")
        return result

    monkeypatch.setattr(module, "_read_config", replaced)
    assert list(read_bundle(folder, kind="users_model").tensors) == ["b"]


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "song.mp3").write_bytes(b"x")
    with pytest.raises(InputError, match="music: the folder contains other files"):
        write_bundle(tmp_path / "music", tensors=TENSORS, config=CONFIG, card="")
    with pytest.raises(InputError, match="is a file"):
        write_bundle(tmp_path / "music" / "song.mp3", tensors=TENSORS, config=CONFIG, card="")
    assert [p.name for p in (tmp_path / "music").iterdir()] == ["song.mp3"]


def test_a_failure_between_the_renames_keeps_the_old_model(folder, monkeypatch):
    rename = Path.rename

    def fail_on_the_second(self, target):
        if self.name.endswith(".tmp"):
            raise OSError("power cut")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_on_the_second)
    with pytest.raises(OSError, match="power cut"):
        write_bundle(folder, tensors=TENSORS, config=CONFIG | {"seed": 4}, card="")
    assert read_bundle(folder, kind="users_model").config["seed"] == 3
    monkeypatch.undo()
    write_bundle(folder, tensors=TENSORS, config=CONFIG | {"seed": 5}, card="")
    assert read_bundle(folder, kind="users_model").config["seed"] == 5
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def edited(folder, **changes):
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            lambda f: edited(f, kind="other_model"),
            "expected a model of kind users_model, got other_model",
        ),
        (lambda f: edited(f, format_version=2), "model format 2, this audiorec reads 1"),
        (lambda f: edited(f, weights_sha256="0" * 64), "does not match model.json"),
        (lambda f: (f / "model.json").write_text("[]"), "model format None"),
        (lambda f: (f / "model.json").write_text("{"), "model.json: not JSON"),
        (lambda f: (f / "model.json").unlink(), "model.json: no such file"),
        (lambda f: (f / "model.safetensors").unlink(), "no such file"),
        (
            lambda f: (f / "model.safetensors").write_bytes(b"x" * 40),
            "checksum of model.safetensors does not match",
        ),
    ],
)
def test_a_damaged_folder_is_refused(folder, harm, message):
    harm(folder)
    with pytest.raises(WeightsError, match=message):
        read_bundle(folder, kind="users_model")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(WeightsError, match="nowhere: no such folder"):
        read_bundle(tmp_path / "nowhere", kind="users_model")


def test_weights_that_are_not_finite_are_refused_on_both_sides(folder, tmp_path, monkeypatch):
    bad = {"weight": np.float32([1, np.nan])}
    with pytest.raises(InputError, match="'weight' has values that are not finite numbers"):
        write_bundle(tmp_path / "bad", tensors=bad, config=CONFIG, card="")
    assert not (tmp_path / "bad").exists()
    with monkeypatch.context() as patch:
        patch.setattr("audiorec.learning.bundle._check_tensors", lambda _tensors: None)
        write_bundle(tmp_path / "bad", tensors=bad, config=CONFIG, card="")
    with pytest.raises(WeightsError, match="'weight' has values that are not finite numbers"):
        read_bundle(tmp_path / "bad", kind="users_model")


@pytest.mark.parametrize(
    ("config", "message"),
    [({"seed": 1}, "needs a kind"), ({"kind": "m", "x": float("nan")}, "plain JSON")],
)
def test_a_config_that_cannot_be_kept_is_refused(tmp_path, config, message):
    with pytest.raises(InputError, match=message):
        write_bundle(tmp_path / "m", tensors=TENSORS, config=config, card="")
    assert list(tmp_path.iterdir()) == []
