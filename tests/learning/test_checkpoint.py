"""`audiorec.learning.fit`: a state that was changed is no state, and no link is followed."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from needs import needs

torch = needs("torch")

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from audiorec.errors import StoreError
from audiorec.files.own_files import RunFolder
from audiorec.learning import fit
from audiorec.learning.fit import (
    METADATA_KEY,
    TrainingState,
    load_checkpoint,
    restoring,
    save_checkpoint,
)
from audiorec.recall.contract.training import RUN_FILES

AT = TrainingState(
    fingerprint="f", epoch=3, batch=7, loss_sum=0.5, best_epoch=2, history=[{"epoch": 0}]
)
TENSORS = {"model.w": torch.arange(6.0).reshape(2, 3), "optimiser.0.step": torch.tensor(4.0)}


@pytest.fixture
def path(tmp_path):
    save_checkpoint(tmp_path / "training.safetensors", TENSORS, AT)
    return tmp_path / "training.safetensors"


def test_there_and_back(path):
    tensors, at = load_checkpoint(path, "f")
    assert at == AT
    assert {n: t.tolist() for n, t in tensors.items()} == {
        n: t.tolist() for n, t in TENSORS.items()
    }
    assert load_checkpoint(path, "another training") is None
    assert load_checkpoint(path.with_name("nothing"), "f") is None
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_every_turned_bit_begins_anew_or_changes_nothing(path):
    content = path.read_bytes()
    for bit in np.random.default_rng(1).integers(0, 8 * len(content), 300).tolist():
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            found = load_checkpoint(path, "f")
        except StoreError:  # no longer begins like one
            continue
        if found is not None:
            assert found[1] == AT
            for name, tensor in TENSORS.items():
                assert torch.equal(found[0][name], tensor)


def test_a_changed_epoch_or_number_with_its_old_digest_is_no_state(path):
    with safe_open(path, framework="pt") as opened:
        metadata = json.loads(opened.metadata()[METADATA_KEY])
    for change in ({"epoch": 4}, {"history": []}, {"sha256": "0" * 64}):
        text = {METADATA_KEY: json.dumps(metadata | change)}
        save_file(load_file(path), path.with_name("changed.safetensors"), metadata=text)
        assert load_checkpoint(path.with_name("changed.safetensors"), "f") is None


@pytest.mark.parametrize(
    ("said", "wanted", "match"),
    [
        (
            "I/O error: No space left on device (os error 28)",
            StoreError,
            "no space left on device; free",
        ),
        ("InvalidHeader", SafetensorError, "InvalidHeader"),
    ],
)
def test_a_full_disk_is_one_clear_error(path, monkeypatch, said, wanted, match):
    def fails(*_, **__):
        raise SafetensorError(f"Error while serializing: {said}")

    monkeypatch.setattr(fit, "save_file", fails)
    with pytest.raises(wanted, match=match):
        save_checkpoint(path, TENSORS, AT)
    assert load_checkpoint(path, "f")[1] == AT


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs POSIX limits of file sizes")
def test_a_run_that_was_killed_while_it_saved_goes_on(tmp_path):
    """The system ends the process in the middle of the file; what it leaves blocks nothing."""
    script = (
        "import resource, signal, sys, torch; from pathlib import Path\n"
        "from audiorec.learning.fit import TrainingState, save_checkpoint\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "state = TrainingState(fingerprint='f')\n"
        "save_checkpoint(Path(sys.argv[1]), {'w': torch.ones(1_000_000)}, state)\n"
    )
    folder = RunFolder(tmp_path / "model", RUN_FILES)
    path = folder.path / "choose.safetensors"
    save_checkpoint(path, TENSORS, AT)
    folder.release()
    ended = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert ended.returncode == -signal.SIGXFSZ
    assert {p.name for p in path.parent.iterdir()} > {"choose.safetensors", "lock"}
    folder = RunFolder(tmp_path / "model", RUN_FILES)
    assert folder.names() == ["choose.safetensors"]
    assert load_checkpoint(path, "f")[1] == AT
    folder.release()


def test_a_link_is_not_written(path):
    path.with_name("link.safetensors").symlink_to(path)
    with pytest.raises(StoreError, match=r"link\.safetensors: is a link"):
        save_checkpoint(path.with_name("link.safetensors"), TENSORS, AT)


@pytest.mark.parametrize("error", [KeyError("w"), RuntimeError("size mismatch\nfor w")])
def test_what_does_not_fit_the_training_is_one_line(path, error):
    with (
        pytest.raises(
            StoreError, match=r"not a checkpoint of this training run.*to start from the beginning$"
        ) as (caught),
        restoring(path),
    ):
        raise error
    assert "\n" not in str(caught.value)
