"""`audiorec.tagger.added`: a folder for each network, whole or not at all, checked when opened."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_backbone import DROP, write_backbone

from audiorec.errors import (
    InputError,
    MissingWeightsError,
    SpecMismatchError,
    StoreError,
    WeightsError,
)
from audiorec.files.own_files import own_data_folder
from audiorec.spec import FeatureSpec
from audiorec.tagger import added
from audiorec.tagger.added import (
    added_names,
    backbones_folder,
    find_added,
    open_added,
    remove_added,
    write_added,
)
from audiorec.tagger.backbone_spec import read_spec

WIDTHS = {"scores": 3, "embedding": 40}


@pytest.fixture(autouse=True)
def _own_data(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOREC_DATA", str(tmp_path / "own"))


@pytest.fixture
def made(tmp_path):
    model, spec = write_backbone(tmp_path / "here")
    return read_spec(spec), model.read_bytes()


def files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_a_network_is_found_by_its_name_and_by_its_folder(made):
    assert added_names() == []
    kept = write_added(*made, WIDTHS)
    assert added_names() == ["tiny"]
    assert find_added("tiny") == find_added(str(backbones_folder() / "tiny")) == kept
    assert kept.stated == made[0]
    assert kept.model_bytes() == made[1]
    assert kept.model_size == len(made[1])
    assert kept.outputs == {"tiny.scores": 3, "tiny.embedding": 40}
    assert kept.origin() == {"name": "tiny", "sha256": kept.sha256, "licence": "CC0-1.0"}
    assert sorted(files(kept.folder)) == ["backbone.json", "model.onnx", "spec.json"]


def test_its_checksum_covers_weights_and_front_end_and_no_names(tmp_path, made):
    first = write_added(*made, WIDTHS).sha256
    _, spec = write_backbone(tmp_path / "two", {"name": "small", "licence": "MIT"})
    assert write_added(read_spec(spec), made[1], WIDTHS).sha256 == first
    _, spec = write_backbone(tmp_path / "three", {"name": "third", "mel.pre_emphasis": 0.9})
    assert write_added(read_spec(spec), made[1], WIDTHS).sha256 != first
    other, _ = write_backbone(tmp_path / "four", bands=41)
    assert write_added(made[0], other.read_bytes(), WIDTHS, replace=True).sha256 != first


def test_a_filterbank_comes_along(tmp_path, made):
    matrix = np.random.default_rng(0).random((40, 129)).astype(np.float32)
    (tmp_path / "fb").mkdir()
    np.savez(tmp_path / "fb" / "fb.npz", fb=matrix)
    given = {"mel.scale": DROP, "mel.filterbank": {"file": "fb.npz", "array": "fb"}}
    _, spec = write_backbone(tmp_path / "fb", given)
    kept = write_added(read_spec(spec), made[1], WIDTHS)
    np.testing.assert_array_equal(find_added("tiny").stated.filterbank, matrix)
    matrix[0, 0] = 9
    np.savez(kept.folder / "filterbank.npz", filterbank=matrix)
    with pytest.raises(WeightsError, match=r"filterbank\.npz: changed since"):
        find_added("tiny")


def test_another_one_takes_its_place_only_if_asked(tmp_path, made):
    before = files(write_added(*made, WIDTHS).folder)
    with pytest.raises(InputError, match="backbone 'tiny' exists; --replace"):
        write_added(*made, WIDTHS)
    assert files(backbones_folder() / "tiny") == before
    _, spec = write_backbone(tmp_path / "b", {"licence": "MIT"})
    assert write_added(read_spec(spec), made[1], WIDTHS, replace=True).stated.licence == "MIT"
    assert [p.name for p in backbones_folder().iterdir()] == ["tiny"]


@pytest.mark.parametrize("step", ["sync", "_put", "open"])
def test_a_disk_that_fails_leaves_what_was_there(tmp_path, made, monkeypatch, step):
    before = files(write_added(*made, WIDTHS).folder)
    _, spec = write_backbone(tmp_path / "b", {"licence": "MIT"})
    stated = read_spec(spec)

    def fail(*_args, **_more):
        raise OSError(28, "No space left on device")

    if step == "open":
        monkeypatch.setattr(Path, "write_bytes", fail)
    elif step == "_put":  # the second of two renames
        own = Path.rename
        monkeypatch.setattr(
            Path, "rename", lambda p, to: fail() if p.name.endswith(".tmp") else own(p, to)
        )
    else:
        monkeypatch.setattr(added, step, fail)
    with pytest.raises(StoreError, match="cannot be written: no space left"):
        write_added(stated, made[1], WIDTHS, replace=True)
    monkeypatch.undo()
    monkeypatch.setenv("AUDIOREC_DATA", str(tmp_path / "own"))
    assert files(backbones_folder() / "tiny") == before
    assert [p.name for p in backbones_folder().iterdir()] == ["tiny"]


def test_a_network_that_is_not_there(made):
    with pytest.raises(
        MissingWeightsError, match=r"no added backbone 'tiny' \(added: none\); add one"
    ):
        find_added("tiny")
    write_added(*made, WIDTHS)
    with pytest.raises(MissingWeightsError, match=r"no added backbone 'tidy' \(added: tiny\)"):
        find_added("tidy")
    with pytest.raises(MissingWeightsError, match="no such backbone folder"):
        find_added("./tiny")


def test_a_changed_model_is_refused_when_it_is_read(made):
    kept = write_added(*made, WIDTHS)
    path = kept.folder / "model.onnx"
    path.write_bytes(made[1][:-1] + b"x")
    with pytest.raises(WeightsError, match=r"model\.onnx: changed since the backbone was added"):
        find_added("tiny").model_bytes()


def resealed(folder, **changes):
    """Put the checksum of backbone.json right after a change, as somebody who means harm would."""
    import hashlib

    from audiorec.files.own_files import sealed, unsealed

    path = folder / "backbone.json"
    about = {**unsealed(json.loads(path.read_text())), **changes}
    about["sha256"]["spec.json"] = hashlib.sha256((folder / "spec.json").read_bytes()).hexdigest()
    path.write_text(json.dumps(sealed(about)))


def rewritten(folder, change):
    spec = json.loads((folder / "spec.json").read_text())
    change(spec)
    (folder / "spec.json").write_text(json.dumps(spec, indent=1, ensure_ascii=False) + "\n")


def names_a_file(folder):
    rewritten(folder, lambda s: s["outputs"]["scores"].update(classes="/etc/passwd"))
    resealed(folder)


def fewer_classes(folder):
    rewritten(folder, lambda s: s["outputs"]["scores"].update(classes=["a"]))
    resealed(folder)


def endless_front_end(folder):
    rewritten(folder, lambda s: s["mel"].update(n_fft=10**12))
    resealed(folder)


HARM = {
    "spec changed": (
        lambda f: rewritten(f, lambda s: s["mel"].update(pre_emphasis=0.5)),
        r"spec\.json: changed since",
    ),
    "spec gone": (lambda f: (f / "spec.json").unlink(), r"spec\.json: no such file"),
    "about gone": (lambda f: (f / "backbone.json").unlink(), r"backbone\.json: no such file"),
    "about changed": (
        lambda f: (f / "backbone.json").write_text(
            (f / "backbone.json").read_text().replace('"embedding": 40', '"embedding": 41')
        ),
        "damaged or changed",
    ),
    "about of another kind": (lambda f: (f / "backbone.json").write_text("[]"), "not a JSON obj"),
    "about empty": (
        lambda f: (f / "backbone.json").write_text("{}"),
        "not a valid backbone folder",
    ),
    "a newer format": (lambda f: resealed(f, format=9), "backbone format 9; this audiorec reads 1"),
    "endless widths": (lambda f: resealed(f, widths={"scores": 3, "embedding": 10**9}), "width of"),
    "widths of texts": (lambda f: resealed(f, widths={"scores": 3, "embedding": "x"}), "width of"),
    "no widths": (lambda f: resealed(f, widths={}), "not a valid backbone folder"),
    "a spec that names a file": (names_a_file, r"spec\.json: changed since|classes"),
    "a spec with fewer classes": (fewer_classes, "3 scores for 1 classes"),
    "a spec without end": (endless_front_end, "n_fft: expected a whole number"),
    "about a link": (
        lambda f: ((f / "backbone.json").unlink(), (f / "backbone.json").symlink_to("/etc/passwd")),
        "is a link",
    ),
    "a spec of gigabytes": (lambda f: os.truncate(f / "spec.json", 1 << 33), "the limit is"),
}


@pytest.mark.parametrize("name", HARM)
def test_a_folder_that_is_not_what_was_added_is_one_line(made, name):
    folder = write_added(*made, WIDTHS).folder
    harm, message = HARM[name]
    harm(folder)
    with pytest.raises(WeightsError, match=message) as caught:
        open_added(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_models_that_are_links_are_refused(tmp_path, made):
    kept = write_added(*made, WIDTHS)
    path = kept.folder / "model.onnx"
    path.rename(tmp_path / "elsewhere.onnx")
    path.symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(WeightsError, match="is a link"):
        kept.model_bytes()
    path.unlink()
    os.link(tmp_path / "elsewhere.onnx", path)
    with pytest.raises(WeightsError, match="hard link"):
        kept.model_bytes()


def test_a_network_is_removed_and_nothing_else(made):
    kept = write_added(*made, WIDTHS)
    (kept.folder / "mine.txt").write_text("keep")
    with pytest.raises(StoreError, match=r"contains 'mine\.txt', which audiorec did not write"):
        remove_added("tiny")
    with pytest.raises(StoreError, match=r"mine\.txt"):
        write_added(*made, WIDTHS, replace=True)
    assert len(files(kept.folder)) == 4
    (kept.folder / "mine.txt").unlink()
    (kept.folder / "spec.json").write_text("damaged")  # what cannot be opened can be removed
    assert remove_added("tiny") == kept.folder
    assert added_names() == []
    with pytest.raises(MissingWeightsError, match="no added backbone 'tiny'"):
        remove_added("tiny")
    with pytest.raises(MissingWeightsError, match="no added backbone"):
        remove_added("..")


def test_a_link_in_the_place_of_a_network_is_not_followed(tmp_path, made):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "model.onnx").write_bytes(b"theirs")
    backbones_folder().mkdir(parents=True)
    (backbones_folder() / "tiny").symlink_to(tmp_path / "theirs")
    for act in (lambda: write_added(*made, WIDTHS, replace=True), lambda: remove_added("tiny")):
        with pytest.raises(StoreError, match="is a link"):
            act()
    assert (tmp_path / "theirs" / "model.onnx").read_bytes() == b"theirs"


def test_another_front_end_is_refused(made):
    with pytest.raises(SpecMismatchError, match="backbone 'tiny' was added with front end"):
        write_added(*made, WIDTHS).check_spec(FeatureSpec())


def test_where_networks_lie(tmp_path, monkeypatch):
    assert own_data_folder() == tmp_path / "own"
    monkeypatch.delenv("AUDIOREC_DATA")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert own_data_folder() == tmp_path / "audiorec"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert own_data_folder() == tmp_path / "home" / ".local" / "share" / "audiorec"


def test_opening_one_loads_no_arrow(made):
    folder = write_added(*made, WIDTHS).folder
    script = (
        "import sys; from pathlib import Path; from audiorec.tagger.added import open_added; "
        "open_added(Path(sys.argv[1])); "
        "print([m for m in ('pyarrow', 'onnxruntime', 'scipy') if m in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"
